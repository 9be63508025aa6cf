"""Which errors are the database's passing trouble, and which a statement's own fault."""

from __future__ import annotations

import asyncpg
import pytest

from tallystick.store.outage import is_passing


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionResetError(),
        FileNotFoundError("the socket of a server that is stopped"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.AdminShutdownError(),
        asyncpg.CrashShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.TooManyConnectionsError(),
        asyncpg.DiskFullError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.SerializationError(),
        asyncpg.LockNotAvailableError(),
        asyncpg.ReadOnlySQLTransactionError(),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InterfaceError("pool is closing"),
        asyncpg.InterfaceError("cannot call Connection.fetch(): connection has been released back to the pool"),
        asyncpg.IdleInTransactionSessionTimeoutError(),
    ],
    ids=lambda each: type(each).__name__,
)
def test_passing_trouble(error: Exception) -> None:
    assert is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UniqueViolationError(),
        asyncpg.NotNullViolationError(),
        asyncpg.UntranslatableCharacterError(),
        asyncpg.UndefinedTableError(),
        asyncpg.QueryCanceledError("canceling statement due to statement timeout"),
        asyncpg.DataError("invalid input for query argument $1: 'closed'"),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        TimeoutError(),
        ValueError("closed"),
        KeyError("revision"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_statement_s_own_fault(error: Exception) -> None:
    assert not is_passing(error)
