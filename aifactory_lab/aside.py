"""Write aside, then rename: what is half written never looks finished.

The file system's rename is one step, so a reader sees the old file or the new one, whole. What a killed process
left is swept away by the next writer. This module does not know what the files hold.

>>> import tempfile
>>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
>>> write_text(target, "1 2 3")
>>> target.read_text()
'1 2 3'
"""

import glob
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

CLOCKS = 2.0  # seconds by which the clock of the processes and that of the file system may differ


@contextmanager
def write_aside(path: Path | str) -> Iterator[Path]:
    """Yield a path to write; on success it becomes `path` in one step, on failure nothing is left.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "numbers.txt"
    >>> with write_aside(target) as aside:
    ...     _ = aside.write_text("1 2 3")
    >>> target.read_text()
    '1 2 3'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    aside = path.with_name(f".{path.name}.partial-{threading.get_ident()}-{os.getpid()}")
    try:
        yield aside
        with aside.open("rb+") as stream:
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_aside(path: Path | str) -> Iterator[Path]:
    """Yield an empty folder to fill; on success it replaces `path`, on failure nothing is left.

    Examples
    --------
    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "model"
    >>> with folder_aside(target) as aside:
    ...     _ = (aside / "weights").write_text("1 2 3")
    >>> [path.name for path in target.parent.iterdir()], [path.name for path in target.iterdir()]
    (['model'], ['weights'])
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent, path.name)
    mark = f"{threading.get_ident()}-{os.getpid()}"
    aside, old = (path.with_name(f".{path.name}.partial-{word}{mark}") for word in ("", "old-"))
    aside.mkdir()
    try:
        yield aside
        _flush(aside)
        if path.exists():  # a rename replaces no folder that holds something
            path.rename(old)
        aside.rename(path)
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def passing(folder: Path | str, name: str) -> Iterator[Path]:
    """Yield an empty folder that goes with the block; what a killed process left of it is swept away likewise.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> with passing(root, "links") as aside:
    ...     aside.is_dir(), aside.parent == root
    (True, True)
    >>> list(root.iterdir())
    []
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, name)
    aside = folder / f".{name}.partial-{threading.get_ident()}-{os.getpid()}"
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Have every file on the disk before the folder's name is."""
    for file in (found for found in folder.rglob("*") if found.is_file()):
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def sweep(folder: Path, name: str = "*") -> None:
    """Remove what killed processes left half-written in a folder; what a living one is writing stays."""
    for left in folder.glob(f".{name if name == '*' else glob.escape(name)}.partial-*"):
        pid = left.name.rpartition("-")[2]
        if pid.isdigit() and not _writes(int(pid), left):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _writes(pid: int, left: Path) -> bool:
    """Tell whether the process still lives that was writing; a later one of the same number does not count.

    In a container every run has the same few numbers.
    """
    try:
        return bool(psutil.Process(pid).create_time() <= left.stat().st_mtime + CLOCKS)
    except FileNotFoundError:
        return True  # renamed a moment ago: its writer may be at the next one, of the same name
    except psutil.Error:
        return False


def write_text(path: Path, text: str) -> None:
    """Write a text file aside, then rename it."""
    with write_aside(path) as aside:
        aside.write_text(text)
