"""Calls to one Tryton database: signed in, told in the five kinds of failure, and batches whose bad item is isolated."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from tallystick.systems.excerpts import excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Transient, Unavailable, Unknown
from tallystick.systems.http import HttpClient
from tallystick.systems.tryton.options import TrytonOptions
from tallystick.systems.tryton.wire import from_wire, to_wire

Item = TypeVar("Item", bound=Hashable)
_CONFLICTS = ("could not serialize", "deadlock detected", "could not obtain lock")


class Warned(Rejected):
    """Tryton wants a yes before it goes on. Where the connector has none to give, a person must look."""

    warning = ""
    """Tryton's name of this warning."""


class TrytonRpc:
    """One integration user's session; it signs in when needed and again when the session has run out."""

    def __init__(self, name: str, options: TrytonOptions) -> None:
        self.name = name
        self._options = options
        self._path = f"{options.database}/rpc/"
        self._client: HttpClient = options.client(name)
        self._authorization: str | None = None
        self._context: dict[str, Any] = {}
        self._signing_in = asyncio.Lock()

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

    async def company(self) -> int:
        """The company for which the integration user acts. Raises Unavailable when it has none."""
        if self._authorization is None:
            await self._sign_in(None)
        return int(self._context["company"])

    async def write(self, method: str, *arguments: Any, context: Mapping[str, Any] | None = None) -> Any:
        """Call a model's method, such as `sale.sale.quote`, in one transaction of Tryton's.

        Raises a Failure; Unknown when it may have been done.
        """
        return await self.call(f"model.{method}", arguments, write=True, context=context)

    async def search(
        self,
        model: str,
        domain: Sequence[Any],
        fields: Sequence[str],
        *,
        limit: int | None = None,
        order: Sequence[tuple[str, str]] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        """Records that match, with these fields and their id; a dotted field comes in a dict of its own, `party.`.

        Raises a Failure, never Unknown.
        """
        found: list[dict[str, Any]] = await self.call(
            f"model.{model}.search_read",
            [list(domain), 0, limit, order, ["id", *fields]],
            write=False,
            context=context,
        )
        return found

    async def skip_warning(self, warning: str) -> None:
        """Say yes, once, to a warning by its name, as a person does with a click. Raises a Failure."""
        await self.write("res.user.warning.skip", warning)

    async def isolate(
        self, items: Sequence[Item], action: Callable[[Sequence[Item]], Awaitable[None]]
    ) -> dict[Item, Failure]:
        """Do `action` with all items in one call; which of them breaks it is found by halves. Returns what failed and why.

        Tryton does a call in one transaction, so a refused call has done nothing and its halves may be sent again.
        """
        if not items:
            return {}
        try:
            await action(items)
        except (Rejected, Transient) as failure:
            if len(items) == 1:
                return {items[0]: failure}
            middle = len(items) // 2
            return {**await self.isolate(items[:middle], action), **await self.isolate(items[middle:], action)}
        except Failure as failure:
            return dict.fromkeys(items, failure)
        return {}

    async def call(
        self, method: str, arguments: Sequence[Any], *, write: bool, context: Mapping[str, Any] | None = None
    ) -> Any:
        """Call any method by its whole name, in the company's context. Raises a Failure."""
        if self._authorization is None:
            await self._sign_in(None)
        used = self._authorization
        try:
            return await self._post(method, [*arguments, {**self._context, **(context or {})}], write=write)
        except Failure as failure:
            if _status(failure) != 401:
                raise
        await self._sign_in(used)  # the session has run out: nothing was done
        return await self._post(method, [*arguments, {**self._context, **(context or {})}], write=write)

    async def _sign_in(self, expired: str | None) -> None:
        async with self._signing_in:
            if self._authorization != expired:
                return
            user = self._options.user
            secret = {"password": self._options.password.get_secret_value()}
            self._authorization = None
            answer = await self._post("common.db.login", [user, secret, "en"], write=False)
            if not answer:
                raise self._misconfigured("it does not accept user and password")
            signed = base64.b64encode(f"{user}:{answer[0]}:{answer[1]}".encode()).decode()
            self._authorization = f"Session {signed}"
            try:
                preferences = await self._post("model.res.user.get_preferences", [True, {}], write=False)
            except Failure:
                self._authorization = None
                raise
            if not preferences.get("company"):
                self._authorization = None
                raise self._misconfigured(f"its user {user!r} acts for no company")
            self._context = {"language": "en", "company": preferences["company"]}

    def _misconfigured(self, said: str) -> Unavailable:
        message = f"{self.name}: {said}: correct this system's settings, or the user in Tryton"
        return Unavailable(message, system=self.name, code=f"{self.name}.misconfigured")

    async def _post(self, method: str, parameters: Sequence[Any], *, write: bool) -> Any:
        headers = {"authorization": self._authorization} if self._authorization else {}
        body = {"id": 1, "method": method, "params": to_wire(list(parameters))}
        try:
            answer = await self._client.call("POST", self._path, write=write, body=body, headers=headers)
        except Unavailable as failure:
            if any(each in str((failure.response or {}).get("body", "")) for each in _CONFLICTS):
                raise Transient(
                    f"{self.name}: {method} met a conflict in Tryton's database; it is tried again",
                    system=self.name, code=f"{self.name}.conflict", request=failure.request,
                ) from failure  # fmt: skip
            raise
        if not isinstance(answer.body, dict) or ("result" not in answer.body and "error" not in answer.body):
            kind = Unknown if write else Transient
            raise kind(
                f"{self.name}: the answer to {method} is no JSON-RPC; what was done is looked up",
                system=self.name,
                code=f"{self.name}.bad_answer",
                response=excerpt(answer.body),
            )
        if "error" in answer.body:
            raise self._refusal(method, answer.body["error"], excerpt(body) if method != "common.db.login" else None)
        return from_wire(answer.body["result"])

    def _refusal(self, method: str, error: Any, request: str | None) -> Failure:
        """Tryton's error as a failure: what a user may not do is a business no, a conflict passes, the rest is a fault."""
        kind = error[0] if isinstance(error, list) and error else ""
        words = error[1] if isinstance(error, list) and len(error) > 1 else error
        if kind == "UserError" and isinstance(words, list):
            said, code = _sentence(words[:2]), "refused"
        elif kind == "UserWarning" and isinstance(words, list):
            said, code = _sentence(words[1:3]), "warned"
        else:
            passing = "it was changed meanwhile" if kind == "ConcurrencyException" else one_line(kind or error)
            return Transient(
                f"{self.name}: {method}: {passing}; it is tried again",
                system=self.name,
                code=f"{self.name}.{'conflict' if kind == 'ConcurrencyException' else 'fault'}",
                request=request,
                response=excerpt(error),
            )
        refusal = Rejected if code == "refused" else Warned
        failure = refusal(
            f"{self.name}: {said}", system=self.name, code=f"{self.name}.{code}", request=request,
            response=excerpt(error),
        )  # fmt: skip
        if isinstance(failure, Warned):
            failure.warning = str(words[0])
        return failure


def _sentence(parts: Sequence[Any]) -> str:
    return one_line(" ".join(str(each) for each in parts if each))


def _status(failure: Failure) -> int | None:
    """The HTTP status behind a failure, where there was one."""
    response = failure.response
    return response.get("status") if isinstance(response, dict) else None
