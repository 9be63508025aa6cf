"""Every document: bounds and wrong types refused by their field, unknown fields refused, unchangeable, the same after JSON."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from tests.unit.documents.orders import line, order_data

from tallystick.documents.decision import CheckResult, Decision, Reason, gravest
from tallystick.documents.event import Event, EventType
from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import Address, CreditPosition, Customer
from tallystick.documents.payment import Payment
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import Transaction
from tallystick.documents.values import MAXIMUM_LINES

AT = "2026-11-24T12:00:00Z"
MOVED: dict[str, Any] = {"line_number": 1, "product_id": "P-1", "quantity": "2"}
AMOUNTS: dict[str, Any] = {"net_amount": 2000, "tax_amount": 0, "total_amount": 2000}
TRANSACTION: dict[str, Any] = {
    **{"id": "01938f2c-8f00-7c3e-9c53-6c1a0a4de9f1", "entity": "default", "channel": "webshop", "order_number": "W-1"},
    **{"customer_po": None, "customer_id": "C-1", "currency": "USD", "intake": "accepted", "commitment": "committed"},
    **{"fulfilment": "partial", "invoicing": "partial", "settlement": "none", "returns": "none"},
    **{"ordered_amount": 2000, "tax_amount": 0, "shipped_amount": 1000, "invoiced_amount": 1000, "credited_amount": 0},
    **{
        "paid_amount": 0,
        "erp_reference": "SO-7",
        "order_revision": 1,
        "version": 4,
        "created_at": AT,
        "updated_at": AT,
    },
}
DOCUMENTS: dict[type[BaseModel], dict[str, Any]] = {
    Address: {"street": "1 Mill Lane", "city": "Leeds", "country": "GB", "region": "ENG"},
    Customer: {"id": "C-1", "name": "Best Bolts", "ship_to": [{"id": "S-1"}], "price_tolerance": "0.01"},
    CreditPosition: {"customer_id": "C-1", "currency": "USD", "limit": 1_000_000, "open_orders": 5},
    Product: {"id": "P-1", "name": "Bolt"},
    Price: {
        "product_id": "P-1",
        "currency": "USD",
        "unit_price": "9.99",
        "minimum_quantity": "10",
        "valid_to": "2026-12-31",
    },
    StockLevel: {"product_id": "P-1", "warehouse": "MAIN", "available": "-3.5"},
    Order: order_data(),
    Shipment: {"number": "S-1", "shipped_at": AT, "lines": [MOVED, MOVED], "parcels": [{"tracking_number": "1Z"}]},
    Invoice: {
        **{"number": "I-1", "currency": "USD", "invoice_date": "2026-11-25", "shipment_numbers": ["S-1"], **AMOUNTS},
        "lines": [MOVED | {"unit_price": "10", "amount": 2000}],
    },
    CreditMemo: {"number": "M-1", "currency": "USD", "credit_date": "2026-11-25", "lines": [], **AMOUNTS},
    Payment: {"number": "PAY-1", "currency": "USD", "amount": 2000, "paid_at": AT, "method": "card"},
    Return: {"number": "R-1", "received_at": AT, "lines": [MOVED]},
    Transaction: TRANSACTION,
    Event: {"specversion": "1.0", "id": "1", "source": "/systems/wms", "type": "t", "time": AT, "traceparent": "00-1"},
    Reason: {"check": "price", "code": "price.above_list", "message": "m", "decision": "hold", "money_at_risk": 7},
    CheckResult: {"check": "tax", "decision": "accept", "tax_amount": 3, "facts_age_seconds": 1.5},
}
CASES = pytest.mark.parametrize(("kind", "data"), DOCUMENTS.items(), ids=[each.__name__ for each in DOCUMENTS])


def place(kind: type[BaseModel], data: dict[str, Any]) -> list[str]:
    """Where a document is wrong."""
    try:
        kind.model_validate_json(json.dumps(data))
    except ValidationError as error:
        return [".".join(map(str, (*each["loc"], *each.get("ctx", {}).get("at", ())))) for each in error.errors()]
    return []


@CASES
def test_document_is_the_same_after_its_json(kind: type[BaseModel], data: dict[str, Any]) -> None:
    made = kind.model_validate_json(json.dumps(data))
    assert kind.model_validate_json(made.model_dump_json()) == made
    assert kind.model_validate(json.loads(made.model_dump_json(exclude_none=True)) | _required_nones(kind)) == made


def _required_nones(kind: type[BaseModel]) -> dict[str, Any]:
    return {name: None for name in ("customer_po",) if kind is Transaction and name in kind.model_fields}


@CASES
def test_document_does_not_change(kind: type[BaseModel], data: dict[str, Any]) -> None:
    made = kind.model_validate_json(json.dumps(data))
    for name in kind.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(made, name, None)
    mutable = [name for name in kind.model_fields if isinstance(getattr(made, name), list | set)]
    assert mutable == []


@CASES
def test_unknown_field_is_refused_except_for_an_events_extensions(kind: type[BaseModel], data: dict[str, Any]) -> None:
    assert place(kind, data | {"colour": "red"}) == ([] if kind is Event else ["colour"])


@CASES
def test_required_fields_are_required(kind: type[BaseModel], data: dict[str, Any]) -> None:
    required = [name for name, field in kind.model_fields.items() if field.is_required()]
    assert sorted(place(kind, {})) == sorted(required)


@pytest.mark.parametrize(
    ("kind", "changes", "where"),
    [
        (Shipment, {"lines": []}, "lines"),
        (Shipment, {"lines": [MOVED] * (MAXIMUM_LINES + 1)}, "lines"),
        (Shipment, {"lines": [MOVED | {"quantity": 0}]}, "lines.0.quantity"),
        (Shipment, {"lines": [MOVED | {"line_number": 10**12}]}, "lines.0.line_number"),
        (Shipment, {"shipped_at": "yesterday"}, "shipped_at"),
        (Shipment, {"parcels": [{}]}, "parcels.0.tracking_number"),
        (Shipment, {"number": "S\x00"}, "number"),
        (Return, {"lines": []}, "lines"),
        (Return, {"lines": [MOVED, MOVED]}, "lines.1.line_number"),
        (Payment, {"amount": 0}, "amount"),
        (Payment, {"amount": -5}, "amount"),
        (Payment, {"amount": 20.5}, "amount"),
        (Payment, {"amount": "2000"}, "amount"),
        (Payment, {"amount": 10**16}, "amount"),
        (Payment, {"currency": "BTC"}, "currency"),
        (Payment, {"method": "barter"}, "method"),
        (Payment, {"paid_at": "2026-11-24T12:00:00"}, "paid_at"),
        (Invoice, {"total_amount": 20.0}, "total_amount"),
        (Invoice, {"invoice_date": 20_000}, "invoice_date"),
        (Invoice, {"lines": [MOVED | {"unit_price": "-1", "amount": 1}]}, "lines.0.unit_price"),
        (CreditMemo, {"net_amount": -1}, "net_amount"),
        (CreditMemo, {"total_amount": -1}, "total_amount"),
        (Price, {"unit_price": "-1"}, "unit_price"),
        (Price, {"minimum_quantity": "-1"}, "minimum_quantity"),
        (Price, {"kind": "guess"}, "kind"),
        (StockLevel, {"available": "1e999999"}, "available"),
        (StockLevel, {"available": "NaN"}, "available"),
        (Customer, {"status": "asleep"}, "status"),
        (Customer, {"price_tolerance": "1.5"}, "price_tolerance"),
        (Customer, {"ship_to": [{"country": "usa"}]}, "ship_to.0.country"),
        (CreditPosition, {"limit": 0.5}, "limit"),
        (Transaction, {"intake": "lost"}, "intake"),
        (Transaction, {"id": "W-1"}, "id"),
        (Event, {"specversion": "0.3"}, "specversion"),
        (Event, {"id": ""}, "id"),
        (Event, {"source": "/a\nb"}, "source"),
        (Event, {"time": "noon"}, "time"),
        (Event, {"data": [1]}, "data"),
        (Event, {"datacontenttype": "text/xml"}, "datacontenttype"),
        (Event, {"data_base64": "AA=="}, "data_base64"),
        (Reason, {"money_at_risk": -1}, "money_at_risk"),
        (CheckResult, {"decision": "perhaps"}, "decision"),
    ],
)
def test_mistake_is_told_by_its_field(kind: type[BaseModel], changes: dict[str, Any], where: str) -> None:
    assert place(kind, DOCUMENTS[kind] | changes) == [where]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/vnd.wms+JSON"])
def test_events_data_is_json_by_any_of_its_names(kind: str) -> None:
    assert place(Event, DOCUMENTS[Event] | {"datacontenttype": kind}) == []


def test_event_keeps_its_extensions_and_types_are_versioned() -> None:
    assert Event.model_validate(DOCUMENTS[Event]).model_extra == {"traceparent": "00-1"}
    for each in EventType:
        assert each.value.startswith("tallystick.")
        assert each.value.endswith(".v1")
        assert each.value.count(".") == 3


@pytest.mark.parametrize(
    ("address", "jurisdiction"), [({"country": "US", "region": "CA"}, "US-CA"), ({"country": "DE"}, "DE"), ({}, "US")]
)
def test_jurisdiction_is_the_country_and_its_region(address: dict[str, str], jurisdiction: str) -> None:
    assert Address.model_validate(address).jurisdiction == jurisdiction


def test_transactions_version_is_its_entity_tag() -> None:
    found = Transaction.model_validate(TRANSACTION)
    assert (found.id, found.etag) == (UUID(TRANSACTION["id"]), '"4"')


@given(st.lists(st.sampled_from(Decision), max_size=5))
def test_orders_decision_is_the_gravest_of_its_checks(decisions: list[Decision]) -> None:
    results = [CheckResult(check="price", decision=each) for each in decisions]
    expected = next((each for each in (Decision.REJECT, Decision.HOLD) if each in decisions), Decision.ACCEPT)
    assert gravest(results) is expected


def test_line_of_an_order_and_of_its_shipment_are_numbered_alike() -> None:
    for number in (0, 1_000_000, True, 1.0, "1"):
        assert place(Order, order_data(lines=[line(number)])) == ["lines.0.line_number"]  # type: ignore[arg-type]  # the wrong type is the case
        assert place(Shipment, DOCUMENTS[Shipment] | {"lines": [MOVED | {"line_number": number}]}) == [
            "lines.0.line_number"
        ]
