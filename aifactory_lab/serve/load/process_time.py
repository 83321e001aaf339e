"""Processor time of a process with all its children.

>>> import os
>>> tree_seconds(os.getpid()) > 0
True
"""

import psutil


def tree_seconds(pid: int | None) -> float | None:
    """Return user and system seconds of a process and of its living children so far; `None` if it cannot be read."""
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        tree = [process, *process.children(recursive=True)]
        return float(sum(sum(one.cpu_times()[:2]) for one in tree))
    except psutil.Error:
        return None
