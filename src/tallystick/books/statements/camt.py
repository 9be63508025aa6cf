"""Reads ISO 20022 bank statements (camt.053) and notices of credits and debits (camt.054), any version of them.

The element names are those of the standard's message definitions; they have kept their meaning from version 2 to 13.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal, InvalidOperation

from lxml import etree
from lxml.etree import _Element

from tallystick.books.statements.statement import (
    Balance,
    BankEntry,
    BankStatement,
    StatementError,
    balance_problems,
)
from tallystick.documents.money import EXACT, MINOR_DIGITS

_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.05"
_OPENING = ("OPBD", "PRCD")
"""Opening booked; previously closed booked means the same."""
_CLOSING = ("CLBD",)
_PLACEHOLDERS = frozenset({"NOTPROVIDED", ""})


def read_camt(content: bytes) -> list[BankStatement]:
    """The statements or notices of a message. Raises StatementError where it is no such XML, naming element and line."""
    # No entities, no network, no deep trees: the file comes from outside.
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise StatementError(f"it is not well-formed XML: {error.msg}") from None
    if not str(root.tag).startswith((f"{{{_NAMESPACE}3", f"{{{_NAMESPACE}4")):
        raise StatementError(f"it is not camt.053 or camt.054: its root is {str(root.tag)[:120]}")
    found = [_statement(each, "camt.053") for each in root.iterfind("./{*}BkToCstmrStmt/{*}Stmt")]
    found += [_statement(each, "camt.054") for each in root.iterfind("./{*}BkToCstmrDbtCdtNtfctn/{*}Ntfctn")]
    if not found:
        raise StatementError("there is no statement (Stmt) or notice (Ntfctn) in it")
    return found


def _statement(element: _Element, kind: str) -> BankStatement:
    account = _text(element, "Acct/Id/IBAN") or _text(element, "Acct/Id/Othr/Id")
    if not account:
        raise _error(element, "it names no account (Acct/Id)")
    opening, closing = _balance(element, _OPENING), _balance(element, _CLOSING)
    made_on = _moment(element, "CreDtTm")
    entries = tuple(entry for each in element.iterfind("./{*}Ntry") for entry in _entries(each, made_on))
    return BankStatement(
        account=account,
        number=_text(element, "ElctrncSeqNb") or _text(element, "Id") or "",
        entries=entries,
        opening=opening,
        closing=closing,
        problems=balance_problems(opening, closing, entries),
        format=kind,
    )


def _balance(element: _Element, codes: tuple[str, ...]) -> Balance | None:
    for each in element.iterfind("./{*}Bal"):
        if _text(each, "Tp/CdOrPrtry/Cd") in codes:
            amount, currency = _amount(each, "Amt")
            return Balance(_sign(each) * amount, currency, _day(each, "Dt") or date.min)
    return None


def _entries(entry: _Element, made_on: date | None) -> Iterator[BankEntry]:
    """An entry, or each of its transactions where it books several together and says how much each of them is."""
    total, currency = _amount(entry, "Amt")
    details = entry.findall("./{*}NtryDtls/{*}TxDtls")
    parts = [_part(each, currency) for each in details]
    if len(parts) > 1 and None not in parts and sum(each or 0 for each in parts) == total:
        for element, part in zip(details, parts, strict=True):
            yield _entry(entry, element, part or 0, currency, made_on)
    else:
        yield _entry(entry, details[0] if len(details) == 1 else entry, total, currency, made_on)


def _part(details: _Element, currency: str) -> int | None:
    """A transaction's own amount in the account's currency."""
    for path in ("Amt", "AmtDtls/TxAmt/Amt"):
        found = _find(details, path)
        if found is not None and found.get("Ccy") == currency:
            return _amount(details, path)[0]
    return None


def _entry(entry: _Element, details: _Element, amount: int, currency: str, made_on: date | None) -> BankEntry:
    sign = _sign(entry)
    reversed_ = _text(entry, "RvslInd") == "true"
    booked_on = _day(entry, "BookgDt") or _day(entry, "ValDt") or made_on
    if booked_on is None:
        raise _error(entry, "an entry without a date, in a message without one (BookgDt, ValDt, CreDtTm)")
    # Who the other side is depends on where the money went.
    other = "Dbtr" if (sign > 0) != reversed_ else "Cdtr"
    status = _text(entry, "Sts/Cd") or _text(entry, "Sts")
    return BankEntry(
        amount=sign * amount,
        currency=currency,
        booked_on=booked_on,
        value_on=_day(entry, "ValDt"),
        bank_reference=_text(entry, "AcctSvcrRef") or _text(details, "Refs/AcctSvcrRef"),
        payer_reference=_reference(details, "Refs/EndToEndId") or _reference(details, "Refs/InstrId"),
        remittance=_remittance(entry, details),
        counterparty=_party(details, other) or _party(details, f"Ultmt{other}"),
        counterparty_account=_text(details, f"RltdPties/{other}Acct/Id/IBAN")
        or _text(details, f"RltdPties/{other}Acct/Id/Othr/Id"),
        kind=_kind(entry),
        booked=status in (None, "BOOK"),
    )


def _party(details: _Element, role: str) -> str | None:
    return _text(details, f"RltdPties/{role}/Nm") or _text(details, f"RltdPties/{role}/Pty/Nm")


def _remittance(entry: _Element, details: _Element) -> str:
    """Structured references first, then free text, then the bank's own words."""
    found = [
        *_texts(details, "RmtInf/Strd/CdtrRefInf/Ref"),
        *_texts(details, "RmtInf/Strd/RfrdDocInf/Nb"),
        *_texts(details, "RmtInf/Ustrd"),
        *(_texts(details, "AddtlTxInf") if details is not entry else []),
        *_texts(entry, "AddtlNtryInf"),
    ]
    return " ".join(dict.fromkeys(" ".join(each.split()) for each in found))


def _kind(entry: _Element) -> str | None:
    domain = [_text(entry, f"BkTxCd/Domn/{path}") for path in ("Cd", "Fmly/Cd", "Fmly/SubFmlyCd")]
    return "-".join(each for each in domain if each) or _text(entry, "BkTxCd/Prtry/Cd")


def _amount(element: _Element, path: str) -> tuple[int, str]:
    """Minor units and currency. More decimals than the currency has are refused rather than rounded."""
    found = _find(element, path)
    if found is None:
        raise _error(element, f"it has no {path}")
    currency, text = found.get("Ccy", ""), (found.text or "").strip()
    if currency not in MINOR_DIGITS:
        raise _error(found, f"{currency[:10]!r} is no active ISO 4217 currency")
    try:
        scaled = Decimal(text).scaleb(MINOR_DIGITS[currency], EXACT)
        whole = scaled.to_integral_value()
    except InvalidOperation:
        raise _error(found, f"{text[:40]!r} is no amount") from None
    if scaled != whole:
        raise _error(found, f"{text[:40]} has more decimals than {currency} has ({MINOR_DIGITS[currency]})")
    return int(whole), currency


def _sign(element: _Element) -> int:
    said = _text(element, "CdtDbtInd")
    if said not in ("CRDT", "DBIT"):
        raise _error(element, f"CdtDbtInd is {said!r}, and neither CRDT nor DBIT")
    return 1 if said == "CRDT" else -1


def _day(element: _Element, path: str) -> date | None:
    return _moment(element, f"{path}/Dt") or _moment(element, f"{path}/DtTm")


def _moment(element: _Element, path: str) -> date | None:
    """The day of a date or of a date and time, as the bank wrote it."""
    text = _text(element, path)
    if text is None:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        raise _error(element, f"{path} is {text[:40]!r}, and no date") from None


def _reference(element: _Element, path: str) -> str | None:
    text = _text(element, path)
    return None if text is None or text.upper() in _PLACEHOLDERS else text


def _find(element: _Element, path: str) -> _Element | None:
    return element.find("./" + "/".join(f"{{*}}{each}" for each in path.split("/")))


def _text(element: _Element, path: str) -> str | None:
    found = _find(element, path)
    return None if found is None or not (found.text or "").strip() else str(found.text).strip()


def _texts(element: _Element, path: str) -> list[str]:
    found = element.iterfind("./" + "/".join(f"{{*}}{each}" for each in path.split("/")))
    return [str(each.text).strip() for each in found if (each.text or "").strip()]


def _error(element: _Element, said: str) -> StatementError:
    name = etree.QName(element).localname
    return StatementError(f"line {element.sourceline}, {name}: {said}")
