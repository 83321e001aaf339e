"""The fleet's engine on a Slurm: jobs go out by submitit, and Slurm's own answers come back as the fleet's frames.

    fleet = Fleet("slurm")
    fleet.submit(train, gpus=4, nodes=2, project="vision")

Slurm queues, lends, reclaims, restarts and accounts. The protocol is `fleet.engines.Engine`; this module does not
decide which job runs.

>>> Slurm.name
'slurm'
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet import calls as call_files
from aifactory_lab.fleet import frames
from aifactory_lab.fleet.folders import order_file, root
from aifactory_lab.fleet.frames import ENDED, State
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.private.places import Places
from aifactory_lab.fleet.slurm import (
    admission,
    commands,
    explain,
    history,
    listing,
    projects,
    sending,
    snapshot,
    standing,
)
from aifactory_lab.fleet.slurm.reach import reach
from aifactory_lab.fleet.slurm.rows import Run

WITHOUT_BOOKS = "this Slurm keeps no books (slurmdbd): no projects, no quota, no fair share, no hours"


class Slurm:
    """See the module; the protocol is `fleet.engines.Engine`.

    Raises
    ------
    FleetError
        If no Slurm answers.
    """

    name = "slurm"

    def __init__(self, reason: str, folder: Path | str | None = None) -> None:
        found = reach(folder)
        if not found.answers:
            msg = f"no Slurm answers: {found.reason}"
            raise FleetError(msg, mend="aifactory fleet up")
        self.reason, self.conf = reason, found.conf
        self.folder = root(folder) / "jobs" / "slurm"
        self.pretend = pretends(found.conf)
        self.limits = "" if snapshot.look(found.conf).accounts else WITHOUT_BOOKS
        self._orders: dict[str, Order | None] = {}

    def check(self, order: Order) -> None:
        """Refuse what can never start here.

        Raises
        ------
        FleetError
            If the GPUs, nodes or CPUs do not exist, the project or a job to wait for is unknown, or the quota is less
            than what must stay within it.
        """
        look = snapshot.look(self.conf)
        if order.project not in look.accounts:
            snapshot.forget(self.conf, books=True)  # somebody may have made it meanwhile
            look = snapshot.look(self.conf)
        admission.check(order, look)
        self._after(order)

    def send(self, calls: Sequence[Any], order: Order, *, at_most: int | None = None) -> list[Any]:
        """Send calls: those that have room in the project's quota into its lane, the rest into the spare one."""
        return sending.Sending(self.conf, self.folder, order, self._after(order)).send(calls, at_most)

    def attach(self, job_id: str) -> Any:
        """Return submitit's job of an id."""
        order = self._order(job_id)
        return require("submitit", extra="fleet").SlurmJob(self.folder, job_id, range(order.nodes if order else 1))

    def state(self, job_id: str) -> State:
        """Return how a job stands: from the controller, which is asked every two seconds, else from the books."""
        outcome = standing.outcome(self.folder / f"{job_id}_0_result.pkl")
        if outcome == "success":
            return "COMPLETED"
        if run := self._known([job_id]).get(job_id):
            return standing.now(run, outcome)
        return standing.after(history.of(self.conf, job_id)) or "CANCELLED"

    def cancel(self, job_id: str) -> None:
        """End a job, running or not."""
        with suppress(FleetError):  # it has ended; if Slurm does not answer, the next line says so
            commands.run("scancel", job_id, conf=self.conf)
        snapshot.forget(self.conf)
        snapshot.look(self.conf)

    def explain(self, job_id: str) -> str:
        """Say in one sentence why a job waits, who borrows and what would help; or how it runs or ended."""
        state, order, look = self.state(job_id), self._order(job_id), snapshot.look(self.conf)
        run = look.by_id.get(job_id)
        if run and run.pending:
            return explain.waits(run, order, look)
        if run and state == "RUNNING":
            return explain.runs(run, look, snapshot.devices(self.conf).get(run.raw, []))
        past = [run] if run else history.of(self.conf, job_id)
        failed = (
            [f"{name} is {self.state(name)}" for name in order.after if self.state(name) != "COMPLETED"]
            if order
            else []
        )
        if state == "CANCELLED" and failed and not call_files.attempts(self.folder, job_id):
            return f"job {job_id} never started: it waited for a job that did not succeed ({', '.join(failed)})"
        when = f" at {explain.clock(past[-1].ended)}" if past and past[-1].ended else ""
        why = f" ({past[-1].reason})" if past and past[-1].reason and state != "COMPLETED" else ""
        return f"job {job_id} ended{when}: {state}{why}"

    def jobs(self, since: datetime | None = None) -> pl.DataFrame:
        """Return everybody's jobs that wait or run, and those that ended after `since`, newest first."""
        look = snapshot.look(self.conf)
        devices = snapshot.devices(self.conf) if any(job.running for job in look.queue) else {}
        rows = [self._live(job, devices.get(job.raw, [])) for job in look.queue]
        past = history.by_job(history.lately(self.conf, since))
        rows += [self._past(runs) for job, runs in past.items() if job not in look.by_id]
        told = frames.frame(frames.JOBS, sorted(rows, key=listing.age, reverse=True))
        lately = pl.col("ended").is_null() | ~pl.col("state").is_in(list(ENDED))
        return told.filter(lately | (pl.col("ended") >= since)) if since else told

    def nodes(self) -> pl.DataFrame:
        """Return the nodes and what of them is in use."""
        look = snapshot.look(self.conf)
        on: dict[str, list[str]] = {}
        for job in look.queue:
            for host in job.hosts if job.running else ():
                on.setdefault(host, []).append(job.id)
        told = ({**vars(node), "node": node.name, "jobs": on.get(node.name, [])} for node in look.nodes)
        return frames.frame(frames.NODES, told)

    def projects(self) -> pl.DataFrame:
        """Return the projects with quota and use."""
        return projects.told(snapshot.look(self.conf))

    def usage(self, since: datetime) -> pl.DataFrame:
        """Return GPU-hours by project and user; every attempt counts, and running jobs until now."""
        return history.hours(history.attempts(self.conf, since, truncate=True))

    def _after(self, order: Order) -> list[str]:
        """Return the jobs that Slurm must wait for: those that have succeeded long ago it has forgotten."""
        known = self._known(order.after)
        for name in order.after:
            if name not in known and not order_file(self.folder, name).exists():
                msg = f"there is no job {name!r} to wait for"
                raise FleetError(msg, mend="fleet.jobs()  # their ids")
        old = {name: self.state(name) for name in order.after if name not in known}
        for name, state in old.items():
            if state != "COMPLETED":
                msg = f"job {name} is {state}, so what comes after it can never start"
                raise FleetError(msg, mend=f"fleet.attach({name!r}).explain()")
        return [name for name in order.after if name not in old]

    def _live(self, run: Run, devices: list[str]) -> dict[str, Any]:
        starts = call_files.attempts(self.folder, run.id) if run.running or run.ended else []
        state = standing.now(run, standing.outcome(self.folder / f"{run.id}_0_result.pkl") if run.running else None)
        return listing.row(run, state, self._order(run.id), starts, devices=devices, attempts=listing.count(run))

    def _past(self, runs: list[Run]) -> dict[str, Any]:
        run, state = runs[-1], standing.after(runs) or "CANCELLED"
        starts = call_files.attempts(self.folder, run.id)
        return listing.row(run, state, self._order(run.id), starts, attempts=listing.counted(runs))

    def _known(self, job_ids: Sequence[str]) -> dict[str, Run]:
        """Return what the controller knows; asked anew if one of these is missing: another process may have sent it."""
        known = snapshot.look(self.conf).by_id
        if all(name in known for name in job_ids):
            return known
        snapshot.forget(self.conf)
        return snapshot.look(self.conf).by_id

    def _order(self, job_id: str) -> Order | None:
        """Return the order that is kept beside a job; None for jobs that were not sent from here."""
        if self._orders.get(job_id) is None:
            path = order_file(self.folder, job_id)
            self._orders[job_id] = Order.load(path) if path.exists() else None
        return self._orders[job_id]


def pretends(conf: Path | None) -> bool:
    """Return whether a configuration is that of a private Slurm with pretend GPUs."""
    kept = Places(conf.parent.parent).load() if conf else {}
    return bool(kept) and bool(kept["layout"].pretend)
