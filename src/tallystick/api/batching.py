"""Group commit at the door: orders that arrive while a batch is being decided form the next one; alone, none waits."""

from __future__ import annotations

import asyncio
from collections import deque

from tallystick.api.problems import DATABASE_AWAY, Problem
from tallystick.stages.intake import Intake, IntakeAnswer, Submission, submit_orders

_LARGEST_BATCH = 64
_LANES = 2
_MOST_WAITING = 5_000


class Batcher:
    """Takes single orders and hands them to intake together, at most two batches at a time."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._waiting: deque[tuple[Submission, asyncio.Future[IntakeAnswer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, submission: Submission) -> IntakeAnswer:
        """The answer to one order. Raises what intake raises, and a 503 problem when too many wait already."""
        if len(self._waiting) >= _MOST_WAITING:
            detail = f"{_MOST_WAITING} orders wait for their checks; send it again in a moment"
            raise Problem(503, "intake.overloaded", detail, headers={"Retry-After": "1"})
        future: asyncio.Future[IntakeAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if len(self._running) < _LANES:
            task = asyncio.create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_LARGEST_BATCH, len(self._waiting)))]
            # Who has given up while waiting was never answered, and nothing of theirs is begun.
            batch = [each for each in batch if not each[1].done()]
            answers = await submit_apart(self._intake, [submission for submission, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, IntakeAnswer):
                    future.set_result(answer)
                else:
                    future.set_exception(answer)


async def submit_apart(intake: Intake, submissions: list[Submission]) -> list[IntakeAnswer | Exception]:
    """An answer or an error for each. When a batch fails, its halves go on by themselves, until only what fails alone has failed:
    one order that our side stumbles over never takes another with it. A database that is away fails all at once."""
    if not submissions:
        return []
    try:
        return list(await submit_orders(intake, submissions))
    except DATABASE_AWAY as error:
        return [error] * len(submissions)
    except Exception as error:
        if len(submissions) == 1:
            return [error]
        middle = len(submissions) // 2
        return [
            *await submit_apart(intake, submissions[:middle]),
            *await submit_apart(intake, submissions[middle:]),
        ]
