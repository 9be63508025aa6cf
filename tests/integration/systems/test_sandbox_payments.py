from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.integration.systems.sandbox_servers import Hub, serve_hub

from tallystick.documents.invoice import Invoice
from tallystick.documents.payment import Payment
from tallystick.sandbox.launch import Sandbox, ServerPlan
from tallystick.systems.failure import Rejected, Unknown
from tallystick.systems.ports import Accepted, PaymentRequest, Payments
from tallystick.systems.registry import connect


@pytest.fixture(scope="module")
async def hub() -> AsyncIterator[Hub]:
    async for hub in serve_hub():
        yield hub


@pytest.fixture(scope="module")
async def sandbox(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sandbox]:
    async with Sandbox(tmp_path_factory.mktemp("sandbox"), seed=7, hub_url=hub.url) as sandbox:
        await sandbox.start(ServerPlan("payments", name="bank", settings={"late_seconds": 0.1}))
        server = sandbox.servers["bank"]
        hub.secrets[server.event_source] = server.event_secret
        yield sandbox


@pytest.fixture
async def payments(sandbox: Sandbox) -> AsyncIterator[Payments]:
    server = sandbox.servers["bank"]
    await sandbox.put_faults("bank", {})
    system = connect("bank", "sandbox_payments", {"url": server.url, "token": server.token, "read_timeout": 1.0})
    assert isinstance(system, Payments)
    yield system
    await system.close()


def request(number: str, total: int = 10_00, currency: str = "USD", *, verify: bool = False) -> PaymentRequest:
    invoice = Invoice(
        number=f"INV-{number}",
        currency=currency,
        invoice_date=date(2026, 3, 1),
        lines=(),
        net_amount=total,
        tax_amount=0,
        total_amount=total,
    )
    return PaymentRequest(f"TS-{number}-P-INV-{number}", "C-1", invoice, number, f"T-{number}", verify)


async def pays(
    payments: Payments, hub: Hub, sandbox: Sandbox, number: str, count: int, plan: dict[str, Any]
) -> list[int]:
    """The amounts of an invoice's first `count` payments under such a plan; the invoice is over 10.01."""
    await sandbox.call("bank", "PUT", f"/plans/{number}", plan)
    (answer,) = await payments.request_payments([request(number, 10_01)])
    assert isinstance(answer, Accepted)
    while len(hub.of(f"T-{number}")) < count:
        await hub.wait_for(len(hub.events) + 1)
    paid = [Payment.model_validate(event["data"]) for event in hub.of(f"T-{number}")]
    assert {(each.invoice_number, each.customer_id) for each in paid} == {(f"INV-{number}", "C-1")}
    return [each.amount for each in paid]


@pytest.mark.parametrize(
    ("plan", "amounts"),
    [
        ({"kind": "full"}, [10_01]),
        ({"kind": "short"}, [9_01]),
        ({"kind": "short", "difference": 3}, [9_98]),
        ({"kind": "over", "fraction": "0.5"}, [15_02]),
        ({"kind": "late", "late_seconds": 0.2}, [10_01]),
        ({"kind": "two_parts", "late_seconds": 0.05}, [5_00, 5_01]),
    ],
)
async def test_customers_pay_as_planned(
    payments: Payments, hub: Hub, sandbox: Sandbox, plan: dict[str, Any], amounts: list[int]
) -> None:
    number = f"P-{'-'.join(str(value) for value in plan.values())}"
    assert await pays(payments, hub, sandbox, number, len(amounts), plan) == amounts


async def test_the_same_reference_is_paid_once(payments: Payments, hub: Hub, sandbox: Sandbox) -> None:
    (first,) = await payments.request_payments([request("O-1")])
    assert isinstance(first, Accepted)
    again = await payments.request_payments([request("O-1"), request("O-1", verify=True), request("O-1")])
    assert again == [replace(first, already_there=True)] * 3
    await pays(payments, hub, sandbox, "O-2", 1, {"kind": "full", "delay_seconds": 0.3})
    assert len(hub.of("T-O-1")) == 1


async def test_a_reference_used_for_another_amount_is_rejected(payments: Payments) -> None:
    await payments.request_payments([request("O-3")])
    (answer,) = await payments.request_payments([request("O-3", 11_00)])
    assert isinstance(answer, Rejected)
    assert answer.code == "payments.reference_reused"


async def test_nothing_is_paid_on_an_invoice_over_nothing_or_never(
    payments: Payments, hub: Hub, sandbox: Sandbox
) -> None:
    await sandbox.call("bank", "PUT", "/plans/O-5", {"kind": "never"})
    await payments.request_payments([request("O-4", 0), request("O-5")])
    await pays(payments, hub, sandbox, "O-6", 1, {"kind": "full", "delay_seconds": 0.3})
    assert hub.of("T-O-4") == hub.of("T-O-5") == []


async def test_a_wrong_item_does_not_harm_the_others_of_its_batch(payments: Payments) -> None:
    wrong = replace(request("O-8"), customer_id="x" * 65)
    answers = await payments.request_payments([request("O-7"), wrong, request("O-9")])
    assert [type(answer) for answer in answers] == [Accepted, Rejected, Accepted]


async def test_a_lost_answer_is_unknown_and_found_by_the_next_try(payments: Payments, sandbox: Sandbox) -> None:
    await sandbox.put_faults("bank", {"late_answers": {"rate": 1, "limit": 1, "seconds": 30}})
    (lost,) = await payments.request_payments([request("O-10")])
    assert isinstance(lost, Unknown)
    (found,) = await payments.request_payments([request("O-10", verify=True)])
    assert isinstance(found, Accepted)
    assert found.already_there


async def test_a_killed_gateway_collects_after_its_restart_what_it_had_taken(
    payments: Payments, hub: Hub, sandbox: Sandbox
) -> None:
    await sandbox.call("bank", "PUT", "/simulation", {"delay_seconds": 0.5})
    await payments.request_payments([request(f"K-{index}") for index in range(10)])
    await sandbox.kill("bank")
    before = len(hub.events)
    await sandbox.restart("bank")
    await hub.wait_for(before + 10)
    assert all(len(hub.of(f"T-K-{index}")) == 1 for index in range(10))
    listed = await sandbox.call("bank", "GET", "/v1/payments?limit=1000")
    assert len({each["number"] for each in listed["items"]}) == len(listed["items"])
