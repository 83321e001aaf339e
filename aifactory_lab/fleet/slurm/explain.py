"""Why a job waits, who is in the way and what would help: Slurm's reasons in one sentence.

Slurm gives one word for each job that waits (``QOSGrpGRES``). This module adds what a person would look up next: who
holds the quota, who borrows, which job comes first, when Slurm expects a start. It asks nobody.

>>> pause(10.0)
'within about 15 s'
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm.lanes import SPARE, quota_qos
from aifactory_lab.fleet.slurm.rows import Run
from aifactory_lab.fleet.slurm.snapshot import Snapshot

KILL_SECONDS = 5  # KillWait of the private Slurm, after a grace time


@dataclass(frozen=True)
class Case:
    """A job that waits, what was asked for if it was sent from here, and everything around it."""

    job: Run
    order: Order | None
    look: Snapshot


def waits(job: Run, order: Order | None, look: Snapshot) -> str:
    """Return the sentence about a job that waits."""
    tell = next((tell for start, tell in REASONS.items() if job.reason.startswith(start)), _other)
    start = f"; Slurm expects it to start at {clock(job.started)}" if job.started else ""
    again = " again" if job.restarts else ""
    return f"job {job.id} ({job.name}) waits{again}: {tell(Case(job, order, look))}{start}"


def runs(job: Run, look: Snapshot, devices: list[str]) -> str:
    """Return the sentence about a job that runs."""
    where = f" on {', '.join(devices)}" if devices else ""
    since = f" since {clock(job.started)}" if job.started else ""
    lent = ""
    if job.qos == SPARE and job.gpus:
        lent = "; it borrows: it is put back into the queue when another project claims its quota"
        if look.borrowers().get(job.project, 0) == 0:
            lent = f"; it is in the spare lane, though {job.project} is within its quota: it may be put back"
    return f"job {job.id} ({job.name}) runs{where}{since}{lent}"


def pause(grace: float) -> str:
    """Return how long a reclaim takes."""
    return f"within about {grace + KILL_SECONDS:.0f} s"


def clock(moment: datetime | None) -> str:
    """Return a moment as people read it."""
    return f"{moment:%H:%M:%S} UTC" if moment else "an unknown time"


def _quota(case: Case) -> str:
    quota, used = case.look.quota(case.job.project), case.look.used(case.job.project)
    inside = [one for one in case.look.running(case.job.project) if one.qos == quota_qos(case.job.project)]
    held = sum(one.gpus for one in inside)
    taken = f"{held} of {case.job.project}'s quota of {gpus(quota or 0)} are in use by {_jobs(inside)}"
    all_ = f"{taken}, and it needs {case.job.gpus}"
    free = case.look.free()
    if case.order and not case.order.borrows and free >= case.job.gpus:
        return f'{all_}; {free} beyond the quota are free: priority="train" may borrow'
    borrowed = f"; {case.job.project} holds {used} in all" if used > held else ""
    return f"{all_}{borrowed}{_lenders(case)}; it starts when one of these ends"


def _resources(case: Case) -> str:
    free, total = case.look.free(), sum(node.gpus for node in case.look.nodes)
    if not case.job.gpus:
        return f"no node has the {case.job.cpus} free CPUs that it needs"
    nodes = f"{case.job.nodes} node{'s' * (case.job.nodes > 1)}"
    head = f"it needs {gpus(case.job.gpus)} on {nodes}, and {free} of {total} are free"
    room = (case.look.quota(case.job.project) or 0) - case.look.claimed(case.job.project)
    if case.job.qos == SPARE:
        claim = f'priority="interactive" would claim {gpus(room)} of the quota' if room >= case.job.gpus else ""
        return f"{head}; it borrows, so it waits for GPUs that nobody claims{_lenders(case)}{'; ' * bool(claim)}{claim}"
    return f"{head}{_lenders(case)}"


def _priority(case: Case) -> str:
    first = [one for one in case.look.queue if one.pending and one.priority > case.job.priority]
    before = f"{_jobs(first)} of higher priority come{'s' * (len(first) == 1)} first" if first else "others come first"
    mine, best = _factor(case.look, case.job.project), max(case.look.shares.values(), default=None)
    share = ""
    if mine is not None and best is not None and best > mine:
        factors = f"fair-share factor {mine:.2f}, the best has {best:.2f}"
        share = f"; {case.job.project} has used more of its share than others ({factors})"
    return f"{before}{share}; {_resources(case)}"


def _lenders(case: Case) -> str:
    """Say who borrows, and what becomes of it."""
    others = {name: count for name, count in case.look.borrowers().items() if name != case.job.project}
    if not others:
        return ""
    who = " and ".join(f"{name} borrows {gpus(count)}" for name, count in others.items())
    spare = case.look.books.get(SPARE)
    if case.job.qos == SPARE:
        return f"; {who}"
    back = "they give them back" if len(others) > 1 else "it gives them back"
    return f"; {who}, and {back} {pause(spare.grace if spare else 0)} of a claim within the quota"


def _dependency(case: Case) -> str:
    names = case.order.after if case.order else ()
    known = [f"{name} ({case.look.by_id[name].word.lower()})" if name in case.look.by_id else name for name in names]
    return f"it starts when job {' and '.join(known) or 'another'} has succeeded"


def _budget(case: Case) -> str:
    more = f"sacctmgr modify account {case.job.project} set GrpTRESMins=gres/gpu=…"
    left = f"what is left of {case.job.project}'s budget of GPU-minutes is less than it may use"
    return f"{left}; fewer hours= or `{more}` would help"


def _each(case: Case) -> str:
    qos = case.look.books.get(case.job.qos)
    held = sum(
        one.gpus for one in case.look.queue if one.user == case.job.user and one.qos == case.job.qos and one.running
    )
    most = f" of the {qos.gpus_each} that one user may have" if qos and qos.gpus_each is not None else ""
    return (
        f"{case.job.user} holds {held}{most} GPUs in {case.job.qos}; it starts when one of {case.job.user}'s jobs ends"
    )


def _nodes(case: Case) -> str:
    out = [f"{node.name} is {node.state}" for node in case.look.nodes if node.state in {"down", "drained"}]
    return f"nodes that it needs do not work: {', '.join(out) or case.job.reason}; `sinfo -R` says why"


def _begin(case: Case) -> str:
    return "it was put back into the queue a moment ago" if case.job.restarts else "its time has not come yet"


def _held(case: Case) -> str:
    who = "an administrator" if "Admin" in case.job.reason else "its owner"
    return f"{who} holds it back; `scontrol release {case.job.id}` lets it go"


def _array(case: Case) -> str:
    head = case.job.id.partition("_")[0]
    running = sum(one.running and one.id.partition("_")[0] == head for one in case.look.queue)
    return f"as many of its map run ({running}) as at_most= lets run at the same time"


def _account(case: Case) -> str:
    where = f"project {case.job.project} in {case.job.qos}"
    return f"{case.job.user} may no longer send jobs to {where}; fleet.projects() shows the projects"


def _never(case: Case) -> str:
    names = " or ".join(case.order.after) if case.order else "another"
    return f"it never will start: job {names} did not succeed; job.cancel() ends it"


def _limit(case: Case) -> str:
    limit = f"a limit of {case.job.project} or its QOS {case.job.qos} is reached ({case.job.reason})"
    return f"{limit}; `sacctmgr show qos {case.job.qos}` shows it"


def _other(case: Case) -> str:
    if not case.job.reason:
        return f"Slurm has not looked at it yet; {_resources(case)}"
    return f"Slurm says {case.job.reason}; it needs {gpus(case.job.gpus)}, and {case.look.free()} are free"


def gpus(count: int) -> str:
    """Return a number of GPUs in words."""
    return f"{count} GPU{'s' * (count != 1)}"


def _jobs(jobs: list[Run]) -> str:
    named = [f"{one.id} ({one.user})" for one in jobs[:3]]
    more = f" and {len(jobs) - 3} more" if len(jobs) > 3 else ""
    return f"job{'s' * (len(jobs) != 1)} {', '.join(named)}{more}" if jobs else "no job"


def _factor(look: Snapshot, project: str) -> float | None:
    return max((factor for (account, _), factor in look.shares.items() if account == project), default=None)


REASONS: dict[str, Callable[[Case], str]] = {  # the first whose beginning fits
    "QOSGrpGRESMin": _budget,
    "AssocGrpGRESMin": _budget,
    "AssocGrpBillingMin": _budget,
    "QOSGrpGRES": _quota,
    "QOSMaxGRESPerUser": _each,
    "MaxGRESPerAccount": _limit,
    "Resources": _resources,
    "Priority": _priority,
    "DependencyNeverSatisfied": _never,
    "Dependency": _dependency,
    "BeginTime": _begin,
    "Cleaning": _begin,
    "ReqNodeNotAvail": _nodes,
    "NodeDown": _nodes,
    "PartitionDown": _nodes,
    "PartitionNodeLimit": _nodes,
    "JobHeld": _held,
    "JobArrayTaskLimit": _array,
    "InvalidAccount": _account,
    "InvalidQOS": _account,
    "QOS": _limit,
    "Assoc": _limit,
}
