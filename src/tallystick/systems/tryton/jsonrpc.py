"""One call of Tryton's JSON-RPC, and what its answer means in the five kinds of failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from tallystick.systems.excerpts import excerpt, one_line
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown
from tallystick.systems.http import HttpClient
from tallystick.systems.tryton.wire import from_wire, to_wire

Kind = TypeVar("Kind", bound=Failure)
SIGN_IN = "common.db.login"
_LOCKED = ("could not serialize", "deadlock detected", "could not obtain lock")
_LOCKED_SECONDS = 0.5


class Warned(Rejected):
    """Tryton wants a yes before it goes on. Where the connector has none to give, a person must look."""

    warning = ""
    """Tryton's name of this warning."""


class Locked(Throttled):
    """Others, our own workers among them, held what the call needs, longer than Tryton waits: nothing was done, it was too much
    at once. No document is at fault, so that none runs out of attempts by it."""


class JsonRpc:
    """Tryton's one path for all calls of a database."""

    def __init__(self, name: str, client: HttpClient, database: str) -> None:
        self._name = name
        self._client = client
        self._path = f"{database}/rpc/"

    async def post(self, method: str, parameters: Sequence[Any], *, write: bool, authorization: str | None) -> Any:
        """The result. Raises a Failure; Unknown when a write may have been done."""
        headers = {"authorization": authorization} if authorization else {}
        body = {"id": 1, "method": method, "params": to_wire(list(parameters))}
        try:
            answer = await self._client.call("POST", self._path, write=write, body=body, headers=headers)
        except Unavailable as failure:
            if any(each in str((failure.response or {}).get("body", "")) for each in _LOCKED):
                message = f"{self._name}: {method} met a conflict in Tryton's database; it is tried again"
                raise Locked(
                    message,
                    system=self._name,
                    code=f"{self._name}.locked",
                    retry_after=_LOCKED_SECONDS,
                    request=failure.request,
                ) from failure
            raise
        if not isinstance(answer.body, dict) or ("result" not in answer.body and "error" not in answer.body):
            raise self._client.conceal(self._unreadable(method, "is no JSON-RPC", answer.body, write), headers)
        if "error" in answer.body:
            refusal = self._refusal(method, answer.body["error"], excerpt(body) if method != SIGN_IN else None)
            raise self._client.conceal(refusal, headers)
        try:
            return from_wire(answer.body["result"])
        except (KeyError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            said = f"cannot be read ({type(error).__name__}: {one_line(error)})"
            raise self._client.conceal(self._unreadable(method, said, answer.body, write), headers) from None

    def _unreadable(self, method: str, said: str, body: Any, write: bool) -> Failure:
        """The call was answered, but what it did is not to be known from that."""
        kind = Unknown if write else Transient
        return kind(
            f"{self._name}: the answer to {method} {said}; what was done is looked up",
            system=self._name,
            code=f"{self._name}.bad_answer",
            response=excerpt(body),
        )

    def _refusal(self, method: str, error: Any, request: str | None) -> Failure:
        """What a user may not do is a business no, a conflict passes, the rest is a fault of Tryton's."""
        kind = error[0] if isinstance(error, list) and error else ""
        words = error[1] if isinstance(error, list) and len(error) > 1 else error
        if kind == "UserError" and isinstance(words, list):
            return self._failure(Rejected, "refused", _sentence(words[:2]), request, error)
        if kind == "UserWarning" and isinstance(words, list):
            warned = self._failure(Warned, "warned", _sentence(words[1:3]), request, error)
            warned.warning = str(words[0])
            return warned
        if kind == "ConcurrencyException":
            said = f"{method}: it was changed meanwhile; it is tried again"
            return self._failure(Transient, "conflict", said, request, error)
        return self._failure(
            Transient, "fault", f"{method}: {one_line(kind or error)}; it is tried again", request, error
        )

    def _failure(self, kind: type[Kind], code: str, said: str, request: str | None, error: Any) -> Kind:
        message = f"{self._name}: {said}"
        return kind(message, system=self._name, code=f"{self._name}.{code}", request=request, response=excerpt(error))


def _sentence(parts: Sequence[Any]) -> str:
    return one_line(" ".join(str(each) for each in parts if each))
