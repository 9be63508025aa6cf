"""Held orders: those that only wait for a system go on by themselves, the others are worked by people, in every way there is."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from tests.integration.stages.company import Company, add_customer, order, until

NO_TAX = {"errors": {"every": 1}}


def cheap(**changes: Any) -> dict[str, Any]:
    """An order below the list price, which the price check holds."""
    body = order("10", **changes)
    body["lines"][0]["unit_price"] = "9.00"
    return body


async def held(company: Company, body: dict[str, Any]) -> tuple[UUID, dict[str, Any]]:
    """A held order and its exception."""
    await company.plan(body["order_number"])
    transaction_id = await company.submit(body)
    return transaction_id, await company.exception(transaction_id, "order.held")


async def test_orders_held_for_missing_facts_go_on_when_the_system_answers(company: Company) -> None:
    await company.faults("tax", **NO_TAX)
    found = [await held(company, order("1")) for _ in range(3)]
    assert {each["reasons"][0]["code"] for _, each in found} == {"tax.facts_unavailable"}
    await asyncio.sleep(0.3)
    assert {(await company.transaction(each)).intake.value for each, _ in found} == {"held"}
    await company.faults("tax")
    for transaction_id, _ in found:
        await company.reach(transaction_id, intake="accepted", commitment="committed")
    attempts = "select max(attempts) from message_log where kind = 'check_again' and transaction_id = any($1::uuid[])"
    assert await company.pool.fetchval(attempts, [each for each, _ in found]) == 0


async def test_an_order_that_also_has_a_wrong_price_waits_for_a_person(company: Company) -> None:
    await company.faults("tax", **NO_TAX)
    transaction_id, exception = await held(company, cheap())
    assert {each["code"] for each in exception["reasons"]} == {"price.below_list", "tax.facts_unavailable"}
    await company.faults("tax")
    assert (await company.call("GET", f"/messages?transaction_id={transaction_id}&stage=intake"))["items"] == []


async def test_retry_checks_again_and_says_what_still_holds_it(company: Company) -> None:
    transaction_id, exception = await held(company, cheap())
    result = await company.work(exception, "retry", by="operator")
    assert (result["decision"], result["reasons"][0]["code"]) == ("hold", "price.below_list")
    assert (await company.exception(transaction_id, "order.held"))["id"] == exception["id"]


async def test_held_again_it_keeps_its_owner_its_notes_and_its_due_time(company: Company) -> None:
    body = cheap()
    transaction_id, exception = await held(company, body)
    await company.work(exception, "assign", {"owner": "jane.doe"}, by="operator")
    await company.call("POST", f"/exceptions/{exception['id']}:comment", {"text": "they call back"}, by="operator")
    dearer = body | {"lines": [body["lines"][0] | {"unit_price": "9.50"}]}
    seen = await company.exception(transaction_id, "order.held")
    assert (await company.work(seen, "amend", {"order": dearer}, by="finance"))["decision"] == "hold"
    again = await company.exception(transaction_id, "order.held")
    kept = ("id", "owner", "opened_at", "due_at")
    assert [again[name] for name in kept] == [exception["id"], "jane.doe", exception["opened_at"], exception["due_at"]]
    assert [each["action"] for each in again["notes"]] == ["assign", "comment", "amend"]
    assert [each["order_value"] for each in again["reasons"]] == ["9.50"]
    assert (again["money_at_risk"], "9.50" in again["summary"]) == (500, True)
    assert again["version"] > seen["version"]


async def test_amended_it_goes_on_with_both_revisions_kept(company: Company) -> None:
    body = cheap()
    transaction_id, exception = await held(company, body)
    right = body | {"lines": [body["lines"][0] | {"unit_price": "10.00"}], "customer_po": "PO-9"}
    result = await company.work(exception, "amend", {"order": right, "reason": "old list"}, by="finance")
    assert (result["decision"], result["revision"]) == ("accept", 2)
    done = await company.reach(transaction_id, commitment="committed", order_revision=2)
    assert (done.ordered_amount, done.customer_po) == (10_000, "PO-9")
    documents = (await company.call("GET", f"/transactions/{transaction_id}/documents"))["documents"]
    prices = [each["body"]["lines"][0]["unit_price"] for each in documents if each["type"] == "order"]
    assert prices == ["9.00", "10.00"]
    assert (await company.erp_order(transaction_id))["net_amount"] == 10_000


async def test_an_amendment_can_name_another_customer_but_make_no_other_order_of_it(company: Company) -> None:
    customer, body = await add_customer(company, "C-RIGHT"), cheap()
    transaction_id, exception = await held(company, body)
    other = await company.work(exception, "amend", {"order": body | {"order_number": "ELSE"}}, status=409)
    assert other["code"] == "order.order_number_changed"
    right = body | {"customer_id": customer, "lines": [body["lines"][0] | {"unit_price": "10.00"}]}
    await company.work(exception, "amend", {"order": right})
    await company.reach(transaction_id, commitment="committed", customer_id=customer)


async def test_overridden_with_a_reason_it_goes_on_and_the_reason_stays(company: Company) -> None:
    transaction_id, exception = await held(company, cheap())
    await company.work(exception, "override", {}, by="finance", status=422)  # no reason, no override
    await company.work(exception, "override", {"reason": "agreed by phone"}, by="sales", status=403)
    result = await company.work(exception, "override", {"reason": "agreed by phone"}, by="finance")
    assert result["decision"] == "accept"
    assert result["reasons"][0]["message"].startswith("overridden: ")
    await company.reach(transaction_id, commitment="committed")
    [entry] = (await company.call("GET", f"/audit?transaction_id={transaction_id}&action=exception.override"))["items"]
    assert (entry["principal"], entry["reason"]) == ("finance", "agreed by phone")
    assert entry["detail"]["overridden"] == ["price.below_list"]
    accepted = [each for each in await company.facts(transaction_id) if each["fact"] == "accepted"]
    assert [each["actor"] for each in accepted] == ["finance"]


async def test_one_overridden_reason_leaves_the_other_holding(company: Company) -> None:
    transaction_id, exception = await held(company, cheap(payment_terms="NET10"))
    result = await company.work(exception, "override", {"reason": "terms agreed", "codes": ["customer.terms_differ"]})
    assert result["decision"] == "hold"
    left = await company.exception(transaction_id, "order.held")
    assert [each["code"] for each in left["reasons"]] == ["price.below_list"]


async def test_reasons_are_overridden_one_after_the_other_by_whoever_may(company: Company) -> None:
    transaction_id, exception = await held(company, cheap(payment_terms="NET10"))
    terms = {"reason": "terms agreed", "codes": ["customer.terms_differ"]}
    assert (await company.work(exception, "override", terms, by="finance"))["decision"] == "hold"
    left = await company.exception(transaction_id, "order.held")
    assert (await company.work(left, "retry", by="operator"))["reasons"][0]["code"] == "price.below_list"
    left = await company.exception(transaction_id, "order.held")
    price = {"reason": "price agreed", "codes": ["price.below_list"]}
    assert (await company.work(left, "override", price, by="operator"))["decision"] == "accept"
    await company.reach(transaction_id, commitment="committed")


async def test_what_was_overridden_holds_the_order_again_once_it_is_amended(company: Company) -> None:
    body = cheap(payment_terms="NET10")
    transaction_id, exception = await held(company, body)
    await company.work(exception, "override", {"reason": "price agreed", "codes": ["price.below_list"]})
    left = await company.exception(transaction_id, "order.held")
    cheaper = body | {"payment_terms": None, "lines": [body["lines"][0] | {"unit_price": "1.00"}]}
    assert (await company.work(left, "amend", {"order": cheaper}))["decision"] == "hold"
    left = await company.exception(transaction_id, "order.held")
    assert [each["code"] for each in left["reasons"]] == ["price.below_list"]


async def test_rejected_it_goes_back_to_its_channel(company: Company) -> None:
    transaction_id, exception = await held(company, cheap())
    await company.work(exception, "reject", {"reason": "below cost"}, by="operator")
    done = await company.reach(transaction_id, intake="rejected", commitment="none")
    await company.at_rest(transaction_id)
    assert done.erp_reference is None
    assert (await company.told(transaction_id))[-1] == "order.rejected"


async def test_it_cannot_be_resolved_without_a_decision(company: Company) -> None:
    _, exception = await held(company, cheap())
    body = {"reason": "never mind", "root_cause": "data_quality"}
    assert (await company.work(exception, "resolve", body, status=409))["code"] == "exception.needs_decision"
    payload = await company.work(exception, "amend", {"payload": {"order": {}}}, status=409)
    assert payload["code"] == "exception.wants_order"


async def test_who_comes_second_is_told_so(company: Company) -> None:
    _, exception = await held(company, cheap())
    await company.work(exception, "assign", {"owner": "finance"})
    late = await company.work(exception, "retry", status=412)
    assert late["code"] == "version.changed"
    fresh = await company.call("GET", f"/exceptions/{exception['id']}")
    assert fresh["owner"] == "finance"
    answers = await asyncio.gather(
        *(company.clients["admin"].post(
            f"/v1/exceptions/{fresh['id']}:override",
            json={"reason": "both at once"},
            headers={"if-match": f'"{fresh["version"]}"'},
        ) for _ in range(2))
    )  # fmt: skip
    assert sorted(each.status_code for each in answers) in ([200, 409], [200, 412])


async def test_many_people_at_once_do_not_starve_the_database_pool(company: Company) -> None:
    found = [await held(company, cheap()) for _ in range(12)]
    async with asyncio.timeout(20):
        results = await asyncio.gather(
            *(company.work(exception, "override", {"reason": "spring sale"}) for _, exception in found)
        )
    assert {each["decision"] for each in results} == {"accept"}


async def test_everything_done_to_an_exception_stands_in_its_story_and_in_the_audit_trail(company: Company) -> None:
    transaction_id, exception = await held(company, cheap())
    await company.call("POST", f"/exceptions/{exception['id']}:comment", {"text": "asked sales"}, by="operator")
    seen = await company.call("GET", f"/exceptions/{exception['id']}")
    await company.work(seen, "assign", {"owner": "finance"}, by="operator")
    seen = await company.call("GET", f"/exceptions/{exception['id']}")
    assert [(each["principal"], each["action"], each["note"]) for each in seen["notes"]] == [
        ("operator", "comment", "asked sales"),
        ("operator", "assign", None),
    ]
    assert [each["type"] for each in seen["documents"]] == ["order"]
    assert [each["fact"] for each in seen["lineage"]][:2] == ["received", "held"]
    assert seen["due_at"] > seen["opened_at"]
    assert seen["money_at_risk"] == 1_000
    audit = (await company.call("GET", f"/audit?transaction_id={transaction_id}"))["items"]
    assert [each["action"] for each in reversed(audit)] == ["order.submit", "exception.comment", "exception.assign"]


async def test_release_that_policy_forbids_waits_for_a_person(company: Company) -> None:
    entity = company.flow.settings.entities["default"]
    cautious = entity.model_copy(update={"policy": entity.policy.model_copy(update={"release_by_itself": False})})
    company.flow.settings.entities["default"] = cautious  # type: ignore[index]  # a plain dict behind its type
    try:
        await company.faults("tax", **NO_TAX)
        transaction_id, _ = await held(company, order("1"))
        await company.faults("tax")
        query = "select count(*) from messages where transaction_id = $1 and kind = 'check_again'"
        assert await until(lambda: company.pool.fetchval(query, transaction_id), lambda count: count == 0) == 0
        assert (await company.transaction(transaction_id)).intake == "held"
    finally:
        company.flow.settings.entities["default"] = entity  # type: ignore[index]  # a plain dict behind its type
