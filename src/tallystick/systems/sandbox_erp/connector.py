"""The sandbox's ERP as an ERP of ours: reads, batches of writes, look-ups before repeats, the change feed and the books."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar

from tallystick.documents.invoice import CreditMemo, Invoice
from tallystick.documents.party import CreditPosition, Customer
from tallystick.documents.product import Price, Product, StockLevel
from tallystick.systems.excerpts import excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Transient, Unknown
from tallystick.systems.http import Answer
from tallystick.systems.options import HttpOptions
from tallystick.systems.ports import (
    BookEntry,
    Capabilities,
    Changes,
    Health,
    InvoiceCommand,
    OpenReceivable,
    Operation,
    OrderCommand,
    OrderCommitted,
    PaymentCommand,
    PaymentRecorded,
    PriceQuery,
    ReturnCommand,
    Role,
    ShipmentCommand,
    ShipmentRecorded,
)
from tallystick.systems.sandbox_erp import answers, requests

OPERATIONS = frozenset(
    {
        Operation.READ_CUSTOMERS,
        Operation.READ_PRODUCTS,
        Operation.READ_PRICES,
        Operation.READ_STOCK,
        Operation.READ_CREDIT,
        Operation.COMMIT_ORDER,
        Operation.CHANGE_ORDER,
        Operation.CANCEL_ORDER,
        Operation.RECORD_SHIPMENT,
        Operation.INVOICE_SHIPMENT,
        Operation.RECORD_PAYMENT,
        Operation.READ_OPEN_ITEMS,
        Operation.APPLY_CASH,
        Operation.CREDIT_RETURN,
        Operation.READ_CHANGES,
        Operation.READ_BOOKS,
    }
)
_READ_SIZE = 1_000
_PAGE_SIZE = 2_000

Command = TypeVar("Command", OrderCommand, ShipmentCommand, InvoiceCommand, PaymentCommand, ReturnCommand)
Result = TypeVar("Result")
Read = TypeVar("Read")


@dataclass(frozen=True)  # slots and a subscripted call do not go together on Python 3.11
class _Write(Generic[Command, Result]):
    """How one kind of command is sent, found again and answered."""

    path: str
    request: Callable[[Command], dict[str, Any]]
    result: Callable[[Command, Any, bool], Result]
    kind: str | None = None
    """Kind of the document to look for when the command may have been done; None: the call itself tells."""
    owner: Callable[[Command], str] = lambda command: ""
    """Under whom the ERP keeps the reference: the customer, or its own order number."""


_COMMIT = _Write[OrderCommand, OrderCommitted](
    "/v1/orders/batch",
    requests.sales_order,
    answers.order_committed,
    "order",
    lambda command: command.order.customer_id,
)
# A change carries its revision and a cancelled order stays cancelled: repeating these calls changes nothing.
_CHANGE = _Write[OrderCommand, OrderCommitted]("/v1/orders/change/batch", requests.sales_order, answers.order_committed)
_CANCEL = _Write[OrderCommand, OrderCommitted](
    "/v1/orders/cancel/batch", requests.order_reference, answers.order_committed
)
_SHIP = _Write[ShipmentCommand, ShipmentRecorded](
    "/v1/shipments/batch",
    requests.shipment,
    answers.shipment_recorded,
    "shipment",
    lambda command: command.erp_reference,
)
_INVOICE = _Write[InvoiceCommand, Invoice](
    "/v1/invoices/batch", requests.invoice, answers.posted_invoice, "invoice", lambda command: command.erp_reference
)
_PAYMENT = _Write[PaymentCommand, PaymentRecorded](
    "/v1/payments/batch", requests.payment, answers.payment_recorded, "payment", lambda command: command.customer_id
)
_RETURN = _Write[ReturnCommand, CreditMemo](
    "/v1/returns/batch",
    requests.goods_return,
    answers.credit_memo,
    "credit_memo",
    lambda command: command.erp_reference,
)


class SandboxErp:
    """An Erp (ports.py) over the sandbox ERP's HTTP interface."""

    def __init__(self, name: str, options: HttpOptions) -> None:
        self.name = name
        self.capabilities = Capabilities(
            roles=frozenset({Role.ERP}),
            operations=OPERATIONS,
            batch_size=options.batch_size,
            concurrency=options.concurrency,
        )
        self._client = options.client(name)

    async def check_health(self) -> Health:
        """Ask whether it answers; never raises."""
        return await self._client.check_health("/health")

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def read_customers(self, customer_ids: Sequence[str]) -> Mapping[str, Customer]:
        """Customers by id; unknown ids are absent."""
        found = await self._search("/v1/customers/search", customer_ids, Customer.model_validate)
        return {each.id: each for each in found}

    async def read_products(self, product_ids: Sequence[str]) -> Mapping[str, Product]:
        """Products by id; unknown ids are absent."""
        found = await self._search("/v1/products/search", product_ids, Product.model_validate)
        return {each.id: each for each in found}

    async def read_prices(self, queries: Sequence[PriceQuery]) -> Sequence[Sequence[Price]]:
        """For each query all prices that may apply, contract, promotion and list, with the days from and to which they do."""
        found: list[Sequence[Price]] = []
        for chunk in _chunks(queries, _READ_SIZE):
            asked = [{"customer_id": each.customer_id, "product_ids": each.product_ids} for each in chunk]
            body = await self._client.read("/v1/prices/search", body={"items": asked})
            found += self._parsed(body, partial(answers.prices, expected=len(chunk)))
        return found

    async def read_stock(self, product_ids: Sequence[str]) -> Sequence[StockLevel]:
        """Available to promise by warehouse for these products."""
        return await self._search("/v1/stock/search", product_ids, StockLevel.model_validate)

    async def read_credit(self, customer_ids: Sequence[str]) -> Mapping[str, CreditPosition]:
        """Credit positions by customer id."""
        found = await self._search("/v1/credit/search", customer_ids, CreditPosition.model_validate)
        return {each.customer_id: each for each in found}

    async def commit_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Create and confirm orders, each once for its reference."""
        return await self._write(_COMMIT, commands)

    async def change_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Replace orders' content before anything shipped."""
        return await self._write(_CHANGE, commands)

    async def cancel_orders(self, commands: Sequence[OrderCommand]) -> Sequence[OrderCommitted | Failure]:
        """Cancel orders of which nothing shipped."""
        return await self._write(_CANCEL, commands)

    async def record_shipments(self, commands: Sequence[ShipmentCommand]) -> Sequence[ShipmentRecorded | Failure]:
        """Record that goods left."""
        return await self._write(_SHIP, commands)

    async def invoice_shipments(self, commands: Sequence[InvoiceCommand]) -> Sequence[Invoice | Failure]:
        """Have the invoice of each recorded shipment posted, and return it."""
        return await self._write(_INVOICE, commands)

    async def record_payments(self, commands: Sequence[PaymentCommand]) -> Sequence[PaymentRecorded | Failure]:
        """Record payments, each once for its reference."""
        return await self._write(_PAYMENT, commands)

    async def credit_returns(self, commands: Sequence[ReturnCommand]) -> Sequence[CreditMemo | Failure]:
        """Take goods back and post the credit memo."""
        return await self._write(_RETURN, commands)

    async def read_changes(self, cursor: str | None) -> Changes:
        """Masters changed since the cursor; None starts with everything."""
        body = await self._client.read("/v1/changes", params={"cursor": cursor or "0", "limit": _PAGE_SIZE})
        return self._parsed(body, answers.changes)

    async def read_books(self, since: datetime | None = None) -> Sequence[BookEntry]:
        """Orders, invoices, credit memos and payments booked since then, for the tie-out."""
        entries: list[BookEntry] = []
        after: int | None = 0
        while after is not None:
            search = {"since": since, "after": after, "limit": _PAGE_SIZE}
            body = await self._client.read("/v1/books/search", body=search)
            page, following = self._parsed(body, answers.book_page)
            if following is not None and following <= after:
                raise Transient(
                    f"{self.name}: its books go on at {following}, which was read already", system=self.name
                )
            entries += page
            after = following
        return entries

    async def read_open_items(self) -> Sequence[OpenReceivable]:
        """Invoices that are not wholly paid."""
        items: list[OpenReceivable] = []
        after: str | None = ""
        while after is not None:
            body = await self._client.read("/v1/open-items/search", body={"after": after, "limit": _PAGE_SIZE})
            page, following = self._parsed(body, answers.open_items)
            if following is not None and following <= after:
                raise Transient(f"{self.name}: its open items go on at {following}, read already", system=self.name)
            items += page
            after = following
        return items

    async def _search(self, path: str, keys: Sequence[str], read: Callable[[Any], Read]) -> list[Read]:
        """What is known under some ids, asked in pages."""
        found: list[Read] = []
        for chunk in _chunks(list(dict.fromkeys(keys)), _READ_SIZE):
            body = await self._client.read(path, body={"keys": chunk})
            found += self._parsed(body, lambda data: [read(each) for each in data["items"]])
        return found

    def _parsed(self, body: Any, read: Callable[[Any], Read]) -> Read:
        """A read's answer. Raises Transient when they are not what was agreed."""
        try:
            return read(body)
        except (KeyError, TypeError, ValueError) as error:
            raise Transient(
                f"{self.name}: an answer cannot be read ({one_line(error)}); is it the right version?",
                system=self.name,
                code=f"{self.name}.bad_answer",
                response=excerpt(body),
            ) from error

    async def _write(self, write: _Write[Command, Result], commands: Sequence[Command]) -> list[Result | Failure]:
        """One answer or failure a command, in order. What may have been done is looked up, the rest is sent."""
        results: dict[int, Result | Failure] = {}
        for chunk in _chunks(list(enumerate(commands)), self.capabilities.batch_size):
            known = await self._look_up(write, [(at, each) for at, each in chunk if each.verify])
            results.update(known)
            sent: list[tuple[int, Command, dict[str, Any]]] = []
            for at, command in chunk:
                if at not in results:
                    try:
                        sent.append((at, command, write.request(command)))
                    except ValueError as error:
                        results[at] = Rejected(
                            f"{self.name}: {error}", system=self.name, code=f"{self.name}.bad_command"
                        )
            received = await self._client.write_batch(write.path, [request for _, _, request in sent])
            for (at, command, _), answer in zip(sent, received, strict=True):
                result = self._result(write, command, answer)
                results[at] = result
        return [results[at] for at in range(len(commands))]

    async def _look_up(
        self, write: _Write[Command, Result], commands: Sequence[tuple[int, Command]]
    ) -> Mapping[int, Result | Failure]:
        """What the ERP holds already under the commands' references, or why it cannot be known now."""
        if write.kind is None or not commands:
            return {}
        lookups = [
            {"kind": write.kind, "owner": write.owner(each), "reference": each.reference} for _, each in commands
        ]
        results: dict[int, Result | Failure] = {}
        try:
            body = await self._client.read("/v1/references/search", body={"items": lookups})
            found = self._parsed(body, lambda data: list(zip(commands, data["items"], strict=True)))
        except Failure as failure:
            results.update((at, failure) for at, _ in commands)
            return results
        for (at, command), record in found:
            if record is not None:
                result = self._result(write, command, Answer(200, {}, record))
                results[at] = result
        return results

    def _result(self, write: _Write[Command, Result], command: Command, answer: Answer | Failure) -> Result | Failure:
        if isinstance(answer, Failure):
            return answer
        try:
            # 200 says that the ERP knew the reference already, 201 that this very call did the work.
            return write.result(command, answer.body, answer.status == 200)
        except (KeyError, TypeError, ValueError) as error:
            return Unknown(
                f"{self.name}: the answer to {command.reference} cannot be read ({one_line(error)}); it is looked up",
                system=self.name,
                code=f"{self.name}.bad_answer",
                response=excerpt(answer.body),
            )


def _chunks(items: Sequence[Read], size: int) -> list[Sequence[Read]]:
    return [items[at : at + size] for at in range(0, len(items), size)]
