"""Reads any bank statement file: which format it is shows in its first characters, not in its name."""

from __future__ import annotations

from pathlib import Path

from tallystick.books.statements.bai2 import read_bai2
from tallystick.books.statements.camt import read_camt
from tallystick.books.statements.mt940 import read_mt940
from tallystick.books.statements.statement import BankStatement, StatementError

LARGEST_FILE = 100_000_000
"""Bytes; a day's statement of a large distributor is a hundredth of it."""


def read_statements(path: Path) -> list[BankStatement]:
    """The statements of a file in its order. Raises StatementError, naming the file: it can't be had, is too large, is of none of
    the formats, or is broken; then nothing of it counts."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise StatementError(f"{path}: it is larger than {LARGEST_FILE} bytes; split it")
        content = path.read_bytes()
    except OSError as error:
        raise StatementError(f"{path}: it cannot be read ({error.strerror or error})") from None
    try:
        return _read(content)
    except StatementError as error:
        raise StatementError(f"{path}: {error}") from None


def _read(content: bytes) -> list[BankStatement]:
    if not content.strip():
        raise StatementError("it is empty")
    if content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        return read_camt(content)
    text = _decoded(content)
    if text.lstrip().startswith("01,"):
        return read_bai2(text.lstrip())
    if ":20:" in text:
        return read_mt940(text)
    beginning = text.lstrip()[:40]
    raise StatementError(f"it begins with {beginning!r}, and is no MT940 or MT942, camt.053 or camt.054, or BAI2 file")


def _decoded(content: bytes) -> str:
    """UTF-8, else the western code page that banks' older programs write; that has a character for every byte."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")
