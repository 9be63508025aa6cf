"""The kit for systems that take requests once by their reference: warehouse, payments, CRM. Each role adds its own part."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import pytest_asyncio

from tallystick.systems.conformance.positions import spread
from tallystick.systems.conformance.proxy import RETRY_AFTER_SECONDS, Fault, FaultProxy
from tallystick.systems.conformance.verdicts import failed, only, settled, show_no_secrets, succeeded
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown
from tallystick.systems.ports import Accepted, Capabilities, Operation, Role, System

_LARGEST_BATCH = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestScenario:
    """A system that runs, how to connect to it, and how to see what it holds."""

    url: str
    """Where the system really is; the kit puts its fault proxy in front of it."""
    connect: Callable[[str, float], Any]
    """Makes a connector to the system at a URL, with a read timeout in seconds."""
    count: Callable[[str], Awaitable[int]]
    """How many requests the system holds under a reference, asked by the test's own means."""
    secrets: tuple[str, ...] = ()
    """What no failure may show, such as the token."""
    timeout: float = 15.0
    short_timeout: float = 1.0
    """Read timeout where the kit keeps silent until the connector gives up; enough for each single call."""
    probes: int = 20
    """At how many of its calls, at most, a request loses its answer."""


class AcceptedRequests(ABC):
    """What every such connector must pass. A role says what it is, makes a request and sends some."""

    role: ClassVar[Role]
    operation: ClassVar[Operation]
    port: ClassVar[type[System]]

    @abstractmethod
    def make(self, scenario: Any) -> Any:
        """A good request under a reference that was never used."""

    @abstractmethod
    async def send(self, system: Any, requests: Sequence[Any]) -> Sequence[Accepted | Failure]:
        """Send requests through the connector."""

    @pytest_asyncio.fixture
    async def system(self, scenario: RequestScenario) -> AsyncIterator[Any]:
        """A connector to the system itself."""
        async with connected(scenario, scenario.url, scenario.timeout) as system:
            yield system

    async def test_it_declares_what_it_is_and_can(self, system: Any) -> None:
        assert isinstance(system, self.port), f"it lacks a method of the port {self.port.__name__}"
        capabilities: Capabilities = system.capabilities
        assert self.role in capabilities.roles
        assert self.operation in capabilities.operations
        assert min(capabilities.batch_size, capabilities.concurrency) >= 1

    async def test_health_is_good_while_the_system_runs(self, system: Any) -> None:
        health = await system.check_health()
        assert health.ok, health.detail

    async def test_a_batch_is_answered_item_by_item_in_order(self, system: Any, scenario: RequestScenario) -> None:
        requests = [self.make(scenario) for _ in range(min(system.capabilities.batch_size, _LARGEST_BATCH))]
        accepted = succeeded(await self.send(system, requests))
        assert [each.reference for each in accepted] == [each.reference for each in requests]
        assert not any(each.already_there for each in accepted)
        assert len({each.system_reference for each in accepted}) == len(requests)
        assert list(await self.send(system, [])) == []

    async def test_it_takes_as_many_calls_at_once_as_it_says(self, system: Any, scenario: RequestScenario) -> None:
        requests = [self.make(scenario) for _ in range(system.capabilities.concurrency)]
        answers = await asyncio.gather(*(self.send(system, [request]) for request in requests))
        assert [only(answer).reference for answer in answers] == [each.reference for each in requests]

    async def test_the_same_reference_twice_is_taken_once(self, system: Any, scenario: RequestScenario) -> None:
        request = self.make(scenario)
        first = only(await self.send(system, [request]))
        again = only(await self.send(system, [replace(request, verify=True)]))
        assert again == replace(first, already_there=True)
        assert await scenario.count(request.reference) == 1

    async def test_verifying_what_never_happened_does_it(self, system: Any, scenario: RequestScenario) -> None:
        request = replace(self.make(scenario), verify=True)
        assert not only(await self.send(system, [request])).already_there
        assert await scenario.count(request.reference) == 1

    async def test_identical_requests_at_once_are_taken_once(self, system: Any, scenario: RequestScenario) -> None:
        request = self.make(scenario)
        repeated = replace(request, verify=True)
        answers = await asyncio.gather(*(self.send(system, [each]) for each in (request, repeated, repeated)))
        made = {each.system_reference for each in settled(answers)}
        assert len(made) == 1, f"one request, one number: {made or answers}"
        assert await scenario.count(request.reference) == 1

    async def test_a_system_that_is_away_is_unavailable_until_it_comes_back(self, scenario: RequestScenario) -> None:
        async with FaultProxy(scenario.url) as proxy, connected(scenario, proxy.url, scenario.timeout) as system:
            await proxy.leave()
            request = self.make(scenario)
            show_no_secrets(failed(await self.send(system, [request]), Unavailable), scenario.secrets)
            health = await system.check_health()
            assert not health.ok
            assert health.detail, "poor health says why"
            await proxy.come_back()
            only(await self.send(system, [replace(request, verify=True)]))

    @pytest.mark.parametrize(("fault", "kind"), [(Fault.THROTTLED, Throttled), (Fault.UNAVAILABLE, Unavailable)])
    async def test_a_system_that_asks_for_a_pause_gets_it(
        self, scenario: RequestScenario, fault: Fault, kind: type[Failure]
    ) -> None:
        async with FaultProxy(scenario.url) as proxy, connected(scenario, proxy.url, scenario.timeout) as system:
            proxy.strike(fault)
            request = self.make(scenario)
            failures = failed(await self.send(system, [request]), kind)
            assert failures[0].retry_after == RETRY_AFTER_SECONDS
            show_no_secrets(failures, scenario.secrets)
            proxy.heal()
            only(await self.send(system, [request]))

    @pytest.mark.parametrize(
        "fault", [Fault.SILENT_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE_AFTER, Fault.TRUNCATED_AFTER]
    )
    async def test_a_spoilt_answer_is_looked_up(self, scenario: RequestScenario, fault: Fault) -> None:
        request = self.make(scenario)
        async with FaultProxy(scenario.url) as proxy:
            last = await self._calls(scenario, proxy) - 1
            async with connected(scenario, proxy.url, scenario.short_timeout) as system:
                proxy.strike(fault, last)
                failures = failed(await self.send(system, [request]), Unknown, Transient)
                show_no_secrets(failures, scenario.secrets)
                proxy.heal()
                only(await self.send(system, [replace(request, verify=True)]))
        assert await scenario.count(request.reference) == 1

    async def test_an_answer_lost_at_any_call_never_does_it_twice(self, scenario: RequestScenario) -> None:
        kinds: set[type[Failure]] = set()
        async with FaultProxy(scenario.url) as proxy:
            for position in spread(await self._calls(scenario, proxy), scenario.probes):
                request = self.make(scenario)
                async with connected(scenario, proxy.url, scenario.timeout) as system:
                    proxy.strike(Fault.LOST_AFTER, position)
                    answer = (await self.send(system, [request]))[0]
                    proxy.heal()
                    if isinstance(answer, Failure):
                        assert not isinstance(answer, Rejected), f"call {position}: {answer.message}"
                        kinds.add(type(answer))
                    only(await self.send(system, [replace(request, verify=True)]))
                assert await scenario.count(request.reference) == 1
        assert Unknown in kinds, "where the call that does the work loses its answer, the outcome is unknown"

    async def _calls(self, scenario: RequestScenario, proxy: FaultProxy) -> int:
        """How many calls a new connector makes for one request, signing in included."""
        async with connected(scenario, proxy.url, scenario.timeout) as system:
            proxy.heal()
            only(await self.send(system, [self.make(scenario)]))
            return proxy.requests


@asynccontextmanager
async def connected(scenario: Any, url: str, timeout: float) -> AsyncIterator[Any]:
    """A connector that is closed when left."""
    system = scenario.connect(url, timeout)
    try:
        yield system
    finally:
        async with asyncio.timeout(30):
            await system.close()
