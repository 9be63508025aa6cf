"""Calls to Tryton, at a server of the test's own that answers as Tryton does: sessions, locks, refusals, bad items."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from tests.integration.systems.sandbox_servers import serving

from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown
from tallystick.systems.tryton.jsonrpc import Locked, Warned
from tallystick.systems.tryton.options import TrytonOptions
from tallystick.systems.tryton.rpc import TrytonRpc

PASSWORD = "geheim"
Answer = Callable[[str, list[Any]], Response]


class Front:
    """Signs everybody in who knows the password; answers what `answer` says, and notes what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.company: int | None = 1
        self.session = "first"
        self.sign_ins = 0
        self.asked: list[tuple[str, list[Any]]] = []
        self.answer: Answer = lambda method, parameters: result(None)

    async def take(self, request: Request) -> Response:
        body = await request.json()
        method, parameters = body["method"], body["params"]
        if method == "common.db.login":
            self.sign_ins += 1
            return result([7, self.session] if parameters[1]["password"] == PASSWORD else None)
        signed = f"hub:7:{self.session}".encode()
        if request.headers["authorization"] != "Session " + base64.b64encode(signed).decode():
            return Response("Unauthorized", 401)
        if method == "model.res.user.get_preferences":
            return result({"company": self.company})
        self.asked.append((method, parameters))
        return self.answer(method, parameters)


def result(value: Any) -> Response:
    return JSONResponse({"id": 1, "result": value})


def error(*words: Any) -> Response:
    return JSONResponse({"id": 1, "error": list(words)})


@pytest.fixture
async def front() -> AsyncIterator[Front]:
    front, app = Front(), FastAPI()
    app.add_api_route("/erp/rpc/", front.take, methods=["POST"])
    async with serving(app) as front.url:
        yield front


@asynccontextmanager
async def calling(front: Front, password: str = PASSWORD) -> AsyncIterator[TrytonRpc]:
    options = {"url": front.url, "database": "erp", "user": "hub", "password": password}
    rpc = TrytonRpc("erp", TrytonOptions.model_validate(options))
    try:
        yield rpc
    finally:
        await rpc.close()


async def failure_of(front: Front, *, write: bool = True) -> Failure:
    async with calling(front) as rpc:
        with pytest.raises(Failure) as raised:
            await (rpc.write("sale.sale.quote", [1]) if write else rpc.search("sale.sale", [], []))
    return raised.value


async def test_many_first_calls_sign_in_once_and_act_for_the_users_company(front: Front) -> None:
    async with calling(front) as rpc:
        await asyncio.gather(*(rpc.write("sale.sale.quote", [each]) for each in range(5)))
    assert front.sign_ins == 1
    assert [parameters[-1] for _, parameters in front.asked] == [{"language": "en", "company": 1}] * 5


async def test_a_session_that_has_run_out_is_renewed_once_for_all(front: Front) -> None:
    async with calling(front) as rpc:
        await rpc.write("sale.sale.quote", [1])
        front.session = "second"
        await asyncio.gather(*(rpc.write("sale.sale.quote", [each]) for each in range(5)))
    assert front.sign_ins == 2
    assert len(front.asked) == 6


async def test_a_wrong_password_and_a_user_without_company_are_the_settings_fault(front: Front) -> None:
    async with calling(front, "falsch") as rpc:
        with pytest.raises(
            Unavailable, match="does not accept user and password: correct this system's settings"
        ) as no:
            await rpc.write("sale.sale.quote", [1])
    assert "falsch" not in f"{no.value.message}{no.value.request}{no.value.response}"
    front.company = None
    assert "its user 'hub' acts for no company" in (await failure_of(front)).message
    assert front.asked == []


async def test_what_is_locked_is_asked_again_and_given_up_after_a_while(front: Front) -> None:
    busy = Response("could not obtain lock on row in relation ir_sequence_strict", 503)
    front.answer = lambda method, parameters: busy if len(front.asked) < 3 else result([1])
    async with calling(front) as rpc:
        assert await rpc.write("account.invoice.post", [1]) == [1]
    front.answer = lambda method, parameters: busy
    front.asked.clear()
    given_up = await failure_of(front)
    assert isinstance(given_up, Locked)
    assert isinstance(given_up, Throttled), "it costs no attempt: workers that meet each other make no dead letters"
    assert len(front.asked) == 4


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (("UserError", ["The sale is empty.", "Add a line."]), Rejected, "erp: The sale is empty. Add a line."),
        (("UserWarning", ["ab.invoice_taxes", "Taxes differ.", ""]), Warned, "erp: Taxes differ."),
        (
            ("ConcurrencyException", ""),
            Transient,
            "erp: model.sale.sale.quote: it was changed meanwhile; it is tried again",
        ),
        (("KeyError", "'x'"), Transient, "erp: model.sale.sale.quote: KeyError; it is tried again"),
    ],
)
async def test_a_refusal_is_told_in_trytons_words(
    front: Front, answer: tuple[Any, ...], kind: type[Failure], said: str
) -> None:
    front.answer = lambda method, parameters: error(*answer)
    failure = await failure_of(front)
    assert (type(failure), failure.message) == (kind, said)
    assert not isinstance(failure, Warned) or failure.warning == "ab.invoice_taxes"


@pytest.mark.parametrize(("write", "kind"), [(True, Unknown), (False, Transient)])
async def test_an_answer_that_is_no_answer_leaves_a_write_unknown(
    front: Front, write: bool, kind: type[Failure]
) -> None:
    front.answer = lambda method, parameters: JSONResponse([1])
    assert type(await failure_of(front, write=write)) is kind


@asynccontextmanager
async def refusing(front: Front, bad: set[int], *words: Any) -> AsyncIterator[Callable[[Sequence[int]], Any]]:
    """A quote of many sales that Tryton refuses whole when a bad one is among them."""
    front.answer = lambda method, parameters: error(*words) if bad & set(parameters[0]) else result(None)
    async with calling(front) as rpc:

        async def quote(sales: Sequence[int]) -> None:
            await rpc.write("sale.sale.quote", list(sales))

        async def isolated(sales: Sequence[int]) -> dict[int, Failure]:
            return await rpc.isolate(sales, quote)

        yield isolated


async def test_the_bad_one_of_many_is_found_in_few_calls_and_all_others_are_done(front: Front) -> None:
    async with refusing(front, {37}, "UserError", ["No.", ""]) as isolated:
        failures = await isolated(range(64))
    assert {sale: type(failure) for sale, failure in failures.items()} == {37: Rejected}
    done = [sale for _, (sales, *_) in front.asked if 37 not in sales for sale in sales]
    assert sorted(done) == [sale for sale in range(64) if sale != 37]
    assert len(front.asked) == 13


async def test_what_befell_all_of_them_is_not_searched_for_in_halves(front: Front) -> None:
    async with refusing(front, {1}) as isolated:
        front.answer = lambda method, parameters: Response("too late", 504)
        failures = await isolated(range(8))
    assert {type(failure) for failure in failures.values()} == {Unknown}
    assert (len(failures), len(front.asked)) == (8, 1)
