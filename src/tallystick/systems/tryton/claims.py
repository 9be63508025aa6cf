"""One document a reference: Tryton's unique identifier of a document's chat channel decides, whoever asks at the same time.

Tryton lets several sales or statements carry one reference. A lost answer or a worker that outlived its lease could so make
a document twice. Therefore a new document is a draft until its reference is claimed for it: `ir.chat.channel` is unique by
identifier in the database itself, and drafts that lose are deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tallystick.systems.failure import Rejected
from tallystick.systems.tryton.rpc import TrytonRpc

_MODEL = "ir.chat.channel"


async def find_claims(rpc: TrytonRpc, model: str, references: Sequence[str]) -> dict[str, int]:
    """Ids of the documents that hold these references; unclaimed ones are absent."""
    if not references:
        return {}
    found = await rpc.search(_MODEL, [("identifier", "in", sorted(set(references)))], ["identifier", "resource"])
    ids = {}
    for each in found:
        name, _, record = str(each["resource"]).partition(",")
        if name == model:
            ids[str(each["identifier"])] = int(record)
    return ids


async def claim(rpc: TrytonRpc, model: str, drafts: Mapping[str, int]) -> dict[str, int]:
    """Claim references for drafts; returns the document that holds each now, ours or the one that was faster.

    A claim whose document was deleted is passed on to ours. Drafts that lost are deleted. Raises a Failure.
    """

    async def make(references: Sequence[str]) -> None:
        values = [{"identifier": each, "resource": f"{model},{drafts[each]}"} for each in references]
        await rpc.write(f"{_MODEL}.create", values)

    lost: list[str] = []
    for reference, failure in (await rpc.isolate(list(drafts), make)).items():
        if not isinstance(failure, Rejected):
            raise failure
        lost.append(reference)
    holders = dict(drafts)
    holders.update(await find_claims(rpc, model, lost))
    beaten = [drafts[each] for each in lost if holders[each] != drafts[each]]
    if beaten:
        await rpc.write(f"{model}.delete", beaten)
    return holders


async def release_claims(rpc: TrytonRpc, references: Sequence[str]) -> None:
    """Give references back, after their drafts were deleted."""
    found = await rpc.search(_MODEL, [("identifier", "in", sorted(set(references)))], [])
    if found:
        await rpc.write(f"{_MODEL}.delete", [each["id"] for each in found])


async def pass_claim(rpc: TrytonRpc, model: str, reference: str, successor: int) -> None:
    """Let another document hold the reference from now on, such as a changed order's new revision."""
    found = await rpc.search(_MODEL, [("identifier", "=", reference)], [])
    await rpc.write(f"{_MODEL}.write", [each["id"] for each in found], {"resource": f"{model},{successor}"})
