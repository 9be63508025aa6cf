"""The ERP kit: the system away, throttling, silent or talking nonsense; every write is still done exactly once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tallystick.systems.conformance.erp_desk import ErpDesk, behind, needs
from tallystick.systems.conformance.erp_scenario import Desk, ErpScenario
from tallystick.systems.conformance.erp_writes import WRITES, Write
from tallystick.systems.conformance.positions import spread
from tallystick.systems.conformance.proxy import RETRY_AFTER_SECONDS, Fault, FaultProxy
from tallystick.systems.conformance.verdicts import failed, only, show_no_secrets, succeeded
from tallystick.systems.failure import Failure, Rejected, Throttled, Transient, Unavailable, Unknown

SPOILT = (Fault.SILENT_AFTER, Fault.ERROR_AFTER, Fault.GARBAGE_AFTER, Fault.TRUNCATED_AFTER)


class ErpTrouble(ErpDesk):
    """Failure kinds, and look-ups after them, through the fault proxy in front of the real system."""

    async def test_a_system_that_is_away_is_unavailable_until_it_comes_back(
        self, desk: Desk, scenario: ErpScenario
    ) -> None:
        async with FaultProxy(scenario.url) as proxy, behind(proxy, scenario) as troubled:
            await proxy.leave()
            commands = [desk.command(1), desk.command(1)][: troubled.erp.capabilities.batch_size]
            show_no_secrets(failed(await troubled.erp.commit_orders(commands), Unavailable), scenario.secrets)
            with pytest.raises(Unavailable):
                await troubled.erp.read_customers([scenario.customer_id])
            health = await troubled.erp.check_health()
            assert not health.ok
            assert health.detail, "poor health says why"
            await proxy.come_back()
            succeeded(await troubled.erp.commit_orders([replace(each, verify=True) for each in commands]))

    @pytest.mark.parametrize(("fault", "kind"), [(Fault.THROTTLED, Throttled), (Fault.UNAVAILABLE, Unavailable)])
    async def test_a_system_that_asks_for_a_pause_gets_it(
        self, desk: Desk, scenario: ErpScenario, fault: Fault, kind: type[Failure]
    ) -> None:
        async with FaultProxy(scenario.url) as proxy, behind(proxy, scenario) as troubled:
            proxy.strike(fault)
            command = desk.command(1)
            failures = failed(await troubled.erp.commit_orders([command]), kind)
            assert failures[0].retry_after == RETRY_AFTER_SECONDS
            with pytest.raises(kind) as raised:
                await troubled.erp.read_customers([scenario.customer_id])
            assert raised.value.retry_after == RETRY_AFTER_SECONDS
            show_no_secrets([*failures, raised.value], scenario.secrets)
            proxy.heal()
            only(await troubled.erp.commit_orders([command]))

    @pytest.mark.parametrize("fault", [Fault.LOST_AFTER, *SPOILT])
    async def test_a_read_that_fails_is_simply_asked_again(self, scenario: ErpScenario, fault: Fault) -> None:
        async with FaultProxy(scenario.url) as proxy, behind(proxy, scenario, scenario.short_timeout) as troubled:
            proxy.strike(fault)
            with pytest.raises(Transient) as raised:
                await troubled.erp.read_customers([scenario.customer_id])
            show_no_secrets([raised.value], scenario.secrets)
            proxy.heal()
            assert scenario.customer_id in await troubled.erp.read_customers([scenario.customer_id])

    @pytest.mark.parametrize("everything", [True, False], ids=["every_call", "the_last_call"])
    @pytest.mark.parametrize("fault", SPOILT)
    async def test_a_spoilt_answer_to_a_write_is_looked_up(
        self, desk: Desk, scenario: ErpScenario, fault: Fault, everything: bool
    ) -> None:
        write, command = WRITES[0], desk.command(2)
        async with FaultProxy(scenario.url) as proxy:
            last = await _calls(write, desk, proxy) - 1
            async with behind(proxy, scenario, scenario.short_timeout) as troubled:
                proxy.strike(fault, None if everything else last)
                failures = failed(await write.send(troubled.erp, [command]), Unknown, Transient)
                show_no_secrets(failures, scenario.secrets)
            proxy.heal()
            async with behind(proxy, scenario) as healed:
                only(await write.send(healed.erp, [replace(command, verify=True)]))
        await write.once(desk, [command])

    @pytest.mark.parametrize("write", WRITES, ids=lambda write: write.operation)
    async def test_an_answer_lost_at_any_call_never_does_it_twice(
        self, desk: Desk, scenario: ErpScenario, write: Write
    ) -> None:
        needs(desk, write.operation)
        kinds: set[type[Failure]] = set()
        async with FaultProxy(scenario.url) as proxy:
            calls = await _calls(write, desk, proxy)
            chosen = spread(calls, scenario.probes)
            commands = list(await write.prepare(desk, len(chosen)))
            for position, command in zip(chosen, commands, strict=True):
                kinds |= await _lose(write, desk, proxy, position, command)
            for position in set(range(calls)) - set(chosen):
                if Unknown in kinds:
                    break
                commands += await write.prepare(desk, 1)
                kinds |= await _lose(write, desk, proxy, position, commands[-1])
        await write.once(desk, commands)
        assert Unknown in kinds, "where the call that does the work loses its answer, the outcome is unknown"

    async def test_a_batch_whose_answer_is_lost_is_sorted_out_item_by_item(
        self, desk: Desk, scenario: ErpScenario
    ) -> None:
        size = min(3, desk.erp.capabilities.batch_size)
        commands = [desk.command(1) for _ in range(size)]
        async with FaultProxy(scenario.url) as proxy:
            last = await _calls(WRITES[0], desk, proxy) - 1
            async with behind(proxy, scenario) as troubled:
                proxy.strike(Fault.LOST_AFTER, last)
                await troubled.erp.commit_orders(commands)
                proxy.heal()
                fresh = desk.command(1)
                repeated = [*(replace(each, verify=True) for each in commands), fresh][
                    : desk.erp.capabilities.batch_size
                ]
                committed = succeeded(await troubled.erp.commit_orders(repeated))
        assert [each.reference for each in committed] == [each.reference for each in repeated]
        await WRITES[0].once(desk, commands)


async def _calls(write: Write, desk: Desk, proxy: FaultProxy) -> int:
    """How many calls a new connector makes for this write, signing in included."""
    (command,) = await write.prepare(desk, 1)
    async with behind(proxy, desk.scenario) as measured:
        proxy.heal()
        only(await write.send(measured.erp, [command]))
        return proxy.requests


async def _lose(write: Write, desk: Desk, proxy: FaultProxy, position: int, command: Any) -> set[type[Failure]]:
    """Lose the answer to one of the write's calls, then repeat the write; the kind of failure it was, if it was one."""
    async with behind(proxy, desk.scenario) as troubled:
        proxy.strike(Fault.LOST_AFTER, position)
        answer = (await write.send(troubled.erp, [command]))[0]
        proxy.heal()
        assert not isinstance(answer, Rejected), f"call {position}: {answer.message}"
        only(await write.send(troubled.erp, [replace(command, verify=True)]))
    if not isinstance(answer, Failure):
        return set()
    show_no_secrets([answer], desk.scenario.secrets)
    return {type(answer)}
