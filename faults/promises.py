"""The promises, each a function from the evidence to what breaks it; nothing found means that it held."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from faults.evidence import Evidence, Row
from faults.history import History

from tallystick.demo.erp import repeated
from tallystick.documents.event import EventType
from tallystick.documents.money import format_minor
from tallystick.stages.references import order_reference

Breaks = Iterator[str]
_CLOSED = ("rejected", "cancelled")
# What each fact of an order's lineage is told to the sales side as.
_TOLD = {
    "accepted": EventType.ORDER_ACCEPTED,
    "held": EventType.ORDER_HELD,
    "rejected": EventType.ORDER_REJECTED,
    "committed": EventType.ORDER_COMMITTED,
    "changed": EventType.ORDER_CHANGED,
    "cancelled": EventType.ORDER_CANCELLED,
    "shipped": EventType.ORDER_SHIPPED,
    "invoiced": EventType.ORDER_INVOICED,
    "paid": EventType.ORDER_PAID,
    "credited": EventType.ORDER_CREDITED,
}


def acknowledged_once(evidence: Evidence, history: History) -> Breaks:
    """Every acknowledged order is in the hub, and exactly once in the ERP if it was to be committed; the ERP has no other.

    An order that was cancelled there may stand in it still, once, emptied; that it is worth nothing is the tie-out's to say.
    """
    yield from (f"answered twice otherwise: {each}" for each in history.mistaken)
    in_erp = Counter(reference for kind, reference in evidence.references if kind == "order")
    for ack in history.acknowledged.values():
        transaction = evidence.transactions.get(ack.transaction_id)
        if transaction is None:
            yield f"order {ack.order_number} was acknowledged as {ack.transaction_id} and is lost"
        elif transaction["order_number"] != ack.order_number:
            yield f"order {ack.order_number} was acknowledged as {ack.transaction_id}, which is {transaction['order_number']}"
    expected = set()
    for identifier, transaction in evidence.transactions.items():
        reference = order_reference(UUID(identifier))
        if transaction["commitment"] == "committed":
            expected.add(reference)
            if in_erp[reference] != 1:
                yield f"order {transaction['order_number']} ({reference}) is {in_erp[reference]} times in the ERP"
        elif transaction["commitment"] == "cancelled" and in_erp[reference] <= 1:
            expected.add(reference)
    yield from (f"the ERP has {reference}, which the hub did not commit" for reference in in_erp.keys() - expected)


def nothing_twice(evidence: Evidence, _history: History) -> Breaks:
    """No invoice, payment or credit stands twice anywhere: one reference, one document; one shipment, one invoice."""
    yield from (f"{kind} {reference} stands twice in the ERP" for kind, reference in repeated(evidence.references))
    for name, rows in (("warehouse", evidence.shipment_requests), ("gateway", evidence.payment_requests)):
        references = Counter(str(row["reference"]) for row in rows)
        yield from (f"the {name} has {each} {times} times" for each, times in references.items() if times > 1)
    shipped, paid = Counter(row["order_number"] for row in evidence.shipments), _paid(evidence)
    for identifier, transaction in evidence.transactions.items():
        reference, number = order_reference(UUID(identifier)), transaction["order_number"]
        for kind, mark, most in (("invoice", "-I-", shipped[number]), ("payment", "-P-", paid[number])):
            booked = sum(k == kind and r.startswith(reference + mark) for k, r in evidence.references)
            if booked > most:
                yield f"order {number}: {booked} {kind}s in the ERP, only {most} came about"


def _paid(evidence: Evidence) -> Counter[str]:
    return Counter(str(row["order_number"]) for row in evidence.payments)


def whole_or_absent(evidence: Evidence, history: History) -> Breaks:
    """An order whose channel never heard of it is either whole in every system or in none; no system has a stranger's."""
    by_number = {str(each["order_number"]): each for each in evidence.transactions.values()}
    requested = {str(row["order_number"]) for row in evidence.shipment_requests if "order_number" in row}
    told = {str(row["order_number"]) for row in evidence.sold if row["updates"]}
    collected = {str(row["order_number"]) for row in evidence.payment_requests}
    for name, numbers in (("the warehouse", requested), ("CRM", told), ("the gateway", collected)):
        yield from (
            f"{name} knows order {number}, which the hub does not have" for number in numbers - by_number.keys()
        )
    for number in history.abandoned & by_number.keys():
        transaction = by_number[number]
        kinds = {row["type"] for row in evidence.documents.get(str(transaction["id"]), ())}
        facts = {row["fact"] for row in evidence.facts.get(str(transaction["id"]), ())}
        if "order" not in kinds or not {"received"} <= facts or number not in told:
            yield f"order {number} is half there: documents {sorted(kinds)}, facts {sorted(facts)}"


def in_order(evidence: Evidence, _history: History) -> Breaks:
    """Within each transaction nothing goes before what it follows, and the sales side heard everything once, in order."""
    told = {str(row["order_number"]): [each["event_type"] for each in row["updates"]] for row in evidence.sold}
    for identifier, facts in evidence.facts.items():
        transaction = evidence.transactions.get(identifier)
        if transaction is None:
            yield f"lineage of {identifier}, which does not exist"
            continue
        number = str(transaction["order_number"])
        yield from (f"order {number}: {each}" for each in _out_of_order(facts))
        news = [_TOLD[row["fact"]].value for row in facts if row["fact"] in _TOLD]
        heard = [each for each in told.get(number, []) if each in {event.value for event in _TOLD.values()}]
        if news != heard:
            yield f"order {number}: happened {_short(news)}, CRM heard {_short(heard)}"


def _short(types: list[str]) -> str:
    return " ".join(each.split(".")[2] for each in types)


def _out_of_order(facts: list[Row]) -> Breaks:
    seen: Counter[str] = Counter()
    invoices: set[str] = set()
    for row in facts:
        fact, detail = row["fact"], row["detail"]
        if fact in ("accepted", "held", "rejected") and not seen["received"]:
            yield f"{fact} before it was received"
        if fact == "committed" and not seen["accepted"]:
            yield "committed before it was accepted"
        if fact in ("requested", "shipped") and not seen["committed"]:
            yield f"{fact} before it was committed"
        if fact == "invoiced":
            invoices.add(detail["invoice"])
            if seen["invoiced"] >= seen["shipped"]:
                yield "invoiced before it was shipped"
        if fact == "payment_requested" and detail["invoice"] not in invoices:
            yield f"payment of {detail['invoice']} requested before it was invoiced"
        if fact == "paid" and not invoices:
            yield "paid before it was invoiced"
        seen[fact] += 1


def ties_out(evidence: Evidence, _history: History) -> Breaks:
    """What sales promised and what the ERP booked, invoiced and was paid differ by nothing that is not explained."""
    for each in evidence.tied.differences:
        if each.cause is None:
            yield f"order {each.order_number}: {each.step}: {format_minor(each.amount, 'USD')} USD unexplained"


def healed_or_standing(evidence: Evidence, _history: History) -> Breaks:
    """Every order has come to its end, or stands open before a person: held, in an exception, behind a dead letter."""
    with_exception = {str(row["message_id"]) for row in evidence.exceptions if row["message_id"]}
    about = {str(row["transaction_id"]) for row in evidence.exceptions if row["transaction_id"]}
    for row in evidence.messages:
        if row["state"] == "ready":
            yield f"message {row['id']} ({row['stage']} {row['kind']}) is left waiting"
        if row["state"] == "dead" and str(row["id"]) not in with_exception:
            yield f"dead letter {row['id']} ({row['stage']} {row['kind']}) has no exception"
    for identifier, transaction in evidence.transactions.items():
        if not _at_its_end(transaction) and identifier not in about:
            states = {
                name: transaction[name] for name in ("intake", "commitment", "fulfilment", "invoicing", "settlement")
            }
            yield f"order {transaction['order_number']} is left at {states} with no exception"


def _at_its_end(transaction: Row) -> bool:
    if transaction["intake"] in _CLOSED:
        return True
    return bool(
        transaction["commitment"] == "committed"
        and transaction["fulfilment"] == "complete"
        and transaction["invoicing"] == "complete"
        and transaction["settlement"] != "none"
    )


def lineage_complete(evidence: Evidence, _history: History) -> Breaks:
    """Each order's lineage has every step once, as many as there are documents in the hub and events outside."""
    outside = {
        "shipped": Counter(str(row["order_number"]) for row in evidence.shipments),
        "paid": _paid(evidence),
    }
    for identifier, transaction in evidence.transactions.items():
        number = str(transaction["order_number"])
        facts = Counter(row["fact"] for row in evidence.facts.get(identifier, ()))
        documents = Counter(row["type"] for row in evidence.documents.get(identifier, ()))
        expected: dict[str, int] = {"received": 1}
        if transaction["commitment"] == "committed":
            expected |= {"committed": 1, "shipped": documents["shipment"], "invoiced": documents["invoice"]}
            expected |= {"paid": documents["payment"], "payment_requested": documents["invoice"]}
            for fact, counts in outside.items():
                if counts[number] != expected[fact] and _at_its_end(transaction):
                    yield f"order {number}: {counts[number]} {fact} outside, {expected[fact]} documents in the hub"
        for fact, times in expected.items():
            if facts[fact] != times:
                yield f"order {number}: {facts[fact]} times {fact} in its lineage, {times} expected"


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of docs/guarantees.md, and how it is checked."""

    title: str
    breaks: Callable[[Evidence, History], Breaks]


PROMISES = (
    Promise("every acknowledged order exactly once in the ERP", acknowledged_once),
    Promise("no invoice, payment or credit twice", nothing_twice),
    Promise("nothing unacknowledged half done", whole_or_absent),
    Promise("order inside each transaction kept", in_order),
    Promise("totals tie out to the cent", ties_out),
    Promise("every failure healed, or stands before a person", healed_or_standing),
    Promise("lineage complete", lineage_complete),
)
