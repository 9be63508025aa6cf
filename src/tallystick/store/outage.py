"""Which errors mean that the database is away or can't work now, and which that what it was told to do was wrong."""

from __future__ import annotations

import asyncpg

# Connection lost, rolled back for another's sake, no resources left, stopped by an operator, trouble of the machine.
_PASSING_CLASSES = ("08", "40", "53", "57P", "58")
_PASSING_STATES = ("25006", "25P03", "55P03")
"""A server that became a standby; a transaction that was left alone too long; a lock that another held too long."""

_LOST = ("clos", "released back to the pool")


def is_passing(error: BaseException) -> bool:
    """Whether the same statement may well work later: then nobody's message is at fault, and one waits and tries again.

    A statement that took too long is not: it may be its own fault, and would be tried for ever.
    """
    if isinstance(error, asyncpg.PostgresError):
        state = str(error.sqlstate or "")
        return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES
    if isinstance(error, asyncpg.InternalClientError):
        return True  # the driver lost its thread, as when a connection breaks between two of its steps
    if isinstance(error, asyncpg.InterfaceError):
        # The one class stands for a lost connection and for wrong use; only its text tells them apart. A connection that is
        # lost between two statements goes back to its pool by itself, under whoever has it.
        return not isinstance(error, ValueError) and any(each in str(error) for each in _LOST)
    return isinstance(error, OSError) and not isinstance(error, TimeoutError)
