"""Where the kit strikes among the calls of one write."""

from __future__ import annotations

from collections.abc import Sequence


def spread(calls: int, probes: int) -> Sequence[int]:
    """At most `probes` (two or more) positions among `calls`, evenly, the first and the last among them."""
    if calls <= probes:
        return range(calls)
    return sorted({round(step * (calls - 1) / (probes - 1)) for step in range(probes)})
