"""Orders from JSON and NDJSON: passed on as written, whatever the shape of the file and the size of its parts."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallystick.cli.order_json import read_json, read_ndjson
from tallystick.cli.order_source import FileOrder, Read, Source, Unreadable


class _Dripping(io.BytesIO):
    """A file whose every read gives a few bytes only."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size)


def read(reader: Callable[[Source], Iterator[Read]], text: str | bytes, part: int = 65_536) -> list[Read]:
    data = text.encode() if isinstance(text, str) else text
    return list(reader(Source(_Dripping(data, part), "orders.json", len(data))))


def bodies(found: list[Read]) -> list[Any]:
    return [json.loads(each.body) for each in found if isinstance(each, FileOrder)]


@pytest.mark.parametrize("part", [1, 7, 65_536])
@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}]',
        '[\n  {\n    "a": 1\n  },\n  {\n    "a": 2\n  }\n]\n',
        '{"a": 1}{"a": 2}',
        '\ufeff{"a": 1}\n\n{"a": 2}\n',
    ],
)
def test_one_array_or_several_values_give_their_orders(text: str, part: int) -> None:
    found = read(read_json, text, part)
    assert bodies(found) == [{"a": 1}, {"a": 2}]
    assert all(b"\n" not in each.body for each in found if isinstance(each, FileOrder))


@given(
    orders=st.lists(
        st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.none()), max_size=4), max_size=5
    ),
    indent=st.sampled_from([None, 2]),
    part=st.integers(1, 50),
)
def test_any_orders_come_out_as_they_went_in(orders: list[dict[str, Any]], indent: int | None, part: int) -> None:
    text = json.dumps(orders, indent=indent, ensure_ascii=False)
    try:
        data = text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is in no UTF-8 file
        return
    assert bodies(read(read_json, data, part)) == orders


def test_numbers_keep_every_digit_they_were_written_with() -> None:
    [found] = read(read_json, '[{"unit_price": 0.12345678901234567890123}]')
    assert isinstance(found, FileOrder)
    assert found.body == b'{"unit_price": 0.12345678901234567890123}'


@pytest.mark.parametrize(
    ("text", "good", "said"),
    [
        ('[{"a": 1},\n {"a" 2}]', 1, "line 2: Expecting ':' delimiter, got '2}]'"),
        ('[{"a": 1}\n {"a": 2}]', 1, "expected a comma or ] after an order"),
        ('[{"a": 1},\n', 1, "line 2: Expecting value, got 'the end of the file'"),
        ('[{"a": 1}', 1, "the file ends before its array does"),
        ('[{"a": 1}, {"a', 1, "Unterminated string"),
        ('[{"a": 1}, 17]', 1, "expected an order, which is an object {…}, got '17'"),
        ('{"a": 1} nonsense', 1, "Expecting value"),
        (b'{"a": "\xff"}', 0, "byte 0xff is not UTF-8"),
        ("[" * 100_000, 0, "nested too deep"),
    ],
)
def test_broken_json_is_named_and_what_stood_before_it_goes_on(text: str | bytes, good: int, said: str) -> None:
    found = read(read_json, text)
    assert len(bodies(found)) == good
    last = found[-1]
    assert isinstance(last, Unreadable)
    assert said in last.detail


def test_places_in_json_are_lines_of_the_file() -> None:
    found = read(read_json, '[\n{"a":\n1},\n\n{"a": 2}\n]')
    assert [each.place.line for each in found] == [2, 5]


def test_each_line_of_ndjson_stands_for_itself() -> None:
    found = read(read_ndjson, '\ufeff{"a": 1}\r\n\n  \nbroken\n{"a": 2}')
    assert [(each.place.line, each.body) for each in found if isinstance(each, FileOrder)] == [
        (1, b'{"a": 1}'),
        (4, b"broken"),  # for the server to refuse
        (5, b'{"a": 2}'),
    ]


def test_endless_line_is_refused_and_the_next_one_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tallystick.cli.order_json.LONGEST_ORDER", 100)
    source = Source(io.BytesIO(b"x" * 1_000 + b'\n{"a": 1}\n'), "orders.json", None)
    monkeypatch.setattr(source, "lines", lambda: Source.lines(source, 100))
    found = list(read_ndjson(source))
    assert isinstance(found[0], Unreadable)
    assert bodies(found) == [{"a": 1}]
    assert found[1].place.line == 2
