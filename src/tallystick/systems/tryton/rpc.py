"""Calls to one Tryton database: signed in when needed, repeated where it was locked, and batches whose bad item is isolated."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tallystick.systems.failure import Failure, Rejected, Transient, Unavailable
from tallystick.systems.tryton.jsonrpc import SIGN_IN, JsonRpc, Locked
from tallystick.systems.tryton.options import TrytonOptions

Item = TypeVar("Item", bound=Hashable)
_PAUSES = (0.2, 0.4, 0.8)
_SIGN_INS = 2


@dataclass(frozen=True, slots=True)
class _Session:
    authorization: str
    context: dict[str, Any]
    """For whom and in which language each call is made."""


class TrytonRpc:
    """One integration user's session; it signs in when needed and again when the session has run out."""

    def __init__(self, name: str, options: TrytonOptions) -> None:
        self.name = name
        self._options = options
        self._client = options.client(name)
        self._jsonrpc = JsonRpc(name, self._client, options.database)
        self._session: _Session | None = None
        self._signing_in = asyncio.Lock()
        self.posting = asyncio.Lock()
        """Postings take turns, since each locks the company's number sequences: side by side they would only be repeated."""

    async def close(self) -> None:
        """Let go of connections."""
        await self._client.close()

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
        except Failure as failure:
            # What is locked is locked for all of them; any other refusal or fault may be one item's.
            if len(items) == 1 or isinstance(failure, Locked) or not isinstance(failure, Rejected | Transient):
                return dict.fromkeys(items, failure)
            middle = len(items) // 2
            return {**await self.isolate(items[:middle], action), **await self.isolate(items[middle:], action)}
        return {}

    async def call(
        self, method: str, arguments: Sequence[Any], *, write: bool, context: Mapping[str, Any] | None = None
    ) -> Any:
        """Call any method by its whole name, in the company's context. Raises a Failure.

        Where somebody else holds what it needs, Tryton undoes the call and says so; it is made again a little later.
        """
        for pause in _PAUSES:
            try:
                return await self._call(method, arguments, context or {}, write=write)
            except Locked:
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads callers, guards nothing
        return await self._call(method, arguments, context or {}, write=write)

    async def _call(self, method: str, arguments: Sequence[Any], context: Mapping[str, Any], *, write: bool) -> Any:
        for _ in range(_SIGN_INS):
            session = self._session or await self._sign_in()
            try:
                return await self._jsonrpc.post(
                    method,
                    [*arguments, {**session.context, **context}],
                    write=write,
                    authorization=session.authorization,
                )
            except Failure as failure:
                if _status(failure) != 401:
                    raise
                refused = failure
                if self._session is session:
                    self._session = None  # it has run out: nothing was done
        raise refused

    async def _sign_in(self) -> _Session:
        async with self._signing_in:
            if self._session is None:
                self._session = await self._new_session()
            return self._session

    async def _new_session(self) -> _Session:
        user = self._options.user
        secret = {"password": self._options.password.get_secret_value()}
        answer = await self._jsonrpc.post(SIGN_IN, [user, secret, "en"], write=False, authorization=None)
        if not answer:
            raise self._misconfigured("it does not accept user and password")
        signed = base64.b64encode(f"{user}:{answer[0]}:{answer[1]}".encode()).decode()
        authorization = f"Session {signed}"
        preferences = await self._jsonrpc.post(
            "model.res.user.get_preferences", [True, {}], write=False, authorization=authorization
        )
        if not preferences.get("company"):
            raise self._misconfigured(f"its user {user!r} acts for no company")
        return _Session(authorization, {"language": "en", "company": preferences["company"]})

    def _misconfigured(self, said: str) -> Unavailable:
        message = f"{self.name}: {said}: correct this system's settings, or the user in Tryton"
        return Unavailable(message, system=self.name, code=f"{self.name}.misconfigured")


def _status(failure: Failure) -> int | None:
    """The HTTP status behind a failure, where there was one."""
    response = failure.response
    return response.get("status") if isinstance(response, dict) else None
