"""Which trainings run on this machine: each announces its log while it runs, and leaves word where the last one was.

The manner is that of `sharing.announced`, in a folder that only this user can enter: what a killed process left is
swept, and a training that has ended is found as the last one until another does, even where its folder was moved.

>>> import tempfile
>>> folder = tempfile.mkdtemp()
>>> newest(folder) is None
True
>>> with announce("/runs/1/training.jsonl", folder):
...     print(running(folder))
[PosixPath('/runs/1/training.jsonl')]
>>> running(folder)
[]
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.telemetry.sharing import announced
from aifactory_lab.telemetry.sharing.election import runtime_folder

FOLDER = "trainings"
LAST, COPY = "last", "last.jsonl"  # not *.json: the sweep of announcements leaves them
MOST_BYTES = 16 << 20  # of a log that is copied: days of training


@contextmanager
def announce(log: Path | str, folder: Path | str | None = None) -> Iterator[None]:
    """Say that a training writes `log` while the block runs.

    Raises
    ------
    TelemetryError
        If the folder is not private.
    """
    remember(log, folder)
    with announced.announce(str(log), _folder(folder)):
        yield


def remember(log: Path | str, folder: Path | str | None = None) -> None:
    """Say where the log of the last training lies; again when it was moved.

    Raises
    ------
    TelemetryError
        If the folder is not private.
    """
    write_text(_folder(folder) / LAST, str(Path(log).absolute()))


def leave(log: Path, folder: Path | str | None = None) -> None:
    """Leave a copy of a log that has ended, for a board that looks when its folder has been moved or cleared away.

    Raises
    ------
    TelemetryError
        If the folder is not private.
    OSError
        If there is no log, or no room.
    """
    if log.stat().st_size <= MOST_BYTES:
        with write_aside(_folder(folder) / COPY) as aside:
            shutil.copyfile(log, aside)


def running(folder: Path | str | None = None) -> list[Path]:
    """Return the logs of the trainings that run now, oldest first."""
    return [Path(path) for path in announced.announced(_folder(folder))]


def newest(folder: Path | str | None = None) -> Path | None:
    """Return the log of the training that began last among those that run, else of the last one that did.

    Raises
    ------
    TelemetryError
        If the folder is not private.
    """
    if logs := running(folder):
        return logs[-1]
    kept = _folder(folder)
    try:
        last = Path((kept / LAST).read_text())
    except (OSError, UnicodeDecodeError):
        return None
    return next((path for path in (last, kept / COPY) if path.is_file()), None)


def _folder(folder: Path | str | None) -> Path:
    return runtime_folder(Path(folder) if folder is not None else runtime_folder() / FOLDER)
