"""How jobs go out: in which lane, bounded by what, sent by submitit.

A map whose jobs do not all have room in the quota goes out as two arrays, one for each lane. This module does not know
what the jobs answer.

>>> from aifactory_lab.fleet.orders import Order
>>> Sending(None, Path("/jobs"), Order(name="fit")).order.borrows
True
"""

import getpass
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet.folders import made
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm import commands, snapshot, submission
from aifactory_lab.fleet.slurm.lanes import SPARE, quota_qos, split
from aifactory_lab.fleet.slurm.reach import VARIABLE


@dataclass(frozen=True)
class Sending:
    """Calls of one order, on their way to the Slurm of `conf`; they start after the jobs of `after`."""

    conf: Path | None
    folder: Path
    order: Order
    after: Sequence[str] = ()

    def send(self, calls: Sequence[Any], at_most: int | None = None) -> list[Any]:
        """Send them; return submitit's jobs, in order.

        Raises
        ------
        FleetError
            If Slurm refuses them.
        """
        snapshot.forget(self.conf)
        look = snapshot.look(self.conf)
        lane = quota_qos(self.order.project)
        inside = self._inside(look, len(calls), at_most) if lane in look.books else len(calls)
        sent: list[Any] = []
        for group, qos in ((calls[:inside], lane if lane in look.books else None), (calls[inside:], SPARE)):
            sent += self._submit(list(group), qos, at_most) if group else []
        snapshot.forget(self.conf)
        return sent

    def _inside(self, look: snapshot.Snapshot, count: int, at_most: int | None) -> int:
        """Return how many of the calls go into the quota."""
        room = self._settle(look)
        if not self.order.borrows or SPARE not in look.books:
            return count
        return split([self.order.gpus] * count, room, at_most=at_most)[0]

    def _settle(self, look: snapshot.Snapshot) -> int:
        """Bring the caller's waiting borrowers back into a quota that has room; return the room that is left."""
        project, user = self.order.project, getpass.getuser()
        room = (look.quota(project) or 0) - look.claimed(project)
        waiting = [
            job for job in look.queue if job.pending and (job.qos, job.project, job.user) == (SPARE, project, user)
        ]
        for job in sorted(waiting, key=lambda job: -job.priority):
            if 0 < job.gpus <= room:
                with suppress(FleetError):  # it has started meanwhile
                    commands.run("scontrol", "update", f"JobId={job.id}", f"QOS={quota_qos(project)}", conf=self.conf)
                    room -= job.gpus
        return room

    def _submit(self, calls: list[Any], qos: str | None, at_most: int | None) -> list[Any]:
        submitit = require("submitit", extra="fleet")
        executor = submitit.SlurmExecutor(made(self.folder), max_num_timeout=0)
        at_once = min(at_most or len(calls), len(calls)) if len(calls) > 1 else None
        told = submission.parameters(self.order, self.folder, qos=qos, after=self.after, at_once=at_once)
        executor.update_parameters(**told)
        with require("submitit.helpers", extra="fleet").clean_env():  # a job that sends jobs is not part of them
            os.environ[VARIABLE] = str(self.conf)
            try:
                return list(executor._internal_process_submissions(calls))  # noqa: SLF001 - what its submit and batch call
            except submitit.core.utils.FailedJobError as error:
                msg = f"Slurm refuses the job: {' '.join(str(error).split())}"
                raise FleetError(msg, mend="fleet.projects(), fleet.nodes()  # what there is") from error
