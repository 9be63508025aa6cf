"""Named places where a fault campaign ends or stops this process: on both sides of every commit and every outside write.

In an installation they do nothing: only where TALLYSTICK_CRASH_POINTS names a folder is anything looked at. There a file of
a point's name, with a signal's name in it (SIGKILL, SIGSTOP), is that point armed: whoever comes by first takes the file
away and sends itself the signal.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallystick.store.pool import Connection

FOLDER_VARIABLE = "TALLYSTICK_CRASH_POINTS"
COMMITS = ("intake", "reception", "claim", "settlement", "changes", "resolution")
"""What is committed: an order, events, a claim, a batch's outcomes, a change or cancellation, an exception's action."""
WRITES = (
    "commitment.commit_order",
    "commitment.change_order",
    "commitment.cancel_order",
    "fulfilment.request_shipment",
    "fulfilment.cancel_shipment",
    "fulfilment.record_shipment",
    "invoicing.invoice_shipment",
    "settlement.request_payment",
    "settlement.record_payment",
    "returns.credit_return",
    "publication.publish",
)
"""Stage and kind of every message that makes a stage write outside."""
CRASH_POINTS = (
    *(f"{name}.{when}_commit" for name in COMMITS for when in ("before", "after")),
    *(f"{name}.{when}_write" for name in WRITES for when in ("before", "after")),
)

_folder = os.environ.get(FOLDER_VARIABLE)


def crash_point(name: str) -> None:
    """A place where the process may end, one of CRASH_POINTS; nothing unless the campaign has armed it."""
    if _folder is not None:
        _strike(Path(_folder) / name)


def _strike(armed: Path) -> None:
    try:
        wanted = armed.read_text(encoding="ascii")
        armed.unlink()
    except FileNotFoundError:  # not armed, or another process was first
        return
    os.kill(os.getpid(), signal.Signals[wanted])


@asynccontextmanager
async def committing(connection: Connection, name: str) -> AsyncIterator[None]:
    """A database transaction that is one of COMMITS: a crash point on both sides of its commit."""
    async with connection.transaction():
        yield
        crash_point(f"{name}.before_commit")
    crash_point(f"{name}.after_commit")
