"""A worker: all stages' routes with the settings' systems, and the pollers that keep replicas fresh."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg
import structlog

from tallystick.checks.refresh import refresh_replicas
from tallystick.mailbox.carrier import Route
from tallystick.mailbox.dispatch import Dispatcher
from tallystick.stages.commitment import commitment
from tallystick.stages.credit_holds import announcer
from tallystick.stages.flow import COMMITMENT, FULFILMENT, INTAKE, INVOICING, PUBLICATION, RETURNS, SETTLEMENT, Flow
from tallystick.stages.fulfilment import fulfilment
from tallystick.stages.invoicing import invoicing
from tallystick.stages.publication import publication
from tallystick.stages.rechecking import rechecking
from tallystick.stages.returns import returns
from tallystick.stages.settlement import settlement
from tallystick.stages.stage import Stage
from tallystick.store.pool import Pool
from tallystick.systems.failure import Failure
from tallystick.systems.ports import Erp, Operation

_log = structlog.get_logger("tallystick.worker")

# A new stage is one file and its line here.
STAGES = (rechecking, commitment, fulfilment, invoicing, settlement, returns, publication)


def routes_of(flow: Flow) -> Mapping[Route, int]:
    """Every (stage, system) that the settings' entities can make messages for, with its batch size."""
    routes: dict[Route, int] = {}
    for entity in flow.settings.entities.values():
        for system, stages in (
            (entity.erp, (INTAKE, COMMITMENT, FULFILMENT, INVOICING, SETTLEMENT, RETURNS)),
            (entity.tax, (INTAKE,)),
            (entity.wms, (FULFILMENT,)),
            (entity.payments, (SETTLEMENT,)),
            (entity.crm, (PUBLICATION,)),
            *((channel, (PUBLICATION,)) for channel in entity.channels.values()),
        ):
            if system is None:
                continue
            connected = flow.systems.get(system)
            size = connected.capabilities.batch_size if connected else flow.settings.worker.batch_size
            for stage in stages:
                routes[Route(stage, system)] = min(size, flow.settings.worker.batch_size)
    return routes


def make_dispatcher(flow: Flow, pool: Pool) -> Dispatcher:
    """The dispatcher of all stages; `pool` is the worker's own."""
    stages: dict[str, Stage] = {stage.stage: stage for stage in (make(flow) for make in STAGES)}
    return Dispatcher(pool, flow.carrier, stages, routes_of(flow), flow.settings.worker, flow.settings.systems)


async def keep_replicas_fresh(flow: Flow) -> None:
    """Poll the change feeds of all systems that have a `poll_seconds`, for ever."""
    async with asyncio.TaskGroup() as group:
        for name, system in flow.systems.items():
            seconds = flow.settings.systems[name].poll_seconds
            if seconds and isinstance(system, Erp) and Operation.READ_CHANGES in system.capabilities.operations:
                group.create_task(_poll(flow, name, system, seconds))


async def _poll(flow: Flow, name: str, erp: Erp, seconds: float) -> None:
    announce = announcer(flow, name)
    while True:
        try:
            applied, holds = await refresh_replicas(flow.pool, name, erp, announce)
            if applied:
                _log.info("replica_refreshed", system=name, changes=applied, holds=len(holds))
        except Failure as failure:
            _log.warning("replica_not_refreshed", system=name, failure=failure.kind, message=failure.message)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            _log.warning("replica_not_refreshed", system=name, error=str(error) or type(error).__name__)
        except Exception:
            # A bug of ours with this feed; the other systems' replicas must not grow old with it.
            _log.exception("replica_not_refreshed", system=name)
        await asyncio.sleep(seconds)
