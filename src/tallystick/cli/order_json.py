"""Orders from JSON (one, an array, or several one after the other) and NDJSON, read piece by piece and passed on as written."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator

from tallystick.cli.order_source import LONGEST_ORDER, FileOrder, Place, Read, Source, Unreadable

_DECODER = json.JSONDecoder()
_LINE_ENDS = str.maketrans("\r\n", "  ")  # in JSON they stand between values only, so a space says the same


def read_ndjson(source: Source) -> Iterator[Read]:
    """An order a line; empty lines are skipped. What is wrong in a line is for the server to say."""
    for number, line in enumerate(source.lines(), start=1):
        body = line.removeprefix(codecs.BOM_UTF8).strip() if number == 1 else line.strip()
        place = Place(source.name, number)
        if len(line) > LONGEST_ORDER:
            yield Unreadable(place, f"the line is longer than {LONGEST_ORDER} bytes, which no order is")
        elif body:
            yield FileOrder(place, body)


def read_json(source: Source) -> Iterator[Read]:
    """The orders of a JSON file. Behind JSON that is broken nothing can be told apart, so that ends it."""
    text = _Text(source)
    try:
        yield from _orders(text)
    except ValueError as error:
        yield Unreadable(text.place(), f"not valid JSON: {error}; nothing behind it was read")


def _orders(text: _Text) -> Iterator[Read]:
    in_array = text.skip("[")
    first = True
    while not text.at_end():
        if in_array and text.skip("]"):
            in_array = False
            continue
        if in_array and not first and not text.skip(","):
            raise ValueError(f"expected a comma or ] after an order, got {text.following()!r}")
        first = False
        place, body = text.place(), text.value()
        if body.startswith("{"):
            yield FileOrder(place, body.translate(_LINE_ENDS).encode())
        else:
            yield Unreadable(place, f"expected an order, which is an object {{…}}, got {body[:20]!r}")
    if in_array:
        raise ValueError("the file ends before its array does; it may be cut off")


class _Text:
    """The text of a source, read on as far as the value at hand needs. Every method raises ValueError where it is not UTF-8."""

    def __init__(self, source: Source) -> None:
        self._file = source.name
        self._parts = source.parts()
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text = ""
        self._at = 0
        self._line = 1
        self._ended = False

    def at_end(self) -> bool:
        """Whether nothing but space is left; moves over the space."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._move(self._at + 1)
            if self._at < len(self._text):
                return False
            if not self._read_on():
                return True

    def following(self) -> str:
        """The next few characters."""
        return self._text[self._at : self._at + 20]

    def place(self) -> Place:
        """Where it stands now."""
        return Place(self._file, self._line)

    def skip(self, character: str) -> bool:
        """Move over this character if it is the next, and over the space behind it."""
        if self.at_end() or self._text[self._at] != character:
            return False
        self._move(self._at + 1)
        self.at_end()
        return True

    def value(self) -> str:
        """The next value's own text. Raises ValueError."""
        while True:
            try:
                _, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise ValueError("nested too deep") from None
            except json.JSONDecodeError as error:
                # It may only be that the rest of the value was not read yet.
                line = self._line + self._text.count("\n", self._at, error.pos)
                got = self._text[error.pos : error.pos + 20] or "the end of the file"
                if len(self._text) - self._at > LONGEST_ORDER or not self._read_on():
                    raise ValueError(f"line {line}: {error.msg}, got {got!r}") from None
                continue
            found = self._text[self._at : end]
            self._move(end)
            return found

    def _move(self, at: int) -> None:
        self._line += self._text.count("\n", self._at, at)
        self._at = at

    def _read_on(self) -> bool:
        """Read more, at least as much as is there already: a long value is then not tried for every small part of it."""
        fresh = [self._text[self._at :]]
        wanted, got = len(fresh[0]), 0
        while got <= wanted and not self._ended:
            part = next(self._parts, b"")
            self._ended = not part
            try:
                fresh.append(self._decode(part, self._ended))
            except UnicodeDecodeError as error:
                raise ValueError(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from None
            got += len(fresh[-1])
        self._text, self._at = "".join(fresh), 0
        return got > 0
