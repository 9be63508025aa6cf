"""Writes a cash run into a folder: a table for each thing that people do with it, and the whole as JSON."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

from tallystick.cli.failure import WrongUse
from tallystick.documents.money import format_minor

_PARTS = ("payment", "paid on", "amount", "currency", "payer", "customer", "rule", "invoice", "applied", "discount",
          "evidence")  # fmt: skip


def write_folder(folder: Path, answer: dict[str, Any]) -> None:
    """applied.csv, suggestions.csv, deductions.csv, unidentified.csv, left-out.csv and cash.json. Raises WrongUse."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        done = answer["applications"]
        _write(folder / "applied.csv", _PARTS, _parts(done, "applied"))
        _write(folder / "suggestions.csv", ("rank", "rivals", *_PARTS), _ranked(done))
        _write(
            folder / "deductions.csv",
            ("payment", "currency", "invoice", "kept back", "reason", "said"),
            _kept_back(done),
        )
        _write(
            folder / "unidentified.csv", ("payment", "paid on", "amount", "currency", "payer", "text"), _unknown(done)
        )
        _write(
            folder / "left-out.csv",
            ("account", "statement", "booked on", "amount", "currency", "text", "why"),
            (
                [each["account"], each["statement"], each["booked_on"], format_minor(each["amount"], each["currency"]),
                 each["currency"], each["text"], each["reason"]]
                for each in answer["left_out"]
            ),
        )  # fmt: skip
        (folder / "cash.json").write_bytes(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise WrongUse(f"{folder} cannot be written ({error.strerror or error})") from None


def _parts(applications: Sequence[dict[str, Any]], status: str) -> Iterable[Sequence[Any]]:
    for each in applications:
        if each["status"] == status:
            yield from _rows(each["payment"], each["proposals"][0])


def _ranked(applications: Sequence[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    for each in applications:
        if each["status"] == "suggested":
            for rank, proposal in enumerate(each["proposals"], 1):
                yield from ([rank, each["rivals"], *row] for row in _rows(each["payment"], proposal))


def _rows(paid: dict[str, Any], proposal: dict[str, Any]) -> Iterable[list[Any]]:
    currency = paid["currency"]
    total = format_minor(paid["amount"], currency)
    head = [paid["id"], paid["paid_on"], total, currency, paid["payer"] or ""]
    for part in proposal["allocations"]:
        applied, discount = format_minor(part["amount"], currency), format_minor(part["discount"], currency)
        yield [*head, part["customer_id"], proposal["rule"], part["number"], applied, discount, proposal["evidence"]]
    if proposal["on_account"]:
        customer = proposal["allocations"][0]["customer_id"] if proposal["allocations"] else paid["customer_id"]
        left = format_minor(proposal["on_account"], currency)
        yield [*head, customer or "", "on account", "", left, "", proposal["evidence"]]


def _kept_back(applications: Sequence[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    for each in applications:
        if each["status"] == "applied":
            currency = each["payment"]["currency"]
            for part in each["proposals"][0]["deductions"]:
                amount = format_minor(part["amount"], currency)
                yield [each["payment"]["id"], currency, part["number"], amount, part["reason"], part["said"]]


def _unknown(applications: Sequence[dict[str, Any]]) -> Iterable[Sequence[Any]]:
    for each in applications:
        if each["status"] == "unidentified":
            paid = each["payment"]
            amount = format_minor(paid["amount"], paid["currency"])
            yield [paid["id"], paid["paid_on"], amount, paid["currency"], paid["payer"] or "", " ".join(paid["texts"])]


def _write(path: Path, heading: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heading)
        writer.writerows([[_harmless(cell) for cell in row] for row in rows])


def _harmless(cell: Any) -> Any:
    """Text from outside that a spreadsheet would take for a formula, made text."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+@\t\r" and cell else cell
