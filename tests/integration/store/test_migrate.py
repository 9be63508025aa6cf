"""The schema is brought up to date once, however many processes start at once, and a wrong URL is told in one line."""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tallystick.settings import SettingsError
from tallystick.store.embedded import with_database
from tallystick.store.migrate import known_revisions, schema_status, upgrade_schema
from tallystick.store.outage import is_passing
from tallystick.store.pool import open_pool

_numbers = itertools.count(1)


@pytest.fixture
async def bare(postgresql_url: str) -> AsyncIterator[str]:
    """The URL of a database with nothing in it."""
    name = f"tallystick_bare_{os.getpid()}_{next(_numbers)}"
    connection = await asyncpg.connect(postgresql_url)
    await connection.execute(f"create database {name}")
    yield with_database(postgresql_url, name)
    await connection.execute(f"drop database {name} with (force)")
    await connection.close()


async def test_an_empty_database_is_brought_to_the_newest_revision(bare: str) -> None:
    before = await schema_status(bare)
    assert (before.current, before.up_to_date) == (None, False)
    after = await upgrade_schema(bare)
    assert after.up_to_date
    assert after.current == known_revisions()[-1]
    assert await schema_status(bare) == after
    assert await upgrade_schema(bare) == after


async def test_many_processes_may_upgrade_at_once(bare: str) -> None:
    program = (
        "import asyncio, sys; from tallystick.store.migrate import upgrade_schema; "
        "print(asyncio.run(upgrade_schema(sys.argv[1])).current)"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, bare, stdout=PIPE, stderr=PIPE)
        for _ in range(4)
    ]
    said = [await each.communicate() for each in processes]
    assert [out.decode().strip() for out, _ in said] == [known_revisions()[-1]] * 4, said


async def test_a_schema_of_a_newer_version_is_left_alone(bare: str) -> None:
    await upgrade_schema(bare)
    connection = await asyncpg.connect(bare)
    await connection.execute("update alembic_version set version_num = '9999'")
    await connection.close()
    with pytest.raises(SettingsError, match="'9999'"):
        await upgrade_schema(bare)
    assert (await schema_status(bare)).current == "9999"


async def test_an_upgrade_that_fails_leaves_the_database_as_it_was(bare: str) -> None:
    connection = await asyncpg.connect(bare)
    await connection.execute("create table system_states (mine text)")  # in the way of a migration
    with pytest.raises(Exception, match="system_states"):
        await upgrade_schema(bare)
    tables = await connection.fetch("select relname from pg_class where relkind in ('r', 'p') and relnamespace = 2200")
    assert [row["relname"] for row in tables] == ["system_states"]
    await connection.close()


async def test_a_url_means_the_same_to_the_pool_and_to_the_upgrade(bare: str) -> None:
    managed = f"{bare}&sslmode=disable" if "?" in bare else f"{bare}?sslmode=disable"
    assert (await upgrade_schema(managed)).up_to_date
    pool = await open_pool(managed, size=1)
    await pool.close()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://postgres@127.0.0.1:1/x", "Connect call failed"),
        ("nonsense", "scheme is expected"),
        ("mysql://postgres@127.0.0.1/x", "got 'mysql'"),
        ("postgresql://127.0.0.1:port/x", "'port'"),
    ],
)
async def test_a_wrong_url_is_told_in_one_line(url: str, said: str) -> None:
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError), match=said) as caught:
        await schema_status(url)
    assert "\n" not in str(caught.value)


async def test_a_database_that_is_not_there_is_named(bare: str) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError, match="elsewhere") as caught:
        await upgrade_schema(with_database(bare, "elsewhere"))
    assert not is_passing(caught.value)
