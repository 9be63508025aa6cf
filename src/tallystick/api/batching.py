"""Group commit at the door: orders that arrive while a batch is being decided form the next one; alone, none waits."""

from __future__ import annotations

import asyncio
from collections import deque

from tallystick.api.problems import DATABASE_AWAY, Problem
from tallystick.stages.intake import Intake, IntakeAnswer, Submission, submit_orders

# Not all that wait: with one batch of everybody, this process and the database would work in turn. Larger ones cost as much an
# order, and all wait longer.
_LARGEST_BATCH = 32
_LANES = 2
_MOST_WAITING = 5_000

_Waiting = tuple[Submission, asyncio.Future[IntakeAnswer]]


class Batcher:
    """Takes single orders and hands them to intake together, at most two batches at a time: while the database works on one, this
    process works on the other. That only pays when they are of a size, so the second begins once as many orders wait as the
    first one has, or the first is done."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._waiting: deque[_Waiting] = deque()
        self._batches: dict[asyncio.Task[None], int] = {}
        """The batches under way, with how many orders each has."""
        self._to_begin = False

    async def submit(self, submission: Submission) -> IntakeAnswer:
        """The answer to one order. Raises what intake raises, and a 503 problem when too many wait already."""
        if len(self._waiting) >= _MOST_WAITING:
            detail = f"{_MOST_WAITING} orders wait for their checks; send it again in a moment"
            raise Problem(503, "intake.overloaded", detail, headers={"Retry-After": "1"})
        future: asyncio.Future[IntakeAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        self._begin_soon()
        return await future

    def _begin_soon(self) -> None:
        """Begin a batch at the loop's next turn: whatever else has come in at this one goes with it."""
        if not self._to_begin:
            self._to_begin = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        self._to_begin = False
        enough = min(sum(self._batches.values()), _LARGEST_BATCH)
        if self._waiting and len(self._batches) < _LANES and len(self._waiting) >= enough:
            batch = [self._waiting.popleft() for _ in range(min(_LARGEST_BATCH, len(self._waiting)))]
            task = asyncio.create_task(self._decide(batch))
            self._batches[task] = len(batch)
            task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        del self._batches[task]
        self._begin_soon()

    async def _decide(self, batch: list[_Waiting]) -> None:
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
