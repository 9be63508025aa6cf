"""The tax kit: subclass TaxConformance with a `scenario` fixture; a calculation stores nothing and is simply asked again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from tallystick.documents.order import Order, OrderLine
from tallystick.documents.party import Address, Customer
from tallystick.systems.conformance.accepted import connected
from tallystick.systems.conformance.proxy import RETRY_AFTER_SECONDS, Fault, FaultProxy
from tallystick.systems.conformance.verdicts import failed, only, show_no_secrets, succeeded
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable
from tallystick.systems.ports import Operation, Role, Tax


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxScenario:
    """A tax service that runs, and addresses it knows. See RequestScenario for what it shares with it."""

    url: str
    connect: Callable[[str, float], Any]
    product_id: str
    taxed: Address
    """An address where the product is taxed."""
    jurisdiction: str
    """What the service calls that address's jurisdiction."""
    unknown: Address | None = None
    """An address the service has no answer for."""
    exempt: Customer | None = None
    """A customer with a valid exemption there."""
    secrets: tuple[str, ...] = ()
    timeout: float = 15.0
    short_timeout: float = 1.0

    def order(self, *quantities: int, ship_to: Address | None = None, customer_id: str = "CONFORMANCE") -> Order:
        """An order of some lines at 10.00, to the taxed address unless another is named."""
        return Order(
            channel="conformance",
            order_number=f"C-{uuid4().hex[:16]}",
            customer_id=customer_id,
            currency="USD",
            ordered_at=datetime.now(UTC) - timedelta(minutes=1),
            ship_to=ship_to or self.taxed,
            lines=tuple(
                OrderLine(
                    line_number=number,
                    product_id=self.product_id,
                    quantity=Decimal(quantity),
                    unit_price=Decimal("10.00"),
                )
                for number, quantity in enumerate(quantities, start=1)
            ),
        )


_NOBODY: Mapping[str, Customer] = {}


class TaxConformance:
    """Everything a connector to a tax service must pass."""

    @pytest_asyncio.fixture
    async def tax(self, scenario: TaxScenario) -> AsyncIterator[Any]:
        """A connector to the service itself."""
        async with connected(scenario, scenario.url, scenario.timeout) as tax:
            yield tax

    async def test_it_declares_what_it_is_and_can(self, tax: Any) -> None:
        assert isinstance(tax, Tax), "it lacks a method of the Tax port"
        assert Role.TAX in tax.capabilities.roles
        assert Operation.CALCULATE_TAX in tax.capabilities.operations
        assert (await tax.check_health()).ok

    async def test_the_lines_tax_adds_up_to_the_orders(self, tax: Any, scenario: TaxScenario) -> None:
        answer = only(await tax.calculate_tax([scenario.order(1, 2, 7)], _NOBODY))
        assert answer.total_amount > 0
        assert answer.jurisdiction == scenario.jurisdiction
        assert not answer.exempt
        assert set(answer.by_line) == {1, 2, 3}
        assert sum(answer.by_line.values()) == answer.total_amount

    async def test_the_same_order_has_the_same_tax(self, tax: Any, scenario: TaxScenario) -> None:
        order = scenario.order(3, 4)
        first = only(await tax.calculate_tax([order], _NOBODY))
        assert only(await tax.calculate_tax([order], _NOBODY)) == first

    async def test_a_batch_is_answered_order_by_order(self, tax: Any, scenario: TaxScenario) -> None:
        orders = [scenario.order(quantity) for quantity in (1, 30, 2, 40)]
        answers = succeeded(await tax.calculate_tax(orders, _NOBODY))
        alone = [only(await tax.calculate_tax([order], _NOBODY)) for order in orders]
        assert list(answers) == alone
        assert list(await tax.calculate_tax([], _NOBODY)) == []

    async def test_it_takes_as_many_calls_at_once_as_it_says(self, tax: Any, scenario: TaxScenario) -> None:
        orders = [scenario.order(quantity + 1) for quantity in range(tax.capabilities.concurrency)]
        answers = await asyncio.gather(*(tax.calculate_tax([order], _NOBODY) for order in orders))
        assert [only(answer) for answer in answers] == succeeded(await tax.calculate_tax(orders, _NOBODY))

    async def test_an_address_nobody_knows_is_rejected_alone(self, tax: Any, scenario: TaxScenario) -> None:
        if scenario.unknown is None:
            pytest.skip("the scenario has no unknown address")
        orders = [scenario.order(1), scenario.order(1, ship_to=scenario.unknown), scenario.order(1)]
        answers = await tax.calculate_tax(orders, _NOBODY)
        assert [isinstance(each, Rejected) for each in answers] == [False, True, False], answers
        succeeded([answers[0], answers[2]])

    async def test_an_exempt_customer_pays_none(self, tax: Any, scenario: TaxScenario) -> None:
        if scenario.exempt is None:
            pytest.skip("the scenario has no exempt customer")
        order = scenario.order(3, customer_id=scenario.exempt.id)
        answer = only(await tax.calculate_tax([order], {scenario.exempt.id: scenario.exempt}))
        assert (answer.total_amount, answer.exempt) == (0, True)

    async def test_a_service_that_is_away_is_unavailable_until_it_comes_back(self, scenario: TaxScenario) -> None:
        async with FaultProxy(scenario.url) as proxy, connected(scenario, proxy.url, scenario.timeout) as tax:
            await proxy.leave()
            orders = [scenario.order(1), scenario.order(2)]
            show_no_secrets(failed(await tax.calculate_tax(orders, _NOBODY), Unavailable), scenario.secrets)
            assert not (await tax.check_health()).ok
            await proxy.come_back()
            succeeded(await tax.calculate_tax(orders, _NOBODY))

    @pytest.mark.parametrize(("fault", "kind"), [(Fault.THROTTLED, Throttled), (Fault.UNAVAILABLE, Unavailable)])
    async def test_a_service_that_asks_for_a_pause_gets_it(
        self, scenario: TaxScenario, fault: Fault, kind: type[Failure]
    ) -> None:
        async with FaultProxy(scenario.url) as proxy, connected(scenario, proxy.url, scenario.timeout) as tax:
            proxy.strike(fault)
            failures = failed(await tax.calculate_tax([scenario.order(1)], _NOBODY), kind)
            assert failures[0].retry_after == RETRY_AFTER_SECONDS
            show_no_secrets(failures, scenario.secrets)

    @pytest.mark.parametrize(
        "fault",
        [Fault.LOST_AFTER, Fault.SILENT_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE_AFTER, Fault.TRUNCATED_AFTER],
    )
    async def test_since_nothing_is_stored_no_outcome_is_unknown(self, scenario: TaxScenario, fault: Fault) -> None:
        async with FaultProxy(scenario.url) as proxy, connected(scenario, proxy.url, scenario.short_timeout) as tax:
            proxy.strike(fault)
            order = scenario.order(1)
            show_no_secrets(failed(await tax.calculate_tax([order], _NOBODY), Transient), scenario.secrets)
            proxy.heal()
            only(await tax.calculate_tax([order], _NOBODY))
