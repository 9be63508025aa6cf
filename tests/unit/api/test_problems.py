"""What an error is to the caller: where only the database is away, the same request is worth sending again."""

from __future__ import annotations

import asyncpg
import pytest

from tallystick.api.problems import as_problem
from tallystick.store.outage import is_passing


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError(),
        asyncpg.AdminShutdownError(),
        asyncpg.CannotConnectNowError(),
        asyncpg.DiskFullError(),
        asyncpg.IdleInTransactionSessionTimeoutError(),
        asyncpg.DeadlockDetectedError(),
        asyncpg.ReadOnlySQLTransactionError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_trouble_of_the_database_asks_to_come_again(error: Exception) -> None:
    assert is_passing(error), "workers take it for passing trouble as well"
    problem = as_problem(error)
    assert (problem.status, problem.code) == (503, "database.unavailable")
    assert "Retry-After" in problem.headers


def test_a_bug_of_ours_tells_nothing_but_a_reference() -> None:
    problem = as_problem(RuntimeError("secret detail"))
    assert problem.status == 500
    assert "secret" not in problem.detail
