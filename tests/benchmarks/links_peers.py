"""What others say the same links carry: dd, fio and sysbench where they are installed, STREAM's kernels in numba.

Each function measures once and returns bytes per second; `installed` says which of them can run here.

>>> sorted(installed()) == sorted(set(installed()))
True
"""

import json
import os
import re
import shutil
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from aifactory_lab.links import disk

STEP = {"through": "1M", "around": "4M"}


def installed() -> tuple[str, ...]:
    """The programs that are here (Debian: coreutils, fio, sysbench)."""
    return tuple(name for name in ("dd", "fio", "sysbench") if shutil.which(name))


def dd_write(source: Path, target: Path, way: str) -> float:
    """Copy a file from memory to the disk, with fsync."""
    flags = ["oflag=direct"] if way == "around" else []
    return _dd(f"if={source}", f"of={target}", f"bs={STEP[way]}", "conv=fsync", *flags)


def dd_read(target: Path, way: str) -> float:
    """Read a file from the disk: after the page cache dropped it, or around the cache."""
    if way == "around":
        return _dd(f"if={target}", "of=/dev/null", f"bs={STEP[way]}", "iflag=direct")
    disk._drop(target)
    return _dd(f"if={target}", "of=/dev/null", f"bs={STEP[way]}")


def _dd(*words: str) -> float:
    environment = os.environ | {"LC_ALL": "C"}
    done = subprocess.run(["dd", *words], capture_output=True, text=True, check=True, env=environment)
    size, seconds = re.search(r"^(\d+) bytes.* copied, ([\d.e-]+) s", done.stderr, re.MULTILINE).groups()
    return int(size) / float(seconds)


def fio(target: Path, kind: str, size: int) -> float:
    """Let fio write or read a file around the page cache, one call at a time as we do."""
    words = ["--name=links", f"--filename={target}", f"--rw={kind}", "--bs=4M", f"--size={size}", "--direct=1"]
    words += ["--ioengine=psync", "--refill_buffers", "--end_fsync=1", "--output-format=json"]
    done = subprocess.run(["fio", *words], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["jobs"][0][kind]["bw_bytes"])


def sysbench(threads: int, size: int) -> float:
    """Let sysbench write blocks of memory; it counts what it wrote and reads nothing."""
    words = [f"--memory-block-size={size}", f"--memory-total-size={8 * size}", "--memory-oper=write"]
    done = subprocess.run(
        ["sysbench", "memory", *words, f"--threads={threads}", "run"], capture_output=True, text=True, check=True
    )
    return float(re.search(r"\(([\d.]+) MiB/sec\)", done.stdout)[1]) * 2**20


@cache
def _kernels(threads: int) -> dict[str, Any]:
    import numba

    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))

    @numba.njit(parallel=True)
    def copy(first, second, out):
        for place in numba.prange(len(out)):
            out[place] = first[place]

    @numba.njit(parallel=True)
    def triad(first, second, out):
        for place in numba.prange(len(out)):
            out[place] = first[place] + 3.0 * second[place]

    return {"copy": copy, "triad": triad}


def numba_stream(kernel: str, threads: int, size: int) -> float:
    """Run a kernel of STREAM by numba's own threads, once warmed up."""
    run, moved = _kernels(threads)[kernel], {"copy": 2, "triad": 3}[kernel]
    arrays = [np.full(size // 8, value) for value in (1.0, 2.0, 0.0)]
    run(*arrays)
    start = time.perf_counter()
    run(*arrays)
    return moved * size / (time.perf_counter() - start)
