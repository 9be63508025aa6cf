"""Whatever a stage does with a batch, each delivery gets its answer, and a poison message spoils only its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from tests.unit.mailbox.deliveries import delivery

from tallystick.mailbox.answers import Answer, answers_of
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.messages import Delivery, Done
from tallystick.store.pool import Connection
from tallystick.systems.failure import Failure, Rejected, Transient, Unavailable, Unknown

ROUTE = Route("commitment", "erp")


class Scripted:
    """A stage that does what the test says, and keeps what it was given."""

    stage = ROUTE.stage

    def __init__(self, act: Callable[[Sequence[Delivery]], Awaitable[Any]]) -> None:
        self._act = act
        self.batches: list[list[Delivery]] = []

    async def handle(self, deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        self.batches.append(list(deliveries))
        answers: Sequence[Answer] = await self._act(deliveries)
        return answers

    async def record(self, connection: Connection, done: Sequence[tuple[Delivery, Any]]) -> None:
        raise AssertionError("only the settlement records")

    async def bury(self, connection: Connection, failed: Sequence[tuple[Delivery, Failure]]) -> None:
        raise AssertionError("only the settlement buries")


async def _stumble(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
    if any("poison" in each.payload for each in deliveries):
        raise KeyError("revision")
    return [Done(each.id) for each in deliveries]


async def test_a_bug_fails_the_message_that_meets_it_and_no_other() -> None:
    batch = [delivery(), delivery(payload={"poison": 1}), delivery()]
    stage = Scripted(_stumble)
    first, poison, last = await answers_of(stage, ROUTE, batch, 60)
    assert first == Done(batch[0].id)
    assert last == Done(batch[2].id)
    assert isinstance(poison, Transient)
    assert poison.code == "stage.bug"
    assert "KeyError: 'revision'" in poison.message


async def test_what_is_handled_a_second_time_is_looked_up_first() -> None:
    stage = Scripted(_stumble)
    await answers_of(stage, ROUTE, [delivery(), delivery(payload={"poison": 1})], 60)
    whole, *alone = stage.batches
    assert [each.verify for each in whole] == [False, False]
    assert [[each.verify for each in batch] for batch in alone] == [[True], [True]]


async def test_a_message_that_hangs_does_not_take_its_neighbours_with_it() -> None:
    async def hang(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if any("poison" in each.payload for each in deliveries):
            await asyncio.Event().wait()
        return [Done(None)] * len(deliveries)

    batch = [delivery(), delivery(payload={"poison": 1}), delivery()]
    first, poison, last = await answers_of(Scripted(hang), ROUTE, batch, 0.02)
    assert first == last == Done(None)
    assert isinstance(poison, Unknown)
    assert poison.code == "stage.timeout"


async def test_a_stage_s_own_timeout_is_a_bug_of_its_message() -> None:
    async def time_out(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if any("poison" in each.payload for each in deliveries):
            raise TimeoutError
        return [Done(None)] * len(deliveries)

    good, poison = await answers_of(Scripted(time_out), ROUTE, [delivery(), delivery(payload={"poison": 1})], 60)
    assert good == Done(None)
    assert isinstance(poison, Transient)


async def test_a_failure_that_is_raised_is_the_answer_to_the_whole_batch() -> None:
    async def unavailable(_: Sequence[Delivery]) -> Sequence[Answer]:
        raise Unavailable("connection refused", system="erp")

    stage = Scripted(unavailable)
    answers = await answers_of(stage, ROUTE, [delivery(), delivery()], 60)
    assert [type(each) for each in answers] == [Unavailable, Unavailable]
    assert len(stage.batches) == 1, "a system that is away is not asked again for each message"


@pytest.mark.parametrize("wrong", [[], [Done(1)] * 3, [Done(1), None], [Done(1), ValueError("x")]])
async def test_answers_that_do_not_fit_are_a_bug(wrong: list[Any]) -> None:
    async def misfit(deliveries: Sequence[Delivery]) -> Any:
        return wrong if len(deliveries) == 2 else [Done("alone")]

    assert list(await answers_of(Scripted(misfit), ROUTE, [delivery(), delivery()], 60)) == [Done("alone")] * 2


async def test_the_database_s_trouble_is_nobody_s_fault() -> None:
    async def lost(_: Sequence[Delivery]) -> Sequence[Answer]:
        raise ConnectionResetError("connection lost")

    stage = Scripted(lost)
    with pytest.raises(ConnectionResetError):
        await answers_of(stage, ROUTE, [delivery(), delivery()], 60)
    assert len(stage.batches) == 1


async def test_the_database_s_trouble_with_one_of_those_handled_alone_is_everybody_s() -> None:
    async def lost_at_the_second_look(deliveries: Sequence[Delivery]) -> Sequence[Answer]:
        if len(deliveries) > 1:
            raise KeyError("revision")
        if "unlucky" in deliveries[0].payload:
            raise ConnectionResetError("connection lost")
        return [Done(None)]

    with pytest.raises(ConnectionResetError):
        await answers_of(Scripted(lost_at_the_second_look), ROUTE, [delivery(), delivery(payload={"unlucky": 1})], 60)


async def test_words_from_outside_can_be_stored() -> None:
    said = {"body": "half a pair \ud800", "items": ["nul \0", {"k\0": 1}]}

    async def refuse(_: Sequence[Delivery]) -> Sequence[Answer]:
        return [Rejected("no \0 credit", system="erp", request=("a\0",), response=said)]

    (answer,) = await answers_of(Scripted(refuse), ROUTE, [delivery()], 60)
    assert isinstance(answer, Rejected)
    assert answer.message == "no \N{REPLACEMENT CHARACTER} credit"
    assert answer.request == ["a\N{REPLACEMENT CHARACTER}"]
    assert answer.response == {
        "body": "half a pair ?",
        "items": ["nul \N{REPLACEMENT CHARACTER}", {"k\N{REPLACEMENT CHARACTER}": 1}],
    }
