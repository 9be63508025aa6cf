"""What a stage answers to a batch: one Done or Failure a delivery, whatever the stage does. Its bugs are answers, too."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence
from typing import Any

import structlog

from tallystick.mailbox.carrier import Route
from tallystick.mailbox.handler import Handler
from tallystick.mailbox.messages import Delivery, Done
from tallystick.store.outage import is_passing
from tallystick.store.pool import storable
from tallystick.systems.failure import Failure, Transient, Unknown

Answer = Done[Any] | Failure

_log = structlog.get_logger("tallystick.mailbox")
_LEASES = 5
"""A stage has this many leases' time, which are renewed meanwhile; then its messages are taken from it."""


async def answers_of(
    handler: Handler, route: Route, deliveries: Sequence[Delivery], lease_seconds: float
) -> Sequence[Answer]:
    """The stage's answers. Where it fails or hangs on a batch each message is handled anew on its own: neighbours go on.

    Raises what the stage raised when that is the database's trouble and no message's fault.
    """
    deadline = asyncio.timeout(lease_seconds * _LEASES)
    try:
        async with deadline:
            answers = await handler.handle(deliveries)
        return _checked(route, deliveries, answers)
    except Failure as failure:
        return _checked(route, deliveries, [failure] * len(deliveries))
    except Exception as error:
        if is_passing(error):
            raise
        hung = deadline.expired()
        _log.exception("stage_hung" if hung else "stage_failed", route=str(route), messages=len(deliveries))
        if len(deliveries) == 1:
            return [_hung(route) if hung else bug(error, route)]
    alone = (answers_of(handler, route, [each._replace(verify=True)], lease_seconds) for each in deliveries)
    singles = await asyncio.gather(*alone, return_exceptions=True)
    for each in singles:
        if isinstance(each, BaseException):
            raise each
    return [answer for answers in singles if not isinstance(answers, BaseException) for answer in answers]


def _checked(route: Route, deliveries: Sequence[Delivery], answers: Sequence[Answer]) -> Sequence[Answer]:
    if len(answers) != len(deliveries):
        raise RuntimeError(f"{route}: {len(answers)} answers for {len(deliveries)} deliveries")
    for each in answers:
        if isinstance(each, Failure):  # its words come from outside
            each.message, each.code = storable(each.message), storable(each.code)
            each.request, each.response = storable(each.request), storable(each.response)
        elif not isinstance(each, Done):
            raise TypeError(
                f"{route}: {type(each).__name__} is no answer to a delivery; a stage answers Done or a Failure"
            )
    return answers


def bug(error: Exception, route: Route) -> Transient:
    """A bug of ours as the answer to one message: it is tried again, for a program that is mended may be there by then."""
    last = traceback.format_exception_only(error)[-1].strip()
    return Transient(storable(f"our own stage failed: {last}"), system=route.system, code="stage.bug", asked=False)


def _hung(route: Route) -> Unknown:
    return Unknown("no answer from the stage in time", system=route.system, code="stage.timeout", asked=False)
