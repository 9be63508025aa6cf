"""How long the stateful models run: in the default suite a few seconds, always the same; by hand as long as one likes."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

TIMES = int(os.environ.get("TALLYSTICK_MODEL_TIMES", "1"))
"""So many times as many runs as in the default suite; from 2 on drawn anew each time."""

model_timeout = pytest.mark.timeout(120 * TIMES)


def run_length(examples: int, steps: int) -> settings:
    """Settings for so many runs of at most so many steps, times TIMES. A failure is only made shorter in a long run."""
    phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if TIMES > 1 else [])
    return settings(
        max_examples=examples * TIMES,
        stateful_step_count=steps,
        deadline=None,
        derandomize=TIMES == 1,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
