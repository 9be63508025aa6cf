"""Group commit at the door: orders that arrive while a batch is being decided form the next one; alone, none waits."""

from __future__ import annotations

import asyncio
from collections import deque

from tallystick.stages.intake import Intake, IntakeAnswer, Submission, submit_orders

_LARGEST_BATCH = 64
_LANES = 2


class Batcher:
    """Takes single orders and hands them to intake together, at most two batches at a time."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._waiting: deque[tuple[Submission, asyncio.Future[IntakeAnswer]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, submission: Submission) -> IntakeAnswer:
        """The answer to one order. Raises what intake raises."""
        future: asyncio.Future[IntakeAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((submission, future))
        if len(self._running) < _LANES:
            task = asyncio.create_task(self._drain())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await future

    async def _drain(self) -> None:
        while self._waiting:
            count = min(_LARGEST_BATCH, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            try:
                answers = await submit_orders(self._intake, [submission for submission, _ in batch])
            except Exception as error:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
