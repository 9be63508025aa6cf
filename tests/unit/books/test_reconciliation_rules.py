"""A rules file that can't be followed is refused with the file, the line, the key, the value and what to do."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tallystick.books.reconciliation.causes import standard_causes
from tallystick.books.reconciliation.rule_sets import names, rule_set
from tallystick.books.reconciliation.rules import CauseKind, Kind
from tallystick.books.reconciliation.rules_file import RulesError, line_numbers, load_rules, parse_rules

GOOD = """
name = "orders to invoices"

[left]
source = "orders.csv"
[left.columns]
key = "number"
amount = "total"

[right]
source = "invoices.csv"
[right.columns]
key = "number"
amount = "total"

[[match]]
name = "one to one"

[[match]]
name = "several"
kind = "one_to_many"
tolerance = { absolute = 0.05 }
"""


def refused(text: str) -> str:
    with pytest.raises(RulesError) as caught:
        parse_rules(text, "rules.toml")
    return str(caught.value)


def test_good_rules_are_typed_and_money_in_them_is_exact() -> None:
    rules = parse_rules(GOOD, "rules.toml")
    assert [each.kind for each in rules.matches] == [Kind.ONE_TO_ONE, Kind.ONE_TO_MANY]
    assert rules.matches[1].tolerance.absolute == Decimal("0.05")
    assert rules.compared(rules.matches[0]) == ("amount",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "one_to_many"', 'kind = "one_to_lots"', "rules.toml:21: match.2.kind: Input should be 'one_to_one'"),
        ('kind = "one_to_many"', 'knid = "one_to_many"', "rules.toml:21: match.2.knid: there is no such key"),
        ("absolute = 0.05", 'absolute = "five"', "rules.toml:22: match.2.tolerance.absolute: "),
        ("absolute = 0.05", "absolute = -1", "(got '-1')"),
        (
            'amount = "total"\n\n[right]',
            "amount = {}\n\n[right]",
            "rules.toml:8: left.columns.amount: give either a column",
        ),
        (
            'source = "orders.csv"',
            'source = "a"\nhub = "orders"',
            "rules.toml:4: left: give one of source, database and hub",
        ),
        ('source = "orders.csv"', 'database = "sqlite:///a.db"', "a database needs either a table or a query"),
        (
            'name = "several"',
            'name = "several"\non = "party"',
            "rules.toml:19: match.2: needs party, which left.columns",
        ),
        ('name = "several"', 'name = "several"\ndays = { after = 3 }', "needs date, which left.columns does not name"),
        ('name = "orders to invoices"', "name = ", "rules.toml: not valid TOML: "),
    ],
)
def test_each_mistake_is_told_with_its_line_and_key(old: str, new: str, told: str) -> None:
    assert told in refused(GOOD.replace(old, new, 1))


def test_every_mistake_is_told_at_once() -> None:
    text = GOOD.replace("absolute = 0.05", "absolute = -1").replace('kind = "one_to_many"', 'kind = "x"')
    assert [line.split(":")[1] for line in refused(text).splitlines()] == ["21", "22"]


def test_a_condition_must_fit_what_it_asks() -> None:
    cause = """
[[cause]]
name = "a"
kind = "data_quality"
confidence = 0.5
evidence = "e"
correction = "c"
when = [{ field = "amount_difference", in = ["1"] }]
"""
    assert "rules.toml:30: cause.1.when.1: amount_difference takes at_least or at_most" in refused(GOOD + cause)


def test_lines_are_found_in_nested_tables_arrays_and_behind_long_texts() -> None:
    text = 'a = 1\nq = """\nb = 2\n[c]\n"""\n[d]\n"e f".g = 1\n[[h]]\ni = 1\n[h.j]\nk = 1\n[[h]]\n[[h.l]]\nm = 1\n'
    lines = line_numbers(text)
    assert lines["a",] == 1
    assert ("b",) not in lines
    assert lines["d", "e f", "g"] == 7
    assert lines["h", 0, "j", "k"] == 11
    assert lines["h", 1, "l", 0, "m"] == 14


def test_a_file_that_is_not_there_or_is_no_text_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="no such rules file"):
        load_rules(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RulesError, match="can't be read"):
        load_rules(tmp_path / "odd.toml")


@pytest.mark.parametrize("name", names())
def test_every_rule_set_that_comes_along_can_be_followed(name: str) -> None:
    rules = rule_set(name)
    assert rules.description
    assert rules.left.source is rules.right.source is None


def test_a_rule_set_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(RulesError, match="orders-to-invoices"):
        rule_set("orders-to-nothing")


def test_the_standard_causes_cover_the_four_kinds() -> None:
    assert {each.kind for each in standard_causes()} == set(CauseKind)
