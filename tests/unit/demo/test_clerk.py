from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from tallystick.demo.clerk import Clerk
from tallystick.demo.hub import Hub


class _Queue:
    """A hub with one order that is held for these reasons."""

    def __init__(self, *codes: str) -> None:
        self._held = {"id": "1", "reasons": [{"code": code} for code in codes]}

    async def every(self, _path: str, **_: Any) -> AsyncIterator[dict[str, Any]]:
        yield self._held

    async def show(self, _path: str) -> dict[str, Any]:
        return self._held


@pytest.mark.parametrize(
    ("codes", "nothing"),
    [
        (["tax.facts_unavailable"], False),
        (["tax.facts_unavailable", "price.facts_unavailable"], False),
        (["credit.over_limit"], True),
        (["tax.facts_unavailable", "credit.over_limit"], True),
    ],
)
async def test_an_order_that_waits_for_more_than_a_systems_facts_waits_for_a_person(
    codes: list[str], nothing: bool
) -> None:
    assert await Clerk(cast(Hub, _Queue(*codes)), {}).has_nothing_to_do() is nothing
