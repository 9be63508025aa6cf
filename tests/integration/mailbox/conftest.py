"""One database for the mailbox's tests, emptied for each, with the tables in which the test stage writes; and what was logged."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, MutableMapping
from typing import Any

import pytest
from structlog.testing import capture_logs
from tests.conftest import MakeDatabase
from tests.integration.mailbox.mailroom import TABLES

from tallystick.store.pool import Pool, open_pool


@pytest.fixture(scope="session")
async def mailbox_url(make_database: MakeDatabase) -> AsyncIterator[str]:
    """The URL of the database that these tests share."""
    async with make_database() as url:
        pool = await open_pool(url, size=1)
        await pool.execute(TABLES)
        await pool.close()
        yield url


@pytest.fixture
async def mailbox(mailbox_url: str) -> AsyncIterator[Pool]:
    """The pool of an empty mailbox."""
    pool = await open_pool(mailbox_url, size=8)
    await pool.execute(
        "truncate messages, message_attempts, message_log, inbox, system_states, recorded, buried restart identity"
    )
    yield pool
    await pool.close()


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[MutableMapping[str, Any]]]:
    """What the mailbox said, in order."""
    with capture_logs() as entries:
        yield entries
