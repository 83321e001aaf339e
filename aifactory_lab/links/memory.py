"""The host's memory: copy and triad of STREAM, by one thread and by all cores.

Counted as McCalpin's STREAM (1995) counts: bytes read plus bytes written, without the line that a store may read first.
The copy is numpy's; the triad is numba's, for numpy has none that goes through memory once and holds no lock meanwhile.
What the memory should carry is `dimms`' to say.

>>> copy(size=1 << 20, passes=1).name
'memory_copy'
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.links.link import Link

Array = NDArray[np.float64]
T = TypeVar("T")
Kernel = Callable[[Array, Array, Array], None]
LEAST = 128 << 20  # bytes of an array, at least
CACHES = 4  # STREAM's rule: each array at least so many times the last cache
MOST = 1 << 30  # bytes of an array, at most: three of them must fit beside everything else
SCALAR = 3.0
CACHES_OF = Path("/sys/devices/system/cpu/cpu0/cache")


def copy(*, size: int | None = None, passes: int = 5) -> Link:
    """Measure the copy by one thread: what the rooflines take.

    Parameters
    ----------
    size
        Bytes of an array; by default four times the last cache, between 128 MiB and 1 GiB.
    passes
        How often; one more goes before them, for it pays for the pages.
    """
    return _link("copy", 1, size, passes)


def stream(*, size: int | None = None, passes: int = 5) -> list[Link]:
    """Measure the triad by one thread, then copy and triad by all cores of this process, if it has several."""
    every = [(name, cores()) for name in KERNELS if cores() > 1]
    return [_link(name, threads, size, passes) for name, threads in [("triad", 1), *every]]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def array_bytes(caches: Path = CACHES_OF) -> int:
    """Return how large an array must be for the caches not to hold it, in bytes."""
    sizes = [_cache_bytes(each.read_text()) for each in caches.glob("index*/size")]
    return min(MOST, max(LEAST, CACHES * max(sizes, default=0)))


def _cache_bytes(text: str) -> int:
    """Read a size as Linux prints it.

    >>> _cache_bytes("32768K")
    33554432
    """
    number, unit = text.strip().rstrip("KMG"), text.strip()[-1:]
    return int(number) << {"K": 10, "M": 20, "G": 30}.get(unit, 0)


def _rates(run: Kernel, numbers: int, threads: int, passes: int, moved: int) -> tuple[float, ...]:
    """Return bytes per second of each pass: from when all threads are ready until the last is done."""
    ready, done = Barrier(threads + 1), Barrier(threads + 1)

    def work() -> None:
        arrays = [np.full(numbers // threads, value) for value in (1.0, 2.0, 0.0)]  # whoever touches first has it near
        for _ in range(passes + 1):
            ready.wait()
            run(*arrays)
            done.wait()

    with ThreadPoolExecutor(threads) as pool:
        workers = [pool.submit(_or_free, work, ready, done) for _ in range(threads)]
        seconds = _or_free(lambda: [_between(ready, done) for _ in range(passes + 1)], ready, done) or []
        for worker in workers:
            worker.result()
    return tuple(moved * 8 * (numbers // threads) * threads / each for each in seconds[1:])


def _between(ready: Barrier, done: Barrier) -> float:
    ready.wait()
    start = time.perf_counter()
    done.wait()
    return time.perf_counter() - start


def _or_free(work: Callable[[], T], *barriers: Barrier) -> T | None:
    """Do it; if it fails, let nobody wait for it for ever: those who waited get None, and the failure is raised."""
    try:
        return work()
    except BrokenBarrierError:
        return None
    except BaseException:
        for barrier in barriers:
            barrier.abort()
        raise


def _link(kernel: str, threads: int, size: int | None, passes: int) -> Link:
    who, suffix = ("1 thread", "") if threads == 1 else (f"{threads} threads", "_all")
    make, moved = KERNELS[kernel]
    rates = _rates(make(), (size or array_bytes()) // 8, threads, passes, moved)
    return Link(f"memory_{kernel}{suffix}", f"memory, {kernel} by {who}", rates)


def _copy() -> Kernel:
    return lambda first, second, out: np.copyto(out, first)  # noqa: ARG005 - all kernels take the same


@cache
def _triad() -> Kernel:
    import numba

    made: Kernel = numba.njit("void(f8[::1], f8[::1], f8[::1])", nogil=True, cache=True)(triad)
    return made


def triad(first: Array, second: Array, out: Array) -> None:
    """Compute out = first + 3 × second; compiled before it is timed."""
    for place in range(len(out)):
        out[place] = first[place] + SCALAR * second[place]


# How a kernel is made, and how many arrays it moves.
KERNELS: dict[str, tuple[Callable[[], Kernel], int]] = {"copy": (_copy, 2), "triad": (_triad, 3)}
