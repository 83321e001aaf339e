"""The fleet, as a notebook uses it: send functions, maps, gangs and notebooks; ask what runs, waits and was used.

    fleet = Fleet()
    job = fleet.submit(train, data, gpus=2, project="vision", hours=4)
    job.explain()

It sends to one engine (`fleet.engines`) through submitit and keeps an order beside every job. It schedules nothing.

>>> fleet = Fleet("inline")
>>> [job.result() for job in fleet.map(abs, [-1, 2])]
[1, 2]
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet import calls, engines
from aifactory_lab.fleet.folders import order_file
from aifactory_lab.fleet.jobs import Job
from aifactory_lab.fleet.orders import Order

Since = str | datetime | timedelta
ID = re.compile(r"[A-Za-z0-9][\w+.\[\]-]{0,63}")  # no path leads through it out of the folder of the jobs


class Fleet:
    """A queue of jobs on one engine.

    Parameters
    ----------
    engine
        ``"auto"``, ``"slurm"``, ``"workstation"`` or ``"inline"``: see `fleet.engines`.
    folder
        Where the fleet keeps its things; default ``$AIFACTORY_FLEET`` or ``~/.aifactory/fleet``. On a cluster every
        node must see it.
    gpus
        How many GPUs a workstation counts; default those that are there. More than are there are pretend ones.

    Raises
    ------
    FleetError
        If the engine is unknown or does not answer.
    """

    def __init__(self, engine: str = "auto", *, folder: Path | str | None = None, gpus: int | None = None) -> None:
        require("submitit", extra="fleet")
        self.engine = engines.build(engines.choose(engine, folder), folder, gpus=gpus)

    def submit(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Job:
        """Send a function.

        Parameters
        ----------
        fn, *args
            What to call. A function with a ``checkpoint`` method (submitit's `Checkpointable`) resumes where it was.
        **options
            ``gpus=0, nodes=1, cpus=1, project="default", priority="train", hours=1.0, after=(), retries=0, name=``:
            see `fleet.orders.Order`; ``after`` takes jobs or ids. Any other keyword goes to the function.

        Raises
        ------
        FleetError
            If the order can never start (more GPUs than exist, an unknown project), or the call cannot be sent.
        """
        order, kwargs = _order(fn, options)
        return self._send([calls.submission(fn, args, kwargs)], order)[0]

    def map(
        self, fn: Callable[..., Any], xs: Iterable[Any], *, at_most: int | None = None, **options: Any
    ) -> list[Job]:
        """Send a function for each of several values, at most so many of them at the same time."""
        order, kwargs = _order(fn, options, kind="map")
        if at_most is not None and at_most < 1:
            msg = f"at_most must be 1 or more; it is {at_most!r}"
            raise FleetError(msg, mend="fleet.map(fn, xs, at_most=1)")
        waiting = [calls.submission(fn, (x,), kwargs) for x in xs]
        return self._send(waiting, order, at_most=at_most) if waiting else []

    def gang(self, fn: Callable[..., Any], *args: Any, **options: Any) -> Job:
        """Send ``fn(client, *args)``: it gets a Dask client with a worker on each GPU of the job, all or none.

        Takes the options of `submit`; ``gpus`` are in all, spread evenly over ``nodes``.
        """
        order, kwargs = _order(fn, options, kind="gang")
        room = require("aifactory_lab.fleet.gang", extra="fleet")
        gang = room.Gang(fn, args, kwargs, gpus=order.gpus_per_node, cpus=order.cpus)
        return self._send([calls.submission(gang, (), {})], order)[0]

    def notebook(self, path: Path | str, *, params: Mapping[str, Any] | None = None, **options: Any) -> Job:
        """Send a notebook; the job returns the path of the executed copy.

        `params` replace the values of the cell tagged ``parameters``. Takes the options of `submit`.

        Raises
        ------
        FleetError
            Also if there is no such notebook, or it has none of the parameters.
        """
        run = require("aifactory_lab.fleet.notebooks", extra="fleet").notebook_run(Path(path), dict(params or {}))
        order, kwargs = _order(run, {"name": Path(path).stem, **options}, kind="notebook")
        return self._send([calls.submission(run, (), kwargs)], order)[0]

    def attach(self, job_id: str | int) -> Job:
        """Find a job again by its id, from any process.

        Raises
        ------
        FleetError
            If this fleet never sent it.
        """
        job_id = str(job_id)
        if not ID.fullmatch(job_id) or not order_file(self.engine.folder, job_id).exists():
            msg = f"there is no job {job_id[:100]!r} in {self.engine.folder}"
            raise FleetError(msg, mend="fleet.jobs()  # their ids")
        return Job(self.engine, self.engine.attach(job_id))

    def jobs(self, since: Since = "1d") -> pl.DataFrame:
        """Return what waits and runs, and what ended lately: the columns of `frames.JOBS`, newest first."""
        return self.engine.jobs(moment(since))

    def projects(self) -> pl.DataFrame:
        """Return projects with quota, use and what is borrowed: the columns of `frames.PROJECTS`."""
        return self.engine.projects()

    def usage(self, since: Since = "7d") -> pl.DataFrame:
        """Return GPU-hours by project and user since then: the columns of `frames.USAGE`."""
        return self.engine.usage(moment(since))

    def nodes(self) -> pl.DataFrame:
        """Return the nodes and what of them is in use: the columns of `frames.NODES`."""
        return self.engine.nodes()

    def wait(self, jobs: Sequence[Job], timeout: float | None = None) -> list[str]:
        """Wait until all of these have ended; return their states.

        Raises
        ------
        FleetError
            If one has not ended after `timeout` seconds in all.
        """
        stop = None if timeout is None else time.monotonic() + timeout
        return [job.wait(None if stop is None else max(0.0, stop - time.monotonic())) for job in jobs]

    def __repr__(self) -> str:
        pretend = ", pretend GPUs" if self.engine.pretend else ""
        return f"Fleet({self.engine.name!r}{pretend})  # {self.engine.reason}"

    def _send(self, waiting: list[Any], order: Order, *, at_most: int | None = None) -> list[Job]:
        self.engine.check(order)
        sent = self.engine.send(waiting, order, at_most=at_most)
        jobs = [Job(self.engine, one) for one in sent]
        for job in jobs:
            order.save(order_file(self.engine.folder, job.id))
        return jobs


def moment(since: Since, now: datetime | None = None) -> datetime:
    """Return a moment in UTC from a datetime, a timedelta ago, or words like ``"90m"``, ``"12h"``, ``"7d"``.

    >>> moment("1h", datetime(2026, 1, 1, 12, tzinfo=UTC)).hour
    11
    """
    now = now or datetime.now(UTC)
    if isinstance(since, datetime):
        return since.astimezone(UTC)
    if isinstance(since, timedelta):
        return now - since
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    try:
        return now - timedelta(**{units[since[-1]]: float(since[:-1])})
    except (KeyError, ValueError, IndexError, OverflowError) as error:
        msg = f"{since!r} is not a span of time"
        raise FleetError(msg, mend='fleet.usage(since="7d")  # or "90m", "12h", a datetime, a timedelta') from error


def _order(fn: Callable[..., Any], options: Mapping[str, Any], kind: str = "function") -> tuple[Order, dict[str, Any]]:
    """Part the options that an order knows from the function's own keywords."""
    known = set(Order.__dataclass_fields__) - {"kind", "user"}
    wishes = {name: value for name, value in options.items() if name in known}
    wishes["after"] = tuple(str(getattr(job, "id", job)) for job in wishes.get("after", ()))
    name = getattr(fn, "__name__", type(fn).__name__).strip("<>") or "job"
    order = Order(**{"name": name, "kind": kind, **wishes})
    return order, {key: value for key, value in options.items() if key not in known}
