"""Which encoding a text file has, judged by every byte of it, and the file in UTF-8, which is what the engine reads."""

from __future__ import annotations

import codecs
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from tallystick.books.sources.failure import SourceError

_CHUNK = 8 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_STRAY = re.compile("[\udc80-\udcff]")
_WRITTEN_IN_WINDOWS = re.compile("[À-ÖØ-öø-ÿ€ŠšŽžŒœ–—‘’“”„•…§°£´²³µ«» ]")
_SHARE_OF_NULS = 0.3
_LETTERS_LEAST = 0.8


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding with how sure we are, and why."""

    name: str
    confidence: float
    evidence: str
    stray: int = 0
    """Bytes that are none of this encoding; the lines that hold them are quarantined."""


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked where its name ends in .gz. Raises SourceError when it can't be opened."""
    try:
        return cast("IO[bytes]", gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} can't be opened: {error.strerror or error}") from error


def detect_encoding(path: Path, said: str | None = None) -> Encoding:
    """The encoding of a text file. Raises SourceError when it is empty, no text, or `said` is no encoding."""
    if said is not None:
        try:
            codecs.lookup(said)
        except LookupError:
            raise SourceError(f"{path}: {said!r} is no encoding that we know") from None
        return Encoding(said.lower(), 1.0, "said")
    try:
        with open_bytes(path) as file:
            start = file.read(4096)
            if not start.strip():
                raise SourceError(f"{path} is empty")
            for bom, name in _BOMS:
                if start.startswith(bom):
                    return Encoding(name, 1.0, "byte order mark")
            if b"\0" in start:
                return _utf_16_without_mark(path, start)
        return _judge(path)
    except (OSError, EOFError) as error:
        raise SourceError(f"{path} can't be read: {error}") from error


def _utf_16_without_mark(path: Path, start: bytes) -> Encoding:
    even, odd = start[0::2].count(0) / len(start) * 2, start[1::2].count(0) / len(start) * 2
    if odd > _SHARE_OF_NULS > even:
        return Encoding("utf-16-le", 0.9, "every other byte is zero")
    if even > _SHARE_OF_NULS > odd:
        return Encoding("utf-16-be", 0.9, "every other byte is zero")
    raise SourceError(f"{path} is no text: it holds zero bytes")


def _judge(path: Path) -> Encoding:
    """UTF-8 where every byte, or all but a few, are; else Windows' own, which everything else in the field is."""
    proper = stray = letters = 0
    for lines in _whole_lines(path):
        if lines.isascii():
            continue
        try:
            proper += len(lines) - len(lines.decode())
        except UnicodeDecodeError:
            text = lines.decode(errors="surrogateescape")
            strays = _STRAY.findall(text)
            stray += len(strays)
            proper += len(lines) - len(text)
            odd = b"".join(each.encode(errors="surrogateescape") for each in strays)
            letters += len(_WRITTEN_IN_WINDOWS.findall(odd.decode("cp1252", errors="ignore")))
    if not stray:
        return Encoding("utf-8", 1.0, "every byte is valid UTF-8" if proper else "plain ASCII")
    if proper > stray:
        return Encoding("utf-8", proper / (proper + stray), f"all but {stray} bytes are valid UTF-8", stray)
    plausible = letters / stray
    return Encoding(
        "cp1252",
        0.95 if plausible >= _LETTERS_LEAST else 0.6,
        f"{stray} bytes are no UTF-8, {letters} of them letters or signs of Windows-1252",
    )


def _whole_lines(path: Path) -> Iterator[bytes]:
    """The file in large pieces that end where lines end, so that none of them ends within a character."""
    rest = b""
    with open_bytes(path) as file:
        while chunk := file.read(_CHUNK):
            cut = chunk.rfind(b"\n") + 1
            if not cut:
                rest += chunk
                continue
            yield rest + chunk[:cut]
            rest = chunk[cut:]
    if rest:
        yield rest


def as_utf8(path: Path, encoding: Encoding, folder: Path) -> Path:
    """The file itself when the engine can read it, else a copy in UTF-8 in `folder`.

    What is none of the encoding stays invalid in the copy too, so that the engine refuses those lines by number.
    """
    if encoding.name in ("utf-8", "utf-8-sig", "ascii") and path.suffix.lower() != ".gz":
        return path
    copy = folder / f"{path.stem}.utf8"
    wide = encoding.name.startswith(("utf-16", "utf16", "utf_16", "utf-32", "utf_32"))
    decoder = codecs.getincrementaldecoder(encoding.name)("replace" if wide else "surrogateescape")
    with open_bytes(path) as source, copy.open("wb") as target:
        while True:
            chunk = source.read(_CHUNK)
            text = decoder.decode(chunk, final=not chunk)
            written = text.encode(errors="surrogateescape")
            target.write(written.replace(b"\xef\xbf\xbd", b"\xff") if wide else written)
            if not chunk:
                return copy
