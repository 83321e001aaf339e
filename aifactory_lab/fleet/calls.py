"""What runs inside a job: the user's function, with its start written down and its result weighed.

submitit pickles a `Call` and runs it on the node. It notes each start (attempt, node, devices, pid) beside the job, so
that everybody can see which GPUs a job has, on every engine; and it refuses a result too large to be a message. This
module does not know the scheduler.

>>> Call(len, ("four",), {}).function.__name__
'len'
"""

import json
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

from aifactory_lab import decoding
from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet.folders import attempts_file

LARGEST_ARGUMENTS = 64 * 2**20
LARGEST_RESULT = 256 * 2**20


@dataclass(frozen=True)
class Start:
    """What a process of a job writes down when it begins."""

    node: str
    devices: list[str]
    pid: int
    rank: int
    time: float


class Call:
    """A function and its arguments, to be called in a job."""

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.function, self.args, self.kwargs = function, args, dict(kwargs)

    def __call__(self) -> Any:
        """Run in the job."""
        note_start()
        return weighed(self.function(*self.args, **self.kwargs))


class ResumableCall(Call):
    """A call of a function with a ``checkpoint`` method (submitit's `Checkpointable`).

    When its job is preempted it is asked for what shall run when the job is started again. submitit asks whether the
    method is there, hence a class of its own.
    """

    def checkpoint(self) -> Any:
        """Return what to run next time, or None if the function wants to end."""
        again = self.function.checkpoint(*self.args, **self.kwargs)  # type: ignore[attr-defined]
        return again and _delayed(ResumableCall(again.function, again.args, again.kwargs))


def submission(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return submitit's delayed call, known to pickle and to be small enough to send.

    Raises
    ------
    FleetError
        If the function or an argument cannot be pickled, or is too large for a message.
    """
    call = (ResumableCall if hasattr(function, "checkpoint") else Call)(function, args, kwargs)
    size = _size(call, function)
    if size > LARGEST_ARGUMENTS:
        most = LARGEST_ARGUMENTS >> 20
        msg = f"the call of {_name(function)} weighs {size / 2**20:,.0f} MiB; at most {most} MiB are sent"
        raise FleetError(msg, mend="write the data to a file that the job can read, and pass its path")
    return _delayed(call)


def weighed(result: Any) -> Any:
    """Return a result that is small enough to be sent back.

    Raises
    ------
    FleetError
        If it is not; the job then fails with this message instead of filling the disk.
    """
    size = _size(result, type(result))
    if size > LARGEST_RESULT:
        msg = f"the result weighs {size / 2**20:,.0f} MiB; at most {LARGEST_RESULT >> 20} MiB are sent back"
        raise FleetError(msg, mend="write it to a file in the job, and return its path")
    return result


def note_start() -> None:
    """Write down this start of the job beside its files, if there is a job around."""
    try:
        environment = require("submitit", extra="fleet").JobEnvironment()
        folder, job_id, rank = environment.paths.folder, environment.job_id, environment.global_rank
    except (RuntimeError, KeyError):
        return
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    visible = [index for index in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if index]
    line = {"node": node, "devices": visible, "pid": os.getpid(), "rank": rank, "time": time()}
    with attempts_file(folder, job_id).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")  # one short write to the end of a file: whole, even from several nodes


def attempts(folder: Path, job_id: str) -> list[dict[str, Any]]:
    """Return a job's starts in order, one dict of node, devices, pid, rank and time for each process."""
    path = attempts_file(folder, job_id)
    return list(_lines(path)) if path.exists() else []


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for told in decoding.lines(path.read_bytes()):  # the machine may have gone down in the middle of a line
        with suppress(ValueError):
            decoding.fit(Start, told)
            yield told


def _delayed(call: Call) -> Any:
    return require("submitit.helpers", extra="fleet").DelayedSubmission(call)


def _size(thing: Any, what: Any) -> int:
    pickler = require("cloudpickle", extra="fleet")
    try:
        return len(pickler.dumps(thing, pickle.HIGHEST_PROTOCOL))
    except Exception as error:  # whatever a user's __reduce__ raises
        msg = f"{_name(what)} cannot be sent to a job: {type(error).__name__}: {error}"
        raise FleetError(
            msg, mend="open files, locks, connections and GPUs inside the function, not around it"
        ) from error


def _name(thing: Any) -> str:
    return str(getattr(thing, "__qualname__", type(thing).__qualname__))
