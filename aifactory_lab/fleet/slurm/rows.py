"""What Slurm's commands answer, read into rows: the queue, the nodes, the books of projects, what ran.

Every function takes text and returns rows, so it is tested on text that a real Slurm wrote. This module asks nobody.

>>> nodes("NodeName=n1 Gres=gpu:h100:2(S:0) GresUsed=gpu:h100:1(IDX:0) CPUAlloc=1 CPUTot=8 State=MIXED ")[0].used
1
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import TypeVar

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.slurm.commands import hosts, moment, seconds, spanned, tres

# squeue cuts each field at its width, 20 by default. The name is last, since it may hold anything.
QUEUE = (
    "JobArrayID:64|,JobID:20|,State:20|,Reason:64|,Account:64|,UserName:64|,QOS:80|,NumNodes:12|,NodeList:2000|,"
    "SubmitTime:24|,StartTime:24|,EndTime:24|,TimeLimit:24|,PriorityLong:20|,tres-alloc:400|,tres-per-node:100|,RestartCnt:12|,Name:256"
)
PAST = "JobID,Account,User,QOS,State,AllocTRES,ReqTRES,ElapsedRaw,Submit,Start,End,Timelimit,NNodes,ExitCode,JobName"
WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
HOLDING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})


Rows = TypeVar("Rows")


def _answered(program: str) -> Callable[[Callable[[str], Rows]], Callable[[str], Rows]]:
    """Say of an answer that makes no sense whose it was: another version's, or something that is no Slurm."""

    def around(read: Callable[[str], Rows]) -> Callable[[str], Rows]:
        @wraps(read)
        def reading(text: str) -> Rows:
            try:
                return read(text)
            except (ValueError, ArithmeticError, LookupError) as error:
                msg = f"what {program} answers cannot be read: {str(error)[:300]}"
                raise FleetError(msg, mend=f"{program} --version  # 22.05 and later are known") from error

        return reading

    return around


@dataclass(frozen=True, kw_only=True)
class Run:
    """A job as Slurm tells it, or one attempt of it; `raw` is the id that Slurm itself gives a task of an array."""

    id: str
    raw: str = ""
    word: str
    reason: str = ""
    project: str
    user: str
    qos: str
    nodes: int
    submitted: datetime | None
    started: datetime | None
    ended: datetime | None
    limit: float | None
    gpus: int
    cpus: int
    name: str
    hosts: tuple[str, ...] = ()
    priority: int = 0
    restarts: int = 0
    elapsed: float = 0.0

    @property
    def pending(self) -> bool:
        """Whether it waits."""
        return self.word in WAITING

    @property
    def running(self) -> bool:
        """Whether it holds its devices."""
        return self.word in HOLDING


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node and what of it is in use."""

    name: str
    state: str
    gpus: int
    used: int
    cpus: int
    cpus_used: int


@dataclass(frozen=True, kw_only=True)
class Qos:
    """A quality of service: who may use how much in it. None is no limit."""

    name: str
    priority: int
    gpus: int | None
    gpus_each: int | None
    preempts: tuple[str, ...]
    grace: int


@_answered("squeue")
def queue(text: str) -> list[Run]:
    """Read ``squeue -r -O`` with the format `QUEUE`."""
    return [_queued(line) for line in text.splitlines() if line.count("|") >= QUEUE.count("|")]


@_answered("sacct")
def past(text: str) -> list[Run]:
    """Read ``sacct -X -P -n -o`` with the format `PAST`: one row for each attempt, without tasks that never started."""
    return [_past(line) for line in text.splitlines() if line.count("|") >= PAST.count(",") and "[" not in line[:64]]


@_answered("scontrol")
def nodes(text: str) -> list[Node]:
    """Read ``scontrol -d -o show node``."""
    return [_node(_pairs(line)) for line in text.splitlines() if line.startswith("NodeName=")]


@_answered("scontrol")
def devices(text: str) -> dict[str, list[str]]:
    """Read ``scontrol -d -o show job``: the GPUs of each job by its raw id, as ``node:index``."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in text.splitlines():
        raw = re.match(r"JobId=(\d+)", line)
        for names, gres in re.findall(r" Nodes=(\S+) CPU_IDs=\S+ Mem=\S+ GRES=(\S*)", line) if raw else ():
            for span in re.findall(r"gpu[^(,]*\(IDX:([\d,-]+)\)", gres):
                found[raw[1]] += [f"{node}:{index}" for node in hosts(names) for index in _indices(span)]  # type: ignore[index]
    return dict(found)


@_answered("sacctmgr")
def books(text: str) -> dict[str, Qos]:
    """Read ``sacctmgr -nP show qos format=name,priority,grptres,maxtrespu,preempt,gracetime``."""
    told = [line.split("|") for line in text.splitlines() if line.count("|") >= 5]
    return {
        name: Qos(
            name=name,
            priority=int(priority or 0),
            gpus=_limit(group),
            gpus_each=_limit(each),
            preempts=tuple(word for word in preempts.split(",") if word),
            grace=int(seconds(grace) or 0),
        )
        for name, priority, group, each, preempts, grace in (parts[:6] for parts in told)
    }


@_answered("sacctmgr")
def accounts(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Read ``sacctmgr -nP show assoc format=account,user,qos``: by account and user the QOS that they may name."""
    found: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for account, user, names in (line.split("|")[:3] for line in text.splitlines() if line.count("|") >= 2):
        found[account][user] = tuple(name for name in names.split(",") if name)
    return dict(found)


@_answered("sshare")
def shares(text: str) -> dict[tuple[str, str], float]:
    """Read ``sshare -P -h -a -o Account,User,FairShare``: the fair-share factor by account and user."""
    parts = [[word.strip() for word in line.split("|")] for line in text.splitlines() if line.count("|") >= 2]
    return {(account, user): float(factor) for account, user, factor, *_ in parts if user and factor}


def gres(text: str) -> int:
    """Return how many GPUs there are in a list of generic resources; a Slurm need not count them as TRES.

    >>> gres("gpu:h100:8(S:0-1),gpu:a100:2,shard:80"), gres("gres:gpu:2"), gres("gpu:2(IDX:0-1)"), gres("N/A")
    (10, 2, 2, 0)
    """
    return sum(int(count) for count in re.findall(r"(?:^|[,:/])gpu(?::(?=\d*[^:,(\d])[^:,(]+)?[:=](\d+)", text))


def word(text: str) -> str:
    """Return a state without its decoration: ``CANCELLED by 0`` is CANCELLED.

    >>> word("CANCELLED by 0"), word("DOWN*+DRAIN")
    ('CANCELLED', 'DOWN')
    """
    found = re.match(r"[A-Z_]*", text.strip())
    return found[0] if found else ""


def _queued(line: str) -> Run:
    names = [part.partition(":")[0] for part in QUEUE.split(",")]
    told = dict(zip(names, (part.strip() for part in line.split("|", len(names) - 1)), strict=True))
    open_ = word(told["State"]) in WAITING | HOLDING  # until it has ended, Slurm tells when it would at the latest
    nodes_ = int(told["NumNodes"] or 1)
    return Run(
        id=told["JobArrayID"],
        raw=told["JobID"],
        word=word(told["State"]),
        reason="" if told["Reason"] == "None" else told["Reason"],
        project=told["Account"],
        user=told["UserName"],
        qos=told["QOS"],
        nodes=nodes_,
        submitted=moment(told["SubmitTime"]),
        started=moment(told["StartTime"]),
        ended=None if open_ else moment(told["EndTime"]),
        limit=seconds(told["TimeLimit"]),
        gpus=tres(told["tres-alloc"], "gres/gpu") or gres(told["tres-per-node"]) * nodes_,
        cpus=tres(told["tres-alloc"], "cpu"),
        name=told["Name"],
        hosts=tuple(hosts(told["NodeList"])),
        priority=int(told["PriorityLong"] or 0),
        restarts=int(told["RestartCnt"] or 0),
    )


def _past(line: str) -> Run:
    names = PAST.split(",")
    told = dict(zip(names, line.split("|", len(names) - 1), strict=True))
    state, granted = told["State"], told["AllocTRES"] or told["ReqTRES"]
    how = state if told["ExitCode"] == "0:0" else f"{state}, exit {told['ExitCode']}"
    return Run(
        id=told["JobID"],
        word=word(state),
        reason="" if state == "COMPLETED" else how,
        project=told["Account"],
        user=told["User"],
        qos=told["QOS"],
        nodes=int(told["NNodes"] or 0) or tres(granted, "node") or 1,
        submitted=moment(told["Submit"]),
        started=moment(told["Start"]),
        ended=moment(told["End"]),
        limit=seconds(told["Timelimit"]),
        gpus=tres(granted, "gres/gpu"),
        cpus=tres(granted, "cpu"),
        name=told["JobName"],
        elapsed=float(told["ElapsedRaw"] or 0),
    )


def _node(told: dict[str, str]) -> Node:
    return Node(
        name=told["NodeName"],
        state=_node_state(told.get("State", "")),
        gpus=gres(told.get("Gres", "")),
        used=gres(told.get("GresUsed", "")),
        cpus=int(told.get("CPUTot", 0)),
        cpus_used=int(told.get("CPUAlloc", 0)),
    )


def _node_state(text: str) -> str:
    if any(flag in text for flag in ("DOWN", "FAIL", "NOT_RESPONDING", "POWERED_DOWN", "UNKNOWN")):
        return "down"
    return "drained" if "DRAIN" in text else word(text).lower()


def _pairs(line: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", line))


def _indices(span: str) -> list[int]:
    return [number for part in span.split(",") for number in _range(part)]


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return spanned(first, last)


def _limit(text: str) -> int | None:
    return tres(text, "gres/gpu") if "gres/gpu" in text else None
