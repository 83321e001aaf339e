"""A job that was sent: how it stands, what it returned, what it wrote, why it waits.

A `Job` holds nothing but an id, its engine and its order, so it may be thrown away and found again with
`Fleet.attach`. This module does not know which engine runs it.

>>> from aifactory_lab import fleet
>>> job = fleet.Fleet("inline").submit(sum, [1, 2, 3])
>>> job.state, job.result()
('COMPLETED', 6)
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Literal, overload

from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet.calls import attempts
from aifactory_lab.fleet.engines import Engine
from aifactory_lab.fleet.folders import order_file, trusted
from aifactory_lab.fleet.frames import ENDED, State
from aifactory_lab.fleet.orders import Order

LOOK_SECONDS = 0.05  # between two looks for a result's file
ASK_SECONDS = 1.0  # between two questions to the scheduler, which is shared
LATE_SECONDS = 5.0  # that a result's file may come after the scheduler says that the job has ended
TAIL_LINES = 20


class Job:
    """One job of a fleet.

    Attributes
    ----------
    id
        The engine's id of it.
    order
        What was asked for.
    """

    def __init__(self, engine: Engine, sent: Any) -> None:
        self.id = str(sent.job_id)
        self._engine, self._sent = engine, sent

    @cached_property
    def order(self) -> Order:
        """What was asked for."""
        return Order.load(order_file(self._engine.folder, self.id))

    @property
    def state(self) -> State:
        """How the job stands: one of `frames.STATES`, asked anew."""
        return self._engine.state(self.id)

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._outcome() is not None or self.state in ENDED

    @property
    def attempts(self) -> list[dict[str, Any]]:
        """Its starts: node, devices, pid, rank and time of each process."""
        return attempts(self._engine.folder, self.id)

    @property
    def files(self) -> Any:
        """Its files, as submitit names them: ``stdout``, ``stderr``, ``result_pickle``."""
        return self._sent.paths if not getattr(self._sent, "_sub_jobs", ()) else self._sent.task(0).paths

    def wait(self, timeout: float | None = None) -> State:
        """Wait until the job has ended; return how.

        Raises
        ------
        FleetError
            If it has not ended after `timeout` seconds; the job goes on.
        """
        began = monotonic()
        asked = -ASK_SECONDS
        while True:
            if (outcome := self._outcome()) is not None and outcome[0] == "success":
                return "COMPLETED"
            if monotonic() - asked >= ASK_SECONDS:
                asked = monotonic()
                if (state := self.state) in ENDED:
                    return state
            if timeout is not None and monotonic() - began > timeout:
                msg = f"job {self.id} has not ended after {timeout:g} s: {self.explain()}"
                raise FleetError(msg, mend="job.wait(timeout=None), or job.cancel()")
            sleep(LOOK_SECONDS)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the job, and return what its function returned (rank 0's, if it ran on several nodes).

        Raises
        ------
        FleetError
            If the function raised (its traceback is in the message), if the job was cancelled, killed or ran out of
            time, or if it has not ended after `timeout` seconds.
        """
        state = self.wait(timeout)
        late = monotonic() + LATE_SECONDS
        while (outcome := self._outcome()) is None and state in ("COMPLETED", "FAILED") and monotonic() < late:
            sleep(LOOK_SECONDS)
        if outcome and outcome[0] == "success":
            return outcome[1]
        raise FleetError(self._failure(state, outcome), mend=f"fleet.attach({self.id!r}).logs()")

    @overload
    def logs(self, follow: Literal[False] = False) -> str: ...
    @overload
    def logs(self, follow: Literal[True]) -> Iterator[str]: ...
    def logs(self, follow: bool = False) -> str | Iterator[str]:
        """Return what the job wrote: all of it as text, or with `follow` line by line until it ends."""
        if follow:
            return self._follow()
        return "".join(path.read_text(errors="replace") for path in self._log_files() if path.exists())

    def cancel(self) -> None:
        """End the job; nothing happens if it has ended."""
        self._engine.cancel(self.id)

    def explain(self) -> str:
        """Say in one sentence why it waits, who is in the way and what would help; or how it runs or ended."""
        return self._engine.explain(self.id)

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.order.name!r})"

    def _log_files(self) -> tuple[Path, Path]:
        return Path(self.files.stdout), Path(self.files.stderr)

    def _follow(self) -> Iterator[str]:
        places = dict.fromkeys(self._log_files(), 0)
        ended = False
        while True:
            lines = [line for path in places for line in _new_lines(path, places)]
            yield from lines
            if ended and not lines:
                return
            ended = self.done
            if not ended:
                sleep(ASK_SECONDS / 2)

    def _outcome(self) -> tuple[str, Any] | None:
        """Return ("success", result) or ("error", traceback), None while there is none; never half of one."""
        path = Path(self.files.result_pickle)
        if not path.exists():
            return None
        loaded: tuple[str, Any] = require("submitit.core.utils", extra="fleet").pickle_load(trusted(path))
        return loaded

    def _failure(self, state: State, outcome: tuple[str, Any] | None) -> str:
        if outcome:
            trace = str(outcome[1]).strip()
            return f"job {self.id} ({self.order.name}) failed: {trace.splitlines()[-1]}\n{trace}"
        told = self.explain()
        tail = "\n".join(self.logs().splitlines()[-TAIL_LINES:])
        return f"job {self.id} ({self.order.name}) returned nothing, {state}: {told}" + (f"\n{tail}" if tail else "")


def _new_lines(path: Path, places: dict[Path, int]) -> list[str]:
    """Return the whole lines that were written since the last look."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(places[path])
        new = file.read()
    whole = new[: new.rfind(b"\n") + 1]
    places[path] += len(whole)
    return [line.decode(errors="replace") for line in whole.splitlines()]
