"""How a job of Slurm stands, in the fleet's words.

Slurm says PREEMPTED, REQUEUED or NODE_FAIL of an attempt that has ended and PENDING of the next one; a job has ended
only when the controller no longer means to start it. This module asks nobody: it takes what was asked.

>>> after([]) is None
True
"""

import pickletools
from collections.abc import Sequence
from pathlib import Path

from aifactory_lab.fleet.frames import State
from aifactory_lab.fleet.slurm.rows import Run

ENDS: dict[str, State] = {
    "COMPLETED": "COMPLETED",
    "CANCELLED": "CANCELLED",
    "REVOKED": "CANCELLED",
    "PREEMPTED": "CANCELLED",  # and not requeued: somebody set PreemptMode=CANCEL
    "TIMEOUT": "TIMEOUT",
    "DEADLINE": "TIMEOUT",
}  # else FAILED: FAILED, NODE_FAIL, BOOT_FAIL, OUT_OF_MEMORY


def now(run: Run, outcome: str | None) -> State:
    """Return the state of a job that the controller knows.

    Parameters
    ----------
    run
        What the controller says.
    outcome
        ``"success"`` or ``"error"`` if the function has ended. Its result is there before its script has ended, and
        Slurm says RUNNING or COMPLETING for a moment more.
    """
    if outcome == "success":
        return "COMPLETED"
    if run.pending:
        return "REQUEUED" if run.restarts or run.word != "PENDING" else "PENDING"
    if run.running:
        return "RUNNING"
    return ENDS.get(run.word, "FAILED")


def after(attempts: Sequence[Run]) -> State | None:
    """Return how a job ended that the controller has forgotten, by its last attempt; None if there was none."""
    if not attempts:
        return None
    last = attempts[-1]
    if last.pending or last.running:  # the books were not told how it ended: the controller died with it
        return "FAILED"
    return ENDS.get(last.word, "FAILED")


def outcome(result: Path) -> str | None:
    """Return ``"success"`` or ``"error"`` from submitit's result file without loading what may be large; None without.

    The file is a pickled pair and the word its first string.
    """
    try:
        with result.open("rb") as file:
            return next(word for _, word, _ in pickletools.genops(file) if isinstance(word, str))
    except (OSError, ValueError, StopIteration):
        return None
