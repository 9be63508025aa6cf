"""What failed for good: its exception tells the whole story, and it is retried, amended, rejected, resolved or given up."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tests.integration.stages.company import Company, add_customer, order, until

NO_INVOICES = {"errors": {"every": 1, "path_prefix": "/v1/invoices"}}
# Orders are made, but their answers are lost, and the ERP can't be asked for them.
LOST_ORDERS = {
    "drops": {"every": 1, "path_prefix": "/v1/orders"},
    "errors": {"every": 1, "path_prefix": "/v1/references"},
}


async def refused(company: Company, customer: str, status: str = "inactive") -> tuple[UUID, dict[str, Any]]:
    """An order that the ERP refuses because its customer changed after our checks, and its exception."""
    await add_customer(company, customer)
    await company.faults("erp", latency={"fixed_ms": 250, "path_prefix": "/v1/orders"})
    transaction_id = await company.submit_planned(order("10", customer_id=customer))
    await set_status(company, customer, status)
    exception = await company.exception(transaction_id, "commitment.rejected")
    await company.faults("erp")
    return transaction_id, exception


async def set_status(company: Company, customer: str, status: str) -> None:
    await company.sandbox.call("erp", "POST", "/v1/customers", {"id": customer, "name": customer, "status": status})


async def use_up_attempts(company: Company, transaction_id: UUID, kind: str) -> None:
    """Let the next failure of this message be its last."""
    query = "update messages set attempts = 29 where transaction_id = $1 and kind = $2 and attempts > 0 returning 1"
    await until(lambda: company.pool.fetchval(query, transaction_id, kind), bool)


async def test_a_refusal_opens_an_exception_with_request_answer_and_money(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D1")
    found = await company.transaction(transaction_id)
    assert (found.commitment, exception["money_at_risk"]) == ("refused", 10_000 + found.tax_amount)
    assert exception["reasons"][0]["code"] == "customer.blocked"
    assert exception["context"]["response"]["status"] == 422
    assert [each["failure"] for each in exception["attempts"]] == ["rejected"]
    assert await company.pool.fetchval("select count(*) from promises where customer_id = 'C-D1'") == 0
    await company.at_rest(transaction_id)
    assert (await company.told(transaction_id))[-1] == "order.refused"


async def test_retried_too_soon_it_is_refused_again_and_a_new_exception_opens(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D2")
    await company.work(exception, "retry")
    found = await until(
        lambda: company.call("GET", f"/exceptions?transaction_id={transaction_id}&state=all&sort=opened"),
        lambda page: len(page["items"]) == 2,
    )
    assert [(each["state"], each["resolution"]) for each in found["items"]] == [("resolved", "retried"), ("open", None)]
    await set_status(company, "C-D2", "active")
    await company.work(await company.exception(transaction_id, "commitment.rejected"), "retry")
    await company.reach(transaction_id, commitment="committed", fulfilment="requested")
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_while_the_erp_is_asked_again_the_order_counts_as_promised(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D6")
    await set_status(company, "C-D6", "active")
    await company.faults("erp", outages=[{"for_seconds": 30}])
    await company.work(exception, "retry")
    found = await company.transaction(transaction_id)
    promised = await company.pool.fetchval("select amount from promised_credit where customer_id = 'C-D6'")
    assert (found.commitment, promised) == ("pending", 10_000 + found.tax_amount)
    await company.faults("erp")
    await company.reach(transaction_id, commitment="committed")


async def test_a_refused_order_is_amended_and_committed_under_its_new_revision(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D3")
    found = await company.transaction(transaction_id)
    await set_status(company, "C-D3", "active")
    query = "select body ->> 'status' from replica_customers where id = 'C-D3'"
    await until(lambda: company.pool.fetchval(query), lambda status: status == "active")
    body = order("7", customer_id="C-D3", order_number=found.order_number)
    result = await company.work(exception, "amend", {"order": body, "reason": "seven will do"})
    assert (result["decision"], result["revision"]) == ("accept", 2)
    done = await company.reach(transaction_id, commitment="committed")
    assert (done.ordered_amount, len(await company.books(transaction_id, "order"))) == (7_000, 1)
    assert (await company.call("GET", f"/messages?transaction_id={transaction_id}&state=dead"))["items"] == []


async def test_a_refused_order_is_rejected_back_to_its_channel(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D4")
    await company.work(exception, "reject", {"reason": "customer is closed"})
    await company.reach(transaction_id, intake="rejected")
    await company.at_rest(transaction_id)
    assert (await company.call("GET", f"/messages?transaction_id={transaction_id}"))["items"] == []
    assert (await company.told(transaction_id))[-1] == "order.rejected"
    closed = await company.call("GET", f"/exceptions/{exception['id']}")
    assert (closed["resolution"], closed["resolution_reason"]) == ("rejected", "customer is closed")
    assert (await company.work(closed, "retry", status=409))["code"] == "exception.resolved"


async def test_an_erp_rejection_cannot_be_overridden(company: Company) -> None:
    _, exception = await refused(company, "C-D5")
    answer = await company.work(exception, "override", {"reason": "please"}, status=409)
    assert answer["code"] == "exception.not_overridable"


async def test_after_the_last_attempt_it_waits_for_a_retry_and_holds_up_no_other_order(company: Company) -> None:
    await company.faults("erp", **NO_INVOICES)
    transaction_id = await company.submit_planned(order("10"), "complete")
    await use_up_attempts(company, transaction_id, "invoice_shipment")
    exception = await company.exception(transaction_id, "invoicing.dead_letter")
    assert exception["money_at_risk"] == 10_000
    assert exception["attempts"][-1]["response"]["status"] == 500
    await company.faults("erp")
    other = await company.submit_planned(order("1"), "complete", "full")
    await company.reach(other, settlement="paid")
    assert (await company.transaction(transaction_id)).invoicing == "none"
    await company.work(exception, "retry", by="operator")
    await company.reach(transaction_id, invoicing="complete")
    assert len(await company.books(transaction_id, "invoice")) == 1


async def test_replayed_by_a_filter_its_exception_is_closed(company: Company) -> None:
    await company.faults("erp", **NO_INVOICES)
    transaction_id = await company.submit_planned(order("10"), "complete")
    await use_up_attempts(company, transaction_id, "invoice_shipment")
    exception = await company.exception(transaction_id, "invoicing.dead_letter")
    await company.faults("erp")
    body = {"stage": "invoicing", "transaction_id": str(transaction_id)}
    assert await company.call("POST", "/messages:replay", body, by="operator") == {"replayed": 1}
    assert [each["actor"] for each in await company.facts(transaction_id) if each["fact"] == "replayed"] == ["operator"]
    await company.reach(transaction_id, invoicing="complete")
    closed = await company.call("GET", f"/exceptions/{exception['id']}")
    assert (closed["state"], closed["resolution"]) == ("resolved", "replayed")


async def test_replayed_by_its_message_an_order_is_pending_and_promised_as_well(company: Company) -> None:
    transaction_id, exception = await refused(company, "C-D7")
    await set_status(company, "C-D7", "active")
    await company.faults("erp", outages=[{"for_seconds": 30}])
    await company.call("POST", f"/messages/{exception['message_id']}:replay", by="operator")
    found = await company.transaction(transaction_id)
    promised = await company.pool.fetchval("select amount from promised_credit where customer_id = 'C-D7'")
    assert (found.commitment, promised) == ("pending", 10_000 + found.tax_amount)
    await company.faults("erp")
    await company.reach(transaction_id, commitment="committed")
    assert (await company.call("GET", f"/exceptions?transaction_id={transaction_id}"))["items"] == []


async def test_an_order_whose_message_is_given_up_is_pending_and_promised_no_more(company: Company) -> None:
    customer = await add_customer(company, "C-D8")
    await company.faults("erp", errors={"every": 1, "path_prefix": "/v1/orders"})
    transaction_id = await company.submit_planned(order("10", customer_id=customer))
    await use_up_attempts(company, transaction_id, "commit_order")
    exception = await company.exception(transaction_id, "commitment.dead_letter")
    await company.call("POST", f"/messages/{exception['message_id']}:discard", {"reason": "they bought elsewhere"})
    await company.faults("erp")
    assert (await company.transaction(transaction_id)).commitment == "none"
    assert await company.pool.fetchval("select count(*) from promises where customer_id = $1", customer) == 0
    assert [each["actor"] for each in await company.facts(transaction_id) if each["fact"] == "discarded"] == ["admin"]
    version = (await company.transaction(transaction_id)).version
    await company.call("POST", f"/orders/{transaction_id}:cancel", {}, version=version)
    await company.reach(transaction_id, intake="cancelled")


async def test_while_it_is_unknown_whether_the_erp_has_an_order_it_is_neither_cancelled_nor_rejected(
    company: Company,
) -> None:
    await company.faults("erp", **LOST_ORDERS)
    transaction_id = await company.submit_planned(order("10"))
    await use_up_attempts(company, transaction_id, "commit_order")
    exception = await company.exception(transaction_id, "commitment.dead_letter")
    version = (await company.transaction(transaction_id)).version
    path = f"/orders/{transaction_id}:cancel"
    answer = await company.call("POST", path, {}, version=version, status=409)
    assert answer["code"] == "order.outcome_unknown"
    rejected = await company.work(exception, "reject", {"reason": "give it up"}, status=409)
    assert rejected["code"] == "order.outcome_unknown"
    await company.faults("erp")
    await company.work(exception, "retry")
    await company.reach(transaction_id, commitment="committed")
    assert len(await company.books(transaction_id, "order")) == 1


async def test_a_payload_edited_into_nonsense_is_named_as_such(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"))
    await company.reach(transaction_id, commitment="committed")
    await company.ship(transaction_id, (1, "11"))
    exception = await company.exception(transaction_id, "fulfilment.rejected")
    await company.work(exception, "amend", {"payload": {"shipment": {"number": 7}}})
    nonsense = await company.exception(transaction_id, "fulfilment.rejected")
    assert nonsense["reasons"][0]["code"] == "message.invalid_payload"
    right = {
        "number": "RIGHT-1",
        "shipped_at": "2026-11-24T12:00:00Z",
        "lines": [{"line_number": 1, "product_id": "ANVIL", "quantity": "10"}],
    }
    await company.work(nonsense, "amend", {"payload": {"shipment": right}, "reason": "ten left, not eleven"})
    await company.reach(transaction_id, fulfilment="complete", invoicing="complete")
    entries = (await company.call("GET", f"/audit?transaction_id={transaction_id}&action=exception.amend"))["items"]
    assert entries[0]["detail"]["after"] == {"shipment": right}
    assert entries[0]["detail"]["before"] == {"shipment": {"number": 7}}


async def test_a_break_is_resolved_with_its_root_cause_and_never_retried(company: Company) -> None:
    transaction_id = await company.submit_planned(order("10"), "complete", "over", difference=100)
    exception = await company.exception(transaction_id, "payment.on_account")
    retried = await company.work(exception, "retry", status=409)
    assert retried["code"] == "exception.not_retryable"
    body = {"reason": "refunded by transfer", "root_cause": "data_quality"}
    await company.work(exception, "resolve", body, by="finance")
    closed = await company.call("GET", f"/exceptions/{exception['id']}")
    assert (closed["resolution"], closed["root_cause"], closed["resolved_by"]) == (
        "resolved",
        "data_quality",
        "finance",
    )


async def test_news_that_the_crm_refuses_puts_no_money_at_risk(company: Company) -> None:
    await company.faults("crm", errors={"every": 1, "status": 422})
    transaction_id = await company.submit_planned(order("1"))
    exception = await company.exception(transaction_id, "publication.rejected")
    await company.faults("crm")
    assert exception["money_at_risk"] == 0
    await company.work(exception, "retry")
    told = await until(lambda: company.told(transaction_id), lambda found: len(found) == 2)
    assert told == ["order.accepted", "order.committed"]
