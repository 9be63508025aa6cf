"""JSON over HTTP for connectors: bounded calls whose every outcome is an answer or one of the five kinds of failure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import httpx
import orjson
from opentelemetry.propagate import inject
from pydantic import BaseModel, SecretStr

from tallystick.systems.excerpts import concealed, excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Transient, Unavailable, Unknown
from tallystick.systems.outcomes import failure_of_status
from tallystick.systems.ports import Health

Kind = TypeVar("Kind", bound=Failure)
MAXIMUM_BODY_BYTES = 32_000_000
# Servers drop idle connections (uvicorn after 5 s). We drop ours first: a write on a connection that is being closed
# would end with an unknown outcome for nothing.
KEEP_ALIVE_SECONDS = 4.0
_SPLITTABLE = frozenset({400, 413, 422})


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer: its status, its headers (names in lower case) and its JSON body, None when empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class _Call:
    """One call as failures need to tell of it."""

    method: str
    path: str
    write: bool
    content: bytes | None

    @property
    def excerpt(self) -> dict[str, Any]:
        return {"method": self.method, "path": self.path, "body": excerpt(self.content) if self.content else None}


class HttpClient:
    """Calls one system. `read` surely changes nothing, `write` may; that decides what an unclear outcome means.

    A raised Failure is the whole call's; one item's of a batch is handed back by `write_batch` among the answers.
    Timeouts are seconds; `deadline` bounds a whole call, however slowly its answer drips. Proxies and certificates come
    from the arguments only, never from the environment.
    """

    def __init__(
        self,
        system: str,
        url: str,
        *,
        token: SecretStr | None = None,
        secrets: Sequence[SecretStr] = (),
        headers: Mapping[str, str] | None = None,
        connect_timeout: float = 3.0,
        read_timeout: float = 15.0,
        deadline: float = 60.0,
        connections: int = 8,
        maximum_body_bytes: int = MAXIMUM_BODY_BYTES,
        propagate: Callable[[MutableMapping[str, str]], None] = inject,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`token` is sent as a bearer token; neither it nor one of the `secrets` stands in any failure. `propagate` adds trace
        headers (W3C traceparent by OpenTelemetry)."""
        self.system = system
        self._deadline = deadline
        self._maximum = maximum_body_bytes
        self._propagate = propagate
        self._secrets = [each.get_secret_value() for each in (*secrets, *([token] if token else ()))]
        authorization = {"authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"accept": "application/json, application/problem+json", **authorization, **(headers or {})},
            timeout=httpx.Timeout(read_timeout, connect=connect_timeout),
            limits=httpx.Limits(
                max_connections=connections,
                max_keepalive_connections=connections,
                keepalive_expiry=KEEP_ALIVE_SECONDS,
            ),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._client.aclose()

    async def read(
        self, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None, method: str | None = None
    ) -> Any:
        """The JSON answer to a read: GET, or POST when a query has a body. Raises a Failure, never Unknown."""
        chosen = method or ("GET" if body is None else "POST")
        return (await self.call(chosen, path, write=False, params=params, body=body)).body

    async def write(
        self, path: str, body: Any, *, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON answer to a write. Raises a Failure; Unknown when the work may have been done."""
        return (await self.call(method, path, write=True, body=body, headers=headers)).body

    async def write_batch(self, path: str, items: Sequence[Any]) -> list[Answer | Failure]:
        """Post `{"items": [...]}` and hand back one Answer or Failure an item, in order; never raises a Failure.

        The system answers `{"items": [{"status": 201, "body": {...}}, {"status": 422, "body": <problem>}, ...]}`. What
        befalls the whole call befalls each item, except a refused body (400, 413, 422): then nothing was done, and
        halves are sent alone, so that one item that breaks the request never harms the others.
        """
        return await self._batch(path, items, write=True)

    async def read_batch(self, path: str, items: Sequence[Any]) -> list[Answer | Failure]:
        """`write_batch` for a query that surely changes nothing: an unclear outcome is Transient, never Unknown."""
        return await self._batch(path, items, write=False)

    async def _batch(self, path: str, items: Sequence[Any], *, write: bool) -> list[Answer | Failure]:
        if not items:
            return []
        try:
            body = (await self.call("POST", path, write=write, body={"items": items})).body
        except Rejected as failure:
            status = (failure.response or {}).get("status")
            if len(items) == 1 or status not in _SPLITTABLE:
                return [failure] * len(items)
            middle = len(items) // 2
            return [
                *await self._batch(path, items[:middle], write=write),
                *await self._batch(path, items[middle:], write=write),
            ]
        except Failure as failure:
            return [failure] * len(items)
        answers = body.get("items") if isinstance(body, dict) else None
        call = _Call("POST", path, write, None)
        if not isinstance(answers, list) or len(answers) != len(items):
            found = f"{len(answers)}" if isinstance(answers, list) else "no list of"
            said = f"{found} items were answered to a batch of {len(items)}"
            return [self.conceal(self._unclear(call, said, "bad_answer", body), {})] * len(items)
        return [self._item(call, item, answer) for item, answer in zip(items, answers, strict=True)]

    def _item(self, call: _Call, item: Any, answer: Any) -> Answer | Failure:
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, int):
            return self.conceal(self._unclear(call, "an item was answered without a status", "bad_answer", answer), {})
        if 200 <= status < 300:
            return Answer(status, {}, answer.get("body"))
        headers = answer.get("headers")
        failure = failure_of_status(
            self.system,
            status,
            headers if isinstance(headers, dict) else {},
            answer.get("body"),
            where=f"POST {call.path}",
            write=call.write,
            request={"method": "POST", "path": call.path, "item": excerpt(item)},
        )
        return self.conceal(failure, {})

    async def call(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One call. Raises the Failure that its outcome means (see outcomes.py for statuses)."""
        try:
            return await self._call(method, path, write=write, params=params, body=body, headers=headers or {})
        except Failure as failure:
            self.conceal(failure, headers or {})
            raise

    def conceal(self, failure: Kind, headers: Mapping[str, str]) -> Kind:
        """The failure without our credentials, and those in the call's headers, should the system have said them back to us."""
        used = headers.get("authorization", "").rpartition(" ")[2]
        secrets = [each for each in (*self._secrets, used) if each]
        known = [*secrets, *(json.dumps(each)[1:-1] for each in secrets)]
        failure.message = concealed(failure.message, known)
        failure.args = (failure.message,)
        failure.code = concealed(failure.code, known)
        failure.request, failure.response = concealed(failure.request, known), concealed(failure.response, known)
        return failure

    async def _call(
        self,
        method: str,
        path: str,
        *,
        write: bool,
        params: Mapping[str, Any] | None,
        body: Any,
        headers: Mapping[str, str],
    ) -> Answer:
        content = None if body is None else encode(body)
        call = _Call(method, path, write, content)
        sent = {**headers, **({"content-type": "application/json"} if content is not None else {})}
        self._propagate(sent)
        try:
            async with asyncio.timeout(self._deadline):
                async with self._client.stream(method, path, params=params, content=content, headers=sent) as response:
                    received = await self._receive(response, call)
        except TimeoutError:
            raise self._unclear(call, f"no complete answer within {self._deadline:g} s", "timeout") from None
        except httpx.HTTPError as error:
            raise self._failure_of(error, call) from error
        return self._answer(response, received, call)

    async def _receive(self, response: httpx.Response, call: _Call) -> bytes:
        received = bytearray()
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > self._maximum:
                raise self._unclear(call, f"the answer is larger than {self._maximum} bytes", "bad_answer", received)
        return bytes(received)

    def _answer(self, response: httpx.Response, received: bytes, call: _Call) -> Answer:
        try:
            body = decode(received) if received else None
        except ValueError as error:
            if response.is_success:
                raise self._unclear(call, f"the answer is not JSON ({error})", "bad_answer", received) from None
            body = received.decode("utf-8", errors="replace")
        if response.is_success:
            return Answer(response.status_code, dict(response.headers), body)
        raise failure_of_status(
            self.system,
            response.status_code,
            response.headers,
            body,
            where=f"{call.method} {call.path}",
            write=call.write,
            request=call.excerpt,
        )

    def _failure_of(self, error: httpx.HTTPError, call: _Call) -> Failure:
        """The failure that a broken call means; it turns on whether the request can have reached the system."""
        said = one_line(error) or type(error).__name__
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)):
            shown = self._client.base_url.copy_with(userinfo=b"")
            return Unavailable(
                f"{self.system}: no connection to {shown} ({said}); is it running, is the url right?",
                system=self.system,
                code=f"{self.system}.no_connection",
                request=call.excerpt,
            )
        if isinstance(error, httpx.PoolTimeout):  # all our connections are busy: nothing was sent
            return Transient(
                f"{self.system}: all connections are busy; try again, or lower the concurrency",
                system=self.system,
                code=f"{self.system}.busy",
                request=call.excerpt,
            )
        timeout = isinstance(error, httpx.TimeoutException)
        return self._unclear(
            call, "no answer in time" if timeout else said, "timeout" if timeout else "broken_connection"
        )

    def _unclear(self, call: _Call, said: str, code: str, received: Any = None) -> Failure:
        """The request may have reached the system: a write may be done (Unknown), a read is simply asked again."""
        kind = Unknown if call.write else Transient
        ending = "; the work may be done: it is looked up before the next try" if call.write else "; it is asked again"
        return kind(
            f"{self.system}: {call.method} {call.path}: {said}{ending}",
            system=self.system,
            code=f"{self.system}.{code}",
            request=call.excerpt,
            response=excerpt(received) if received else None,
        )

    async def check_health(self, path: str) -> Health:
        """Whether a GET on `path` answers with success, in how many milliseconds; never raises."""
        started = time.perf_counter()
        try:
            await self.read(path)
        except Failure as failure:
            return Health(ok=False, latency_ms=(time.perf_counter() - started) * 1_000, detail=failure.message)
        return Health(ok=True, latency_ms=(time.perf_counter() - started) * 1_000)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def encode(body: Any) -> bytes:
    """JSON for the wire: documents by their own rules, Decimal as text so that no digit is lost."""
    return orjson.dumps(body, default=_plain)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def decode(received: bytes) -> Any:
    """JSON from the wire with fractions as Decimal, never float. Raises ValueError when it is no JSON, or none we can hold."""
    try:
        return json.loads(received, parse_float=Decimal, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except InvalidOperation:
        raise ValueError("a number is out of all bounds") from None
