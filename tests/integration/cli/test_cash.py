"""Cash from a terminal: a file of open items needs nothing but the command; what the hub keeps is decided from there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Command, Installation
from tests.integration.cli.test_commands import until

OPEN = (
    "Invoice;Customer;Open amount;Currency;Invoice date;Discount;Discount until;Payer account\n"
    "INV-1001;C1;1.000,00;EUR;01.11.2026;20,00;30.11.2026;DE11\nINV-1002;C1;250,50;EUR;02.11.2026;;;\n"
    "INV-1003;C2;333,33;EUR;13.11.2026;;;\n"
)
BANK = (
    "Kontonummer: DE37 0400 4405 3201 3000 00\n"
    "Buchungstag;Name;IBAN Zahlungsbeteiligter;Verwendungszweck;Betrag;Währung;Saldo nach Buchung\n"
    "25.11.2026;C1 GmbH;DE11;Rechnung INV-1001 abzgl. Skonto;980,00;EUR;1.995,00\n"
    "24.11.2026;C2 GmbH;;INV-1003 shortage;300,00;EUR;1.015,00\n"
    "23.11.2026;Bank;;Gebühr;-5,00;EUR;715,00\n"
    "23.11.2026;?;;ohne Angabe;17,00;EUR;720,00\n"
)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    bank, owed = tmp_path / "bank.csv", tmp_path / "open.csv"
    bank.write_text(BANK, encoding="cp1252")
    owed.write_text(OPEN)
    return str(bank), str(owed)


def test_files_alone_say_where_every_cent_is(tallystick: Command, files: tuple[str, str], tmp_path: Path) -> None:
    bank, owed = files
    done = tallystick("cash", bank, "--open-items", owed, "--json", "--out", str(tmp_path / "out"))
    assert done.code == 0, done.err
    assert [each["status"] for each in done.data["applications"]] == ["applied", "applied", "unidentified"]
    places = done.data["places"]["EUR"]
    assert (places["received"], places["applied"], places["unidentified"]) == (129_700, 128_000, 1_700)
    written = {each.name: each.read_text() for each in (tmp_path / "out").iterdir()}
    assert "INV-1003,33.33,shortage" in written["deductions.csv"]
    assert written["applied.csv"].count("\n") == 3
    assert json.loads(written["cash.json"]) == done.data
    twice = tallystick("cash", bank, bank, "--open-items", owed, "--json").data["places"]["EUR"]
    assert (twice["received"], twice["applied"], twice["repeated"]) == (259_400, 128_000, 129_700)
    table = tallystick("cash", bank, "--open-items", owed)
    assert "1297.00 EUR 1280.00 EUR" in table.out
    assert "separated by ';', decimal comma, dates day first" in table.err


def test_a_refused_statement_or_file_ends_with_1_and_says_why(
    tallystick: Command, files: tuple[str, str], tmp_path: Path
) -> None:
    bank, owed = files
    Path(bank).write_text(BANK.replace("1.015,00", "1.016,00"))
    done = tallystick("cash", bank, "--open-items", owed, "--json")
    assert (done.code, done.data["places"]["EUR"]["refused"]) == (1, 129_700)
    assert "does not follow from the rows around it" in done.err
    cut = tmp_path / "cut.sta"
    cut.write_text(":20:STMT\n:25:1/2\n:28C:1/1\n:60F:C2611")
    assert tallystick("cash", str(cut), bank, "--open-items", owed).code == 1


def test_wrong_use_ends_with_2(tallystick: Command, files: tuple[str, str]) -> None:
    bank, owed = files
    for arguments in ((), ("--open-items", owed, "--from-erp"), ("--open-items", owed, "--post")):
        assert tallystick("cash", bank, *arguments).code == 2
    assert tallystick("cash", bank, "--open-items", bank).code == 2


def test_what_is_not_sure_is_listed_shown_and_decided(
    tallystick: Command, installation: Installation, tmp_path: Path
) -> None:
    bank = tmp_path / "bank.csv"
    bank.write_text(
        "account,date,amount,currency,description\nA-1,2026-11-25,12.34,USD,one\nA-1,2026-11-25,5.00,USD,two\n"
    )
    looked = tallystick("cash", str(bank), "--from-erp", "--json")
    assert looked.code == 0, looked.err
    assert looked.data["places"]["USD"]["unidentified"] == 1_734
    assert tallystick("cash", "suggestions", "list", "--json").data["items"] == []
    assert tallystick("cash", str(bank), "--from-erp", "--post").code == 0
    one, two = tallystick("cash", "suggestions", "list", "--json").data["items"]
    assert "ohne" not in tallystick("cash", "suggestions", "list").out
    assert "one" in tallystick("cash", "suggestions", "show", one["id"]).out
    accepted = tallystick("cash", "suggestions", "accept", one["id"], "--customer", "C-100", "--json")
    assert accepted.data["state"] == "posting", accepted.err
    assert tallystick("cash", "suggestions", "refuse", two["id"], "--reason", "not ours").code == 0
    until(lambda: installation.api(f"/cash/lines/{one['id']}")["state"] == "posted")
    again = tallystick("cash", str(bank), "--from-erp", "--post", "--json")
    assert (len(again.data["repeated"]), again.data["applications"]) == (2, [])
    wrong = tallystick("cash", "suggestions", "accept", two["id"], "--invoice", "C-100:INV1:x")
    assert wrong.code == 2
    assert tallystick("cash", "suggestions", "accept", two["id"], "--customer", "C-100").code == 1
