"""The published JSON Schemas of our documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tallystick.api.authentication import allowed, guarded_router
from tallystick.api.problems import Problem
from tallystick.control.access import Principal
from tallystick.documents.decision import CheckResult
from tallystick.documents.event import Event
from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.order import Order
from tallystick.documents.party import Customer
from tallystick.documents.payment import Payment
from tallystick.documents.product import Price, Product
from tallystick.documents.returns import Return
from tallystick.documents.shipment import Shipment
from tallystick.documents.transaction import Transaction
from tallystick.documents.values import Identifier

router = guarded_router("schemas")
SCHEMAS: dict[str, type[BaseModel]] = {
    "customer": Customer,
    "product": Product,
    "price": Price,
    "order": Order,
    "shipment": Shipment,
    "invoice": Invoice,
    "credit-memo": CreditMemo,
    "payment": Payment,
    "return": Return,
    "transaction": Transaction,
    "event": Event,
    "check-result": CheckResult,
}


def schema_of(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a document that others send or read."""
    identifier = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:tallystick:schema:{name}"}
    return {**identifier, **SCHEMAS[name].model_json_schema()}


@router.get("/schemas", summary="Names of the published schemas")
async def list_schemas(principal: Principal = allowed("transactions.read")) -> dict[str, Any]:
    """Each is at /v1/schemas/{name}."""
    return {"items": sorted(SCHEMAS)}


@router.get("/schemas/{name}", summary="The JSON Schema of a document")
async def show_schema(name: Identifier, principal: Principal = allowed("transactions.read")) -> dict[str, Any]:
    """JSON Schema 2020-12."""
    if name not in SCHEMAS:
        raise Problem(404, "not_found", f"there is no schema {name!r}; known are {', '.join(sorted(SCHEMAS))}")
    return schema_of(name)
