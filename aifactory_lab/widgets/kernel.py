"""The kernel that a board lives in: whether a cell runs, and which.

Messages from the browser are handled in the main thread, so while a cell computes no ping can arrive; a board must
then not take silence for absence. Outside IPython nothing ever runs. This module does not know boards.

>>> Busy().lately(20.0)
False
>>> cell_id()
''
"""

import sys
import time
from typing import Any


class Busy:
    """Whether a cell runs or ended a moment ago."""

    def __init__(self) -> None:
        self._shell: Any = None
        self._running = False
        self._ended = -float("inf")

    def watch(self) -> None:
        """Register with IPython once; the cell that asks is running itself."""
        shell = _shell()
        if shell is None or shell is self._shell:
            return
        self._shell, self._running = shell, True
        shell.events.register("pre_execute", self._begin)
        shell.events.register("post_execute", self._end)

    def lately(self, seconds: float) -> bool:
        """Tell whether a cell runs, or did within the last `seconds` (its pings are still in the queue)."""
        return self._running or time.monotonic() - self._ended < seconds

    def _begin(self) -> None:
        self._running = True

    def _end(self) -> None:
        self._running, self._ended = False, time.monotonic()


BUSY = Busy()


def cell_id() -> str:
    """Return JupyterLab's id of the running cell, empty where there is none."""
    shell = _shell()
    parent: Any = getattr(shell, "get_parent", dict)() if shell is not None else {}
    return str(parent.get("metadata", {}).get("cellId", ""))


def _shell() -> Any:
    """Return the running IPython shell, without importing IPython for those who do not use it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None
