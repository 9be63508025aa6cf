"""The ERP kit: what the connector declares, and that its reads tell the truth and leave unknown ids out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tallystick.systems.conformance.erp_desk import ErpDesk, needs
from tallystick.systems.conformance.erp_scenario import UNKNOWN, Desk
from tallystick.systems.ports import Changes, Erp, Operation, PriceQuery, Role

REQUIRED = frozenset(
    {
        Operation.READ_CUSTOMERS,
        Operation.COMMIT_ORDER,
        Operation.CANCEL_ORDER,
        Operation.RECORD_SHIPMENT,
        Operation.INVOICE_SHIPMENT,
        Operation.RECORD_PAYMENT,
        Operation.READ_BOOKS,
    }
)
"""Without these an ERP cannot take an order to its end; what else a connector declares is tested when it is declared."""
_MOST_PAGES = 10_000


async def all_changes(erp: Erp, cursor: str | None = None) -> tuple[set[tuple[str, str]], str]:
    """(kind, key) of every change after a cursor, page by page, and the cursor behind the last."""
    seen: set[tuple[str, str]] = set()
    for _ in range(_MOST_PAGES):
        page: Changes = await erp.read_changes(cursor)
        seen |= {(change.kind, change.key) for change in page.changes}
        assert not page.more or page.cursor != cursor, "a page with more behind it must move the cursor"
        cursor = page.cursor
        if not page.more:
            return seen, cursor
    raise AssertionError(f"the change feed does not end within {_MOST_PAGES} pages")


class ErpReads(ErpDesk):
    """Capabilities, health, masters, stock, credit, change feed, books."""

    async def test_it_declares_what_it_is_and_can(self, desk: Desk) -> None:
        capabilities = desk.erp.capabilities
        assert isinstance(desk.erp, Erp), "it lacks a method of the Erp port"
        assert Role.ERP in capabilities.roles
        assert not REQUIRED - capabilities.operations, "an ERP that cannot do these cannot take an order to its end"
        assert capabilities.batch_size >= 1
        assert capabilities.concurrency >= 1
        assert desk.erp.name

    async def test_health_is_good_while_the_system_runs(self, desk: Desk) -> None:
        health = await desk.erp.check_health()
        assert health.ok, health.detail
        assert health.latency_ms > 0

    async def test_customers_come_by_id_and_unknown_ones_are_absent(self, desk: Desk) -> None:
        wanted = desk.scenario.customer_id
        found = await desk.erp.read_customers([wanted, UNKNOWN, wanted])
        assert set(found) == {wanted}
        assert found[wanted].id == wanted
        assert found[wanted].currency == desk.scenario.currency
        assert await desk.erp.read_customers([]) == {}

    async def test_products_come_by_id_and_unknown_ones_are_absent(self, desk: Desk) -> None:
        needs(desk, Operation.READ_PRODUCTS)
        wanted = desk.scenario.product_ids
        found = await desk.erp.read_products([*wanted, UNKNOWN])
        assert set(found) == set(wanted)
        assert all(found[each].unit == desk.scenario.unit for each in wanted)

    async def test_prices_answer_each_query_in_order(self, desk: Desk) -> None:
        needs(desk, Operation.READ_PRICES)
        first, second = desk.scenario.product_ids
        today = datetime.now(UTC).date()
        customer = desk.scenario.customer_id
        queries = [PriceQuery(customer, each, today) for each in ((first,), (UNKNOWN,), (second, first), ())]
        found = await desk.erp.read_prices(queries)
        assert len(found) == len(queries)
        for query, prices in zip(queries, found, strict=True):
            assert {price.product_id for price in prices} == set(query.product_ids) - {UNKNOWN}
            assert all(price.customer_id in (None, customer) for price in prices), "somebody else's price"
        repeated = await desk.erp.read_prices([queries[0]])
        assert list(repeated[0]) == list(found[0])

    async def test_stock_falls_by_what_an_order_promises(self, desk: Desk) -> None:
        needs(desk, Operation.READ_STOCK)
        product = desk.scenario.product_ids[0]
        before = {level.warehouse: level.available for level in await desk.erp.read_stock([product, UNKNOWN])}
        assert sum(before.values()) > 100, "the scenario's products must be in stock"
        await desk.commit(7, product=product)
        levels = await desk.erp.read_stock([product])
        assert {level.product_id for level in levels} == {product}
        assert sum(before.values()) - sum(level.available for level in levels) == 7

    async def test_credit_counts_a_committed_order(self, desk: Desk) -> None:
        needs(desk, Operation.READ_CREDIT)
        customer = desk.scenario.customer_id
        before = (await desk.erp.read_credit([customer, UNKNOWN]))[customer]
        command = await desk.commit(5)
        found = await desk.erp.read_credit([customer])
        assert set(found) == {customer}
        grown = found[customer].open_orders + found[customer].open_invoices - before.open_orders - before.open_invoices
        assert grown >= command.order.net_amount

    async def test_the_change_feed_starts_with_everything(self, desk: Desk) -> None:
        needs(desk, Operation.READ_CHANGES)
        seen, _ = await all_changes(desk.erp)
        assert ("customer", desk.scenario.customer_id) in seen
        assert {("product", each) for each in desk.scenario.product_ids} <= seen

    async def test_the_change_feed_names_what_changed_since(self, desk: Desk) -> None:
        needs(desk, Operation.READ_CHANGES)
        if desk.scenario.change_master is None:
            pytest.skip("the scenario cannot change a master")
        _, cursor = await all_changes(desk.erp)
        changed = await desk.scenario.change_master()
        seen, later = await all_changes(desk.erp, cursor)
        assert changed in seen
        again, _ = await all_changes(desk.erp, cursor)
        assert seen <= again, "asking again from the same cursor must not lose a change"
        assert changed not in (await all_changes(desk.erp, later))[0] or later != cursor

    async def test_a_change_between_two_pages_is_not_missed(self, desk: Desk) -> None:
        needs(desk, Operation.READ_CHANGES)
        if desk.scenario.change_master is None:
            pytest.skip("the scenario cannot change a master")
        complete, _ = await all_changes(desk.erp)
        first = await desk.erp.read_changes(None)
        changed = await desk.scenario.change_master()
        rest, _ = await all_changes(desk.erp, first.cursor)
        seen = {(change.kind, change.key) for change in first.changes} | rest
        assert changed in rest
        assert complete <= seen, f"missed across a page boundary: {sorted(complete - seen)[:5]}"

    async def test_the_books_show_a_whole_chain_with_our_references(self, desk: Desk) -> None:
        started = datetime.now(UTC) - timedelta(days=1)
        command, invoice = await desk.invoiced(2, 3)
        payment = desk.payment(invoice.total_amount, invoice)
        await desk.erp.record_payments([payment])
        entries = {
            (each.kind, each.reference): each
            for each in await desk.erp.read_books(started)
            if each.order_reference == command.reference or each.reference == payment.reference
        }
        order = entries["order", command.reference]
        assert (order.net_amount, order.currency) == (command.order.net_amount, desk.scenario.currency)
        assert order.customer_id == desk.scenario.customer_id
        invoices = [each for (kind, _), each in entries.items() if kind == "invoice"]
        assert [(each.system_reference, each.total_amount) for each in invoices] == [
            (invoice.number, invoice.total_amount)
        ]
        assert entries["payment", payment.reference].total_amount == invoice.total_amount

    async def test_the_books_since_later_leave_out_what_was_before(self, desk: Desk) -> None:
        command = await desk.commit(1)
        later = await desk.erp.read_books(datetime.now(UTC) + timedelta(days=3))
        assert command.reference not in {each.reference for each in later}
