"""One run at a time in a workspace: a second one waits, and then finds made what the first one made.

Two runs at once would train the same model twice, and the first to finish would take the checkpoints of the other. The
lock is the kernel's and dies with its holder, `kill -9` included. This module does not know what a run does.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> with alone(folder, say=print):
...     (folder / FILE).exists()
True
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aifactory_lab.errors import TelemetryError, WorkspaceError
from aifactory_lab.telemetry.sharing.election import Lock

FILE = ".run.lock"
LOOK_SECONDS = 0.5


@contextmanager
def alone(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a workspace while the block runs; wait, and say so, while another run holds it.

    Raises
    ------
    WorkspaceError
        If the folder cannot be written, or its file system does not lock.
    """
    lock = Lock(root / FILE)
    if not _take(lock):
        who = f"process {lock.holder}" if lock.holder else "another process"
        say(f"{who} runs in {root} at this moment: waiting; what it finishes is reused (Ctrl-C leaves it alone)")
        while not _take(lock):
            time.sleep(LOOK_SECONDS)
    try:
        yield
    finally:
        lock.release()


def _take(lock: Lock) -> bool:
    try:
        return lock.take()
    except TelemetryError as error:
        msg = f"the workspace {lock.path.parent} cannot be used: {error.what}"
        raise WorkspaceError(msg, mend="aifactory run --workspace A_FOLDER_THAT_CAN_BE_WRITTEN") from error
