"""Two sides of any size with breaks of every class and cause, and the truth about them, made by the engine in one go.

The tests and the benchmark share it. The truth is in a file of its own, which the reconciliation never sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb

TAX_RATES = (7.25, 8.875, 19)
NEW_PRICES = "2025-03-01"
LAST_DAY = "2025-06-29"
FATES = (
    ("missing_right", "not handed over"),
    ("missing_left", "entered outside the flow"),
    ("amount", "rounding rule"),
    ("amount", "tax jurisdiction"),
    ("amount", None),
    ("quantity", "partial shipment not invoiced"),
    ("quantity", "unit of measure"),
    ("quantity", "more invoiced than ordered"),
    ("price", "stale price list"),
    ("price", "price agreed outside the price list"),
    ("currency", "wrong currency code"),
    ("status", "payment not reflected"),
    ("status", "credit hold not propagated"),
    ("party", "missing customer id"),
    ("party", "wrong customer"),
    ("date", "timing or cut-off"),
    ("date", "late posting"),
    ("missing_right", "return outside the finance flow"),
    ("missing_right", "timing or cut-off"),
    ("missing_right", "reference mistyped"),
    ("duplicate", "sent twice"),
    ("duplicate", "number used twice"),
)
"""What can happen to a line: the class and the cause of its break. A mistyped reference makes a second one on the right."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """Where the files are."""

    left: Path
    right: Path
    truth: Path
    """`key`, `side`, `class`, `cause` and `money` (minor units) of each break."""


def seed_breaks(
    folder: Path,
    lines: int,
    *,
    broken: float = 0.2,
    seed: int = 1,
    without: tuple[str, ...] = (),
    form: str = "parquet",
) -> Seeded:
    """Make `lines` order lines and what was invoiced of them, with a share `broken` of them broken, in each way alike.

    `without` names causes to leave out.
    """
    fates = [index for index, (_, cause) in enumerate(FATES) if cause not in without]
    files = Seeded(folder / f"left.{form}", folder / f"right.{form}", folder / "truth.parquet")
    with duckdb.connect() as connection:
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"set temp_directory = '{folder}'")
        connection.execute(f"create view lines as {_lines(lines, round(broken * 1_000_000), fates, seed)}")
        connection.execute(f"create view both_sides as {_BOTH_SIDES}")
        for path, query in ((files.left, _LEFT), (files.right, _RIGHT), (files.truth, _TRUTH)):
            options = "format csv, header true" if path.suffix == ".csv" else "format parquet"
            connection.execute(f"copy ({query}) to '{path}' ({options})")
    return files


def _lines(lines: int, broken: int, fates: list[int], seed: int) -> str:
    """Each line with what will happen to it: `fate` is a position in FATES, or null. Chance is a hash of line and seed."""
    listed = ", ".join(str(each) for each in fates)
    return f"""
    with drawn as (
        select i, hash(i, {seed}, 2) % 500 as item, hash(i, {seed}, 3) as chance_of_day,
            case when hash(i, {seed}) % 1000000 < {broken}
                then [{listed}][(hash(i, {seed}, 1) % {len(fates)} + 1)::int] end as fate
        from range({lines}) t(i)
    ), dated as (
        select *, case
            when fate = 8 then date '{NEW_PRICES}' + (chance_of_day % 100)::int
            when fate in (0, 17, 19) then date '2025-01-05' + (chance_of_day % 150)::int
            when fate = 15 then date '2025-01-28' + (chance_of_day % 3)::int
            when fate = 16 then date '2025-05-01' + (chance_of_day % 10)::int
            when fate = 18 then date '{LAST_DAY}' - (chance_of_day % 3)::int
            else date '2025-01-01' + (chance_of_day % 180)::int end as day,
            (2400 + 24 * (hash(item, {seed}, 6) % 4000))::bigint as old_price,
            (120 + 12 * (hash(item, {seed}, 8) % 40))::bigint as increase
        from drawn
    )
    select *, 'SO-' || lpad((i // 4)::varchar, 9, '0') as order_number, (i % 4 + 1)::int as line_number,
        'C-' || lpad((hash(i // 4, {seed}, 5) % 50000)::varchar, 6, '0') as customer, 'P-' || item as item_number,
        (2 + hash(i, {seed}, 4) % 40)::int as quantity, hash(i, {seed}, 7) as chance,
        case when day < date '{NEW_PRICES}' then old_price else old_price + increase end as price
    from dated
    """


_RATE = f"([{', '.join(str(each) for each in TAX_RATES)}][(chance % {len(TAX_RATES)} + 1)::int])::decimal(6, 3)"
# What the left has, and what became of it on the right.
_BOTH_SIDES = f"""
select *,
    case fate when 11 then 'paid' when 12 then 'hold' else 'shipped' end as left_status,
    case fate when 11 then 'open' when 12 then 'released' else 'shipped' end as right_status,
    case fate when 17 then -quantity else quantity end as left_quantity,
    (case fate when 5 then 1 + chance % (quantity - 1) when 6 then quantity * 12 when 7 then quantity + 1
        else quantity end)::int as right_quantity,
    (case fate when 6 then price // 12 when 8 then old_price when 9 then price + 7 + chance % 5 else price end)::bigint
        as right_price,
    left_quantity * price as left_amount,
    right_quantity * right_price + (case fate
        when 2 then case when chance % 2 = 0 then 1 else -1 end
        when 3 then floor(quantity * price * {_RATE} / 100 + 0.5)
        when 4 then 1311 + chance % 700
        else 0 end)::bigint as right_amount
from lines
"""
_LEFT = """
select order_number, line_number, customer, item_number, day, left_status as status, left_quantity as quantity,
    (price / 100)::decimal(12, 2) as unit_price, left_amount as amount, 'USD' as currency
from both_sides where fate is distinct from 1
"""
_RIGHT = """
select case when fate = 19 then replace(order_number, 'SO', 'S0') else order_number end as order_number, line_number,
    case fate when 13 then null when 14 then 'X' || customer else customer end as customer, item_number,
    (case fate when 15 then date '2025-02-10' when 16 then day + 15 + (chance % 4)::int
        else day + (chance % 2)::int end)::date as day,
    right_status as status, right_quantity as quantity, (right_price / 100)::decimal(12, 2) as unit_price,
    right_amount as amount, case when fate = 10 then 'EUR' else 'USD' end as currency
from both_sides where fate is null or fate not in (0, 17, 18)
union all
select order_number, line_number, customer, item_number, day, right_status,
    case fate when 20 then right_quantity else 1 end, (right_price / 100)::decimal(12, 2),
    case fate when 20 then right_amount else right_amount + 100000 end, 'USD'
from both_sides where fate in (20, 21)
"""
_NAMES = ", ".join(f"('{kind}', {'null' if cause is None else repr(cause)})" for kind, cause in FATES)
_TRUTH = f"""
with named as (
    select b.*, order_number || '|' || line_number as key, [{_NAMES}][fate + 1] as name from both_sides b where fate is not null
)
select key, case fate when 1 then 'right' when 20 then 'right' when 21 then 'right'
        when 0 then 'left' when 17 then 'left' when 18 then 'left' when 19 then 'left' else 'both' end as side,
    name[1] as class, name[2] as cause,
    case when fate in (0, 10, 11, 12, 13, 14, 15, 17, 18, 19) then abs(left_amount) when fate = 16 then 0
        when fate in (1, 20) then abs(right_amount) when fate = 21 then right_amount + 100000
        else abs(left_amount - right_amount) end as money
from named
union all
select replace(order_number, 'SO', 'S0') || '|' || line_number, 'right', 'missing_left', 'reference mistyped', abs(right_amount)
from both_sides where fate = 19
"""

RULES = f"""
name = "seeded breaks"
tax_rates = {list(TAX_RATES)}

[left]
name = "sales"
[left.columns]
key = ["order_number", "line_number"]
party = "customer"
item = "item_number"
date = "day"
status = "status"
quantity = "quantity"
price = "unit_price"
amount = {{ column = "amount", minor = true }}
currency = "currency"

[right]
name = "finance"
[right.columns]
key = ["order_number", "line_number"]
party = "customer"
item = "item_number"
date = "day"
status = "status"
quantity = "quantity"
price = "unit_price"
amount = {{ column = "amount", minor = true }}
currency = "currency"

[[match]]
name = "same line"
days = {{ before = 0, after = 5 }}
"""
