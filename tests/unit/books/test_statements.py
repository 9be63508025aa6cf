"""Bank statements of every format: what is in them, what does not add up, and what is refused with its place."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.books.statements.reader import read_statements
from tallystick.books.statements.statement import Balance, BankStatement, StatementError

MT940 = """{1:F01BANKDEFFXXXX}{2:I940}{4:
:20:STARTUMS
:25:12345678/0000100001
:28C:00042/001
:60F:C261123EUR1000,00
:61:2611241124C250,50NTRFTS-0001//B123
:86:Invoice INV-7 less nothing
:61:2611241124D0,50NCHGNONREF
:62F:C261124EUR1250,00
-}
:20:NEXT
:25:12345678/0000100001
:28C:00043/001
:60F:C261124EUR1250,00
:62F:C261125EUR1250,00
-
"""
BAI2 = """01,BANK,TALLY,261124,0400,1,,,2/
02,TALLY,BANK,1,261124,0400,USD,2/
03,0123456789,USD,010,100000,,,015,147500,,/
16,175,50000,V,261125,,B77,INV-7,PAYMENT OF/
88,INVOICE INV-7, WITH A COMMA
16,475,2500,Z,,CHECK 12/
49,300000,5/
98,300000,1,7/
99,300000,1,9/
"""
CAMT = """<?xml version="1.0"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt>
<Id>S-1</Id><ElctrncSeqNb>42</ElctrncSeqNb><CreDtTm>2026-11-24T18:00:00+01:00</CreDtTm>
<Acct><Id><IBAN>NL26VAYB8060476890</IBAN></Id></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-23</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">39.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
<Dt><Dt>2026-11-24</Dt></Dt></Bal>
<Ntry><Amt Ccy="EUR">30.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-11-24</Dt></BookgDt><AcctSvcrRef>B-1</AcctSvcrRef>
<NtryDtls>
<TxDtls><Refs><EndToEndId>E-1</EndToEndId></Refs><Amt Ccy="EUR">10.00</Amt>
<RltdPties><Dbtr><Pty><Nm>Ann</Nm></Pty></Dbtr></RltdPties><RmtInf><Ustrd>INV-7</Ustrd></RmtInf></TxDtls>
<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId></Refs><Amt Ccy="EUR">20.00</Amt>
<RltdPties><Dbtr><Pty><Nm>Bob</Nm></Pty></Dbtr></RltdPties>
<RmtInf><Strd><CdtrRefInf><Ref>RF18</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
</NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><DtTm>2026-11-24T10:00:00+01:00</DtTm></BookgDt></Ntry>
<Ntry><Amt Ccy="EUR">99.00</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts>
<BookgDt><Dt>2026-11-25</Dt></BookgDt></Ntry>
</Stmt></BkToCstmrStmt></Document>
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "statement"


def read(file: Path, content: str | bytes) -> list[BankStatement]:
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_statements(file)


def refusal(file: Path, content: str | bytes) -> str:
    with pytest.raises(StatementError) as refused:
        read(file, content)
    assert str(refused.value).startswith(f"{file}: ")
    return str(refused.value).removeprefix(f"{file}: ")


def test_mt940_has_its_balances_entries_and_references(file: Path) -> None:
    first, second = read(file, MT940)
    assert (first.account, first.number, first.problems) == ("12345678/0000100001", "00042/001", ())
    assert first.opening == Balance(100_000, "EUR", date(2026, 11, 23))
    assert first.closing == Balance(125_000, "EUR", date(2026, 11, 24))
    paid, charged = first.entries
    assert (paid.amount, paid.payer_reference, paid.bank_reference, paid.kind) == (25_050, "TS-0001", "B123", "NTRF")
    assert paid.remittance == "Invoice INV-7 less nothing"
    assert (charged.amount, charged.payer_reference) == (-50, None)
    assert (second.entries, second.problems) == ((), ())


def test_bai2_has_its_balances_entries_and_whole_texts(file: Path) -> None:
    [statement] = read(file, BAI2)
    assert (statement.account, statement.problems) == ("0123456789", ())
    assert (statement.opening, statement.closing) == (
        Balance(100_000, "USD", date(2026, 11, 24)),
        Balance(147_500, "USD", date(2026, 11, 24)),
    )
    paid, charged = statement.entries
    assert (paid.amount, paid.value_on, paid.bank_reference, paid.payer_reference) == (
        50_000,
        date(2026, 11, 25),
        "B77",
        "INV-7",
    )
    assert paid.remittance == "PAYMENT OF INVOICE INV-7, WITH A COMMA"
    assert (charged.amount, charged.value_on) == (-2_500, None)


def test_camt_has_each_payment_of_an_entry_that_books_several_and_what_is_only_announced(file: Path) -> None:
    [statement] = read(file, CAMT)
    assert (statement.account, statement.number, statement.problems) == ("NL26VAYB8060476890", "42", ())
    ann, bob, charge, announced = statement.entries
    assert (ann.amount, ann.payer_reference, ann.counterparty, ann.remittance) == (1_000, "E-1", "Ann", "INV-7")
    assert (bob.amount, bob.payer_reference, bob.counterparty, bob.remittance) == (2_000, None, "Bob", "RF18")
    assert (ann.bank_reference, charge.amount, charge.booked_on) == ("B-1", -100, date(2026, 11, 24))
    assert [each.booked for each in statement.entries] == [True, True, True, False]
    assert announced.amount == 9_900


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MT940.replace("C261124EUR1250,00\n-}", "C261124EUR1250,01\n-}"), "is 1250.01 EUR, but its opening"),
        (MT940.replace(":62F:C261124EUR1250,00\n", ""), "no closing balance"),
        (BAI2.replace("015,147500", "015,147600").replace("300000", "300100"), "is 1476.00 USD, but"),
        (BAI2.replace("49,300000", "49,300001"), "line 7: its control total is 300001"),
        (BAI2.replace("98,300000", "98,300009"), "line 8: the group's control total is 300009"),
        (CAMT.replace(">39.00<", ">40.00<"), "is 40.00 EUR, but"),
        (CAMT.replace('Ccy="EUR">39.00', 'Ccy="SEK">39.00'), "mixes currencies (EUR, SEK)"),
    ],
)
def test_statement_that_does_not_add_up_says_so(file: Path, content: str, said: str) -> None:
    problems = [problem for statement in read(file, content) for problem in statement.problems]
    assert any(said in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is empty"),
        ("hello", "it begins with 'hello'"),
        (MT940.replace("C250,50NTRF", "X250,50NTRF"), "statement 1: "),
        (MT940.replace("EUR1000,00", "EUR,"), "statement 1: "),
        (MT940.replace("EUR1250,00\n-}", "EUR"), "statement 1: "),
        (MT940.replace(":25:12345678/0000100001\n", ""), "statement 1: it names no account"),
        (MT940.replace("EUR1000,00", "XXX1000,00"), "statement 1: 'XXX' is no active"),
        (BAI2.partition("49,")[0], "it is cut short"),
        (BAI2.replace("16,175,50000", "16,175,500.00"), "line 4: '500.00' is no amount"),
        (BAI2.replace("16,175,50000", "16,175,++5"), "line 4: '++5' is no amount"),
        (BAI2.replace("16,175,", "16,775,"), "line 4: type code '775'"),
        (BAI2.replace(",261124,0400,USD", ",261324,0400,USD"), "line 2: '261324' is no date"),
        (BAI2.replace("03,0123456789,USD", "03,0123456789,ZZZ"), "line 3: 'ZZZ' is no active"),
        (BAI2.replace("02,TALLY", "04,TALLY"), "line 2: a record of the unknown kind '04'"),
        (CAMT[:-40], "not well-formed XML"),
        (CAMT.replace("camt.053", "camt.060"), "it is not camt.053"),
        (CAMT.replace(">30.00<", ">thirty<"), "Amt: 'thirty' is no amount"),
        (CAMT.replace(">30.00<", ">30.005<"), "more decimals than EUR has (2)"),
        (CAMT.replace("<CdtDbtInd>DBIT</CdtDbtInd>", ""), "Ntry: CdtDbtInd is None"),
        (CAMT.replace("<Id><IBAN>NL26VAYB8060476890</IBAN></Id>", ""), "it names no account"),
        ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><a>&b;</a>', "it is not camt.053"),
    ],
)
def test_what_is_broken_is_refused_with_its_place(file: Path, content: str, said: str) -> None:
    assert said in refusal(file, content)


def test_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(StatementError, match="it cannot be read"):
        read_statements(file)


def test_older_programs_bytes_are_read(file: Path) -> None:
    [first, _] = read(file, MT940.replace("Invoice", "Übertrag").encode("cp1252"))
    assert first.entries[0].remittance.startswith("Übertrag")


@given(cut=st.integers(0, 2_000), which=st.sampled_from([MT940, BAI2, CAMT]))
def test_file_cut_anywhere_is_refused_or_says_what_is_missing(
    tmp_path_factory: pytest.TempPathFactory, cut: int, which: str
) -> None:
    file = tmp_path_factory.getbasetemp() / "cut"
    whole = read(file, which)
    try:
        found = read(file, which[:cut])
    except StatementError:
        return
    complete = found[: len(whole)] == whole[: len(found)]
    assert complete or any(each.problems for each in found) or len(found) < len(whole)


@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode)), which=st.integers(0, 3))
def test_whatever_the_bytes_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, which: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    beginning = (b"", b":20:X\n:25:1\n", b"01,A,B,261124/\n02,A,B,1,261124,,USD/\n", b"<Document xmlns='")[which]
    file.write_bytes(beginning + content)
    with suppress(StatementError):
        assert read_statements(file)
