"""Dead letters and their way back: parked lanes, replay of one or a filtered set, an edited payload, discarding."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from tests.integration.mailbox.mailroom import (
    CARRIER,
    LEASE,
    ROUTE,
    Desk,
    claim,
    drained,
    eventually,
    live,
    message,
    offer,
    recorded,
    somebody_waits,
    succeed,
    working,
)

from tallystick.mailbox.answers import Answer
from tallystick.mailbox.carrier import Deferral, Route
from tallystick.mailbox.dead_letters import (
    MessageFilter,
    dead_ids,
    discard_messages,
    list_messages,
    queue_depths,
    read_message,
    replay_messages,
)
from tallystick.mailbox.messages import Delivery, Message
from tallystick.store.identifiers import new_id
from tallystick.store.pool import Pool
from tallystick.systems.failure import Rejected


async def bury(pool: Pool, *deliveries: Delivery) -> None:
    """Make dead letters of what is in hand."""
    no = Rejected("no", system="erp")
    async with pool.acquire() as connection, connection.transaction():
        held = await CARRIER.defer(
            connection, [Deferral(each, no, LEASE * 0, burn_attempt=True, dead=True) for each in deliveries], "test"
        )
    assert len(held) == len(deliveries)


async def dead_head(pool: Pool, lane: UUID, *followers: int) -> UUID:
    """A lane whose first message, 1, is dead, with what waits behind it; returns the dead one's id."""
    await offer(pool, message(1, lane=lane), *(message(number, lane=lane) for number in followers))
    (head,) = [each for each in await claim(pool) if each.lane == lane]
    await bury(pool, head)
    return head.id


async def states(pool: Pool) -> dict[int, str]:
    return {each["number"]: each["state"] for each in await live(pool)}


async def replay(pool: Pool, *ids: UUID, payload: dict[str, object] | None = None) -> list[UUID]:
    async with pool.acquire() as connection:
        return await replay_messages(connection, ids, payload=payload)


async def test_a_dead_head_parks_its_own_lane_and_no_other(mailbox: Pool) -> None:
    lane = new_id()
    await dead_head(mailbox, lane, 2, 3)
    await offer(mailbox, message(4), message(5, lane=lane), message(6, lane=lane, route=Route("publication", "crm")))
    assert await states(mailbox) == {1: "dead", 2: "parked", 3: "parked", 4: "ready", 5: "parked", 6: "ready"}
    assert [each.payload["number"] for each in await claim(mailbox)] == [4]


async def test_replay_sets_the_lane_going_again_in_its_order(mailbox: Pool) -> None:
    lane = new_id()
    dead = await dead_head(mailbox, lane, 2, 3)
    await offer(mailbox, message(4, lane=lane))
    async with working(mailbox, Desk()):
        await asyncio.sleep(0.1)
        assert await recorded(mailbox) == []
        assert await replay(mailbox, dead) == [dead]
        await drained(mailbox)
    assert await recorded(mailbox) == [1, 2, 3, 4]


async def test_a_replayed_message_has_fresh_attempts_and_is_looked_up_first(mailbox: Pool) -> None:
    dead = await dead_head(mailbox, new_id())
    await replay(mailbox, dead)
    (again,) = await claim(mailbox)
    assert (again.attempts, again.delivery, again.verify) == (0, 2, True)


async def test_replay_with_an_edited_payload_delivers_the_edited_one(mailbox: Pool) -> None:
    dead = await dead_head(mailbox, new_id(), 2)
    await replay(mailbox, dead, payload={"number": 11})
    async with working(mailbox, Desk()):
        await drained(mailbox)
    assert await recorded(mailbox) == [11, 2]


async def test_only_dead_letters_are_replayed_and_only_once(mailbox: Pool) -> None:
    lane = new_id()
    dead = await dead_head(mailbox, lane, 2)
    waiting = next(each["id"] for each in await live(mailbox) if each["number"] == 2)
    both = await asyncio.gather(replay(mailbox, dead, waiting, new_id()), replay(mailbox, dead))
    assert sorted(map(len, both)) == [0, 1]
    assert [each.payload["number"] for each in await claim(mailbox)] == [1]


async def test_discarding_lets_the_lane_flow_on_and_is_logged(mailbox: Pool) -> None:
    lane = new_id()
    dead = await dead_head(mailbox, lane, 2, 3)
    async with mailbox.acquire() as connection:
        assert await discard_messages(connection, [dead]) == [dead]
        assert await discard_messages(connection, [dead]) == []
    async with working(mailbox, Desk()):
        await drained(mailbox)
    assert await recorded(mailbox) == [2, 3]
    assert await mailbox.fetchval("select outcome from message_log where id = $1", dead) == "discarded"


async def test_a_filter_names_the_dead_letters_to_replay(mailbox: Pool) -> None:
    other = Route("publication", "crm")
    wanted = await dead_head(mailbox, new_id(), 2)
    await offer(mailbox, message(3), message(4, entity="west"), message(5, route=other))
    await bury(mailbox, *await claim(mailbox), *await claim(mailbox, route=other))
    east = MessageFilter(["default"], stage=ROUTE.stage, system=ROUTE.system, kind="commit_order")
    async with mailbox.acquire() as connection:
        ids = await dead_ids(connection, east)
        assert ids[0] == wanted
        assert len(ids) == 2
        assert await dead_ids(connection, MessageFilter(["default"], stage=ROUTE.stage), limit=1) == [wanted]
        assert await dead_ids(connection, MessageFilter(state="ready")) == []
        assert len(await dead_ids(connection, MessageFilter())) == 4
        await replay_messages(connection, ids)
    assert await states(mailbox) == {1: "ready", 2: "ready", 3: "ready", 4: "dead", 5: "dead"}


async def test_the_list_is_in_pages_and_filters_by_every_field(mailbox: Pool) -> None:
    lane = new_id()
    started = message(1, lane=lane)
    await offer(mailbox, started, message(2, lane=lane), message(3, entity="west"))
    outside = Message(ROUTE.stage, ROUTE.system, "commit_order", new_id(), {"number": 4}, transaction_id=lane)
    await offer(mailbox, outside)
    await claim(mailbox, limit=1)
    async with mailbox.acquire() as connection:

        async def numbers(wanted: MessageFilter, after: UUID | None = None, limit: int = 50) -> list[int]:
            found = await list_messages(connection, wanted, after=after, limit=limit)
            return [(await read_message(connection, each["id"], None) or {})["payload"]["number"] for each in found]

        assert await numbers(MessageFilter()) == [1, 2, 3, 4]
        assert await numbers(MessageFilter(), limit=2) == [1, 2]
        assert await numbers(MessageFilter(), after=started.id) == [2, 3, 4]
        assert await numbers(MessageFilter(transaction_id=lane)) == [1, 2, 4], "also what waits outside of its lane"
        assert await numbers(MessageFilter(transaction_id=lane, state="ready"), after=started.id) == [2, 4]
        assert await numbers(MessageFilter(entities=["west"])) == [3]
        assert await numbers(MessageFilter(entities=[])) == []
        assert await numbers(MessageFilter(kind="cancel_order")) == []
        assert await numbers(MessageFilter(created_before=datetime(2020, 1, 1, tzinfo=UTC))) == []


async def test_a_message_is_shown_to_whom_its_entity_is_shown(mailbox: Pool) -> None:
    sent = message(1, entity="west")
    await offer(mailbox, sent)
    async with mailbox.acquire() as connection:
        assert await read_message(connection, sent.id, ["east"]) is None
        assert (await read_message(connection, sent.id, ["west"]) or {})["attempts_made"] == []
        assert await read_message(connection, new_id(), None) is None


async def test_depths_count_what_waits_what_is_in_hand_and_what_is_dead(mailbox: Pool) -> None:
    await dead_head(mailbox, new_id(), 2)
    await offer(mailbox, message(3), message(4, entity="west"))
    await claim(mailbox, limit=1)
    async with mailbox.acquire() as connection:
        (depth,) = await queue_depths(connection)
        assert (depth["waiting"], depth["in_flight"], depth["dead"]) == (2, 1, 1)
        (west,) = await queue_depths(connection, ["west"])
        assert (west["waiting"], west["in_flight"], west["dead"]) == (1, 0, 0)


async def test_what_is_offered_while_the_lane_s_head_dies_or_returns_is_never_left_behind(mailbox: Pool) -> None:
    """Offers, burials, replays and discards of the same few lanes at the same moment, and in the end nothing is stuck."""
    lanes = [new_id() for _ in range(4)]

    async def refuse_now_and_then(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        return [
            Rejected("no", system="erp") if each.payload["number"] % 3 == 0 and each.delivery == 1 else answer
            for each, answer in zip(deliveries, await succeed(deliveries), strict=True)
        ]

    offered = 0

    async def keep_offering() -> None:
        nonlocal offered
        for number in range(60):
            await offer(mailbox, *(message(number, lane=lane) for lane in lanes))
            offered += len(lanes)

    async def keep_replaying() -> None:
        while True:
            async with mailbox.acquire() as connection:
                await replay_messages(connection, await dead_ids(connection, MessageFilter()))
            await asyncio.sleep(0.001)

    async with working(mailbox, Desk(refuse_now_and_then), poll_seconds=60):
        replaying = asyncio.create_task(keep_replaying())
        await asyncio.gather(keep_offering(), keep_offering())
        await drained(mailbox)
        replaying.cancel()
    assert len(await recorded(mailbox)) == offered


async def test_an_offer_behind_a_dead_letter_that_is_just_being_replayed_is_not_parked(mailbox: Pool) -> None:
    lane = new_id()
    dead = await dead_head(mailbox, lane)
    async with mailbox.acquire() as connection:
        replaying = connection.transaction()
        await replaying.start()
        await replay_messages(connection, [dead])
        await asyncio.wait_for(offer(mailbox, message(2, lane=lane)), 5)
        await replaying.commit()
    assert await states(mailbox) == {1: "ready", 2: "ready"}


async def test_a_replay_waits_for_the_offer_that_is_parking_behind_it(mailbox: Pool) -> None:
    lane = new_id()
    dead = await dead_head(mailbox, lane)
    async with mailbox.acquire() as connection:
        offering = connection.transaction()
        await offering.start()
        await CARRIER.offer(connection, [message(2, lane=lane)])
        replaying = asyncio.create_task(replay(mailbox, dead))
        await eventually(lambda: somebody_waits(mailbox))
        await offering.commit()
        await replaying
    assert await states(mailbox) == {1: "ready", 2: "ready"}
