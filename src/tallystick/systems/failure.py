"""The five ways a call to a system fails; the connector decides which, the mailbox knows what to do with each."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A call to a system did not give the wanted answer. Raised, or handed back for one item of a batch.

    `message` is for a person: what, where, which value, what to do next; never a secret. `code` is stable and dotted.
    `request` and `response` are excerpts for the attempt log, already without secrets. `asked` is false where the system had
    no part in it: the judgement was ours, and says nothing of how the system is.
    """

    kind = "failure"

    def __init__(
        self,
        message: str,
        *,
        system: str,
        code: str | None = None,
        retry_after: float | None = None,
        request: Any = None,
        response: Any = None,
        asked: bool = True,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.system = system
        self.code = code or f"{system}.{self.kind}"
        self.retry_after = retry_after
        self.request = request
        self.response = response
        self.asked = asked


class Rejected(Failure):
    """The system says no for a business reason; repeating it is pointless, a person must look: an exception opens."""

    kind = "rejected"


class Throttled(Failure):
    """Too many calls; wait `retry_after` seconds. No attempt is burnt."""

    kind = "throttled"


class Unavailable(Failure):
    """The system cannot be reached or is down, and surely did nothing: the breaker opens, no attempt is burnt."""

    kind = "unavailable"


class Transient(Failure):
    """It failed and surely did nothing, and the next try may well work: backoff with jitter."""

    kind = "transient"


class Unknown(Failure):
    """The outcome is not known (a timeout after the request was sent): look it up before doing it again."""

    kind = "unknown"
