"""Orders in Tryton: made as sales under our reference, quoted and confirmed in batches; amended or emptied before they ship."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.documents.money import from_minor, to_minor
from tallystick.documents.order import Order, OrderLine
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import OrderCommand, OrderCommitted
from tallystick.systems.tryton.rpc import TrytonRpc

_SALE_FIELDS = (
    "reference",
    "number",
    "state",
    "currency.code",
    "untaxed_amount",
    "party.code",
    "shipments",
    "invoices",
)
_LIVE = ("state", "!=", "cancelled")
_UNIT_SYMBOLS = {"EA": "u"}


class TrytonOrders:
    """Commits, changes and cancels sales. A sale's reference is ours; its lines' sequence is the order's line number."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def commit(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Make the sales that are not there, then drive all to processing; a refused one leaves nothing behind."""
        by_reference = {command.reference: command for command in commands}
        known = await self.find(list(by_reference))
        missing = [reference for reference in by_reference if reference not in known]
        failures: dict[str, Failure] = {}
        if missing:
            values, refused = await self._values([by_reference[reference] for reference in missing])
            failures.update(refused)

            async def create(references: Sequence[str]) -> None:
                await self._rpc.write("sale.sale.create", [values[reference] for reference in references])

            failures.update(await self._rpc.isolate([each for each in missing if each in values], create))
        made = await self._settle_duplicates(list(by_reference))
        failures.update(await self._advance(made))
        finished = await self.find(list(by_reference))
        return [
            failures.get(command.reference)
            or _committed(command, finished.get(command.reference), command.reference in known, self._rpc.name)
            for command in commands
        ]

    async def find(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Live sales by our reference; of two, the one made first."""
        rows = await self._rpc.search(
            "sale.sale", [("reference", "in", list(references)), _LIVE], _SALE_FIELDS, order=[("id", "DESC")]
        )
        return {row["reference"]: row for row in rows}

    async def _settle_duplicates(self, references: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Two callers at the very same moment may both have made a draft: the first made stays, later drafts are deleted."""
        rows = await self._rpc.search(
            "sale.sale", [("reference", "in", list(references)), _LIVE], _SALE_FIELDS, order=[("id", "ASC")]
        )
        first: dict[str, dict[str, Any]] = {}
        extra = []
        for row in rows:
            if row["reference"] in first:
                extra.append(row["id"])
            else:
                first[row["reference"]] = row
        if extra:
            await self._rpc.write("sale.sale.delete", extra)
        return first

    async def _advance(self, sales: Mapping[str, dict[str, Any]]) -> dict[str, Failure]:
        """Quote, confirm and process, each in one call for all that stand there; resumes where an earlier try ended."""
        failures: dict[str, Failure] = {}
        states = {reference: sale["state"] for reference, sale in sales.items()}
        for state, button, reached in (
            ("draft", "quote", "quotation"),
            ("quotation", "confirm", "confirmed"),
        ):
            ready = [reference for reference, at in states.items() if at == state and reference not in failures]

            async def press(references: Sequence[str], button: str = button) -> None:
                await self._rpc.write(f"sale.sale.{button}", [sales[reference]["id"] for reference in references])

            refused = await self._rpc.isolate(ready, press)
            await self._withdraw(
                [sales[each]["id"] for each, failure in refused.items() if isinstance(failure, Rejected)]
            )
            failures.update(refused)
            states.update({reference: reached for reference in ready if reference not in refused})
        confirmed = [reference for reference, at in states.items() if at == "confirmed" and reference not in failures]
        if confirmed:
            still = await self.find(confirmed)
            waiting = [sale["id"] for sale in still.values() if sale["state"] == "confirmed"]
            if waiting:
                await self._rpc.write("sale.sale.process", waiting)
        return failures

    async def _withdraw(self, ids: Sequence[int]) -> None:
        """A refused order leaves no quotation behind, so that nothing is half done and a retry starts anew."""
        if ids:
            await self._rpc.write("sale.sale.draft", list(ids))
            await self._rpc.write("sale.sale.delete", list(ids))

    async def _values(self, commands: Sequence[OrderCommand]) -> tuple[dict[str, dict[str, Any]], dict[str, Failure]]:
        """What to create for each order, with Tryton's ids for the codes in it; unknown codes are refused."""
        orders = [command.order for command in commands]
        parties = await self._rpc.search(
            "party.party",
            [("code", "in", sorted({order.customer_id for order in orders}))],
            ["code", "addresses", "customer_payment_term", "sale_price_list"],
        )
        addresses = await self._rpc.search(
            "party.address",
            [("party", "in", [each["id"] for each in parties])],
            ["party", "building_name", "country.code", "subdivision.code"],
        )
        products = await self._rpc.search(
            "product.product",
            [("code", "in", sorted({line.product_id for order in orders for line in order.lines}))],
            ["code", "sale_uom", "sale_uom.symbol"],
        )
        catalogue = _Catalogue(
            {each["code"]: each for each in parties},
            addresses,
            {each["code"]: each for each in products},
            {each["name"]: each["id"] for each in await self._rpc.search("account.tax", [], ["name"])},
            {each["code"]: each["id"] for each in await self._rpc.search("currency.currency", [], ["code"])},
            (await self._rpc.search("stock.location", [("type", "=", "warehouse")], ["id"], limit=1))[0]["id"],
        )
        values: dict[str, dict[str, Any]] = {}
        refused: dict[str, Failure] = {}
        for command in commands:
            try:
                values[command.reference] = _sale(command, catalogue)
            except _UnknownError as unknown:
                refused[command.reference] = Rejected(
                    f"{self._rpc.name}: {unknown}", system=self._rpc.name, code=f"{self._rpc.name}.unknown_code"
                )
        return values, refused

    async def change(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Amend sales line by line to their new content; lines that are gone are set to nothing."""
        return [await self._amend(command, command.order.lines) for command in commands]

    async def cancel(self, commands: Sequence[OrderCommand]) -> list[OrderCommitted | Failure]:
        """Amend sales to nothing: Tryton keeps a processed sale, but it promises, ships and invoices nothing any more."""
        return [await self._amend(command, ()) for command in commands]

    async def _amend(self, command: OrderCommand, lines: Sequence[OrderLine]) -> OrderCommitted | Failure:
        try:
            return await self._amended(command, lines)
        except Failure as failure:
            return failure

    async def _amended(self, command: OrderCommand, lines: Sequence[OrderLine]) -> OrderCommitted:
        name = self._rpc.name
        sale = (await self.find([command.reference])).get(command.reference)
        if sale is None:
            raise Rejected(
                f"{name}: no sale has the reference {command.reference}", system=name, code=f"{name}.no_sale"
            )
        await self._not_shipped(sale)
        rows = await self._rpc.search(
            "sale.line",
            [("sale", "=", sale["id"]), ("type", "=", "line")],
            ["sequence", "quantity", "unit_price", "product.code"],
        )
        wanted = {line.line_number: line for line in lines}
        there = {row["sequence"]: row for row in rows if row["product."]}
        added = sorted(set(wanted) - set(there))
        if added:
            message = f"{name}: a sale in process takes no new lines ({added[0]}); cancel the order and send a new one"
            raise Rejected(message, system=name, code=f"{name}.line_added")
        amendments = [
            amendment
            for sequence, row in there.items()
            if (amendment := _amendment(row, wanted.get(sequence), command.order, name))
        ]
        if amendments:
            made = await self._rpc.write(
                "sale.amendment.create",
                [
                    {
                        "sale": sale["id"],
                        "description": f"revision {command.revision}",
                        "lines": [["create", amendments]],
                    }
                ],
            )
            await self._rpc.write("sale.amendment.validate_amendment", made)
        found = (await self.find([command.reference]))[command.reference]
        return OrderCommitted(command.reference, found["number"], not amendments, _net(found))

    async def _not_shipped(self, sale: Mapping[str, Any]) -> None:
        shipped = await self._rpc.search(
            "stock.shipment.out",
            [("id", "in", sale["shipments"]), ("state", "in", ["picked", "packed", "shipped", "done"])],
            ["number"],
        )
        if shipped:
            name = self._rpc.name
            message = f"{name}: sale {sale['number']} has shipped with {shipped[0]['number']}; take a return instead"
            raise Rejected(message, system=name, code=f"{name}.shipped")


class _UnknownError(Exception):
    """A code in the order that Tryton does not know."""


class _Catalogue:
    """Tryton's ids for the codes of a batch of orders."""

    def __init__(
        self,
        parties: Mapping[str, dict[str, Any]],
        addresses: Sequence[dict[str, Any]],
        products: Mapping[str, dict[str, Any]],
        taxes: Mapping[str, int],
        currencies: Mapping[str, int],
        warehouse: int,
    ) -> None:
        self.products, self.taxes, self.currencies, self.warehouse = products, taxes, currencies, warehouse
        self._parties = parties
        self._addresses: dict[int, list[dict[str, Any]]] = {}
        for address in addresses:
            self._addresses.setdefault(address["party"], []).append(address)

    def party(self, code: str) -> dict[str, Any]:
        """The party of a customer. Raises _UnknownError."""
        if code not in self._parties:
            raise _UnknownError(f"there is no party with the code {code}; create it or correct the order's customer")
        return self._parties[code]

    def address(self, order: Order, party: Mapping[str, Any]) -> dict[str, Any]:
        """The order's ship-to by its id, else the party's first. Raises _UnknownError."""
        known = self._addresses.get(party["id"], [])
        wanted = order.ship_to.id if order.ship_to else None
        for address in known:
            if wanted is None or address["building_name"] == wanted:
                return address
        raise _UnknownError(
            f"party {order.customer_id} has no address {wanted or 'at all'}; create it or correct the ship-to"
        )

    def tax(self, jurisdiction: str, country: str) -> int:
        """The tax of a jurisdiction, else of its country. Raises _UnknownError."""
        for name in (jurisdiction, country):
            if name in self.taxes:
                return self.taxes[name]
        raise _UnknownError(f"there is no tax named {jurisdiction}; create it with its rate, or correct the ship-to")


def _sale(command: OrderCommand, catalogue: _Catalogue) -> dict[str, Any]:
    order = command.order
    party = catalogue.party(order.customer_id)
    address = catalogue.address(order, party)
    if order.currency not in catalogue.currencies:
        raise _UnknownError(f"there is no currency {order.currency}")
    country = (address["country."] or {}).get("code") or "US"
    region = (address["subdivision."] or {}).get("code") or country
    taxes = [["add", [catalogue.tax(region, country)]]] if command.tax_amount else []
    lines = [_line(line, catalogue, taxes) for line in order.lines]
    for charge in order.charges:
        amount = from_minor(charge.signed_amount, order.currency)
        sign = -1 if amount < 0 else 1
        description = charge.description or charge.code
        lines.append(
            {
                "type": "line",
                "description": description,
                "quantity": float(sign),
                "unit_price": abs(amount),
                "sequence": 1_000_000,
            }
        )
    return {
        "reference": command.reference,
        "description": f"{order.channel} {order.order_number}"[:140],
        "party": party["id"],
        "invoice_address": address["id"],
        "shipment_address": address["id"],
        "payment_term": party["customer_payment_term"],
        "price_list": party["sale_price_list"],
        "sale_date": order.ordered_at.date(),
        "currency": catalogue.currencies[order.currency],
        "warehouse": catalogue.warehouse,
        "invoice_method": "fulfillment",
        "shipment_method": "order",
        "lines": [["create", lines]],
    }


def _line(line: OrderLine, catalogue: _Catalogue, taxes: list[Any]) -> dict[str, Any]:
    product = catalogue.products.get(line.product_id)
    if product is None:
        raise _UnknownError(f"line {line.line_number}: there is no product with the code {line.product_id}")
    symbol = product["sale_uom."]["symbol"]
    if _UNIT_SYMBOLS.get(line.unit, line.unit) != symbol:
        raise _UnknownError(f"line {line.line_number}: {line.product_id} is sold per {symbol}, not per {line.unit}")
    return {
        "type": "line",
        "sequence": line.line_number,
        "product": product["id"],
        "quantity": float(line.quantity),
        "unit": product["sale_uom"],
        "unit_price": _net_price(line),
        "taxes": taxes,
    }


def _net_price(line: OrderLine) -> Decimal:
    """Tryton's line has no discount: its price is net of it, to six digits."""
    return (line.unit_price * (1 - line.discount)).quantize(Decimal("0.000001"))


def _amendment(row: Mapping[str, Any], line: OrderLine | None, order: Order, name: str) -> dict[str, Any] | None:
    quantity = line.quantity if line else Decimal(0)
    price = _net_price(line) if line else row["unit_price"]
    if line and row["product."]["code"] != line.product_id:
        message = f"{name}: line {line.line_number} of a sale in process keeps its product; cancel {order.order_number} and send a new one"
        raise Rejected(message, system=name, code=f"{name}.product_changed")
    if Decimal(str(row["quantity"])) == quantity and row["unit_price"] == price:
        return None
    return {"action": "line", "line": row["id"], "quantity": float(quantity), "unit_price": price}


def _net(sale: Mapping[str, Any]) -> int:
    return to_minor(sale["untaxed_amount"], sale["currency."]["code"])


def _committed(
    command: OrderCommand, sale: dict[str, Any] | None, already: bool, name: str
) -> OrderCommitted | Failure:
    if sale is None or not sale["number"] or sale["state"] not in ("processing", "done"):
        return Transient(
            f"{name}: sale {command.reference} is not processed yet", system=name, code=f"{name}.not_processed"
        )
    return OrderCommitted(command.reference, sale["number"], already, _net(sale))
