"""The checker finds what it is there for: each promise is broken on purpose, and only where it is broken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from faults.evidence import Evidence
from faults.history import Acknowledged, History
from faults.promises import PROMISES, Promise

from tallystick.demo.tie_out import Difference, Step
from tallystick.documents.event import EventType

ID = "018f0000-0000-7000-8000-000000000001"
REFERENCE = f"TS-{UUID(ID).hex}"
NEWS = (EventType.ORDER_ACCEPTED, EventType.ORDER_COMMITTED, EventType.ORDER_SHIPPED, EventType.ORDER_INVOICED)
FACTS = ("received", "accepted", "committed", "requested", "shipped", "invoiced", "payment_requested", "paid")


def _fact(fact: str) -> dict[str, Any]:
    return {"transaction_id": ID, "fact": fact, "detail": {"invoice": "I-1"}}


def sound() -> tuple[Evidence, History]:
    """One order that went all the way."""
    states = {"intake": "accepted", "commitment": "committed", "fulfilment": "complete", "invoicing": "complete"}
    evidence = Evidence(
        transactions={ID: {"id": ID, "order_number": "SO-1", **states, "settlement": "paid"}},
        facts={ID: [_fact(each) for each in FACTS]},
        documents={ID: [{"type": each} for each in ("order", "shipment", "invoice", "payment")]},
        references=[("order", REFERENCE), ("invoice", f"{REFERENCE}-I-S1"), ("payment", f"{REFERENCE}-P-P1")],
        shipment_requests=[{"reference": REFERENCE, "order_number": "SO-1"}],
        shipments=[{"order_number": "SO-1"}],
        payment_requests=[{"reference": f"{REFERENCE}-P-I1", "order_number": "SO-1"}],
        payments=[{"order_number": "SO-1"}],
        sold=[
            {
                "order_number": "SO-1",
                "updates": [{"event_type": each.value} for each in (*NEWS, EventType.ORDER_PAID)],
            }
        ],
    )
    history = History(acknowledged={"SO-1": Acknowledged("SO-1", ID, "accept", 1, 0.1)})
    return evidence, history


def _lose_the_order(evidence: Evidence, _: History) -> None:
    evidence.transactions.clear()


def _commit_twice(evidence: Evidence, _: History) -> None:
    evidence.references = [*evidence.references, ("order", REFERENCE)]


def _leave_out_of_the_erp(evidence: Evidence, _: History) -> None:
    evidence.references = [each for each in evidence.references if each[0] != "order"]


def _answer_differently(_: Evidence, history: History) -> None:
    history.mistaken.append("SO-1: accept, then hold")


def _invoice_twice(evidence: Evidence, _: History) -> None:
    evidence.references = [*evidence.references, ("invoice", f"{REFERENCE}-I-S2")]


def _pay_twice(evidence: Evidence, _: History) -> None:
    evidence.references = [*evidence.references, ("payment", f"{REFERENCE}-P-P1")]


def _credit_twice(evidence: Evidence, _: History) -> None:
    evidence.references = [*evidence.references, *(("credit_memo", f"{REFERENCE}-R-1"),) * 2]


def _ship_for_a_stranger(evidence: Evidence, _: History) -> None:
    evidence.shipment_requests = [*evidence.shipment_requests, {"reference": "TS-0", "order_number": "SO-2"}]


def _keep_half(evidence: Evidence, history: History) -> None:
    history.acknowledged.clear()
    history.abandoned.add("SO-1")
    evidence.documents.clear()


def _invoice_first(evidence: Evidence, _: History) -> None:
    facts = evidence.facts[ID]
    facts[4], facts[5] = facts[5], facts[4]


def _tell_in_another_order(evidence: Evidence, _: History) -> None:
    evidence.sold[0]["updates"].reverse()


def _tell_twice(evidence: Evidence, _: History) -> None:
    evidence.sold[0]["updates"].append(evidence.sold[0]["updates"][-1])


def _owe_a_cent(evidence: Evidence, _: History) -> None:
    evidence.tied.differences.append(Difference(Step.COLLECTED, "SO-1", 1))


def _forget_a_dead_letter(evidence: Evidence, _: History) -> None:
    evidence.messages = [{"id": "m", "state": "dead", "stage": "invoicing", "kind": "invoice_shipment"}]


def _leave_a_message(evidence: Evidence, _: History) -> None:
    evidence.messages = [{"id": "m", "state": "ready", "stage": "invoicing", "kind": "invoice_shipment"}]


def _leave_unpaid(evidence: Evidence, _: History) -> None:
    evidence.transactions[ID] = {**evidence.transactions[ID], "settlement": "none"}


def _lose_a_fact(evidence: Evidence, _: History) -> None:
    evidence.facts[ID].pop()


def _cancel(evidence: Evidence) -> None:
    evidence.transactions[ID] = {**evidence.transactions[ID], "intake": "cancelled", "commitment": "cancelled"}


def test_an_order_cancelled_in_the_erp_may_stand_there_emptied_but_not_twice() -> None:
    evidence, history = sound()
    _cancel(evidence)
    once = PROMISES[0]
    assert list(once.breaks(evidence, history)) == []
    _commit_twice(evidence, history)
    assert list(once.breaks(evidence, history)) != []


@pytest.mark.parametrize("promise", PROMISES, ids=lambda each: each.title)
def test_nothing_is_broken_where_all_is_well(promise: Promise) -> None:
    assert list(promise.breaks(*sound())) == []


@pytest.mark.parametrize(
    ("title", "break_it"),
    [
        ("every acknowledged order exactly once in the ERP", _lose_the_order),
        ("every acknowledged order exactly once in the ERP", _commit_twice),
        ("every acknowledged order exactly once in the ERP", _leave_out_of_the_erp),
        ("every acknowledged order exactly once in the ERP", _answer_differently),
        ("no invoice, payment or credit twice", _invoice_twice),
        ("no invoice, payment or credit twice", _pay_twice),
        ("no invoice, payment or credit twice", _credit_twice),
        ("nothing unacknowledged half done", _ship_for_a_stranger),
        ("nothing unacknowledged half done", _keep_half),
        ("order inside each transaction kept", _invoice_first),
        ("order inside each transaction kept", _tell_in_another_order),
        ("order inside each transaction kept", _tell_twice),
        ("totals tie out to the cent", _owe_a_cent),
        ("every failure healed, or stands before a person", _forget_a_dead_letter),
        ("every failure healed, or stands before a person", _leave_a_message),
        ("every failure healed, or stands before a person", _leave_unpaid),
        ("lineage complete", _lose_a_fact),
    ],
)
def test_what_is_broken_is_found(title: str, break_it: Callable[[Evidence, History], None]) -> None:
    evidence, history = sound()
    break_it(evidence, history)
    promise = next(each for each in PROMISES if each.title == title)
    assert list(promise.breaks(evidence, history)) != []
