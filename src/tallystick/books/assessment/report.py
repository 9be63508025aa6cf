"""The report: one HTML page that works offline, loads nothing, sends nothing, and escapes whatever a file says."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import orjson
from markupsafe import Markup

from tallystick.books.assessment.assessed import Assessment
from tallystick.books.assessment.findings import COLUMNS, Cause, Findings, Share, rows_of
from tallystick.documents.money import MINOR_DIGITS

MOST_ROWS = 2_000
"""Breaks that the page itself holds; it stays below about one megabyte."""
_LONGEST_VALUE = 200
_SHOWN_QUARANTINE = 200
_SHOWN_VALUES = 8
_SHOWN_MONTHS = 24
_TITLES = {
    "stage": "By stage of the flow",
    "class": "By what disagrees",
    "customer": "By customer",
    "channel": "By channel",
    "product": "By product",
}
_WORDING = {
    "missing_left": "only in finance",
    "missing_right": "only in sales",
    "item": "product",
    "party": "customer",
}


def write_report(path: Path, found: Assessment, connection: duckdb.DuckDBPyConnection) -> None:
    """Write the page."""
    page = files(__package__).joinpath("page")
    style, script = (page.joinpath(name).read_text("utf-8") for name in ("report.css", "report.js"))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "amount": _amount,
        "money": lambda amount, currency: "" if amount is None else grouped_money(amount, currency),
        "count": lambda number: f"{number:,}",
        "percent": _percent,
        "wording": _wording,
        "capital": lambda text: text[:1].upper() + text[1:],
        "visible": lambda value: {"\t": "tab", " ": "space"}.get(value, value),
    }
    rows = rows_of(connection, f"ORDER BY money_at_risk DESC NULLS LAST, number LIMIT {MOST_ROWS}")
    template = environment.from_string(page.joinpath("report.html.j2").read_text("utf-8"))
    text = template.render(
        **_told(found),
        style=Markup(style),  # noqa: S704  # our own file, nothing of a user in it
        script=Markup(script),  # noqa: S704
        style_hash=_hash(style),
        script_hash=_hash(script),
        data=Markup(_data(rows)),  # noqa: S704  # JSON in which no tag can begin
        listed=len(rows),
    )
    path.write_text(text, "utf-8")


def _told(found: Assessment) -> dict[str, Any]:
    """What the template shows."""
    findings = found.findings
    leading = findings.leading
    sales, finance = ({**each, "location": Path(each["location"]).name} for each in found.sources)
    months = [each for each in findings.concentration.get("month", []) if each.currency == leading][-_SHOWN_MONTHS:]
    dimensions = [
        (name, title, kept)
        for name, title in _TITLES.items()
        if (kept := _of(findings.concentration.get(name, []), leading)[:_SHOWN_VALUES])
    ]
    if ages := _of(findings.ageing, leading):
        dimensions.append(("age", "By age", ages))
    return {
        "today": f"{found.today:%d %B %Y}",
        "sales": sales,
        "finance": finance,
        "breaks": findings.breaks,
        "compared": {"amount", "quantity", "price"} & set(found.roles.mapping.matching.compare or ()),
        "leading": leading,
        "headline": _headline(findings),
        "agreement": _agreement(found),
        "rest": _rest(findings),
        "measure": "money at risk",
        "sides": [_side(each) for each in found.matched.sides],
        "causes": _of(findings.causes, leading),
        "months": _months(months),
        "highest": max(months, key=lambda each: each.money_at_risk, default=None),
        "dimensions": dimensions,
        "largest": findings.largest,
        "quarantined": found.matched.quarantined,
        "shown": _SHOWN_QUARANTINE,
        "proposed": found.roles.proposed,
        "notes": found.matched.notes,
    }


def _of(shares: Sequence[Any], currency: str | None) -> list[Any]:
    return [each for each in shares if each.currency == currency]


def _headline(findings: Findings) -> str:
    code = findings.leading
    return f"{grouped_money(findings.at_risk[code], code)} {code}" if code else ""


def _rest(findings: Findings) -> str:
    """What is at risk in other currencies: it is never added up with the first."""
    others = [
        f"{grouped_money(amount, code)} {code}" for code, amount in findings.at_risk.items() if code != findings.leading
    ]
    return f"Besides, {', '.join(others)} are at risk; the charts show {findings.leading}." if others else ""


def _agreement(found: Assessment) -> str:
    left, right = found.matched.sides
    return (
        f"{left.matched:,} of {left.rows_in:,} rows of sales ({_percent(left.matched / left.rows_in)}) agree with "
        f"{right.matched:,} of {right.rows_in:,} rows of finance ({_percent(right.matched / right.rows_in)})."
    )


def _side(side: Any) -> dict[str, Any]:
    shares = [100 * each / side.rows_in for each in (side.matched, side.broken, side.quarantined)]
    return {
        "name": side.name.capitalize(),
        "rows_in": side.rows_in,
        "matched": side.matched,
        "broken": side.broken,
        "quarantined": side.quarantined,
        "matched_share": f"{shares[0]:.2f}",
        "broken_share": f"{shares[1]:.2f}",
        "before_aside": f"{shares[0] + shares[1]:.2f}",
        "aside_share": f"{shares[2]:.2f}",
    }


def _months(shares: Sequence[Share]) -> list[dict[str, Any]]:
    """Columns of the chart; the year stands beneath the first month of it."""
    highest = max((each.money_at_risk for each in shares), default=0) or 1
    columns, year = [], ""
    for each in shares:
        month = date.fromisoformat(f"{each.name}-01") if len(each.name) == 7 else None
        shown = each.name[:4] if each.name[:4] != year else ""
        year = each.name[:4]
        columns.append(
            {
                "name": each.name,
                "currency": each.currency,
                "breaks": each.breaks,
                "money_at_risk": each.money_at_risk,
                "height": 100 * each.money_at_risk / highest,
                "label": f"{month:%b}" if month else each.name,
                "year": shown,
            }
        )
    return columns


def grouped_money(amount: int, currency: str) -> str:
    """Minor units as people read them: 1,234.50."""
    digits = MINOR_DIGITS.get(currency, 2)
    whole, rest = divmod(abs(amount), 10**digits)
    return f"{'−' if amount < 0 else ''}{whole:,}" + (f".{rest:0{digits}d}" if digits else "")


def _amount(share: Share | Cause | dict[str, Any]) -> str:
    amount, currency = (
        (share["money_at_risk"], share["currency"])
        if isinstance(share, dict)
        else (share.money_at_risk, share.currency)
    )
    return grouped_money(amount, currency)


def _percent(share: float) -> str:
    """A share in whole percent; what is neither nothing nor all never looks as if it were."""
    if 0 < share < 0.01:
        return "<1%"
    if 0.99 < share < 1:
        return f"{int(share * 1000) / 10:.1f}%"
    return f"{share:.0%}"


def _wording(text: str) -> str:
    return _WORDING.get(text, text.replace("_", " "))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(rows: Sequence[dict[str, Any]]) -> str:
    """The breaks for the table, as JSON in which nothing can be taken for the end of its element."""
    values = [[_cut(row[name]) for name in COLUMNS] for row in rows]
    used = {row["currency"] for row in rows}
    digits = {code: MINOR_DIGITS[code] for code in sorted(used & MINOR_DIGITS.keys())}
    text = orjson.dumps({"columns": COLUMNS, "rows": values, "digits": digits, "wording": _WORDING}).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _cut(value: Any) -> Any:
    return value[:_LONGEST_VALUE] if isinstance(value, str) else value
