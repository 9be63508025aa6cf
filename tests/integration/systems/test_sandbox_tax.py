from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from tests.integration.systems.sandbox_servers import make_order

from tallystick.documents.party import Address, Customer
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable
from tallystick.systems.ports import Tax, TaxAnswer
from tallystick.systems.registry import connect


@pytest.fixture(scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("sandbox")) as sandbox:
        rates = {"US-CA": "0.0725", "US-NY": "0.04", "DE": "0.19"}
        await sandbox.start(ServerPlan("tax", settings={"rates": rates, "default_rate": None}))
        yield sandbox


@pytest.fixture
async def tax(sandbox: Sandbox) -> AsyncIterator[Tax]:
    server = sandbox.servers["tax"]
    await sandbox.put_faults("tax", {})
    options = {"url": server.url, "token": server.token, "read_timeout": 0.5, "batch_size": 50}
    system = connect("tax", "sandbox_tax", options)
    assert isinstance(system, Tax)
    yield system
    await system.close()


def customer(**fields: object) -> dict[str, Customer]:
    return {"C-1": Customer.model_validate({"id": "C-1", "name": "Corner Shop", **fields})}


async def test_each_line_is_rounded_and_the_total_is_their_sum(tax: Tax) -> None:
    order = make_order("X-1", 1, 2, 3, price="0.99")
    (answer,) = await tax.calculate_tax([order], {})
    assert answer == TaxAnswer(7 + 14 + 22, "US-CA", {1: 7, 2: 14, 3: 22})


async def test_answers_stand_in_the_orders_order_over_several_calls(tax: Tax) -> None:
    orders = [make_order(f"X-{index}", index, region=("CA", "NY")[index % 2]) for index in range(1, 121)]
    answers = await tax.calculate_tax(orders, {})
    expected = [index * 1000 * (4_00 if index % 2 else 7_25) // 100_00 for index in range(1, 121)]
    assert [abs(answer.total_amount - amount) <= 1 for answer, amount in zip(answers, expected, strict=True)
            if isinstance(answer, TaxAnswer)] == [True] * 120  # fmt: skip


async def test_the_country_goes_for_a_region_without_a_rate(tax: Tax) -> None:
    order = make_order("X-2", 10).model_copy(update={"ship_to": Address(country="DE", region="BE")})
    (answer,) = await tax.calculate_tax([order], {})
    assert isinstance(answer, TaxAnswer)
    assert (answer.jurisdiction, answer.total_amount) == ("DE", 19_00)


async def test_an_unknown_jurisdiction_is_rejected_and_the_others_are_answered(tax: Tax) -> None:
    answers = await tax.calculate_tax([make_order("X-3", region="ZZ"), make_order("X-4")], {})
    assert isinstance(answers[0], Rejected)
    assert answers[0].code == "tax.unknown_jurisdiction"
    assert isinstance(answers[1], TaxAnswer)


async def test_goods_that_the_service_does_not_tax_are_free_of_it_and_the_other_lines_are_not(
    tax: Tax, sandbox: Sandbox
) -> None:
    order = make_order("X-8", 1, 2)
    free = order.lines[0].model_copy(update={"product_id": "BOOK"})
    mixed = order.model_copy(update={"lines": (free, order.lines[1])})
    answers: list[TaxAnswer | Failure] = []
    for method in ("PUT", "DELETE"):
        await sandbox.call("tax", method, "/untaxed/BOOK")
        answers += await tax.calculate_tax([mixed], {})
    assert answers == [
        TaxAnswer(1_45, "US-CA", {1: 0, 2: 1_45}),
        TaxAnswer(73 + 1_45, "US-CA", {1: 73, 2: 1_45}),
    ]


async def test_an_exempt_customer_pays_none_until_the_exemption_expires(tax: Tax) -> None:
    order = make_order("X-5")  # of 1 March 2026
    valid = customer(tax_exempt=True, exemption_expires_at=datetime(2026, 3, 1, tzinfo=UTC))
    expired = customer(tax_exempt=True, exemption_expires_at=datetime(2026, 2, 28, tzinfo=UTC))
    (exempt,) = await tax.calculate_tax([order], valid)
    (taxed,) = await tax.calculate_tax([order], expired)
    assert exempt == TaxAnswer(0, "US-CA", {1: 0}, exempt=True)
    assert taxed == TaxAnswer(7_25, "US-CA", {1: 7_25})


async def test_without_a_ship_to_the_customers_first_counts_and_without_any_it_is_rejected(tax: Tax) -> None:
    order = make_order("X-6", region=None)
    known = customer(ship_to=[{"country": "US", "region": "NY"}, {"country": "US", "region": "CA"}])
    (answer,) = await tax.calculate_tax([order], known)
    (nowhere,) = await tax.calculate_tax([order], {})
    assert isinstance(answer, TaxAnswer)
    assert answer.jurisdiction == "US-NY"
    assert isinstance(nowhere, Rejected)
    assert nowhere.code == "tax.no_jurisdiction"


async def test_a_ship_to_by_its_id_alone_takes_the_customers_address(tax: Tax) -> None:
    order = make_order("X-7").model_copy(update={"ship_to": Address(id="A-2")})
    known = customer(ship_to=[{"id": "A-1", "region": "CA"}, {"id": "A-2", "region": "NY"}])
    (answer,) = await tax.calculate_tax([order], known)
    assert isinstance(answer, TaxAnswer)
    assert answer.jurisdiction == "US-NY"


async def test_a_stale_jurisdiction_answers_by_its_old_rate_until_it_is_fresh(tax: Tax, sandbox: Sandbox) -> None:
    await sandbox.call("tax", "PUT", "/rates/US-NY", {"rate": "0.05"})
    order = make_order("X-8", region="NY")
    amounts = []
    for method, path in (("GET", "/rates"), ("PUT", "/stale/US-NY"), ("DELETE", "/stale/US-NY")):
        await sandbox.call("tax", method, path, {"version": 1} if method == "PUT" else None)
        (answer,) = await tax.calculate_tax([order], {})
        assert isinstance(answer, TaxAnswer)
        amounts.append(answer.total_amount)
    assert amounts == [5_00, 4_00, 5_00]
    with pytest.raises(Exception, match="422"):
        await sandbox.call("tax", "PUT", "/stale/US-NY", {"version": 9})
    await sandbox.call("tax", "PUT", "/rates/US-NY", {"rate": "0.04"})


async def test_changed_rates_outlive_a_kill(tax: Tax, sandbox: Sandbox) -> None:
    await sandbox.call("tax", "PUT", "/rates/FR", {"rate": "0.20"})
    await sandbox.kill("tax")
    (away,) = await tax.calculate_tax([make_order("X-9")], {})
    assert isinstance(away, Failure)
    await sandbox.restart("tax")
    order = make_order("X-10").model_copy(update={"ship_to": Address(country="FR")})
    (answer,) = await tax.calculate_tax([order], {})
    assert isinstance(answer, TaxAnswer)
    assert answer.total_amount == 20_00


@pytest.mark.parametrize(
    ("faults", "failure"),
    [
        ({"late_answers": {"rate": 1, "seconds": 5}}, Transient),
        ({"errors": {"rate": 1}}, Transient),
        ({"garbage": {"rate": 1}}, Transient),
        ({"throttles": {"rate": 1}}, Throttled),
        ({"outages": [{"for_seconds": 60}]}, Unavailable),
    ],
    ids=["timeout", "error", "garbage", "throttle", "outage"],
)
async def test_a_fault_is_never_an_unknown_outcome_since_nothing_is_stored(
    tax: Tax, sandbox: Sandbox, faults: dict[str, object], failure: type[Failure]
) -> None:
    await sandbox.put_faults("tax", faults)
    answers = await tax.calculate_tax([make_order("X-11"), make_order("X-12")], {})
    assert [type(answer) for answer in answers] == [failure, failure]
