"""The application over real PostgreSQL: one installation a test module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.conftest import MakeDatabase
from tests.integration.api.installation import Served, serve


@pytest.fixture(scope="module")
async def served(make_database: MakeDatabase) -> AsyncIterator[Served]:
    """An installation that the module's tests share; each test makes orders of its own."""
    async with make_database() as url, serve(url) as installation:
        yield installation
