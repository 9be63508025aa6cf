"""Loads a distributor's masters into Tryton in batches: customers with limits and price lists, products, prices, stock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar

from tallystick.documents.money import from_minor
from tallystick.documents.party import Customer
from tallystick.documents.product import Price, Product
from tallystick.sandbox.tryton.rpc import TrytonClient
from tallystick.sandbox.tryton.setup import BASE_TAX

_BATCH = 500
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Masters:
    """What a distributor's ERP starts with. Limits are minor units by customer, stock is on hand by product."""

    customers: Sequence[Customer]
    credit_limits: Mapping[str, int]
    products: Sequence[Product]
    list_prices: Mapping[str, Decimal]
    contract_prices: Sequence[Price]
    """Each for one customer and product."""
    stock: Mapping[str, Decimal]


def load_masters(client: TrytonClient, masters: Masters, *, today: date) -> None:
    """Load everything; the database must be set up and hold none of it. Raises TrytonRefusalError."""
    products = _load_products(client, masters)
    lists = _load_price_lists(client, masters, products)
    _load_customers(client, masters, lists)
    _load_stock(client, masters, products, today)


def _batches(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for at in range(0, len(items), _BATCH):
        yield items[at : at + _BATCH]


def _load_products(client: TrytonClient, masters: Masters) -> dict[str, int]:
    units = {"EA": client.search("product.uom", [("symbol", "=", "u")], ["id"], 1)[0]["id"]}
    category = client.search("product.category", [("name", "=", "Goods")], ["id"], 1)[0]["id"]
    for batch in _batches(masters.products):
        client(
            "model.product.template.create",
            [
                {
                    "name": product.name,
                    "code": product.id,
                    "type": "goods",
                    "default_uom": units[product.unit],
                    "sale_uom": units[product.unit],
                    "salable": True,
                    "active": product.active,
                    "list_price": masters.list_prices.get(product.id),
                    "account_category": category,
                    "products": [["create", [{"cost_price": Decimal(1), "active": product.active}]]],
                }
                for product in batch
            ],
        )
    found = client.search("product.product", [("active", "in", [True, False])], ["code"])
    return {each["code"]: each["id"] for each in found}


def _load_price_lists(client: TrytonClient, masters: Masters, products: Mapping[str, int]) -> dict[str, int]:
    """One price list for each customer with contract prices; what it does not name is at the product's list price."""
    by_customer: dict[str, list[Price]] = {}
    for price in masters.contract_prices:
        by_customer.setdefault(str(price.customer_id), []).append(price)
    lists: dict[str, int] = {}
    for batch in _batches(list(by_customer.items())):
        values = [
            {
                "name": f"Contract {customer}",
                "price": "list_price",
                "unit": "product_default",
                "company": client.context["company"],
                "lines": [["create", [
                    *({"product": products[each.product_id], "formula": str(each.unit_price)} for each in prices),
                    {"formula": "list_price"},
                ]]],
            }
            for customer, prices in batch
        ]  # fmt: skip
        made = client("model.product.price_list.create", values)
        lists.update(zip((customer for customer, _ in batch), made, strict=True))
    return lists


def _load_customers(client: TrytonClient, masters: Masters, lists: Mapping[str, int]) -> None:
    addresses = [address for customer in masters.customers for address in customer.ship_to]
    countries = _countries(client, {address.country for address in addresses})
    regions = _regions(client, {address.jurisdiction for address in addresses if address.region}, countries)
    terms = {each["name"]: each["id"] for each in client.search("account.invoice.payment_term", [], ["name"])}
    rules = {each["name"]: each["id"] for each in client.search("account.tax.rule", [], ["name"])}
    for batch in _batches(masters.customers):
        made = client(
            "model.party.party.create",
            [
                _party(customer, masters.credit_limits, {**countries, **regions}, terms, rules, lists)
                for customer in batch
            ],
        )
        # Tryton fills a new party in with further writes, which it refuses on an inactive one.
        inactive = [each for each, customer in zip(made, batch, strict=True) if customer.status == "inactive"]
        if inactive:
            client("model.party.party.write", inactive, {"active": False})


def _countries(client: TrytonClient, codes: set[str]) -> dict[str, int]:
    known = {
        each["code"]: each["id"] for each in client.search("country.country", [("code", "in", sorted(codes))], ["code"])
    }
    missing = sorted(codes - set(known))
    if missing:
        made = client("model.country.country.create", [{"name": code, "code": code} for code in missing])
        known.update(zip(missing, made, strict=True))
    return known


def _regions(client: TrytonClient, codes: set[str], countries: Mapping[str, int]) -> dict[str, int]:
    """Subdivisions by code, such as US-CA; those that Tryton does not have are made."""
    known = {
        each["code"]: each["id"]
        for each in client.search("country.subdivision", [("code", "in", sorted(codes))], ["code"])
    }
    missing = sorted(codes - set(known))
    if missing:
        values = [
            {"name": code, "code": code, "type": "state", "country": countries[code.partition("-")[0]]}
            for code in missing
        ]
        known.update(zip(missing, client("model.country.subdivision.create", values), strict=True))
    return known


def _party(
    customer: Customer,
    limits: Mapping[str, int],
    places: Mapping[str, int],
    terms: Mapping[str, int],
    rules: Mapping[str, int],
    lists: Mapping[str, int],
) -> dict[str, Any]:
    jurisdiction = (
        "exempt" if customer.tax_exempt else customer.ship_to[0].jurisdiction if customer.ship_to else BASE_TAX
    )
    limit = limits.get(customer.id)
    return {
        "name": customer.name,
        "code": customer.id,
        "customer_payment_term": terms[customer.payment_terms or "NET30"],
        "customer_tax_rule": rules.get(jurisdiction),
        "credit_limit_amount": None if limit is None else from_minor(limit, customer.currency),
        "sale_price_list": lists.get(customer.id),
        "addresses": [
            [
                "create",
                [
                    {
                        "party_name": address.name or None,
                        "building_name": address.id,
                        "street_unstructured": address.street,
                        "city": address.city,
                        "postal_code": address.postal_code,
                        "country": places[address.country],
                        "subdivision": places[address.jurisdiction] if address.region else None,
                        "delivery": True,
                        "invoice": True,
                    }
                    for address in customer.ship_to
                ],
            ]
        ],
    }


def _load_stock(client: TrytonClient, masters: Masters, products: Mapping[str, int], today: date) -> None:
    warehouse = client.search("stock.location", [("type", "=", "warehouse")], ["storage_location"], 1)[0]
    for batch in _batches(list(masters.stock.items())):
        lines = [{"product": products[product], "quantity": float(quantity)} for product, quantity in batch]
        inventory = client(
            "model.stock.inventory.create",
            [{"location": warehouse["storage_location"], "date": today, "lines": [["create", lines]]}],
        )
        client("model.stock.inventory.confirm", inventory)
