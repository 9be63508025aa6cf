"""What the sandbox's ERP has on its shelves when `tallystick sandbox` starts it for the first time, and orders to try it with."""

from __future__ import annotations

from typing import Any

from tallystick.sandbox.launch import Sandbox

_PRODUCTS = (
    ("P-100", "Hex bolt M8, box of 100", "19.99", "5000"),
    ("P-200", "Deep groove bearing 6204", "7.45", "1200"),
    ("P-300", "Conveyor belt, per metre", "42.5", "300"),
    ("P-400", "Safety gloves, pair", "3.2", "8000"),
    ("P-500", "Hydraulic pump", "1280", "6"),
)
_CUSTOMERS = (
    ("C-100", "Best Bolts Inc.", "CA", 5_000_000),
    ("C-200", "Cedar Supply Co.", "OR", 2_000_000),
    ("C-300", "Drake Repairs", "TX", 50_000),
)
ORDERS = """\
channel,order_number,customer_id,customer_po,currency,ordered_at,ship_to_region,product_id,quantity,unit_price,charge_FREIGHT
webshop,W-1001,C-100,PO-7781,USD,2026-11-24,CA,P-100,12,18.50,15.00
webshop,W-1001,,,,,,P-400,40,3.20,
webshop,W-1002,C-200,,USD,2026-11-24,OR,P-300,8.5,42.50,
edi,E-2001,C-200,PO-0042,USD,2026-11-24,OR,P-200,100,6.90,
edi,E-2002,C-300,,USD,2026-11-24,TX,P-500,1,1280.00,
crm,S-3001,C-999,,USD,2026-11-24,CA,P-100,1,19.99,
"""
"""Two orders that fit, one with too low a price, one over its customer's credit, one of a customer that nobody knows."""


async def stock_shelves(sandbox: Sandbox) -> None:
    """Load customers, products, prices and stock into the sandbox's ERP. Raises httpx.HTTPError."""
    prices = [{"product_id": product, "currency": "USD", "unit_price": price} for product, _, price, _ in _PRODUCTS]
    prices.append(
        {"product_id": "P-100", "kind": "contract", "customer_id": "C-100", "currency": "USD", "unit_price": "18.5"}
    )
    masters: dict[str, list[dict[str, Any]]] = {
        "customers": [
            {
                "id": customer,
                "name": name,
                "credit_limit": limit,
                "ship_to": [{"id": f"{customer}-1", "name": name, "region": region, "country": "US"}],
            }
            for customer, name, region, limit in _CUSTOMERS
        ],
        "products": [{"id": product, "name": name} for product, name, _, _ in _PRODUCTS],
        "prices": prices,
        "stock": [{"product_id": product, "on_hand": stock} for product, _, _, stock in _PRODUCTS],
    }
    for name, items in masters.items():
        await sandbox.call("erp", "POST", f"/v1/{name}/batch", {"items": items})
