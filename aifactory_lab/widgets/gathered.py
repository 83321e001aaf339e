"""Many moves, one answer: what a slider's drag calls ten times in a moment is done once, when the moment is over.

Where nobody could wait, as in a script, it is done at once. What is done is not known here.

>>> done = []
>>> moved = Gathered(lambda: done.append("shown"))
>>> moved()
>>> done
['shown']
"""

import asyncio
from collections.abc import Callable

PAUSE = 0.06  # seconds in which moves are gathered


class Gathered:
    """A call that gathers those that come soon after it.

    Parameters
    ----------
    do
        What is done, once for all of them.
    """

    def __init__(self, do: Callable[[], object]) -> None:
        self._do, self._pending = do, False

    def __call__(self) -> None:
        """Do it in a moment, or at once where no event loop runs."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._do()
            return
        if not self._pending:
            self._pending = True
            loop.call_later(PAUSE, self._settle)

    def _settle(self) -> None:
        self._pending = False
        self._do()
