"""What Tryton puts off: it processes a sale after the transaction that calls for it, so a kill in between leaves it undone.

Then there is no draft invoice of what shipped and no shipment of what is still open. Processing a sale again changes nothing
that is done, so whoever misses one of them asks for it once more.
"""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.systems.failure import Failure
from tallystick.systems.tryton.rpc import TrytonRpc


async def process_again(rpc: TrytonRpc, sales: Sequence[int]) -> dict[int, Failure]:
    """Have these sales processed, each harmed by none of the others; returns what failed."""

    async def process(chosen: Sequence[int]) -> None:
        await rpc.write("sale.sale.process", list(chosen))

    return await rpc.isolate(list(sales), process)
