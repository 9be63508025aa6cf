"""Payments in Tryton: a bank statement each, named with our reference and posted; what exceeds the invoices stays on account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from tallystick.documents.money import from_minor, to_minor
from tallystick.systems.failure import Failure, Rejected, Transient
from tallystick.systems.ports import PaymentCommand, PaymentRecorded, PaymentShare
from tallystick.systems.tryton.buttons import press, withdraw
from tallystick.systems.tryton.jsonrpc import Warned
from tallystick.systems.tryton.names import TrytonNames
from tallystick.systems.tryton.references import References
from tallystick.systems.tryton.rpc import TrytonRpc
from tallystick.systems.tryton.turns import in_turns

_MODEL = "account.statement"
_WARNINGS = 3
"""More than Tryton has about a statement: of its own invoices, and of other drafts for them."""
_STEPS = (("draft", "validate_statement", "validated"), ("validated", "post", "posted"))


class TrytonPayments:
    """Records payments, many in each call; the statement that holds a payment's reference is the payment."""

    def __init__(self, rpc: TrytonRpc, names: TrytonNames, journal: str, discount_account: str | None = None) -> None:
        self._rpc = rpc
        self._names = names
        self._journal = journal
        self._discount_account = discount_account
        self._statements = References(rpc, _MODEL, "name")

    async def record(self, commands: Sequence[PaymentCommand]) -> list[PaymentRecorded | Failure]:
        """Record each once; a second payment of an invoice pays what the first leaves open."""
        return await in_turns(commands, lambda command: _numbers(command) or [command.reference], self._record_once)

    async def _record_once(self, commands: Sequence[PaymentCommand]) -> list[PaymentRecorded | Failure]:
        references = [command.reference for command in commands]
        statements = await self._statements.settle(references)
        already = {reference for reference, row in statements.items() if row["state"] == "posted"}
        failures = await self._make([each for each in commands if each.reference not in statements])
        statements.update(await self._statements.settle([each for each in references if each not in statements]))
        failures.update(await self._advance(statements))
        found = await self._statements.find(references)
        lines = await self._rpc.search(
            "account.statement.line",
            [("statement", "in", [each["id"] for each in found.values()])],
            ["statement", "amount", "related_to"],
        )
        by_statement: dict[int, list[dict[str, Any]]] = {}
        for line in lines:
            by_statement.setdefault(line["statement"], []).append(line)
        return [
            failures.get(each.reference)
            or self._recorded(each, found.get(each.reference), by_statement, already=each.reference in already)
            for each in commands
        ]

    async def _make(self, commands: Sequence[PaymentCommand]) -> dict[str, Failure]:
        """Make a draft for each payment; unknown customers and invoices are refused."""
        values, failures = await self._values(commands)

        async def create(references: Sequence[str]) -> None:
            await self._rpc.write(f"{_MODEL}.create", [values[each] for each in references])

        failures.update(await self._rpc.isolate(list(values), create))
        return failures

    async def _advance(self, statements: Mapping[str, dict[str, Any]]) -> dict[str, Failure]:
        """Validate and post; a refused payment leaves no statement behind."""
        failures: dict[str, Failure] = {}
        states = {reference: row["state"] for reference, row in statements.items()}
        actions = {"validate_statement": self._validate}
        for state, button, reached in _STEPS:
            ready = {reference: statements[reference]["id"] for reference, at in states.items() if at == state}
            async with self._rpc.posting:
                refused = await press(self._rpc, _MODEL, button, ready, (state,), actions.get(button))
            rejected = {each: ready[each] for each, failure in refused.items() if isinstance(failure, Rejected)}
            failures.update({**refused, **await withdraw(self._rpc, _MODEL, "cancel", rejected)})
            states.update({reference: reached for reference in ready if reference not in refused})
        return failures

    async def _validate(self, statements: Sequence[int]) -> None:
        """Money that came is booked, whatever Tryton asks: what finds its invoice paid already stays on account."""
        for _ in range(_WARNINGS):
            try:
                await self._rpc.write(f"{_MODEL}.validate_statement", statements)
            except Warned as warned:
                await self._rpc.skip_warning(warned.warning)
            else:
                return
        await self._rpc.write(f"{_MODEL}.validate_statement", statements)

    async def _values(self, commands: Sequence[PaymentCommand]) -> tuple[dict[str, dict[str, Any]], dict[str, Failure]]:
        """The statement of each payment; unknown customers and invoices are refused."""
        if not commands:
            return {}, {}
        numbers = sorted({number for each in commands for number in _numbers(each)})
        party_by_code = await self._parties({each.customer_id for each in commands})
        invoices = await self._rpc.search(
            "account.invoice",
            [("number", "in", numbers), ("type", "=", "out")],
            ["number", "amount_to_pay", "account", "state", "party"],
        )
        journal = await self._journal_id()
        discounts = await self._discount_account_id()
        invoice_by_number = {row["number"]: row for row in invoices}
        values: dict[str, dict[str, Any]] = {}
        failures: dict[str, Failure] = {}
        for command in commands:
            party = party_by_code.get(command.customer_id)
            unknown = next((each for each in _numbers(command) if each not in invoice_by_number), None)
            if party is None or unknown is not None:
                missing = f"invoice {unknown}" if party else f"customer {command.customer_id}"
                message = f"{self._rpc.name}: {missing} is not known; correct the payment's reference"
                failures[command.reference] = Rejected(message, system=self._rpc.name, code=f"{self._rpc.name}.unknown")
            else:
                values[command.reference] = _statement(command, journal, party, invoice_by_number, discounts)
        return values, failures

    async def _parties(self, codes: set[str]) -> dict[str, dict[str, Any]]:
        """Customers by code, each with the account of what it owes: its own, else the company's."""
        rows = await self._rpc.search(
            "party.party",
            [("code", "in", sorted(codes)), ("active", "in", [True, False])],
            ["code", "account_receivable"],
        )
        if not all(row["account_receivable"] for row in rows):
            default = (await self._rpc.search("account.configuration", [], ["default_account_receivable"], limit=1))[0]
            for row in rows:
                row["account_receivable"] = row["account_receivable"] or default["default_account_receivable"]
        return {row["code"]: row for row in rows}

    async def _journal_id(self) -> int:
        journals = await self._names.payment_journals()
        if self._journal not in journals:
            name = self._rpc.name
            message = f"{name}: there is no statement journal {self._journal!r}; create it or correct payment_journal"
            raise Rejected(message, system=name, code=f"{name}.misconfigured")
        return journals[self._journal]

    async def _discount_account_id(self) -> int | None:
        if self._discount_account is None:
            return None
        found = (await self._names.accounts()).get(self._discount_account)
        if found is None:
            name = self._rpc.name
            message = f"{name}: there is no account {self._discount_account!r}; create it or correct discount_account"
            raise Rejected(message, system=name, code=f"{name}.misconfigured")
        return found

    def _recorded(
        self,
        command: PaymentCommand,
        statement: Mapping[str, Any] | None,
        lines: Mapping[int, Sequence[Mapping[str, Any]]],
        *,
        already: bool,
    ) -> PaymentRecorded | Failure:
        if not _posted(statement) or statement is None:
            name = self._rpc.name
            message = f"{name}: payment {command.reference} is not posted yet; it is tried again"
            return Transient(message, system=name, code=f"{name}.not_posted")
        currency = command.payment.currency
        booked = lines.get(statement["id"], ())
        settled = sum((line["amount"] for line in booked if line["related_to"]), Decimal(0))
        rest = [line["amount"] for line in booked if not line["related_to"]]
        discount = -sum((each for each in rest if each < 0), Decimal(0))
        return PaymentRecorded(
            command.reference,
            f"STATEMENT-{statement['id']}",
            to_minor(settled - discount, currency),
            to_minor(sum((each for each in rest if each > 0), Decimal(0)), currency),
            already,
            to_minor(discount, currency),
        )


def _posted(statement: Mapping[str, Any] | None) -> bool:
    return statement is not None and statement["state"] == "posted"


def _numbers(command: PaymentCommand) -> list[str]:
    """The invoices that it is for."""
    if command.shares is not None:
        return [each.invoice_number for each in command.shares]
    return [command.invoice_number] if command.invoice_number else []


def _statement(
    command: PaymentCommand,
    journal: int,
    party: Mapping[str, Any],
    invoices: Mapping[str, Mapping[str, Any]],
    discounts: int | None,
) -> dict[str, Any]:
    """A line for as much as each invoice still asks for, one for discounts, and one for what stays on the customer's account."""
    payment = command.payment
    amount = from_minor(payment.amount, payment.currency)
    paid_on = payment.paid_at.date()
    common = {"number": payment.number, "date": paid_on, "description": payment.remittance}
    named = [invoices[each] for each in _numbers(command)]
    owner = {
        "party": named[0]["party"] if named else party["id"],
        "account": named[0]["account"] if named else party["account_receivable"],
    }
    lines: list[dict[str, Any]] = []
    left, taken = amount, Decimal(0)
    for share in command.shares or (PaymentShare(each, payment.amount) for each in _numbers(command)):
        invoice = invoices[share.invoice_number]
        asked = max(invoice["amount_to_pay"], Decimal(0))
        applied = min(from_minor(share.amount, payment.currency), asked)
        discount = min(from_minor(share.discount, payment.currency), asked - applied) if discounts else Decimal(0)
        if applied + discount > 0:
            related = {"party": invoice["party"], "account": invoice["account"]}
            related_to = f"account.invoice,{invoice['id']}"
            lines.append({**common, **related, "amount": applied + discount, "related_to": related_to})
        left, taken = left - applied, taken + discount
    if taken:
        lines.append({**common, "account": discounts, "amount": -taken})
    if left > 0:
        lines.append({**common, **owner, "amount": left})
    return {
        "name": command.reference,
        "journal": journal,
        "date": paid_on,
        "total_amount": amount,
        "lines": [["create", lines]],
    }
