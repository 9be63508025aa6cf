"""When a failed delivery is tried again, and when it is a dead letter: the five kinds of failure, turned into a deferral."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from tallystick.mailbox.carrier import Deferral
from tallystick.mailbox.messages import Delivery
from tallystick.settings import Worker
from tallystick.systems.failure import Failure, Rejected, Throttled, Unavailable


def plan_retry(
    delivery: Delivery, failure: Failure, settings: Worker, duration_ms: float = 0.0, *, system_answers: bool = True
) -> Deferral:
    """Rejected is dead at once; throttled and unavailable wait without burning an attempt; the rest back off until the last.

    While the system answers nobody, it is not the message that fails, and no attempt is burnt either, until the message has
    waited as long as our patience. The delay grows exponentially with full jitter up to half of it, so that many failures of
    one moment don't come back as one.
    """
    if isinstance(failure, Rejected):
        return Deferral(delivery, failure, timedelta(0), burn_attempt=True, dead=True, duration_ms=duration_ms)
    if isinstance(failure, Throttled | Unavailable):
        wait = failure.retry_after if failure.retry_after is not None else settings.backoff_seconds
        wait = min(max(0.0, wait), settings.backoff_limit_seconds) * random.uniform(1.0, 1.25)  # noqa: S311 - jitter, not a secret
        return Deferral(
            delivery, failure, timedelta(seconds=wait), burn_attempt=False, dead=False, duration_ms=duration_ms
        )
    patient = datetime.now(UTC) - delivery.created_at < timedelta(hours=settings.patience_hours)
    burns = system_answers or not failure.asked or not patient
    burnt = delivery.attempts + burns
    ceiling = min(settings.backoff_seconds * 2**delivery.attempts, settings.backoff_limit_seconds)
    wait = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
    return Deferral(
        delivery,
        failure,
        timedelta(seconds=wait),
        burn_attempt=burns,
        dead=burnt >= settings.maximum_attempts,
        duration_ms=duration_ms,
    )
