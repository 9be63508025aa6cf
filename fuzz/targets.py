"""All targets by name."""

from __future__ import annotations

from fuzz import answers, banks, exports, files, requests
from fuzz.target import Target

TARGETS: dict[str, Target] = {
    each.name: each for module in (requests, files, banks, answers, exports) for each in module.TARGETS
}
