"""Commands about the same document are done in turn, since each builds on what the one before left; all others at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import TypeVar

from tallystick.systems.failure import Failure

Command = TypeVar("Command")
Answer = TypeVar("Answer")


async def in_turns(
    commands: Sequence[Command],
    documents: Callable[[Command], Iterable[Hashable]],
    work: Callable[[Sequence[Command]], Awaitable[Sequence[Answer | Failure]]],
) -> list[Answer | Failure]:
    """The work's answers in the commands' order; no batch it gets has two commands about the same document."""
    answers: dict[int, Answer | Failure] = {}
    while len(answers) < len(commands):
        busy: set[Hashable] = set()
        chosen = []
        for at, command in enumerate(commands):
            if at not in answers:
                needed = set(documents(command))
                if not needed & busy:
                    chosen.append(at)
                busy |= needed
        answers.update(zip(chosen, await work([commands[at] for at in chosen]), strict=True))
    return [answers[at] for at in range(len(commands))]
