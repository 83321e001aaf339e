"""Who may come in: as many requests as the engine has slots, so many waiting behind them, and no more.

A request beyond that is refused at once, with the time after which it is worth asking again, so that those inside are
served. Whoever waits keeps its place in the queue. This module does not know what the requests ask for.

>>> gate = Admission(slots=8, waiting=64)
>>> gate.running, gate.waiting, gate.retry_after
(0, 0, 1)
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from math import ceil

WEIGHT = 0.1  # of the latest request in the running mean of what one takes


class Full(Exception):  # noqa: N818 - a state, not a fault
    """All slots are taken, and as many wait as may."""


class Admission:
    """The gate before the slots; belongs to one event loop.

    Parameters
    ----------
    slots
        Requests that the engine works on at once.
    waiting
        Requests that may wait for a slot.
    """

    def __init__(self, *, slots: int, waiting: int) -> None:
        self.slots, self.most_waiting = slots, waiting
        self.running = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._seconds = 0.0

    @property
    def waiting(self) -> int:
        """Requests that wait for a slot."""
        return len(self._queue)

    @property
    def retry_after(self) -> int:
        """Seconds until about half of those waiting have a slot: whole, at least one (RFC 9110, 10.2.3)."""
        return max(1, ceil(self._seconds * self.waiting / self.slots / 2))

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it while the block runs.

        Raises
        ------
        Full
            If too many wait already.
        """
        await self._enter()
        loop = asyncio.get_running_loop()
        start = loop.time()
        try:
            yield
        finally:
            self._seconds += WEIGHT * (loop.time() - start - self._seconds)
            self._leave()

    async def _enter(self) -> None:
        if self.running < self.slots and not self._queue:
            self.running += 1
            return
        if self.waiting >= self.most_waiting:
            raise Full
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # given the slot in the same moment: hand it on
                self._leave()
            with suppress(ValueError):  # `_leave` may have passed it over
                self._queue.remove(turn)
            raise

    def _leave(self) -> None:
        """Give the slot to who waited longest, or set it free."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1
