"""One company for all tests of the stages; its systems are healed before each."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.conftest import MakeDatabase
from tests.integration.stages.company import SYSTEMS, Company, open_company


@pytest.fixture(scope="session")
async def running_company(
    make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Company]:
    async with make_database() as database, open_company(tmp_path_factory.mktemp("company"), database) as company:
        yield company


@pytest.fixture
async def company(running_company: Company) -> Company:
    """The running company with all its systems up."""
    for system in SYSTEMS:
        await running_company.faults(system)
    return running_company
