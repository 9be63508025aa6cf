"""Reads any bank statement file: which format it is shows in its first characters, not in its name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tallystick.books.statements.bai2 import read_bai2
from tallystick.books.statements.camt import read_camt
from tallystick.books.statements.delimited import looks_delimited, read_delimited
from tallystick.books.statements.mt940 import read_mt940
from tallystick.books.statements.statement import BankStatement, StatementError

LARGEST_FILE = 100_000_000
"""Bytes; a day's statement of a large distributor is a hundredth of it."""


def read_statements(path: Path, *, account: str | None = None, currency: str | None = None) -> list[BankStatement]:
    """The statements of a file in its order; `account` and `currency` are for delimited text that says none.

    Raises StatementError, naming the file: it can't be had, is too large, is of none of the formats, or is broken; then nothing
    of it counts.
    """
    try:
        return statements_of(content_of(path), account=account, currency=currency)
    except StatementError as error:
        raise StatementError(f"{path}: {error}") from None


def content_of(path: Path) -> bytes:
    """A file's bytes. Raises StatementError where it can't be had or is too large."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StatementError(f"it is larger than {LARGEST_FILE} bytes; split it")
        return path.read_bytes()
    except OSError as error:
        raise StatementError(f"it cannot be read ({error.strerror or error})") from None


def statements_of(content: bytes, *, account: str | None = None, currency: str | None = None) -> list[BankStatement]:
    """The statements of a file's bytes, as `read_statements` has them."""
    if not content.strip():
        raise StatementError("it is empty")
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return read_camt(content)
    text = decoded(content)
    if text.lstrip().startswith("01,"):
        return [replace(each, format="bai2") for each in read_bai2(text.lstrip())]
    if ":20:" in text:
        return read_mt940(text)
    if looks_delimited(text):
        return [replace(each, format="csv") for each in read_delimited(text, account=account, currency=currency)]
    beginning = text.lstrip()[:40]
    raise StatementError(
        f"it begins with {beginning!r}, and is no MT940 or MT942, camt.053 or camt.054, or BAI2 file, and no delimited text "
        "with a heading that is known"
    )


def decoded(content: bytes) -> str:
    """UTF-8 or UTF-16 as its first bytes say, else the western code page that banks' older programs write; that has a
    character for every byte."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
