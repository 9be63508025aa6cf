"""What the breaks say together: where the effort concentrates, why, how old it is, and what would remove most of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb

from tallystick.books.assessment.matching import BREAKS, FINANCE, SALES
from tallystick.books.reconciliation.opening import NUMBER
from tallystick.books.sources import FILE_COLUMN, ROW_COLUMN
from tallystick.books.sources.engine import literal

LISTED = "assessed"
"""The breaks with everything that is known of both their rows, one a row."""
_STAGES = {
    "missing_left": "intake",
    "party": "intake",
    "currency": "intake",
    "key": "intake",
    "price": "commitment",
    "quantity": "fulfilment",
    "item": "fulfilment",
    "missing_right": "invoicing",
    "amount": "invoicing",
    "duplicate": "invoicing",
    "date": "invoicing",
    "status": "publication",
}
"""The stage of the flow at which such a break comes into being. What is negative belongs to returns."""
_AGES = ((30, "0–30 days"), (60, "31–60 days"), (90, "61–90 days"))
DIMENSIONS = ("stage", "class", "customer", "channel", "product", "month")
_MOST_VALUES = 12
_WORDS = (
    ("on the left side", "in sales"),
    ("on the right side", "in finance"),
    ("the left side", "sales"),
    ("the right side", "finance"),
    ("on the left", "in sales"),
    ("on the right", "in finance"),
)
COLUMNS = (
    "number",
    "key",
    "class",
    "stage",
    "side",
    "customer",
    "channel",
    "product",
    "date",
    "month",
    "age_days",
    "age",
    "currency",
    "sales_amount",
    "finance_amount",
    "amount_difference",
    "money_at_risk",
    "cause",
    "cause_kind",
    "confidence",
    "evidence",
    "correction",
    "sales_file",
    "sales_row",
    "finance_file",
    "finance_row",
)


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the breaks in one currency."""

    name: str
    currency: str
    breaks: int
    money_at_risk: int
    """In minor units."""
    share: float
    """Of the currency's money at risk, or of its breaks where there is no money."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A root cause with all that it comes to."""

    name: str
    kind: str
    currency: str
    breaks: int
    money_at_risk: int
    share: float
    removes: float
    """What is gone when this cause and all above it are mended: a share of the currency's money at risk."""
    confidence: float
    correction: str
    evidence: str
    """Of its largest break."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything that the report shows of the breaks."""

    breaks: int
    at_risk: dict[str, int]
    """By currency, the largest first, in minor units."""
    concentration: dict[str, list[Share]]
    causes: list[Cause]
    ageing: list[Share]
    largest: list[dict[str, Any]]

    @property
    def leading(self) -> str | None:
        """The currency with the most breaks' money: the one that charts are drawn in."""
        return next(iter(self.at_risk), None)


def find(connection: duckdb.DuckDBPyConnection, roles: tuple[set[str], set[str]], today: date) -> Findings:
    """Put the breaks together with their rows and sum them up. `roles` are the columns that each side has."""
    connection.execute(f"CREATE OR REPLACE TABLE {LISTED} AS {_listed_sql(roles, today)}")
    totals = connection.execute(
        f"SELECT currency, count(*), sum(money_at_risk)::BIGINT FROM {LISTED} GROUP BY 1 ORDER BY 3 DESC NULLS LAST, 2 DESC, 1"
    ).fetchall()
    whole = {str(code): (int(breaks), int(money or 0)) for code, breaks, money in totals}
    return Findings(
        sum(breaks for breaks, _ in whole.values()),
        {code: money for code, (_, money) in whole.items()},
        {each: shares for each in DIMENSIONS if (shares := _shares(connection, each, whole))},
        _causes(connection, whole),
        _shares(connection, "age", whole),
        rows_of(connection, "ORDER BY money_at_risk DESC NULLS LAST, number LIMIT 10"),
    )


def rows_of(connection: duckdb.DuckDBPyConnection, order: str) -> list[dict[str, Any]]:
    """Breaks as plain data, dates as text."""
    found = connection.execute(f"SELECT {', '.join(_shown(each) for each in COLUMNS)} FROM {LISTED} {order}").fetchall()
    return [dict(zip(COLUMNS, row, strict=True)) for row in found]


def _shown(column: str) -> str:
    return "CAST(date AS VARCHAR) AS date" if column == "date" else f'"{column}"'


def _listed_sql(roles: tuple[set[str], set[str]], today: date) -> str:
    """One break a row: what the engine says of it, and what its first row on either side says."""
    stages = " ".join(f"WHEN {literal(each)} THEN {literal(stage)}" for each, stage in _STAGES.items())
    ages = " ".join(f"WHEN age_days <= {days} THEN {literal(name)}" for days, name in _AGES)

    def either(role: str) -> str:
        known = [f"{alias}.{role}" for alias, side in (("s", roles[0]), ("f", roles[1])) if role in side]
        return f"coalesce({', '.join(known)})" if known else "NULL"

    keys = [f"coalesce(s.key_{place}, f.key_{place})" for place in range(9) if f"key_{place}" in roles[0] & roles[1]]
    return f"""
    SELECT *, CASE WHEN age_days IS NULL THEN 'no date' WHEN age_days < 0 THEN 'not due yet' {ages} ELSE 'over 90 days' END AS age
    FROM (
        SELECT b.number, concat_ws(' / ', {", ".join(keys)}) AS key, b.class,
            CASE WHEN coalesce(b.l_amount, b.r_amount) < 0 THEN 'returns' ELSE CASE b.class {stages} ELSE 'invoicing' END END
                AS stage,
            CASE b.side WHEN 'left' THEN 'sales only' WHEN 'right' THEN 'finance only' ELSE 'both' END AS side,
            CAST({either("party")} AS VARCHAR) AS customer, CAST({either("channel")} AS VARCHAR) AS channel,
            CAST({either("product")} AS VARCHAR) AS product, CAST({either("date")} AS DATE) AS date,
            strftime(CAST({either("date")} AS DATE), '%Y-%m') AS month,
            date_diff('day', CAST(coalesce({either("due")}, {either("date")}) AS DATE), DATE '{today}') AS age_days,
            b.currency, b.l_amount AS sales_amount, b.r_amount AS finance_amount, b.amount_difference,
            b.money_at_risk, coalesce(b.cause, 'unexplained') AS cause, coalesce(b.cause_kind, 'unexplained') AS cause_kind,
            b.confidence,
            {_in_our_words("b.evidence")} AS evidence, b.correction,
            s.{FILE_COLUMN} AS sales_file, s.{ROW_COLUMN} AS sales_row,
            f.{FILE_COLUMN} AS finance_file, f.{ROW_COLUMN} AS finance_row
        FROM {BREAKS} b LEFT JOIN {SALES} s ON s.{NUMBER} = b.l_row LEFT JOIN {FINANCE} f ON f.{NUMBER} = b.r_row
    ) ORDER BY number"""


def _in_our_words(text: str) -> str:
    """The engine's left and right, called sales and finance."""
    for words, ours in _WORDS:
        text = f"replace({text}, {literal(words)}, {literal(ours)})"
    return text


def _shares(connection: duckdb.DuckDBPyConnection, dimension: str, whole: dict[str, tuple[int, int]]) -> list[Share]:
    """The parts by one column, the most money first; months in their order. Nothing where the column is empty."""
    order = "2, 4 DESC NULLS LAST, 3 DESC, 1"
    if dimension in ("month", "age"):
        order = f'min("{"month" if dimension == "month" else "age_days"}") NULLS LAST, 2'
    found = connection.execute(
        f'SELECT "{dimension}", currency, count(*), sum(money_at_risk)::BIGINT FROM {LISTED} '
        f'WHERE "{dimension}" IS NOT NULL GROUP BY 1, 2 ORDER BY {order}'
    ).fetchall()
    kept: dict[str, int] = {}
    shares = []
    for name, currency, breaks, money in found:
        kept[currency] = kept.get(currency, 0) + 1
        if dimension == "month" or kept[currency] <= _MOST_VALUES:
            share = _share(int(breaks), int(money or 0), whole[str(currency)])
            shares.append(Share(str(name), str(currency), int(breaks), int(money or 0), share))
    return shares


def _share(breaks: int, money: int, whole: tuple[int, int]) -> float:
    return money / whole[1] if whole[1] else breaks / whole[0]


def _causes(connection: duckdb.DuckDBPyConnection, whole: dict[str, tuple[int, int]]) -> list[Cause]:
    found = connection.execute(
        f"""SELECT cause, any_value(cause_kind), currency, count(*), sum(money_at_risk)::BIGINT, avg(confidence),
            any_value(correction), max_by(evidence, coalesce(money_at_risk, 0))
        FROM {LISTED} GROUP BY cause, currency ORDER BY currency, 5 DESC NULLS LAST, 4 DESC, 1"""
    ).fetchall()
    causes = []
    gone: dict[str, float] = {}
    for name, kind, code, breaks, money, confidence, correction, evidence in found:
        currency = str(code)
        share = _share(int(breaks), int(money or 0), whole[currency])
        gone[currency] = gone.get(currency, 0.0) + (share if correction else 0.0)
        causes.append(
            Cause(
                name,
                kind,
                currency,
                int(breaks),
                int(money or 0),
                share,
                min(1.0, gone[currency]),
                round(float(confidence or 0), 2),
                correction or "",
                evidence or "",
            )
        )
    ranks = {code: place for place, code in enumerate(whole)}
    return sorted(causes, key=lambda each: (ranks[each.currency], -each.money_at_risk, -each.breaks, each.name))
