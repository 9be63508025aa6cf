"""Cash from the bank's file to the ERP's books: what is safe is booked once, whatever comes again or is killed; the rest is a
person's."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.integration.stages.company import LONGEST_WAIT, Company, add_customer, order, until

from tallystick.books.cash.desk import CashDesk, CashRequest, SentFile
from tallystick.store.crash_points import FOLDER_VARIABLE
from tallystick.systems.ports import Receivables

_accounts = itertools.count(3_000_000_000)
TODAY = f"{datetime.now(UTC):%Y-%m-%d}"


def csv_file(account: str, *rows: tuple[str, str], name: str = "bank.csv") -> dict[str, str]:
    """A bank's CSV with these (amount, text) of today."""
    lines = "".join(f"{account},{TODAY},{amount},USD,{text}\n" for amount, text in rows)
    return sent(name, f"account,date,amount,currency,description\n{lines}")


def mt940_file(account: str, *rows: tuple[str, str]) -> dict[str, str]:
    """The same as MT940, whose account has the bank's number before it."""
    day = f"{datetime.now(UTC):%y%m%d}"
    total = sum(float(amount) for amount, _ in rows)
    lines = "".join(f":61:{day}{day[2:]}C{amount.replace('.', ',')}NTRFNONREF\n:86:{text}\n" for amount, text in rows)
    text = f":20:STMT\n:25:12345678/{account}\n:28C:00042/001\n:60F:C{day}USD0,00\n{lines}:62F:C{day}USD{total:.2f}\n".replace(
        f"USD{total:.2f}", f"USD{total:.2f}".replace(".", ",")
    )
    return sent("bank.sta", text)


def sent(name: str, text: str) -> dict[str, str]:
    return {"name": name, "content": b64encode(text.encode()).decode()}


async def invoiced(company: Company, customer: str, *quantities: str, **changes: Any) -> tuple[UUID, dict[str, Any]]:
    """An order of the customer's that has shipped, with its invoice."""
    transaction = await company.submit_planned(order(*quantities, customer_id=customer, **changes), ships="complete")
    await company.reach(transaction, invoicing="complete")
    dossier = await until(lambda: company.call("GET", f"/transactions/{transaction}/documents"), _has_invoice)
    return transaction, next(each["body"] for each in dossier["documents"] if each["type"] == "invoice")


def _has_invoice(documents: dict[str, Any]) -> bool:
    return any(each["type"] == "invoice" for each in documents["documents"])


async def apply(company: Company, *files: dict[str, str], post: bool = True, **more: Any) -> dict[str, Any]:
    body = {"files": files, "post": post, **more}
    answer: dict[str, Any] = await company.call("POST", "/cash/applications", body, by="finance")
    return answer


async def payments_in_erp(company: Company, customer: str) -> list[dict[str, Any]]:
    page = await company.sandbox.call("erp", "POST", "/v1/books/search", {"limit": 5_000})
    return [each for each in page["items"] if each["kind"] == "payment" and each["customer_id"] == customer]


async def posted(company: Company, line_id: str, seconds: float = LONGEST_WAIT) -> dict[str, Any]:
    """The line once it is booked."""
    return await until(
        lambda: company.call("GET", f"/cash/lines/{line_id}"), lambda line: line["state"] == "posted", seconds
    )


def money(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


async def test_what_is_named_is_booked_once_though_the_statement_comes_again_and_in_another_format(
    company: Company,
) -> None:
    customer, account = await add_customer(company, "CASH-1"), str(next(_accounts))
    transaction, invoice = await invoiced(company, customer, "3", "2")
    rows = ((money(invoice["total_amount"]), f"invoice {invoice['number']} thanks"),)
    looked = await apply(company, csv_file(account, *rows), post=False)
    assert looked["applications"][0]["line_id"] is None
    assert await payments_in_erp(company, customer) == []
    first = await apply(company, csv_file(account, *rows))
    line = await posted(company, first["applications"][0]["line_id"])
    assert line["posted"]["applied"] == invoice["total_amount"]
    again = await apply(company, csv_file(account, *rows, name="again.csv"))
    other = await apply(company, mt940_file(account, *rows))
    for repeated in (again, other):
        assert (len(repeated["repeated"]), repeated["applications"]) == (1, []), repeated
        assert repeated["places"]["USD"]["repeated"] == invoice["total_amount"]
    [booked] = await payments_in_erp(company, customer)
    assert (booked["reference"], booked["total_amount"]) == (line["reference"], invoice["total_amount"])
    paid = await company.reach(transaction, paid_amount=invoice["total_amount"])
    assert paid.settlement.value == "paid"
    assert "paid" in [each["fact"] for each in await company.facts(transaction)]


async def test_one_payment_for_many_invoices_with_a_discount_and_a_deduction_is_one_payment_in_the_erp(
    company: Company,
) -> None:
    customer, account = await add_customer(company, "CASH-2", payment_terms="2/10 NET30"), str(next(_accounts))
    _, early = await invoiced(company, customer, "10", payment_terms="2/10 NET30")
    _, damaged = await invoiced(company, customer, "20", payment_terms="2/10 NET30")
    discount = (early["total_amount"] * 2 + 50) // 100
    net = early["total_amount"] - discount + damaged["total_amount"] - 500
    advice = (
        "trace,payment date,currency,invoice,gross,discount,adjustment,reason,net\n"
        f"TRN-90001,{TODAY},USD,{early['number']},{money(early['total_amount'])},{money(discount)},0,,"
        f"{money(early['total_amount'] - discount)}\n"
        f"TRN-90001,{TODAY},USD,{damaged['number']},{money(damaged['total_amount'])},0,5.00,04,"
        f"{money(damaged['total_amount'] - 500)}\n"
    )
    answer = await apply(company, csv_file(account, (money(net), "TRN-90001")), advices=[sent("advice.csv", advice)])
    [told] = answer["applications"]
    assert (told["status"], told["proposals"][0]["rule"]) == ("applied", "deduction")
    line = await posted(company, told["line_id"])
    assert line["posted"] | {"payments": []} == {"payments": [], "applied": net, "on_account": 0, "discount": discount}
    assert len(await payments_in_erp(company, customer)) == 1
    page = await company.call("GET", "/exceptions?type=cash.deduction&limit=200")
    [case] = [each for each in page["items"] if damaged["number"] in each["summary"]]
    assert (case["money_at_risk"], "damaged" in case["summary"]) == (500, True)
    owed = await company.sandbox.call("erp", "POST", "/v1/open-items/search", {"limit": 5_000})
    left = {each["number"]: each["open_amount"] for each in owed["items"] if each["customer_id"] == customer}
    assert left == {damaged["number"]: 500}


async def test_one_payment_for_both_invoices_of_an_order_pays_the_order(company: Company) -> None:
    customer, account = await add_customer(company, "CASH-9"), str(next(_accounts))
    transaction = await company.submit_planned(order("10", customer_id=customer), ships="partial_then_rest")
    await company.reach(transaction, invoicing="complete")
    dossier = await company.call("GET", f"/transactions/{transaction}/documents")
    invoices = [each["body"] for each in dossier["documents"] if each["type"] == "invoice"]
    total = sum(each["total_amount"] for each in invoices)
    named = " ".join(each["number"] for each in invoices)
    await apply(company, csv_file(account, (money(total), f"for {named}")))
    paid = await company.reach(transaction, settlement="paid")
    assert (len(invoices), paid.paid_amount) == (2, total)


async def test_what_is_not_sure_waits_for_a_person_who_accepts_or_refuses(company: Company) -> None:
    customer, account = await add_customer(company, "CASH-3"), str(next(_accounts))
    # A quantity that no other test orders: nobody else owes an amount like this, or one near it.
    _, one = await invoiced(company, customer, "37.13")
    _, other = await invoiced(company, customer, "37.13")
    total = one["total_amount"]
    rows = ((money(total), "no word"), (money(total - 1), "thanks"), ("1.23", "what is this"))
    answer = await apply(company, csv_file(account, *rows))
    suggested, unknown, small = answer["applications"]
    assert (suggested["status"], suggested["rivals"] >= 1) == ("suggested", True)
    assert (unknown["status"], small["status"]) == ("unidentified", "unidentified")
    assert await payments_in_erp(company, customer) == []
    line = await company.call("GET", f"/cash/lines/{suggested['line_id']}")
    exception = await company.call("GET", f"/exceptions/{line['exception_id']}")
    assert (exception["type"], exception["money_at_risk"]) == ("cash.suggested", total)
    choice = next(
        rank for rank, way in enumerate(line["proposals"], 1) if way["allocations"][0]["number"] == other["number"]
    )
    path = f"/cash/lines/{line['id']}:accept"
    await company.call("POST", path, {"choice": 99}, by="finance", version=line["version"], status=409)
    await company.call("POST", path, {"choice": choice}, by="sales", version=line["version"], status=403)
    await company.call("POST", path, {"choice": choice}, by="finance", version=line["version"] + 1, status=412)
    await company.call("POST", path, {"choice": choice}, by="finance", version=line["version"])
    done = await posted(company, line["id"])
    assert done["posted"]["applied"] == total
    await company.call("POST", path, {"choice": choice}, by="finance", version=done["version"], status=409)
    by_hand = {"allocations": [{"customer_id": customer, "invoice_number": one["number"], "amount": total - 100}]}
    await company.call("POST", f"/cash/lines/{unknown['line_id']}:accept", by_hand, by="finance", version=1)
    booked = await posted(company, unknown["line_id"])
    assert (booked["posted"]["applied"], booked["posted"]["on_account"]) == (total - 100, 99)
    refusal = {"reason": "a refund of the bank"}
    await company.call("POST", f"/cash/lines/{small['line_id']}:refuse", refusal, by="finance", version=1)
    resolved = await company.call("GET", f"/exceptions/{line['exception_id']}")
    assert (resolved["state"], resolved["resolution"]) == ("resolved", "accepted")
    actions = [each["action"] for each in (await company.call("GET", "/audit?by=finance&limit=50"))["items"]]
    assert {"cash.apply", "cash.accept", "cash.refuse"} <= set(actions)


async def test_an_invoice_on_its_way_to_be_paid_is_not_open_for_a_second_payment(company: Company) -> None:
    customer, account = await add_customer(company, "CASH-4"), str(next(_accounts))
    _, invoice = await invoiced(company, customer, "9")
    await company.call("POST", "/systems/erp:pause", {"reason": "month end"})
    try:
        rows = [(money(invoice["total_amount"]), f"{invoice['number']} {number}") for number in ("first", "second")]
        first = await apply(company, csv_file(account, rows[0]))
        second = await apply(company, csv_file(account, rows[1]))
        assert (first["applications"][0]["status"], second["applications"][0]["status"]) == ("applied", "unidentified")
    finally:
        await company.call("POST", "/systems/erp:resume")
    await posted(company, first["applications"][0]["line_id"])


async def test_a_rejected_payment_is_a_dead_letter_with_its_money_and_can_be_tried_again(company: Company) -> None:
    customer, account = await add_customer(company, "CASH-5"), str(next(_accounts))
    answer = await apply(company, csv_file(account, ("55.55", "something")))
    line_id = answer["applications"][0]["line_id"]
    nobody = {"allocations": [{"customer_id": customer, "invoice_number": "NO-SUCH", "amount": 5_555}]}
    await company.call("POST", f"/cash/lines/{line_id}:accept", nobody, by="finance", version=1)

    async def refused() -> list[dict[str, Any]]:
        page = await company.call("GET", "/exceptions?type=settlement.rejected&limit=200")
        return [each for each in page["items"] if "NO-SUCH" in each["summary"]]

    [exception] = await until(refused, bool)
    assert (exception["money_at_risk"], exception["currency"]) == (5_555, "USD")
    shown = await company.call("GET", f"/messages/{exception['message_id']}")
    payload = shown["payload"]
    payload["parts"][0]["shares"] = []
    await company.work(exception, "amend", {"payload": payload})
    assert (await posted(company, line_id))["posted"]["on_account"] == 5_555
    assert len(await payments_in_erp(company, customer)) == 1


async def test_a_line_whose_message_is_given_up_is_refused_and_its_invoice_is_open_again(company: Company) -> None:
    customer, account = await add_customer(company, "CASH-7"), str(next(_accounts))
    answer = await apply(company, csv_file(account, ("66.66", "something")))
    line_id = answer["applications"][0]["line_id"]
    nobody = {"allocations": [{"customer_id": customer, "invoice_number": "NO-INVOICE", "amount": 6_666}]}
    await company.call("POST", f"/cash/lines/{line_id}:accept", nobody, by="finance", version=1)

    async def dead() -> list[dict[str, Any]]:
        page = await company.call("GET", "/messages?state=dead&limit=200")
        return [each for each in page["items"] if each["kind"] == "apply_cash"]

    [message] = await until(dead, bool)
    await company.call("POST", f"/messages/{message['id']}:discard", {"reason": "booked by hand"})
    line = await company.call("GET", f"/cash/lines/{line_id}")
    assert (line["state"], line["reason"], line["decided_by"]) == ("refused", "booked by hand", "admin")


async def test_workers_killed_before_and_after_they_book_leave_one_payment(company: Company, tmp_path: Path) -> None:
    customer, account = await add_customer(company, "CASH-6"), str(next(_accounts))
    _, invoice = await invoiced(company, customer, "4")
    erp = company.flow.systems["erp"]
    assert isinstance(erp, Receivables)
    # A route of its own: nobody but the processes below has a worker for it.
    desk = CashDesk(company.pool, company.flow.carrier, "bank_erp", erp, 24.0)
    row = f"{account},{TODAY},{money(invoice['total_amount'])},USD,{invoice['number']}"
    text = f"account,date,amount,currency,description\n{row}\n"
    request = CashRequest("bank", (SentFile("bank.csv", text.encode()),), post=True, by="finance")
    line_id = (await desk.apply(request))["applications"][0]["line_id"]
    settings, armed = tmp_path / "tallystick.toml", tmp_path / "points"
    settings.write_text(_worker_settings(company), encoding="utf-8")
    armed.mkdir()
    for point in ("before_write", "after_write"):
        (armed / f"settlement.apply_cash.{point}").write_text("SIGKILL", encoding="ascii")
        killed = await _worker(settings, armed)
        assert await asyncio.wait_for(killed.wait(), 40) == -9
    survivor = await _worker(settings, armed)
    try:
        assert (await posted(company, line_id, 60))["posted"]["applied"] == invoice["total_amount"]
    finally:
        survivor.terminate()
        await survivor.wait()
    assert len(await payments_in_erp(company, customer)) == 1


def _worker_settings(company: Company) -> str:
    connection = "\n".join(
        f"{name} = {value!r}".replace("'", '"') for name, value in company.sandbox.servers["erp"].connection.items()
    )
    return (
        f'[database]\nurl = "{company.database}"\n[worker]\nlease_seconds = 1\npoll_seconds = 0.2\n'
        f'[systems.bank_erp]\n{connection}\n[entities.bank]\nerp = "bank_erp"\n'
    )


async def _worker(settings: Path, armed: Path) -> asyncio.subprocess.Process:
    program = "from tallystick.cli.program import main; main()"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        "worker",
        "--settings",
        str(settings),
        env={**os.environ, FOLDER_VARIABLE: str(armed)},
    )
