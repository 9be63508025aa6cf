"""Requests that a system takes once by their reference: what may have happened is looked up, the rest is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tallystick.systems.excerpts import excerpt
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown
from tallystick.systems.http import Answer, HttpClient
from tallystick.systems.ports import Accepted


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its deterministic reference, its JSON body, and whether an earlier attempt may have happened."""

    reference: str
    body: Any
    verify: bool = False


async def write_once(
    client: HttpClient, requests: Sequence[Request], *, path: str, lookup_path: str, number: str, batch_size: int
) -> list[Accepted | Failure]:
    """One Accepted or Failure a request, in order; `number` is the field of an answer that holds the system's own id.

    Requests are written in their order in batches of `batch_size`. When one batch meets trouble that is not about its
    items, the later ones are not sent, so that nothing overtakes what has to be tried again.
    """
    found = await _look_up(client, [each for each in requests if each.verify], lookup_path, batch_size)
    results: dict[int, Accepted | Failure] = {}
    left: list[int] = []
    for index, request in enumerate(requests):
        known = found.get(request.reference) if request.verify else None
        if known is None:
            left.append(index)
        else:
            results[index] = _accepted(client, request, known, number)
    for start in range(0, len(left), batch_size):
        chosen = left[start : start + batch_size]
        trouble = next((each for each in results.values() if _stops(each)), None)
        if trouble is not None:
            results.update((index, _not_sent(trouble)) for index in chosen)
            continue
        answers = await client.write_batch(path, [requests[index].body for index in chosen])
        for index, answer in zip(chosen, answers, strict=True):
            results[index] = _accepted(client, requests[index], answer, number)
    return [results[index] for index in range(len(requests))]


async def _look_up(
    client: HttpClient, requests: Sequence[Request], path: str, batch_size: int
) -> dict[str, Answer | Failure]:
    """What is known of each reference. Absent: the system surely does not have it. A Failure: it could not be asked."""
    found: dict[str, Answer | Failure] = {}
    for start in range(0, len(requests), batch_size):
        references = [each.reference for each in requests[start : start + batch_size]]
        for reference, answer in zip(references, await client.read_batch(path, references), strict=True):
            absent = isinstance(answer, Rejected) and (answer.response or {}).get("status") == 404
            if not absent:
                found[reference] = answer
    return found


def _accepted(client: HttpClient, request: Request, answer: Answer | Failure, number: str) -> Accepted | Failure:
    if isinstance(answer, Failure):
        return answer
    theirs = answer.body.get(number) if isinstance(answer.body, dict) else None
    if not isinstance(theirs, str) or not theirs:
        return Unknown(
            f"{client.system}: the answer to {request.reference} has no {number!r}; what was done is looked up",
            system=client.system,
            code=f"{client.system}.bad_answer",
            response=excerpt(answer.body),
        )
    return Accepted(request.reference, theirs, already_there=answer.status == 200)


def _stops(result: Accepted | Failure) -> bool:
    return isinstance(result, Failure) and not isinstance(result, Rejected)


def _not_sent(trouble: Accepted | Failure) -> Failure:
    """The failure of a request that was kept back after `trouble` in an earlier batch: it surely was not done."""
    if isinstance(trouble, (Throttled, Unavailable)):
        return trouble
    system = trouble.system if isinstance(trouble, Failure) else ""
    return Transient(f"{system}: kept back because an earlier batch failed; it is tried again", system=system)
