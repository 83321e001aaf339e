"""The disk under a folder: sequential writes and reads, through the page cache and around it.

A write ends with `fsync`. A read through the cache comes after the cache was asked to drop the file, and the kernel is
asked (`mincore`) whether it did; `O_DIRECT` goes around the cache where the file system allows that. What lies below
the kernel, a controller's or a hypervisor's cache, cannot be dropped from here. What the disk should carry is
`storage`'s to say.

>>> import tempfile
>>> [link.name for link in through(tempfile.gettempdir(), size=1 << 20, passes=1)]
['disk_write', 'disk_read']
"""

import ctypes
import mmap
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from aifactory_lab.aside import sweep
from aifactory_lab.links.link import Link

SIZE = 64 << 20
STEP = 1 << 20  # bytes of one call: what a Parquet reader asks for at once
DIRECT_STEP = 4 << 20  # nobody reads ahead around the cache
STAYED = 0.01  # share of a file that may stay in the cache before a read is called partly memory's
DIRECT = getattr(os, "O_DIRECT", None)
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def through(folder: Path | str, *, size: int = SIZE, passes: int = 5) -> list[Link]:
    """Measure writing and reading through the page cache, as programs do.

    Parameters
    ----------
    folder
        Where a file of `size` bytes is written for a moment.
    passes
        How often each.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    with _place(folder, size) as (path, block):
        size = len(block)
        writes = tuple(size / _seconds(lambda: _write(path, block, 0, size)) for _ in range(passes))
        reads, stayed = [], []
        for _ in range(passes):
            stayed.append(_drop(path))
            reads.append(size / _seconds(lambda: _read(path, 0, STEP)))
    told = [share for share in stayed if share is not None]
    reason = ""
    if len(told) < passes:
        reason = "whether the page cache let the file go cannot be asked here"
    elif max(told) > STAYED:
        reason = f"the page cache kept {max(told):.0%} of the file: this is partly memory"
    return [
        Link("disk_write", "disk, write and fsync", writes),
        Link("disk_read", "disk, read after the page cache was dropped", tuple(reads), reason=reason),
    ]


def around(folder: Path | str, *, size: int = SIZE, passes: int = 5) -> list[Link]:
    """Measure writing and reading around the page cache; a file system that refuses says so.

    Parameters and errors as of `through`.
    """
    names = (
        ("disk_write_direct", "disk, write around the page cache"),
        ("disk_read_direct", "disk, read around the page cache"),
    )
    if DIRECT is None:
        return [Link(name, what, reason="this system has no O_DIRECT") for name, what in names]
    flags, found = DIRECT, []
    with _place(folder, size) as (path, block):
        works = (lambda: _write(path, block, flags, DIRECT_STEP), lambda: _read(path, flags, DIRECT_STEP))
        for (name, what), work in zip(names, works, strict=True):
            try:
                found.append(Link(name, what, tuple(len(block) / _seconds(work) for _ in range(passes))))
            except OSError as error:
                found.append(Link(name, what, reason=f"O_DIRECT is refused here: {error.strerror}"))
    return found


@contextmanager
def _place(folder: Path | str, size: int) -> Iterator[tuple[Path, mmap.mmap]]:
    """Lend a file's path and what to write there: whole steps, from a page's begin on, as O_DIRECT wants them."""
    sweep(Path(folder), "links")
    path = Path(folder) / f".links.partial-{os.getpid()}"
    with closing(mmap.mmap(-1, max(DIRECT_STEP, size - size % DIRECT_STEP))) as block:
        block.write(np.random.default_rng(0).bytes(len(block)))  # a disk that compresses gains nothing
        try:
            yield path, block
        finally:
            path.unlink(missing_ok=True)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _write(path: Path, block: mmap.mmap, flags: int, step: int) -> None:
    stream = os.open(path, NEW | flags)
    try:
        with memoryview(block) as whole:
            place = 0
            while place < len(whole):  # a full disk writes less than it was given, and refuses the rest
                with whole[place : place + step] as piece:
                    place += os.write(stream, piece)
        os.fsync(stream)
    finally:
        os.close(stream)


def _read(path: Path, flags: int, step: int) -> None:
    stream = os.open(path, os.O_RDONLY | flags)
    try:
        with closing(mmap.mmap(-1, step)) as piece:
            while os.readv(stream, [piece]):
                pass
    finally:
        os.close(stream)


def _drop(path: Path) -> float | None:
    """Ask the page cache to let a file go; return the share of it that stays, None if nobody says."""
    stream = os.open(path, os.O_RDWR)
    try:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(stream, 0, 0, os.POSIX_FADV_DONTNEED)
        with closing(mmap.mmap(stream, os.fstat(stream).st_size)) as pages:
            return _resident(pages)
    finally:
        os.close(stream)


def _resident(pages: mmap.mmap) -> float | None:
    """Return the share of a mapped file that is in memory (`mincore`)."""
    mincore = getattr(ctypes.CDLL(None, use_errno=True), "mincore", None)
    if mincore is None:
        return None
    held = np.zeros(-(-len(pages) // mmap.PAGESIZE), np.uint8)
    first = np.frombuffer(pages, np.uint8)
    code = mincore(ctypes.c_void_p(first.ctypes.data), ctypes.c_size_t(len(pages)), ctypes.c_void_p(held.ctypes.data))
    del first  # or the mapping could not be closed
    return None if code else float((held & 1).mean())
