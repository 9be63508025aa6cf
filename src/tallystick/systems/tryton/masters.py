"""Reads masters out of Tryton: customers, products, prices, stock, credit, and what changed of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from tallystick.documents.money import to_minor
from tallystick.documents.party import Address, CreditPosition, Customer, CustomerStatus
from tallystick.documents.product import Price, PriceKind, Product, StockLevel
from tallystick.systems.ports import Change, Changes, PriceQuery
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.rpc import TrytonRpc

_UNITS = {"u": "EA"}
_ANY = ("active", "in", [True, False])
# Tryton stamps a record when its transaction starts: one that commits late carries an earlier time. Looking back this far
# at each poll finds it all the same; a change seen twice changes nothing.
_OVERLAP = timedelta(minutes=2)
ADDRESS_FIELDS = (
    "party", "party_name", "building_name", "street_unstructured", "city", "postal_code", "country.code", "subdivision.code",
)  # fmt: skip
_CUSTOMER_FIELDS = (
    "code", "name", "active", "customer_payment_term.rec_name", "sale_price_list", "customer_tax_rule.rec_name",
    "addresses", "credit_limit_amount",
)  # fmt: skip


class TrytonMasters:
    """The reading half of the connector."""

    def __init__(self, rpc: TrytonRpc, names: TrytonNames) -> None:
        self._rpc = rpc
        self._names = names

    async def read_customers(self, customer_ids: Sequence[str]) -> Mapping[str, Customer]:
        """Customers by their party code."""
        return await self._customers([("code", "in", list(customer_ids))])

    async def _customers(self, domain: Sequence[Any]) -> dict[str, Customer]:
        parties = await self._rpc.search("party.party", [*domain, _ANY], _CUSTOMER_FIELDS)
        ids = [each["id"] for each in parties]
        rows = await self._rpc.search(
            "party.address",
            [("party", "in", ids), ("delivery", "=", True)],
            ADDRESS_FIELDS,
        )
        addresses: dict[int, list[Address]] = {}
        for row in rows:
            addresses.setdefault(row["party"], []).append(address_of(row))
        currency = await self._names.company_currency()
        return {
            each["code"]: _customer(each, addresses.get(each["id"], []), currency) for each in parties if each["code"]
        }

    async def read_products(self, product_ids: Sequence[str]) -> Mapping[str, Product]:
        """Products by code."""
        return await self._products([("code", "in", list(product_ids))])

    async def _products(self, domain: Sequence[Any]) -> dict[str, Product]:
        rows = await self._rpc.search(
            "product.product", [*domain, _ANY], ["code", "rec_name", "template.name", "active", "sale_uom.symbol"]
        )
        return {row["code"]: _product(row) for row in rows if row["code"]}

    async def read_prices(self, queries: Sequence[PriceQuery]) -> Sequence[Sequence[Price]]:
        """List prices, and contract prices where the customer has a price list."""
        codes = sorted({code for query in queries for code in query.product_ids})
        parties = await self._rpc.search(
            "party.party",
            [("code", "in", sorted({query.customer_id for query in queries}))],
            ["code", "sale_price_list"],
        )
        lists = {each["code"]: each["sale_price_list"] for each in parties if each["sale_price_list"]}
        listed = await self._list_prices([("code", "in", codes)])
        contracts = await self._contract_prices(sorted(set(lists.values())), codes)
        return [
            [listed[code] for code in query.product_ids if code in listed]
            + [
                price.model_copy(update={"customer_id": query.customer_id})
                for code in query.product_ids
                for price in contracts.get((lists.get(query.customer_id, -1), code), ())
            ]
            for query in queries
        ]

    async def _list_prices(self, domain: Sequence[Any]) -> dict[str, Price]:
        rows = await self._rpc.search("product.product", [*domain], ["code", "list_price_used", "sale_uom.symbol"])
        currency = await self._names.company_currency()
        return {
            row["code"]: Price(
                product_id=row["code"],
                kind=PriceKind.LIST,
                currency=currency,
                unit=_unit(row),
                unit_price=row["list_price_used"].normalize() + 0,
            )
            for row in rows
            if row["code"] and row["list_price_used"] is not None
        }

    async def _contract_prices(
        self, list_ids: Sequence[int], codes: Sequence[str] | None
    ) -> dict[tuple[int, str], list[Price]]:
        """Prices that price lists state as plain numbers, by (list, product); formulas over the list price are no contract."""
        if not list_ids:
            return {}
        domain: list[Any] = [("price_list", "in", list(list_ids)), ("product", "!=", None)]
        if codes is not None:
            domain.append(("product.code", "in", list(codes)))
        rows = await self._rpc.search(
            "product.price_list.line",
            domain,
            ["price_list", "product.code", "formula", "quantity", "product.sale_uom.symbol"],
        )
        currency = await self._names.company_currency()
        found: dict[tuple[int, str], list[Price]] = {}
        for row in rows:
            with contextlib.suppress(InvalidOperation):
                product = row["product."]
                price = Price(
                    product_id=product["code"],
                    kind=PriceKind.CONTRACT,
                    currency=currency,
                    unit=_UNITS.get(product["sale_uom."]["symbol"], product["sale_uom."]["symbol"]),
                    unit_price=Decimal(row["formula"]),
                    minimum_quantity=Decimal(str(row.get("quantity") or 0)),
                )
                found.setdefault((row["price_list"], product["code"]), []).append(price)
        return found

    async def read_stock(self, product_ids: Sequence[str]) -> Sequence[StockLevel]:
        """What each warehouse can still promise: its forecast quantity over all planned moves."""
        return await self._stock([("code", "in", list(product_ids))])

    async def _stock(self, domain: Sequence[Any]) -> list[StockLevel]:
        levels: list[StockLevel] = []
        for warehouse, location in (await self._names.warehouses()).items():
            context = {"locations": [location], "stock_date_end": date.max.replace(year=2999), "forecast": True}
            rows = await self._rpc.search(
                "product.product", [*domain, ("type", "=", "goods")], ["code", "forecast_quantity"], context=context
            )
            levels += [
                StockLevel(
                    product_id=row["code"],
                    warehouse=warehouse,
                    available=Decimal(str(row["forecast_quantity"])).normalize() + 0,
                )
                for row in rows
                if row["code"]
            ]
        return levels

    async def read_credit(self, customer_ids: Sequence[str]) -> Mapping[str, CreditPosition]:
        """Receivables as open invoices, and what Tryton counts beyond them against the limit as open orders."""
        return await self._credit([("code", "in", list(customer_ids))])

    async def _credit(self, domain: Sequence[Any]) -> dict[str, CreditPosition]:
        rows = await self._rpc.search(
            "party.party", domain, ["code", "credit_limit_amount", "credit_amount", "receivable"]
        )
        currency = await self._names.company_currency()
        return {row["code"]: _credit(row, currency) for row in rows if row["code"]}

    async def read_changes(self, cursor: str | None) -> Changes:
        """Masters changed since the cursor, a time of Tryton's own clock; None gives everything."""
        now = datetime.now(UTC)
        since = orjson.loads(cursor)["since"] if cursor else None
        changed = _changed_since(datetime.fromisoformat(since) - _OVERLAP) if since else []
        changes: list[Change] = []

        def add(kind: str, values: Mapping[str, Any]) -> None:
            changes.extend(Change(kind, key, value, now) for key, value in values.items())

        customers = await self._customers(changed)
        add("customer", customers)
        products: list[Any] = [_either(changed, "template")] if since else []
        add("product", await self._products(products))
        add("price", {f"list:{code}": price for code, price in (await self._list_prices(products)).items()})
        add("price", await self._changed_contracts(changed))
        add(
            "stock",
            {f"{each.product_id}:{each.warehouse}": each for each in await self._stock(await self._moved(changed))},
        )
        add("credit", await self._credit(await self._traded(changed)))
        return Changes(tuple(changes), orjson.dumps({"since": now.isoformat()}).decode())

    async def _changed_contracts(self, changed: Sequence[Any]) -> dict[str, Price]:
        """Contract prices of the price lists that changed, and of the customers who were given one."""
        lists = await self._rpc.search("product.price_list", [_either(changed, "lines")] if changed else [], [])
        # A customer has a price list by company; Tryton searches only the rows that say so, not the customer's own field.
        touched: list[Any] = ["OR", ("sale_price_lists.sale_price_list", "in", [each["id"] for each in lists])]
        if changed:
            touched += _related(changed, "sale_price_lists")
        owners: dict[int, list[str]] = {}
        for party in await self._rpc.search("party.party", [touched], ["code", "sale_price_list"]):
            if party["sale_price_list"]:
                owners.setdefault(party["sale_price_list"], []).append(party["code"])
        prices = await self._contract_prices(sorted(owners), None)
        return {
            f"contract:{owner}:{code}:{price.minimum_quantity}": price.model_copy(update={"customer_id": owner})
            for (price_list, code), listed in prices.items()
            for owner in owners[price_list]
            for price in listed
        }

    async def _moved(self, changed: Sequence[Any]) -> list[Any]:
        """Products whose stock may have changed: those of moves written since."""
        if not changed:
            return []
        rows = await self._rpc.search("stock.move", list(changed), ["product"])
        return [("id", "in", sorted({row["product"] for row in rows}))]

    async def _traded(self, changed: Sequence[Any]) -> list[Any]:
        """Customers whose credit may have changed: their own record, their sales, invoices or payments."""
        if not changed:
            return []
        parties = {row["id"] for row in await self._rpc.search("party.party", list(changed), ["id"])}
        for model in ("sale.sale", "account.invoice", "account.statement.line"):
            parties |= {row["party"] for row in await self._rpc.search(model, list(changed), ["party"]) if row["party"]}
        return [("id", "in", sorted(parties))]


def _changed_since(instant: datetime) -> list[Any]:
    at = instant.astimezone(UTC)
    return [["OR", ("write_date", ">=", at), ("create_date", ">=", at)]]


def _either(changed: Sequence[Any], relation: str) -> list[Any]:
    """Changed itself, or a record that it stands in this relation to."""
    return [*changed[0], *_related(changed, relation)]


def _related(changed: Sequence[Any], relation: str) -> list[Any]:
    _, written, created = changed[0]
    return [(f"{relation}.{field}", operator, at) for field, operator, at in (written, created)]


def _unit(row: Mapping[str, Any]) -> str:
    symbol = str(row["sale_uom."]["symbol"])
    return _UNITS.get(symbol, symbol)


def address_of(row: Mapping[str, Any]) -> Address:
    """A party's address, read with ADDRESS_FIELDS."""
    country = (row.get("country.") or {}).get("code") or "US"
    subdivision = (row.get("subdivision.") or {}).get("code")
    return Address(
        id=row["building_name"] or None,
        name=row["party_name"] or None,
        street=row["street_unstructured"] or None,
        city=row["city"] or None,
        postal_code=row["postal_code"] or None,
        country=country,
        region=subdivision.removeprefix(f"{country}-") if subdivision else None,
    )


def _customer(row: Mapping[str, Any], addresses: Sequence[Address], currency: str) -> Customer:
    terms = row.get("customer_payment_term.")
    rule = row.get("customer_tax_rule.")
    return Customer(
        id=row["code"],
        name=row["name"] or row["code"],
        status=CustomerStatus.ACTIVE if row["active"] else CustomerStatus.INACTIVE,
        currency=currency,
        payment_terms=terms["rec_name"] if terms else None,
        price_list=str(row["sale_price_list"]) if row["sale_price_list"] else None,
        ship_to=tuple(addresses),
        tax_exempt=bool(rule and rule["rec_name"] == "exempt"),
    )


def _product(row: Mapping[str, Any]) -> Product:
    return Product(id=row["code"], name=row["template."]["name"], unit=_unit(row), active=row["active"])


def _credit(row: Mapping[str, Any], currency: str) -> CreditPosition:
    limit, used, receivable = (
        row["credit_limit_amount"],
        row["credit_amount"] or Decimal(0),
        row["receivable"] or Decimal(0),
    )
    return CreditPosition(
        customer_id=row["code"],
        currency=currency,
        limit=None if limit is None else to_minor(limit, currency),
        open_orders=max(0, to_minor(used - receivable, currency)),
        open_invoices=to_minor(receivable, currency),
    )
