"""Masters for tests on the sandbox ERP: loaded over its own HTTP interface, as its owner would."""

from __future__ import annotations

from typing import Any

from tallystick.sandbox.launch import Sandbox

PRODUCTS = ("ANVIL", "BOLT")


async def load(sandbox: Sandbox, name: str, path: str, *items: dict[str, Any]) -> list[Any]:
    """Post items to one of the ERP's batch calls; every one must be taken."""
    answered = await sandbox.call(name, "POST", f"/v1/{path}/batch", {"items": list(items)})
    assert all(each["status"] in (200, 201) for each in answered["items"]), answered
    return [each["body"] for each in answered["items"]]


async def load_masters(sandbox: Sandbox, name: str = "erp") -> None:
    """A few customers of every kind, two products with list prices and stock."""
    await load(
        sandbox,
        name,
        "customers",
        {"id": "C-1", "name": "Acme Hardware", "payment_terms": "NET60"},
        {"id": "C-SMALL", "name": "Corner Shop", "credit_limit": 5_000},
        {"id": "C-BLOCKED", "name": "Gone Ltd", "status": "blocked"},
    )
    await load(sandbox, name, "products", *({"id": each, "name": each.title()} for each in PRODUCTS))
    await load(
        sandbox, name, "prices", *({"product_id": each, "currency": "USD", "unit_price": "10.00"} for each in PRODUCTS)
    )
    await load(sandbox, name, "stock", *({"product_id": each, "on_hand": "100000"} for each in PRODUCTS))
