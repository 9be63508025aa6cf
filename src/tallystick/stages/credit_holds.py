"""Credit holds that finance places or releases reach the channels, and a release lets held orders go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tallystick.checks.refresh import Announce, Hold
from tallystick.control.lineage import LineageFact
from tallystick.documents.event import EventType
from tallystick.stages.decision import check_again
from tallystick.stages.flow import Flow
from tallystick.stages.outcome import Outcome, record_outcomes
from tallystick.store.pool import Connection


def announcer(flow: Flow, system: str) -> Announce:
    """What tells the channels of holds at one ERP; it writes in the transaction that learns them."""

    async def announce(connection: Connection, holds: Sequence[Hold]) -> None:
        entities = [name for name, entity in flow.settings.entities.items() if entity.erp == system]
        placed = dict(holds)
        rows = await _concerned(connection, entities, list(placed))
        outcomes = [_told(flow, system, row, placed[row["customer_id"]]) for row in rows]
        await record_outcomes(connection, flow.carrier, outcomes)

    return announce


def _told(flow: Flow, system: str, row: Any, placed: bool) -> Outcome:
    """News for one order's channel; on a release, an order that only credit holds is checked again, by policy."""
    fact = LineageFact(row["id"], "credit", "hold_placed" if placed else "hold_released", system=system)
    event = EventType.CREDIT_HOLD_PLACED if placed else EventType.CREDIT_HOLD_RELEASED
    data = {"customer_id": row["customer_id"], "on_hold": placed}
    messages = flow.news_of(row["id"], row["entity"], row["channel"], row["order_number"], event, data)
    goes_on = not placed and row["only_credit_holds"]
    if goes_on and flow.settings.entities[row["entity"]].policy.release_by_itself:
        messages += (check_again(row["id"], row["entity"], system),)
    return Outcome(facts=(fact,), messages=messages)


async def _concerned(connection: Connection, entities: Sequence[str], customers: Sequence[str]) -> list[Any]:
    """The customers' open orders, and in each channel the latest, so that one without an open order hears of it too."""
    return await connection.fetch(
        """
        with theirs as (
            select id, entity, channel, order_number, customer_id,
                intake = 'held' or (intake = 'accepted' and commitment in ('pending', 'committed')
                    and not (invoicing = 'complete' and settlement in ('paid', 'overpaid'))) as open,
                row_number() over (partition by entity, channel, customer_id order by id desc) as place
            from transactions where entity = any($1::text[]) and customer_id = any($2::text[])
        )
        select t.*, exists (
            select from exceptions e
            where e.transaction_id = t.id and e.state = 'open' and e.type = 'order.held' and not exists (
                select from jsonb_array_elements(e.reasons) as reason where reason ->> 'check' <> 'credit')
        ) as only_credit_holds
        from theirs t where open or place = 1 order by id
        """,
        entities,
        customers,
    )
