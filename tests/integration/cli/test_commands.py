"""What people do from a terminal, on a whole installation: submit, look, work the queue, mend, stop and go on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.integration.cli.conftest import Command, Installation
from tests.integration.cli.installations import run

HEADER = "channel,order_number,customer_id,currency,ordered_at,ship_to_region,product_id,quantity,unit_price"


def order(
    number: str, product: str = "P-100", price: str = "18.5", quantity: str = "2", **changes: Any
) -> dict[str, Any]:
    return {
        "channel": "webshop",
        "order_number": number,
        "customer_id": "C-100",
        "currency": "USD",
        "ordered_at": "2026-11-24T09:30:00Z",
        "ship_to": {"region": "CA"},
        "lines": [{"line_number": 1, "product_id": product, "quantity": quantity, "unit_price": price}],
    } | changes


def until(holds: Callable[[], Any], seconds: float = 20) -> Any:
    """What `holds` gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.2)
    return found


def held(tallystick: Command, installation: Installation, number: str) -> str:
    """The exception of an order that is held for its price."""
    file = installation.folder / f"{number}.json"
    file.write_text(json.dumps(order(number, price="17.00")))
    done = tallystick("orders", "submit", str(file), "--json")
    assert (done.code, done.lines[0]["outcome"]) == (0, "held")
    exception_id: str = done.lines[0]["exception_id"]
    return exception_id


def test_start_says_where_everything_is_and_what_to_do_next(installation: Installation) -> None:
    assert installation.key_made.out.startswith("tsk_")
    assert installation.key_made.err == ""
    assert f"API and worker on {installation.url}, docs at {installation.url}/docs" in installation.run_said
    assert f"embedded in {installation.folder}/tallystick-data" in installation.run_said
    assert "default (erp erp)" in installation.run_said
    assert "no API key" not in installation.run_said
    assert "tallystick keys create" in installation.sandbox_said


def test_csv_from_the_sandbox_goes_through_in_a_process_of_its_own(installation: Installation) -> None:
    file = str(installation.folder / "tallystick-data/sandbox/orders.csv")
    done = run(installation.folder, "orders", "submit", file, "--json", variables=installation.variables)
    *answers, last = done.lines
    assert [(each["line"], each["outcome"]) for each in answers] == [
        (2, "accepted"),
        (4, "accepted"),
        (5, "held"),
        (6, "held"),
        (7, "rejected"),
    ]
    assert (last["summary"]["orders"], last["summary"]["rejected"], done.code) == (5, 1, 1)
    assert "line 7, column customer_id: customer C-999 is not known" in done.err
    again = run(installation.folder, "orders", "submit", file, "--json", variables=installation.variables)
    assert [each["transaction_id"] for each in again.lines[:-1]] == [each["transaction_id"] for each in answers]
    assert again.lines[-1]["summary"]["replayed"] == 5


def test_one_order_is_told_and_followed_to_its_payment(tallystick: Command, installation: Installation) -> None:
    file = installation.folder / "one.json"
    file.write_text(json.dumps(order("W-ONE"), indent=2))
    done = tallystick("orders", "submit", str(file))
    assert (done.code, done.err) == (0, "")
    assert "accept" in done.out
    until(lambda: tallystick("transactions", "show", "W-ONE", "--json").data["transaction"]["settlement"] == "paid")
    shown = tallystick("transactions", "show", "W-ONE").out
    timeline = shown.partition("Timeline")[2]
    facts = ["received", "accepted", "committed", "shipped", "invoiced", "paid"]
    assert [timeline.index(f" {fact} ") for fact in facts] == sorted(timeline.index(f" {fact} ") for fact in facts)
    assert "37.00 USD" in shown
    data = tallystick("transactions", "show", "W-ONE", "--json").data
    assert {each["type"] for each in data["documents"]} == {"order", "shipment", "invoice", "payment"}
    assert data["lineage"][0]["fact"] == "received"


def test_ndjson_from_stdin_tells_each_line_what_became_of_it(installation: Installation) -> None:
    lines = [json.dumps(order("N-1")), "{broken", "", json.dumps(order("N-2", quantity="-1")), json.dumps(order("N-1"))]
    refused = installation.folder / "refused.ndjson"
    done = run(
        installation.folder,
        *("orders", "submit", "-", "--format", "ndjson", "--errors", str(refused)),
        variables=installation.variables,
        given="\n".join(lines),
    )
    assert done.code == 1
    counts = dict(line.rsplit(maxsplit=1) for line in done.out.splitlines()[1:])
    assert counts == {"accepted": "2", "invalid": "2", "in all": "4", "of these told before": "1"}
    assert "not taken: 2" in done.err
    told = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [(each["file"], each["line"], each["code"]) for each in told] == [
        ("stdin", 2, "body.malformed_json"),
        ("stdin", 4, "body.invalid"),
    ]
    assert told[1]["errors"][0]["pointer"] == "/lines/0/quantity"


def test_wrong_value_in_csv_is_told_by_the_server_with_line_and_column(
    tallystick: Command, installation: Installation
) -> None:
    file = installation.folder / "wrong.csv"
    file.write_text(f"{HEADER}\nedi,X-1,C-100,USD,2026-11-24,CA,P-100,1,18.50\nedi,X-1,,,,,P-200,0,7.45\n")
    done = tallystick("orders", "submit", str(file))
    assert done.code == 1
    assert f"{file} line 3, column quantity: " in done.err
    assert "[body.invalid]" in done.err


def test_reused_number_with_another_order_is_a_conflict(tallystick: Command, installation: Installation) -> None:
    file = installation.folder / "twice.json"
    file.write_text(json.dumps([order("TWICE"), order("TWICE", quantity="3")]))
    done = tallystick("orders", "submit", str(file), "--json")
    assert done.code == 1
    assert done.lines[-1]["summary"]["conflicts"] == 1


def test_rejected_order_is_judged_anew_under_another_word(tallystick: Command, installation: Installation) -> None:
    file = installation.folder / "anew.json"
    file.write_text(json.dumps(order("ANEW", price="19.99", customer_id="C-NEW")))
    submit = ("orders", "submit", str(file), "--json")
    assert tallystick(*submit).lines[0]["outcome"] == "rejected"
    installation.erp("/v1/customers", {"id": "C-NEW", "name": "New Customer", "credit_limit": 100_000})
    until(lambda: tallystick("orders", "validate", str(file)).code == 0)
    assert tallystick(*submit).lines[0]["outcome"] == "rejected"
    assert tallystick(*submit, "--idempotency-key", "tuesday").lines[0]["outcome"] == "accepted"


def test_validate_says_what_would_be_and_keeps_nothing(tallystick: Command, installation: Installation) -> None:
    file = installation.folder / "validate.json"
    file.write_text(json.dumps([order("V-1"), order("V-2", price="17.00"), order("V-3", customer_id="C-404")]))
    done = tallystick("orders", "validate", str(file), "--json")
    assert [each["outcome"] for each in done.lines[:-1]] == ["accepted", "held", "rejected"]
    assert done.code == 1
    assert tallystick("transactions", "list", "--search", "V-1", "--json").data["items"] == []


def test_exception_is_retried_held_again_and_then_overridden(tallystick: Command, installation: Installation) -> None:
    exception = held(tallystick, installation, "H-1")
    assert "H-1 is held" in tallystick("exceptions", "list").out
    again = tallystick("exceptions", "retry", exception, "--json")
    assert (again.code, again.data["decision"]) == (1, "hold")
    [now] = tallystick("exceptions", "list", "--transaction", _transaction(tallystick, "H-1"), "--json").data["items"]
    done = tallystick("exceptions", "override", now["id"], "--reason", "agreed with the customer")
    assert (done.code, "accept" in done.out) == (0, True)
    assert tallystick("transactions", "show", "H-1", "--json").data["transaction"]["intake"] == "accepted"


def _transaction(tallystick: Command, number: str) -> str:
    found: str = tallystick("transactions", "show", number, "--json").data["transaction"]["id"]
    return found


def test_exception_is_assigned_commented_and_shown_with_its_story(
    tallystick: Command, installation: Installation
) -> None:
    exception = held(tallystick, installation, "H-2")
    assert tallystick("exceptions", "assign", exception, "jane.doe").code == 0
    assert tallystick("exceptions", "comment", exception, "they will call back").code == 0
    shown = tallystick("exceptions", "show", exception).out
    for part in ("jane.doe", "they will call back", "price.below_contract", "17.00", "Timeline"):
        assert part in shown
    assert [each["id"] for each in tallystick("exceptions", "list", "--owner", "jane.doe", "--json").data["items"]] == [
        exception
    ]
    outdated = tallystick("exceptions", "assign", exception, "bob", "--if-version", "1")
    assert (outdated.code, "[version.changed]" in outdated.err) == (1, True)


def test_held_order_is_amended_from_a_file(tallystick: Command, installation: Installation) -> None:
    exception = held(tallystick, installation, "H-3")
    file = installation.folder / "amended.json"
    file.write_text(json.dumps(order("H-3", price="18.50")))
    assert tallystick("exceptions", "amend", exception, str(file), "--reason", "contract price").code == 0
    assert tallystick("transactions", "show", "H-3", "--json").data["transaction"]["order_revision"] == 2


def test_held_order_is_rejected_with_a_reason(tallystick: Command, installation: Installation) -> None:
    exception = held(tallystick, installation, "H-4")
    assert tallystick("exceptions", "reject", exception, "--reason", "customer withdrew").code == 0
    twice = tallystick("exceptions", "reject", exception, "--reason", "customer withdrew")
    assert (twice.code, twice.out, "[exception.resolved]" in twice.err) == (1, "", True)


def test_order_is_changed_and_cancelled_while_the_erp_is_paused(
    tallystick: Command, installation: Installation
) -> None:
    assert tallystick("systems", "pause", "erp", "--reason", "month-end closing").code == 0
    assert "paused by me: month-end closing" in tallystick("systems", "list").out
    try:
        exception = held(tallystick, installation, "H-5")
        file = installation.folder / "changed.json"
        file.write_text(json.dumps(order("H-5", price="17.00", quantity="5")))
        changed = tallystick("orders", "change", "H-5", str(file), "--json")
        assert (changed.code, changed.data["revision"]) == (0, 2)
        cancelled = tallystick("orders", "cancel", "H-5", "--reason", "changed their mind", "--json")
        assert (cancelled.code, cancelled.data["state"]) == (0, "cancelled")
        assert tallystick("exceptions", "retry", exception).code == 1
        file.write_text(json.dumps(order("WAITS")))
        assert tallystick("orders", "submit", str(file)).code == 0
        # Beside it there may be what follows from the orders of other tests.
        waiting = tallystick("messages", "list", "--system", "erp", "--json").data["items"]
        [commit] = [each["id"] for each in waiting if each["kind"] == "commit_order"]
        assert tallystick("messages", "show", commit, "--json").data["payload"]["revision"] == 1
        assert "commit_order" in tallystick("messages", "show", commit).out
        assert "erp" in tallystick("messages", "depths").out
        not_dead = tallystick("messages", "replay", commit)
        assert (not_dead.code, "[message.not_dead]" in not_dead.err) == (1, True)
    finally:
        assert tallystick("systems", "resume", "erp", "--json").data == {
            "name": "erp",
            "paused": False,
            "changed": True,
        }
    until(
        lambda: tallystick("transactions", "show", "WAITS", "--json").data["transaction"]["commitment"] == "committed"
    )


def test_dead_letters_are_counted_replayed_resolved_and_discarded(
    tallystick: Command, installation: Installation
) -> None:
    # The ERP takes no order for a product that it does not sell any more: the check's replica is a moment behind.
    product = {"id": "P-OLD", "name": "Old stock"}
    installation.erp("/v1/products", product)
    installation.erp("/v1/prices", {"product_id": "P-OLD", "currency": "USD", "unit_price": "5"})
    installation.erp("/v1/stock", {"product_id": "P-OLD", "on_hand": "100"})
    file = installation.folder / "dead.json"
    file.write_text(json.dumps([order(f"D-{number}", "P-OLD", "5", "1") for number in (1, 2)]))
    until(lambda: tallystick("orders", "validate", str(file)).code == 0)
    tallystick("systems", "pause", "erp", "--reason", "for the test")
    assert tallystick("orders", "submit", str(file)).code == 0
    installation.erp("/v1/products", product | {"active": False})
    tallystick("systems", "resume", "erp")
    dead = ("messages", "list", "--state", "dead", "--json")
    until(lambda: len(tallystick(*dead).data["items"]) == 2)
    first, second = (each["id"] for each in tallystick(*dead).data["items"])
    assert tallystick("messages", "replay", "--system", "erp", "--dry-run", "--json").data == {"would_replay": 2}
    assert tallystick("messages", "discard", "--stage", "commitment", "--dry-run", "--json").data == {
        "would_discard": 2
    }
    assert "rejected" in tallystick("messages", "show", first).out
    installation.erp("/v1/products", product)
    assert tallystick("messages", "replay", first, "--reason", "sold again", "--json").data == {"replayed": 1}
    until(lambda: [each["id"] for each in tallystick(*dead).data["items"]] == [second])
    letters = tallystick("exceptions", "list", "--json").data["items"]
    [exception] = [each["id"] for each in letters if each["message_id"] == second]
    resolve = ("exceptions", "resolve", exception, "--reason", "booked by hand", "--root-cause", "data_quality")
    assert tallystick(*resolve).code == 0
    assert tallystick("messages", "discard", "--all", "--reason", "booked by hand", "--json").data == {"discarded": 1}
    assert tallystick(*dead).data["items"] == []


def test_system_is_shown_with_whether_it_answers(tallystick: Command) -> None:
    done = tallystick("systems", "show", "tax")
    assert (done.code, "answers" in done.out) == (0, True)
    unknown = tallystick("systems", "show", "../keys")
    assert (unknown.code, "[not_found]" in unknown.err) == (1, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("transactions", "list"),
        ("exceptions", "list", "--state", "all"),
        ("messages", "list"),
        ("messages", "depths"),
        ("systems", "list"),
        ("keys", "list"),
        ("db", "status"),
        ("db", "upgrade"),
    ],
)
def test_json_is_one_document_and_nothing_else(arguments: tuple[str, ...], tallystick: Command) -> None:
    done = tallystick(*arguments, "--json", FORCE_COLOR="1")
    assert done.code == 0
    assert isinstance(done.data, dict)
    assert done.out.count("\n") == 1


def test_lists_go_on_over_pages_up_to_the_limit(tallystick: Command, installation: Installation) -> None:
    file = installation.folder / "many.ndjson"
    file.write_text("".join(json.dumps(order(f"M-{number}", price="17.00")) + "\n" for number in range(250)))
    assert tallystick("orders", "submit", str(file)).code == 0
    listed = tallystick("transactions", "list", "--intake", "held", "--limit", "230", "--json").data
    assert (len(listed["items"]), len({each["id"] for each in listed["items"]}), listed["more"]) == (230, 230, True)
    people = tallystick("transactions", "list", "--limit", "10")
    assert (len(people.out.splitlines()), "--limit shows more" in people.err) == (11, True)
    many = tallystick("transactions", "show", "C-100")
    assert (many.code, "'C-100' stands for 5 or more transactions" in many.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "said"),
    [
        (("messages", "list"), {"TALLYSTICK_KEY": ""}, 2, "TALLYSTICK_KEY is not set"),
        (("messages", "list"), {"TALLYSTICK_KEY": "tsk_no_key"}, 1, "[authentication.failed]"),
        (("messages", "list"), {"TALLYSTICK_KEY": "two words"}, 2, "this is no API key"),
        (("messages", "list", "--url", "http://127.0.0.1:1"), {}, 2, "does not answer (["),
        (("messages", "list", "--url", "ftp://here"), {}, 2, "--url: 'ftp://here' is not"),
        (("messages", "replay"), {}, 2, "name one MESSAGE, or a filter"),
        (("messages", "replay", "--all", "--system", "erp"), {}, 2, "name one MESSAGE, or a filter"),
        (("messages", "discard", "--all"), {}, 2, "--reason is missing"),
        (("transactions", "show", "no such order"), {}, 1, "no transaction with the id, number or reference"),
        (("exceptions", "show", "01938f2c-8f01-7a60-8a40-7f3ed8a1c0d2"), {}, 1, "there is no exception"),
        (("systems", "pause", "erp", "--reason", "x"), {}, 1, "at least 3 characters (got 'x')"),
        (("orders", "submit", "nowhere.json"), {}, 2, "nowhere.json: cannot be read"),
        (("orders", "submit", "orders.xlsx"), {}, 2, "which format is it?"),
        (("keys", "create", "x", "--role", "king"), {}, 2, "roles: 'king' is not one of admin"),
        (("keys", "create", "x", "--role", "sales", "--scope", "all"), {}, 2, "scopes: 'all' is not one of audit.read"),
        (("keys", "revoke", "nobody"), {}, 1, "there is no valid key 'nobody'"),
    ],
)
def test_trouble_is_one_line_on_stderr_and_an_exit_code(
    arguments: tuple[str, ...], variables: dict[str, str], code: int, said: str, tallystick: Command
) -> None:
    done = tallystick(*arguments, **variables)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert "tsk_no_key" not in done.err
