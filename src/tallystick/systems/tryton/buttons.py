"""Presses Tryton's buttons for many documents at once, beside others who may press the same ones.

Tryton refuses a button for a document that is not in the button's state, with an error like any business no. Where somebody
else was faster that is no refusal: the document's state tells the two apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from tallystick.systems.failure import Failure, Rejected
from tallystick.systems.tryton.rpc import TrytonRpc


async def press(
    rpc: TrytonRpc,
    model: str,
    button: str,
    documents: Mapping[str, int],
    states: Sequence[str],
    action: Callable[[Sequence[int]], Awaitable[None]] | None = None,
) -> dict[str, Failure]:
    """Press a button for the documents in one of its states, by reference; `action` does it where one call does not.

    Returns what failed and why; whom somebody else has moved on, or deleted, is not among them.
    """

    async def call(references: Sequence[str]) -> None:
        chosen = sorted({documents[each] for each in references})
        if action is not None:
            await action(chosen)
        else:
            await rpc.write(f"{model}.{button}", chosen)

    failures = await rpc.isolate(list(documents), call)
    refused = [documents[each] for each, failure in failures.items() if isinstance(failure, Rejected)]
    if not refused:
        return failures
    still = {row["id"] for row in await rpc.search(model, [("id", "in", refused), ("state", "in", list(states))], [])}
    return {
        reference: failure
        for reference, failure in failures.items()
        if not isinstance(failure, Rejected) or documents[reference] in still
    }


async def withdraw(rpc: TrytonRpc, model: str, back: str, documents: Mapping[str, int]) -> dict[str, Failure]:
    """Set refused documents back with the button `back` and delete them, so that nothing half done is left.

    Returns whose outcome is not certain, and why. Where Tryton refuses, somebody else is at it.
    """
    failures: dict[str, Failure] = {}
    for method in (back, "delete"):

        async def call(references: Sequence[str], method: str = method) -> None:
            await rpc.write(f"{model}.{method}", [documents[each] for each in references])

        failures.update(await rpc.isolate([each for each in documents if each not in failures], call))
    return {each: failure for each, failure in failures.items() if not isinstance(failure, Rejected)}
