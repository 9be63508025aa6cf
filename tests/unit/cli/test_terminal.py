"""What people and programs see: tables that stay readable, nothing that moves a terminal, no colour where none is wanted."""

from __future__ import annotations

import json

import pytest

from tallystick.cli.hub import problem_line
from tallystick.cli.terminal import complain, money, print_json, print_record, print_rows, printable

ID = "01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2"
ROWS = [(ID, "order.held", "line 1: P-200 is ordered at 6.90, the list price is 7.45", "12.00 USD")]
COLUMNS = ("exception", "type", "summary", "at risk")


def test_table_in_a_pipe_cuts_and_wraps_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [*ROWS, (ID, "x" * 300, None, 5)])
    header, first, second = capsys.readouterr().out.splitlines()
    assert header.split() == ["exception", "type", "summary", "at", "risk"]
    assert all(value in first for value in ROWS[0])
    assert "x" * 300 in second


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_table_on_any_screen_keeps_ids_whole(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_rows(COLUMNS, ROWS)
    out = capsys.readouterr().out
    assert all(len(line) <= max(width, len("exception  ") + len(ID)) for line in out.splitlines())
    assert "12.00 USD" in " ".join(out.split())
    if width > 40:
        assert ID in out


def test_values_that_look_like_markup_or_move_the_terminal_are_shown_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_record({"setting": "[systems.erp] [red]x[/red]", "evil": "a\x1b[2Jb\r\x07c\nd"})
    complain("there is no [systems.erp]\x1b[31m")
    out, err = capsys.readouterr()
    assert "[systems.erp] [red]x[/red]" in out
    assert "\x1b" not in out + err
    assert "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}c d" in out
    assert err.startswith("tallystick: there is no [systems.erp]")


def test_long_complaint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("word " * 100)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_empty_list_says_so_beside_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(COLUMNS, [])
    out, err = capsys.readouterr()
    assert (out, err) == ("", "nothing there\n")


def test_json_is_one_line_and_keeps_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "é\n", "n": 1})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": "é\n", "n": 1}


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(123456, "USD", "1234.56 USD"), (12, "JPY", "12 JPY"), (1, "KWD", "0.001 KWD"), (5, None, "5"), (None, "USD", "")],
)
def test_money_is_shown_as_a_decimal_of_its_currency(amount: int | None, currency: str | None, text: str) -> None:
    assert money(amount, currency) == text


def test_nested_values_are_one_line() -> None:
    assert printable({"a": [1, "two\n"]}) == '{"a":[1,"two\\n"]}'


def test_problem_is_told_with_its_value_and_code() -> None:
    problem = {
        "code": "body.invalid",
        "detail": "/lines/0/quantity: Input should be greater than 0",
        "errors": [{"pointer": "/lines/0/quantity", "message": "Input should be greater than 0", "value": "-3"}],
    }
    assert problem_line(problem) == "/lines/0/quantity: Input should be greater than 0 (got '-3') [body.invalid]"
