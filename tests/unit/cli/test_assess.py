"""`tallystick assess` as a person calls it: what it prints, how it ends, and that nothing else is on stdout with --json."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

import tallystick.cli.assess  # registers the command
from tallystick.cli.application import app
from tallystick.cli.failure import WrongUse

assert tallystick.cli.assess


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    orders, invoices = tmp_path / "orders.csv", tmp_path / "invoices.csv"
    orders.write_text("order_no,customer,total\n" + "".join(f"O-{n},C{n % 4},{n}.50\n" for n in range(100, 140)))
    invoices.write_text(
        "Rechnung;Kunde;Betrag\n" + "".join(f"O-{n};C{n % 4};{n},50\n" for n in range(100, 138)) + "O-1;C1;n/a\n"
    )
    return str(orders), str(invoices)


def test_it_says_what_it_took_for_what_and_where_the_report_is(files: tuple[str, str], tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["assess", *files, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "order_no" in done.stdout
    assert "Rechnung" in done.stdout
    assert "not handed over" in done.stdout
    assert "quarantined in finance: invoices.csv, row 40, Betrag: no number" in done.stderr
    assert (tmp_path / "out" / "report.html").exists()


def test_json_is_all_of_stdout_and_equals_the_summary(files: tuple[str, str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["assess", *files, "--out", str(out), "--as-of", "2026-10-31", "--json"])
    told = json.loads(done.stdout)
    assert told == json.loads((out / "summary.json").read_text("utf-8"))
    assert told["as_of"] == "2026-10-31"
    assert (told["breaks"], told["sides"]["finance"]["quarantined"]) == (2, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.csv", "none.csv"], "there is no file none.csv"),
        (["{orders}", "{orders}", "--mapping", "none.toml"], "none.toml can't be read"),
        (["{orders}", "{orders}", "--out", "{orders}/out"], "can't be written"),
    ],
)
def test_what_it_can_not_work_with_is_wrong_use(files: tuple[str, str], arguments: list[str], message: str) -> None:
    done = CliRunner().invoke(app, ["assess", *(each.format(orders=files[0]) for each in arguments)])
    assert isinstance(done.exception, WrongUse)
    assert done.exception.exit_code == 2
    assert message in str(done.exception)


@pytest.mark.parametrize(
    "raised", [KeyboardInterrupt(), RuntimeError("Query interrupted"), duckdb.InterruptException("INTERRUPT")]
)
def test_ctrl_c_ends_with_130_and_leaves_nothing(
    files: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException
) -> None:
    def interrupted(*_: object) -> None:
        raise raised

    monkeypatch.setattr("tallystick.books.assessment.assessment.match", interrupted)
    done = CliRunner().invoke(app, ["assess", *files, "--out", str(tmp_path / "out")])
    assert done.exit_code == 130
    assert "interrupted; nothing was written" in done.stderr
    assert not (tmp_path / "out").exists()
