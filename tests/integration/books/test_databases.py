"""Sides that are in a database: PostgreSQL, SQLite, and the hub's own documents."""

from __future__ import annotations

import sqlite3
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeDatabase
from tests.integration.books.reconciling import rules_of

from tallystick.books.reconciliation.databases import load_query
from tallystick.books.reconciliation.engine import open_engine
from tallystick.books.reconciliation.hub import HUB_QUERIES
from tallystick.books.reconciliation.rules_file import RulesError, parse_rules
from tallystick.books.reconciliation.run import Options, reconcile
from tallystick.books.sources.failure import SourceError
from tallystick.store.pool import open_pool

ONE = '[[match]]\nname = "same number"\n'


async def test_a_query_of_postgresql_is_reconciled_with_a_table_of_sqlite(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_database() as url:
        pool = await open_pool(url, size=1)
        await pool.execute("create table sold (number text, customer text, day date, amount numeric(12, 2))")
        await pool.execute(
            "insert into sold select 'A' || i, 'C1', date '2026-01-05', i + 0.25 from generate_series(1, 1000) i"
        )
        await pool.close()
        with sqlite3.connect(tmp_path / "finance.db") as database:
            database.execute("create table booked (number text, customer text, day text, amount text)")
            rows = [(f"A{i}", "C1", "2026-01-05", f"{i}.25") for i in range(1, 1000)]
            database.executemany("insert into booked values (?, ?, ?, ?)", rows)
        database.close()
        monkeypatch.setenv("SALES_DATABASE", url)
        rules = rules_of(ONE)
        rules = rules.replace(
            'source = "left.csv"', 'database = { env = "SALES_DATABASE" }\nquery = "select * from sold"'
        )
        rules = rules.replace('source = "right.csv"', f'database = "sqlite:///{tmp_path}/finance.db"\ntable = "booked"')
        outcome = reconcile(parse_rules(rules, "rules.toml"), Options(tmp_path))
    assert (outcome.left.rows_in, outcome.left.matched, outcome.right.matched, outcome.breaks) == (1000, 999, 999, 1)
    assert "@" not in outcome.left.location


async def test_every_query_of_the_hubs_documents_runs_on_its_schema(make_database: MakeDatabase) -> None:
    async with make_database() as url:
        pool = await open_pool(url, size=1)
        await pool.execute(
            """insert into transactions (id, entity, channel, order_number, customer_id, currency, intake, ordered_amount)
            values ('00000000-0000-7000-8000-000000000001', 'default', 'web', 'W-1', 'C1', 'USD', 'accepted', 1000)"""
        )
        await pool.execute(
            """insert into documents (transaction_id, type, number, system, body) values
            ('00000000-0000-7000-8000-000000000001', 'invoice', 'I-1', 'erp', '{"invoice_date": "2026-01-05", "net_amount": 900,
            "tax_amount": 100, "total_amount": 1000, "lines": [{"line_number": 1, "product_id": "P1", "quantity": "2",
            "unit_price": "4.50", "amount": 900}]}')"""
        )
        await pool.close()
        with open_engine() as engine:
            counts = {name: engine.count(load_query(engine, "hub", url, query)) for name, query in HUB_QUERIES.items()}
    assert {name: number for name, number in counts.items() if number} == {
        "orders": 1,
        "invoices": 1,
        "invoice_lines": 1,
    }


def test_a_database_that_refuses_or_is_none_is_told_in_words(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "empty.db"):
        pass
    rules = rules_of(ONE).replace(
        'source = "left.csv"', f'database = "sqlite:///{tmp_path}/empty.db"\ntable = "nothing"'
    )
    with pytest.raises(SourceError, match="no such table: nothing"):
        reconcile(parse_rules(rules, "rules.toml"), Options(tmp_path))
    with pytest.raises(SourceError, match="oracle:// is no database we can read"):
        reconcile(parse_rules(rules.replace("sqlite:///", "oracle://"), "rules.toml"), Options(tmp_path))
    unset = rules_of(ONE).replace('source = "left.csv"', 'database = { env = "NOT_SET_ANYWHERE" }\ntable = "a"')
    with pytest.raises(RulesError, match="NOT_SET_ANYWHERE is not set"):
        reconcile(parse_rules(unset, "rules.toml"), Options(tmp_path))


class MySqlCursor:
    """What pymysql answers: names and type codes of the columns, then the rows in portions."""

    description = (("number", 253), ("customer", 253), ("day", 10), ("amount", 246))

    def __init__(self) -> None:
        rows: list[tuple[Any, ...]] = [(f"A{i}", b"C1", date(2026, 1, 5), Decimal(f"{i}.10")) for i in range(3)]
        self._portions: list[list[tuple[Any, ...]]] = [rows, [("A9", None, None, None)], []]

    def execute(self, query: str) -> None:
        assert query == "select * from sold"

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        return self._portions.pop(0)

    def __enter__(self) -> MySqlCursor:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class MySqlConnection:
    def cursor(self) -> MySqlCursor:
        return MySqlCursor()

    def __enter__(self) -> MySqlConnection:
        return self

    def __exit__(self, *_: object) -> None:
        return None


def test_mysql_is_read_in_batches_with_exact_amounts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr("pymysql.connect", lambda **options: asked.update(options) or MySqlConnection())
    with open_engine() as engine:
        table = load_query(engine, "sold", "mysql://me:p%40ss@db.example:3307/sales", "select * from sold")
        rows = engine.fetch(table.order_by("__row"))
    assert (asked["host"], asked["port"], asked["password"], asked["database"]) == ("db.example", 3307, "p@ss", "sales")
    assert rows[1] == {"number": "A1", "customer": "C1", "day": date(2026, 1, 5), "amount": "1.10", "__row": 2}
    assert rows[3] == {"number": "A9", "customer": None, "day": None, "amount": None, "__row": 4}
