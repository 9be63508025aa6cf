"""Intake under pressure: the same numbers from both ends, the same key through two doors, batches that hold some orders up."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

from tests.integration.stages.company import Company, order

from tallystick.documents.order import Order
from tallystick.stages.intake import Intake, IntakeAnswer, Submission, submit_orders
from tallystick.store.pool import JsonText


def submission(body: dict[str, Any], key: str | None = None) -> Submission:
    made = Order.model_validate(body)
    text = JsonText(made.model_dump_json(exclude_none=True).encode())
    return Submission(made, text, "channel", hashlib.sha256(text).digest(), key)


async def submit(company: Company, *bodies: dict[str, Any], keys: bool = False) -> list[IntakeAnswer]:
    """Submit a batch through a door of its own."""
    batch = [submission(body, f"key:{body['order_number']}" if keys else None) for body in bodies]
    return await submit_orders(Intake(company.flow), batch)


async def test_batches_with_the_same_numbers_from_both_ends_neither_deadlock_nor_take_one_twice(
    company: Company,
) -> None:
    bodies = [order("1") for _ in range(40)]
    async with asyncio.timeout(30):
        both = await asyncio.gather(submit(company, *bodies), submit(company, *bodies[::-1]))
    by_number: dict[str, list[int]] = {}
    for answers, sent in zip(both, (bodies, bodies[::-1]), strict=True):
        for answer, body in zip(answers, sent, strict=True):
            by_number.setdefault(body["order_number"], []).append(answer.status)
    assert all(sorted(statuses) == [201, 409] for statuses in by_number.values())


async def test_the_same_keys_through_two_doors_at_once_get_the_same_answers(company: Company) -> None:
    bodies = [order("1") for _ in range(20)]
    async with asyncio.timeout(30):
        first, second = await asyncio.gather(
            submit(company, *bodies, keys=True), submit(company, *bodies[::-1], keys=True)
        )
    assert [each.transaction_id for each in first] == [each.transaction_id for each in reversed(second)]
    assert {each.status for each in (*first, *second)} == {201}


async def test_of_one_number_twice_in_a_batch_the_first_is_taken(company: Company) -> None:
    body = order("1")
    first, second = await submit(company, body, body | {"customer_po": "LATE"})
    assert (first.status, second.status) == (201, 409)
    assert second.body["transaction_id"] == str(first.transaction_id)


async def test_every_kept_order_is_audited_with_who_sent_it(company: Company) -> None:
    body = order("1")
    held = order("1", payment_terms="NET10")
    rejected = order("1", customer_id="NOBODY")
    answers = await submit(company, body, held, rejected, body)
    assert [each.status for each in answers] == [201, 201, 422, 409]
    rows = await company.pool.fetch(
        "select principal, action, detail ->> 'decision' as decision from audit_entries where transaction_id = any($1)",
        [each.transaction_id for each in answers[:3]],
    )
    assert {(row["principal"], row["action"], row["decision"]) for row in rows} == {
        ("channel", "order.submit", decision) for decision in ("accept", "hold", "reject")
    }
    assert len(rows) == 3
