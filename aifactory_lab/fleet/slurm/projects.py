"""Projects in Slurm's books: an account, a quota, and the lane in which projects lend each other GPUs.

    projects.make("vision", quota=4, users=["ada", "root"])

A project is an account. Its quota is the QOS ``<project>-quota`` (``GrpTRES``), which may preempt jobs in the QOS
``spare``; those are requeued and get `GRACE_SECONDS` to write a checkpoint. The share decides between projects that
wait for what is free. Only Slurm's administrators may write the books. This module sends no jobs.

>>> lines("vision", quota=4, users=["ada"], share=None)[0]
'add qos spare set Priority=0 PreemptMode=requeue GraceTime=10'
"""

import getpass
import pwd
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import frames
from aifactory_lab.fleet.slurm import commands, snapshot
from aifactory_lab.fleet.slurm.lanes import SPARE, quota_qos

GRACE_SECONDS = 10  # without any, Slurm ends a job before submitit has put it back into the queue
STANDS = re.compile(r"nothing new added|already exists|nothing modified|nothing (was )?changed", re.IGNORECASE)


def make(
    name: str,
    *,
    quota: int,
    users: Sequence[str] = (),
    share: int | None = None,
    conf: Path | None = None,
) -> None:
    """Make a project, or give one that is there this quota, this share and these users besides its own.

    Parameters
    ----------
    name
        Small letters, digits and ``_``: Slurm does not tell capitals apart.
    quota
        GPUs that the project gets whenever it asks. More quotas than GPUs is a promise that nobody can keep.
    users
        Names of users of this machine; default who calls.
    share
        Its weight against other projects for GPUs beyond quotas; default its quota.
    conf
        ``slurm.conf`` of the Slurm; default the one of the environment.

    Raises
    ------
    FleetError
        If the name, a number or a user makes no sense, or Slurm does not take them (who is no administrator may not).
    """
    users = users or [getpass.getuser()]
    _check(name, quota, share)
    _known(users)
    new = False
    for line in lines(name, quota=quota, users=users, share=share):
        if not (new and line.startswith("modify")):  # what has just been added is as it should be; a line takes 0.4 s
            new = _book(line, conf)
    snapshot.forget(conf, books=True)


def lines(name: str, *, quota: int, users: Sequence[str], share: int | None) -> list[str]:
    """Return what `make` tells ``sacctmgr``, line by line; a line about what stands there already changes nothing."""
    lane, limit, weight = quota_qos(name), f"GrpTRES=gres/gpu={quota}", f"Fairshare={share or max(1, quota)}"
    return [
        f"add qos {SPARE} set Priority=0 PreemptMode=requeue GraceTime={GRACE_SECONDS}",
        f"add qos {lane} set Priority=100 Preempt={SPARE} {limit}",
        f"modify qos {lane} set {limit}",
        f"add account {name} {weight}",
        f"modify account {name} set {weight}",
        *(f"add user {user} account={name} qos={lane},{SPARE} defaultqos={lane}" for user in users),
    ]


def told(look: snapshot.Snapshot) -> pl.DataFrame:
    """Return the projects with quota and use: the columns of `frames.PROJECTS`."""
    names = {name for name, users in look.accounts.items() if any(users)} - {"root"}
    names |= {name for name in look.accounts if look.quota(name) is not None}
    return frames.frame(frames.PROJECTS, (_row(look, name) for name in sorted(names)))


def _row(look: snapshot.Snapshot, name: str) -> dict[str, Any]:
    waiting = [job for job in look.queue if job.project == name and job.pending]
    factors = [factor for (account, _), factor in look.shares.items() if account == name]
    return {
        "project": name,
        "quota": look.quota(name),
        "used": look.used(name),
        "borrowed": look.borrowers().get(name, 0),
        "waiting": sum(job.gpus for job in waiting),
        "running": len(look.running(name)),
        "pending": len(waiting),
        "share": max(factors, default=None),
    }


def _check(name: str, quota: int, share: int | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
        msg = f"project {name!r} is not 1 to 32 small letters, digits or _"
        raise FleetError(msg, mend='projects.make("vision", quota=4)')
    for word, value, least in (("quota", quota, 0), ("share", 1 if share is None else share, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            msg = f"{word} must be a whole number, at least {least}; it is {value!r}"
            raise FleetError(msg, mend=f'projects.make("{name}", {word}={max(least, 4)})')


def _known(users: Sequence[str]) -> None:
    """Refuse users that this machine does not know: Slurm would write down any word."""
    for user in users:
        try:
            pwd.getpwnam(user)
        except KeyError as error:
            msg = f"there is no user {user!r} on this machine"
            raise FleetError(msg, mend=f"getent passwd {user}  # a person's login name") from error


def _book(line: str, conf: Path | None) -> bool:
    """Write one line into the books; return whether it was news to them."""
    try:
        commands.run("sacctmgr", "-i", *line.split(), conf=conf)
    except FleetError as error:
        if not STANDS.search(error.what):
            msg = f"Slurm's books do not take `{line}`: {error.what}"
            raise FleetError(msg, mend=error.mend or f"sacctmgr {line}") from error
        return False
    return True
