"""submitit's view of this machine's engine: an executor that sends, a job, and the environment inside a job.

submitit finds both classes by their entry points. The executor writes a job's record, its environment and its pickle,
and tells the engine the ids: everything that the job needs is on disk before anybody knows of it. This module knows
neither the queue nor the GPUs.

>>> WorkstationExecutor.name(), WorkstationJobEnvironment().name()
('workstation', 'workstation')
"""

import math
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from submitit.core import core, job_environment, utils

from aifactory_lab.fleet.folders import order_file
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.workstation.records import Ledger

ENDLESS = 10**6  # preemptions that submitit lets a job have: each counts as a timeout for jobs of a few minutes
Tell = Callable[[Sequence[str]], None]


class WorkstationJob(core.Job[Any]):
    """The files of a job; how it stands is in its record."""

    @property
    def state(self) -> str:
        """One of `fleet.frames.STATES`."""
        return Ledger(self.paths.folder).load(self.job_id).state

    def done(self, force_check: bool = False) -> bool:
        """Whether it has ended, asked anew in any case."""
        del force_check
        return Ledger(self.paths.folder).load(self.job_id).ended

    def cancel(self, check: bool = True) -> None:
        """Leave the wish; the engine sees it within a second."""
        del check
        Ledger(self.paths.folder).wish(self.job_id, "cancel")

    def _register_in_watcher(self) -> None:
        """Nothing is polled for all jobs at once here."""


class WorkstationJobEnvironment(job_environment.JobEnvironment):
    """What a job knows of itself."""

    _env: ClassVar[dict[str, str]] = {
        "job_id": "SUBMITIT_WORKSTATION_JOB_ID",
        "num_tasks": "SUBMITIT_WORKSTATION_TASKS",
        "num_nodes": "SUBMITIT_WORKSTATION_NODES",
        "node": "SUBMITIT_WORKSTATION_NODE",
        "global_rank": "SUBMITIT_WORKSTATION_RANK",
        "local_rank": "SUBMITIT_WORKSTATION_RANK",
    }

    def _requeue(self, countdown: int) -> None:
        """Ask to be started again; submitit ends the process right after."""
        del countdown
        Ledger(self.paths.folder).wish(self.job_id, "requeue")


class WorkstationExecutor(core.PicklingExecutor):
    """Send pickled calls to the engine of this machine.

    Parameters
    ----------
    folder
        Of the jobs.
    tell
        Called with the ids of jobs that are on disk.
    """

    job_class = WorkstationJob

    def __init__(self, folder: Path | str, tell: Tell | None = None, *, max_num_timeout: int = ENDLESS) -> None:
        super().__init__(folder, max_num_timeout=max_num_timeout)
        self._tell = tell or _tell_the_default
        self.order = Order(name="job")
        self.at_most: int | None = None

    @classmethod
    def affinity(cls) -> int:
        """Never what submitit picks by itself: its users chose no GPUs to count."""
        return 0

    def _internal_process_submissions(self, delayed_submissions: list[Any]) -> list[core.Job[Any]]:
        ledger = Ledger(self.folder)
        environment = dict(os.environ)
        ids: list[str] = []
        for delayed in delayed_submissions:
            record = ledger.add(self.order, environment, first=ids[0] if ids else "", at_most=self.at_most or 0)
            self.order.save(order_file(self.folder, record.id))
            # submitit takes a preemption late in a job for a timeout; the engine keeps the time, so let it be too long
            delayed.set_timeout(math.ceil(max(75 * self.order.hours, 60 * self.order.hours + 10)), self.max_num_timeout)
            delayed.dump(utils.JobPaths(self.folder, job_id=record.id).submitted_pickle)
            ids.append(record.id)
        self._tell(ids)
        return [self.job_class(self.folder, job_id) for job_id in ids]

    def _num_tasks(self) -> int:
        return 1

    def _make_submission_file_text(self, command: str, uid: str) -> str:
        del uid
        return command

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        return [sys.executable, "-m", "submitit.core._submit", shlex.quote(str(submission_file_path.parent))]

    @staticmethod
    def _get_job_id_from_submission_command(string: bytes | str) -> str:
        return str(string)


def _tell_the_default(ids: Sequence[str]) -> None:
    """Reach the engine of the default folder, for those who come by submitit's own door."""
    from aifactory_lab.fleet.folders import root
    from aifactory_lab.fleet.workstation.connection import Connection

    Connection(root()).call("submit", list(ids))
