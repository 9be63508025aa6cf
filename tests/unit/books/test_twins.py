"""A line that came before in another file is known again, two lines of one amount stay two, and what is not sure is doubted."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from tallystick.books.cash.received import account_key
from tallystick.books.cash.twins import Likeness, Line, likeness, pair

LINE = Line(date(2026, 11, 25), 10_000, "USD", "mt940", "a", None, None, "INV-1001 ACME", None, "12/1")
OTHER = replace(LINE, format="camt.053", file_hash="b", statement="9")


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ({"bank_reference": "B-77881234"}, {"bank_reference": "B-7788"}, Likeness.SAME),
        (
            {"payer_reference": "E2E-1", "text": "x y"},
            {"payer_reference": "E2E-1", "text": "another text"},
            Likeness.SAME,
        ),
        ({"text": "INV-1001"}, {}, Likeness.SAME),
        ({"text": "INV-2002"}, {}, Likeness.DOUBTFUL),
        ({"text": ""}, {}, Likeness.DOUBTFUL),
        ({"text": "rent, thanks"}, {"text": "rent, thanks"}, Likeness.DOUBTFUL),
        ({"text": "INV-1"}, {"text": "INV-2"}, Likeness.DOUBTFUL),
        ({"payer_account": "X1"}, {"payer_account": "X2"}, Likeness.DIFFERENT),
        (
            {"payer_reference": "E2E-1", "text": "E2E-1 A"},
            {"payer_reference": "E2E-2", "text": "E2E-2 B"},
            Likeness.DIFFERENT,
        ),
        ({"format": "camt.053"}, {}, Likeness.DIFFERENT),
        ({"format": "camt.053", "bank_reference": "B-1"}, {}, Likeness.SAME),
        ({"format": "csv", "bank_reference": "B-1"}, {"format": "csv", "bank_reference": "B-2"}, Likeness.DIFFERENT),
        ({"format": "csv", "text": "something"}, {"format": "csv"}, Likeness.DOUBTFUL),
        ({"file_hash": "b"}, {}, Likeness.DIFFERENT),
    ],
)
def test_two_lines_of_one_amount_and_day_are_judged_by_what_both_say(
    ours: dict[str, str], theirs: dict[str, str], expected: Likeness
) -> None:
    assert likeness(replace(LINE, **ours), replace(OTHER, **theirs)) is expected  # type: ignore[arg-type]  # fields by name


def test_each_old_line_is_at_most_one_new_line_and_the_surest_pair_comes_first() -> None:
    vague = replace(LINE, text="thanks")
    found = pair([vague, LINE, LINE], [OTHER])
    assert [each and each[0] for each in found] == [None, Likeness.SAME, None]
    assert pair([replace(LINE, amount=1), replace(LINE, currency="EUR")], [OTHER]) == [None, None]


@pytest.mark.parametrize(
    "accounts",
    [
        ("DE37040044053201300000", "04004405/3201300000", "3201300000", "DE37 0400 4405 3201 3000 00"),
        ("NL66RABO0160112231", "NL66RABO0160112231EUR", "0160112231"),
        ("GB29NWBK60161331926819", "601613/31926819"),
    ],
)
def test_an_account_is_the_same_in_every_format(accounts: tuple[str, ...]) -> None:
    assert len({account_key(each) for each in accounts}) == 1
