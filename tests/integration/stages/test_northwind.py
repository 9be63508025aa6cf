"""All of Northwind through the whole chain into the ERP: what was ordered is what was invoiced, to the cent.

Its prices moved over three years, so they are agreed here: the price check is tests/integration/checks/test_northwind.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.integration.checks.test_northwind import DATA, FREIGHT, NET, northwind_orders, rows
from tests.integration.stages.company import Company, until
from tests.integration.systems.sandbox_erp_masters import load

from tallystick.documents.money import format_minor
from tallystick.stages.intake import Intake, Submission, submit_orders

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the Northwind data is not beside this repository ({DATA})")
TOTAL = "1330735.98"


async def load_northwind(company: Company) -> None:
    """Its customers without limit, and its products in plenty."""
    customers = [{"id": row["CustomerID"], "name": row["CompanyName"]} for row in rows("customers")]
    products = [{"id": row["ProductID"], "name": row["ProductName"]} for row in rows("products")]
    await load(company.sandbox, "erp", "customers", *customers)
    await load(company.sandbox, "erp", "products", *products)
    await load(
        company.sandbox, "erp", "stock", *({"product_id": each["id"], "on_hand": "1000000"} for each in products)
    )
    query = "select count(*) from replica_stock where product_id = any($1::text[])"
    known = [each["id"] for each in products]
    await until(lambda: company.pool.fetchval(query, known), lambda count: count == len(products))


async def submit_all(company: Company) -> None:
    """Submit all orders in batches, as a file would come in."""
    orders = [each.model_copy(update={"entity": "agreed"}) for each in northwind_orders()]
    batches: Sequence[Any] = [orders[start : start + 100] for start in range(0, len(orders), 100)]
    for batch in batches:
        submissions = [
            Submission(each, each.model_dump(mode="json", exclude_none=True), "northwind", b"") for each in batch
        ]
        answers = await submit_orders(Intake(company.flow), submissions)
        assert {answer.body["decision"] for answer in answers} == {"accept"}, answers


async def invoiced(company: Company) -> int:
    count: int = await company.pool.fetchval(
        "select count(*) from transactions where entity = 'agreed' and invoicing = 'complete'"
    )
    return count


async def test_all_830_orders_go_through_and_tie_out_with_the_erps_books(company: Company) -> None:
    await load_northwind(company)
    await submit_all(company)
    await until(lambda: invoiced(company), lambda count: count == 830, seconds=90)
    row = await company.pool.fetchrow(
        "select sum(ordered_amount)::bigint, sum(shipped_amount)::bigint, sum(invoiced_amount)::bigint from transactions "
        "where entity = 'agreed'"
    )
    assert row is not None
    ordered, shipped, billed = (format_minor(each, "USD") for each in row)
    assert (ordered, shipped, billed) == (TOTAL, NET, TOTAL)
    lines = await company.pool.fetch(
        """
        select line ->> 'line_number' is null as charge, sum((line ->> 'amount')::bigint)::bigint as amount
        from documents d join transactions t on t.id = d.transaction_id, jsonb_array_elements(d.body -> 'lines') as line
        where t.entity = 'agreed' and d.type = 'invoice' group by 1
        """
    )
    by_kind = {each["charge"]: format_minor(each["amount"], "USD") for each in lines}
    assert by_kind == {False: NET, True: FREIGHT}
    assert await company.pool.fetchval("select count(*) from exceptions where entity = 'agreed'") == 0
    assert await erp_total(company) == TOTAL


async def erp_total(company: Company) -> str:
    """What the ERP itself has invoiced of the orders' numbers, each reference once."""
    references = await company.pool.fetch(
        "select our_number from cross_references where entity = 'agreed' and kind = 'invoice'"
    )
    ours = {each["our_number"] for each in references}
    found: dict[str, int] = {}
    after: int | None = 0
    while after is not None:
        page = await company.sandbox.call("erp", "POST", "/v1/books/search", {"after": after, "limit": 1000})
        for each in page["items"]:
            if each["kind"] == "invoice" and each["reference"] in ours:
                assert each["reference"] not in found
                found[each["reference"]] = each["net_amount"]
        after = page["next"]
        await asyncio.sleep(0)
    assert len(found) == 830
    return format_minor(sum(found.values()), "USD")
