"""The pytest side of the ERP kit: a desk at the system itself, and desks behind the fault proxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from tallystick.systems.conformance.erp_scenario import Desk, ErpScenario
from tallystick.systems.conformance.proxy import FaultProxy
from tallystick.systems.ports import Operation


class ErpDesk:
    """What every part of the kit stands on. The subclass provides the `scenario` fixture."""

    @pytest_asyncio.fixture
    async def desk(self, scenario: ErpScenario) -> AsyncIterator[Desk]:
        """A connector to the system itself."""
        erp = scenario.connect(scenario.url, scenario.timeout)
        try:
            yield Desk(erp, scenario)
        finally:
            await erp.close()


@asynccontextmanager
async def behind(proxy: FaultProxy, scenario: ErpScenario, timeout: float | None = None) -> AsyncIterator[Desk]:
    """A desk whose connector goes through the proxy."""
    erp = scenario.connect(proxy.url, timeout or scenario.timeout)
    try:
        yield Desk(erp, scenario)
    finally:
        async with asyncio.timeout(30):
            await erp.close()


def needs(desk: Desk, *operations: Operation) -> None:
    """Skip a test of what the connector does not say it can do."""
    missing = [each for each in operations if each not in desk.erp.capabilities.operations]
    if missing:
        pytest.skip(f"the connector does not declare {', '.join(missing)}")
