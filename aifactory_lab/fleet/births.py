"""Which process a number means: a pid names another one tomorrow, a pid and its birth never do.

A birth is the boot and the clock tick at which the system started the process. psutil's creation time is no such mark:
it moves when the clock is set. This module does not know what the processes do.

>>> import os
>>> birth(os.getpid()) == birth(os.getpid()) != ""
True
"""

from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


def boot() -> str:
    """Return the kernel's name for the time since it was started; ``-`` where it has none (sandboxes)."""
    return BOOT.read_text().strip() if BOOT.exists() else "-"


def tick(pid: int) -> int | None:
    """Return the clock tick at which a process began, None if there is none that lives: a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def birth(pid: int) -> str:
    """Return the birth of a process, empty if there is none that lives."""
    began = tick(pid)
    return "" if began is None else f"{boot()}:{began}"


def before_boot(born: str) -> bool:
    """Tell whether the machine has been started anew since a birth."""
    return born.partition(":")[0] != boot()
