"""Commands that share a document never go in one batch, and go in their order."""

from __future__ import annotations

from collections.abc import Sequence

from tallystick.systems.tryton.turns import in_turns


async def test_commands_that_share_any_document_are_done_in_turn_and_others_at_once() -> None:
    batches: list[Sequence[str]] = []

    async def work(commands: Sequence[str]) -> Sequence[str]:
        batches.append(commands)
        return [each.upper() for each in commands]

    answers = await in_turns(["ab", "bc", "cd", "e", "a"], list, work)
    assert answers == ["AB", "BC", "CD", "E", "A"]
    assert batches == [["ab", "e"], ["bc", "a"], ["cd"]], "cd waits for bc, which came before it"
