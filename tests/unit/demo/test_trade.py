from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tallystick.demo.trade import Trouble, make_trade
from tallystick.demo.wholesale import Wholesale, make_wholesale


@pytest.fixture(scope="module")
def wholesale(tmp_path_factory: pytest.TempPathFactory) -> Wholesale:
    return make_wholesale(Path(tmp_path_factory.mktemp("tpch")), 60, 3)


def test_the_same_seed_draws_the_same_orders(wholesale: Wholesale, tmp_path: Path) -> None:
    again = make_wholesale(tmp_path, 60, 3)
    assert [order.key for order in again.orders] == [order.key for order in wholesale.orders]
    assert [order.key for order in make_wholesale(tmp_path, 60, 4).orders] != [order.key for order in again.orders]


def test_every_kind_of_trouble_comes_and_most_orders_have_none(wholesale: Wholesale) -> None:
    troubles = Counter(sale.trouble for sale in make_trade(wholesale, 3).sales)
    assert set(troubles) == {None, *Trouble}
    assert troubles[None] > 40


def test_orders_without_trouble_fit_the_masters_that_are_loaded(wholesale: Wholesale) -> None:
    trade = make_trade(wholesale, 3)
    masters = trade.masters
    customers = {customer.id: customer for customer in masters.customers}
    contracts = {(price.customer_id, price.product_id): price.unit_price for price in masters.contract_prices}
    for sale in trade.sales:
        if sale.trouble is not None:
            continue
        order = sale.order
        assert order.ship_to in customers[order.customer_id].ship_to
        assert order.total_amount == order.net_amount + (order.tax_amount or 0)
        assert order.total_amount <= masters.credit_limits[order.customer_id]
        for line in order.lines:
            agreed = contracts.get((order.customer_id, line.product_id), masters.list_prices[line.product_id])
            assert line.unit_price == agreed
            assert line.quantity <= masters.stock[line.product_id]


def test_orders_with_trouble_do_not_fit(wholesale: Wholesale) -> None:
    trade = make_trade(wholesale, 3)
    masters = trade.masters
    customers = {customer.id: customer for customer in masters.customers}
    for sale in trade.sales:
        order, first = sale.order, sale.order.lines[0]
        match sale.trouble:
            case Trouble.UNKNOWN_CUSTOMER:
                assert order.customer_id not in customers
            case Trouble.STALE_PRICE:
                assert sale.corrected is not None
                assert first.unit_price < sale.corrected.lines[0].unit_price
            case Trouble.OVER_CREDIT_LIMIT:
                assert (order.total_amount or 0) > masters.credit_limits[order.customer_id]
            case Trouble.UNKNOWN_SHIP_TO:
                assert order.ship_to not in customers[order.customer_id].ship_to
            case Trouble.NOT_ENOUGH_STOCK:
                assert first.quantity > masters.stock[first.product_id]
