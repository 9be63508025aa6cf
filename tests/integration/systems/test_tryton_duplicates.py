"""What earlier tries and other people left in a real Tryton: drafts under our reference, amendments, a person's statement."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from tallystick.sandbox.tryton.rpc import TrytonClient
from tallystick.sandbox.tryton.server import TrytonServer
from tallystick.systems.conformance.erp_scenario import Desk, ErpScenario
from tallystick.systems.conformance.verdicts import only
from tallystick.systems.ports import Erp, OrderCommand
from tallystick.systems.tryton import connect


@pytest.fixture
async def desk(tryton_server: TrytonServer) -> AsyncIterator[Desk]:
    def connected(url: str, timeout: float) -> Erp:
        signing = {"database": tryton_server.database, "user": tryton_server.user}
        password = SecretStr(tryton_server.password)
        return connect("erp", {"url": url, "read_timeout": timeout, "password": password, **signing})

    scenario = ErpScenario(
        url=tryton_server.url, connect=connected, customer_id="C-OPEN", product_ids=("P-1", "P-2"), warehouse="MAIN"
    )
    erp = connected(tryton_server.url, scenario.timeout)
    yield Desk(erp, scenario)
    await erp.close()


@pytest.fixture
def person(tryton_server: TrytonServer) -> Iterator[TrytonClient]:
    with tryton_server.client() as client:
        yield client


def copies(person: TrytonClient, command: OrderCommand, count: int) -> list[int]:
    """Drafts as tries leave them that made one and got no further: copies of the order's sale, under its reference."""
    (sale,) = sales(person, command)
    return [person("model.sale.sale.copy", [sale["id"]], {"reference": command.reference})[0] for _ in range(count)]


def sales(person: TrytonClient, command: OrderCommand) -> list[dict[str, Any]]:
    return person.search("sale.sale", [("reference", "=", command.reference)], ["state"])


async def test_drafts_beside_a_sale_in_process_are_deleted_and_it_stays(desk: Desk, person: TrytonClient) -> None:
    command = await desk.commit(2)
    (before,) = sales(person, command)
    copies(person, command, 2)
    again = only(await desk.erp.commit_orders([replace(command, erp_reference=None, verify=True)]))
    assert (again.erp_reference, again.already_there) == (command.erp_reference, True)
    assert sales(person, command) == [before]


async def test_of_drafts_alone_the_first_is_driven_on_and_the_others_are_deleted(
    desk: Desk, person: TrytonClient
) -> None:
    made = await desk.commit(2)
    first, *_ = copies(person, made, 3)
    left = replace(desk.command(2), reference=f"{made.reference}-LEFT")
    drafts = person.search("sale.sale", [("reference", "=", made.reference), ("state", "=", "draft")], ["id"])
    person("model.sale.sale.write", [each["id"] for each in drafts], {"reference": left.reference})
    committed = only(await desk.erp.commit_orders([replace(left, verify=True)]))
    assert not committed.already_there
    assert sales(person, left) == [{"id": first, "state": "processing"}]


async def test_an_amendment_that_nobody_validated_does_not_outlive_the_next_change(
    desk: Desk, person: TrytonClient
) -> None:
    command = await desk.commit(5)
    (sale,) = sales(person, command)
    (line,) = person.search("sale.line", [("sale", "=", sale["id"])], ["product", "unit", "unit_price"])
    stale = {"action": "line", "line": line["id"], "quantity": 99.0, **{key: line[key] for key in line if key != "id"}}
    person("model.sale.amendment.create", [{"sale": sale["id"], "lines": [["create", [stale]]]}])
    order = desk.order(3).model_copy(update={"order_number": command.order.order_number})
    only(await desk.erp.change_orders([replace(command, order=order, revision=2)]))
    amendments = person.search("sale.amendment", [("sale", "=", sale["id"])], ["state", "description"])
    assert [(each["state"], each["description"]) for each in amendments] == [("validated", "revision 2")]


async def test_a_payment_is_booked_though_a_person_has_drafted_a_statement_for_its_invoice(
    desk: Desk, person: TrytonClient
) -> None:
    _, invoice = await desk.invoiced(2)
    (row,) = person.search("account.invoice", [("number", "=", invoice.number)], ["party", "account", "total_amount"])
    (journal,) = person.search("account.statement.journal", [], ["id"])
    line = {"party": row["party"], "account": row["account"], "amount": row["total_amount"]}
    line |= {"date": invoice.invoice_date, "related_to": f"account.invoice,{row['id']}"}
    statement = {"name": "By hand", "journal": journal["id"], "date": invoice.invoice_date}
    statement |= {"total_amount": row["total_amount"], "lines": [["create", [line]]]}
    person("model.account.statement.create", [statement])
    paid = await desk.pay(invoice.total_amount, invoice)
    assert (paid.applied_amount, paid.on_account_amount) == (invoice.total_amount, 0)
