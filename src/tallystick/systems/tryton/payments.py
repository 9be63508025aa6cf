"""Payments in Tryton: lines of a bank statement that the connector posts; what exceeds the invoice stays on account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tallystick.documents.money import from_minor, to_minor
from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.ports import PaymentCommand, PaymentRecorded
from tallystick.systems.tryton.rpc import TrytonRpc

_ON_ACCOUNT = "/on-account"


class TrytonPayments:
    """Records payments, one statement a batch; a statement line's number is our reference."""

    def __init__(self, rpc: TrytonRpc) -> None:
        self._rpc = rpc

    async def record(self, commands: Sequence[PaymentCommand]) -> list[PaymentRecorded | Failure]:
        """Record each once. Two payments of one invoice are taken in turn, since the second sees what the first left open."""
        results: dict[int, PaymentRecorded | Failure] = {}
        waiting = list(enumerate(commands))
        while waiting:
            turn: dict[str, tuple[int, PaymentCommand]] = {}
            for at, command in waiting:
                turn.setdefault(command.invoice_number or command.reference, (at, command))
            answers = await self._record_once([command for _, command in turn.values()])
            results.update(zip((at for at, _ in turn.values()), answers, strict=True))
            waiting = [each for each in waiting if each[0] not in results]
        return [results[at] for at in range(len(commands))]

    async def _record_once(self, commands: Sequence[PaymentCommand]) -> list[PaymentRecorded | Failure]:
        by_reference = {command.reference: command for command in commands}
        await self._finish_drafts(list(by_reference))
        known = await self._find(list(by_reference))
        missing = [each for each in by_reference if each not in known]
        values, failures = await self._lines([by_reference[each] for each in missing])

        async def book(references: Sequence[str]) -> None:
            lines = [line for reference in references for line in values[reference]]
            await self._post_statement(lines)

        failures.update(await self._rpc.isolate(list(values), book))
        await self._discard_unposted([each for each, failure in failures.items() if isinstance(failure, Rejected)])
        found = await self._find(list(by_reference))
        return [
            failures.get(command.reference) or _recorded(command, found[command.reference], command.reference in known)
            for command in commands
        ]

    async def _find(self, references: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """Posted statement lines by our reference: one for the invoice, one for what went on account."""
        numbers = [*references, *(f"{each}{_ON_ACCOUNT}" for each in references)]
        rows = await self._rpc.search(
            "account.statement.line",
            [("number", "in", numbers), ("statement.state", "=", "posted")],
            ["number", "amount", "related_to", "statement.name"],
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["number"].removesuffix(_ON_ACCOUNT), []).append(row)
        return found

    async def _finish_drafts(self, references: Sequence[str]) -> None:
        """Statements that an earlier try made but did not post are deleted: they booked nothing, and are made anew."""
        rows = await self._rpc.search(
            "account.statement.line",
            [("number", "in", list(references)), ("statement.state", "in", ["draft", "validated", "cancelled"])],
            ["statement", "statement.state"],
        )
        await self._delete({row["statement"]: row["statement."]["state"] for row in rows})

    async def _discard_unposted(self, references: Sequence[str]) -> None:
        if references:
            await self._finish_drafts(references)

    async def _delete(self, statements: Mapping[int, str]) -> None:
        if not statements:
            return
        uncancelled = [each for each, state in statements.items() if state != "cancelled"]
        if uncancelled:
            await self._rpc.write("account.statement.cancel", uncancelled)
        await self._rpc.write("account.statement.delete", list(statements))

    async def _lines(
        self, commands: Sequence[PaymentCommand]
    ) -> tuple[dict[str, list[dict[str, Any]]], dict[str, Failure]]:
        """The statement lines of each payment: as much as the invoice still asks for, the rest on account."""
        parties = {
            row["code"]: row
            for row in await self._rpc.search(
                "party.party", [("code", "in", sorted({each.customer_id for each in commands}))], ["code", "account_receivable_used"]
            )
        } if commands else {}  # fmt: skip
        invoices = {
            row["number"]: row
            for row in await self._rpc.search(
                "account.invoice",
                [("number", "in", sorted({str(each.invoice_number) for each in commands if each.invoice_number}))],
                ["number", "amount_to_pay", "account", "state", "currency.code", "party"],
            )
        }
        values: dict[str, list[dict[str, Any]]] = {}
        failures: dict[str, Failure] = {}
        for command in commands:
            invoice = invoices.get(command.invoice_number or "")
            party = parties.get(command.customer_id)
            if party is None or (command.invoice_number and invoice is None):
                missing = f"invoice {command.invoice_number}" if party else f"customer {command.customer_id}"
                name = self._rpc.name
                failures[command.reference] = Rejected(
                    f"{name}: {missing} is not known; correct the payment's reference",
                    system=name,
                    code=f"{name}.unknown",
                )
            else:
                values[command.reference] = _statement_lines(command, party, invoice)
        return values, failures

    async def _post_statement(self, lines: Sequence[dict[str, Any]]) -> None:
        journal = (await self._rpc.search("account.statement.journal", [], ["id"], limit=1))[0]["id"]
        now = datetime.now(UTC)
        made = await self._rpc.write(
            "account.statement.create",
            [
                {
                    "name": f"Payments {now:%Y-%m-%d %H:%M:%S}",
                    "journal": journal,
                    "date": now.date(),
                    "total_amount": sum((line["amount"] for line in lines), Decimal(0)),
                    "lines": [["create", list(lines)]],
                }
            ],
        )
        await self._rpc.write("account.statement.validate_statement", made)
        await self._rpc.write("account.statement.post", made)


def _statement_lines(
    command: PaymentCommand, party: Mapping[str, Any], invoice: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    amount = from_minor(command.payment.amount, command.payment.currency)
    applied = min(amount, invoice["amount_to_pay"]) if invoice else Decimal(0)
    account = invoice["account"] if invoice else party["account_receivable_used"]
    line = {
        "party": party["id"],
        "account": account,
        "date": command.payment.paid_at.date(),
        "description": command.payment.remittance,
    }
    lines = []
    if invoice and applied > 0:
        lines.append(
            {**line, "number": command.reference, "amount": applied, "related_to": f"account.invoice,{invoice['id']}"}
        )
    if amount > applied:
        number = command.reference if not lines else f"{command.reference}{_ON_ACCOUNT}"
        lines.append({**line, "number": number, "amount": amount - applied})
    return lines


def _recorded(command: PaymentCommand, lines: Sequence[Mapping[str, Any]], already: bool) -> PaymentRecorded:
    currency = command.payment.currency
    applied = sum((line["amount"] for line in lines if line["related_to"]), Decimal(0))
    total = sum((line["amount"] for line in lines), Decimal(0))
    reference = f"{lines[0]['statement.']['name']} #{lines[0]['id']}"
    return PaymentRecorded(
        command.reference, reference, to_minor(applied, currency), to_minor(total - applied, currency), already
    )
