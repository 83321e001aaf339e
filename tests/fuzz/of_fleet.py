"""Readers of the fleet: what Slurm's commands answer, and the files that jobs leave."""

import json
from dataclasses import asdict
from typing import Any

from aifactory_lab.fleet import calls, rendezvous
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm import history, listing, rows
from aifactory_lab.fleet.workstation.records import Ledger, Record
from tests.fleet.slurm import answers
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, put

WORDS = (
    b"|",
    b"gpu:h100:8(S:0-1)",
    b"n[1-999999999999]",
    b"n[1-2,5]",
    b"gres/gpu=",
    b"UNLIMITED",
    b"1-00:00:00",
    b"N/A",
)


def queue(data: bytes) -> Any:
    """Read the queue, and make rows of it."""
    found = rows.queue(_text(data))
    return [listing.row(run, "RUNNING", None, [], attempts=listing.count(run)) for run in found]


def past(data: bytes) -> Any:
    """Read the books, and add up hours."""
    found = rows.past(_text(data))
    history.by_job(found)
    return history.hours(found)


def order(data: bytes) -> Any:
    """Read an order."""
    found = Order.load(put("jobs/7_order.json", data))
    return found.gpus_per_node, found.borrows, " ".join((found.kind, found.user, *found.after)).encode()


def starts(data: bytes) -> Any:
    """Read what a job wrote at its starts."""
    return listing.written(calls.attempts(put("jobs/7_attempts.jsonl", data).parent, "7"))


def record(data: bytes) -> Any:
    """Read a workstation's record of a job."""
    folder = put("records/7_record.json", data).parent
    found = Ledger(folder).load("7")
    return found.order, found.ended, found.interrupted, list(Ledger(folder).all())


def gang(data: bytes) -> Any:
    """Look for a gang's dashboard."""
    emptied("jobs/7_gang/0")
    put("jobs/7_gang/0/scheduler.json", data)
    return rendezvous.dashboard(put("jobs/x", b"").parent, "7").encode()


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def targets() -> tuple[Target, ...]:
    """Return the readers of the fleet."""
    wish = Order(name="train", gpus=4, nodes=2, after=("3",), user="ann")
    job = Record("7", {**asdict(wish), "after": ["3"]}, spans=[[1.0, 2.0], [3.0]], devices=["0"], pid=9)
    line = {"node": "n1", "devices": ["0", "1"], "pid": 7, "rank": 0, "time": 1.0}
    texts = {
        "squeue": (queue, answers.QUEUE),
        "sacct": (past, answers.PAST),
        "scontrol show node": (lambda data: rows.nodes(_text(data)), answers.NODES),
        "scontrol show job": (lambda data: rows.devices(_text(data)), answers.DEVICES),
        "sacctmgr show qos": (lambda data: rows.books(_text(data)), answers.BOOKS),
        "sacctmgr show assoc": (lambda data: rows.accounts(_text(data)), answers.ACCOUNTS),
        "sshare": (lambda data: rows.shares(_text(data)), answers.SHARES),
    }
    return (
        *(Target(name, read, (text.encode(),), words=WORDS) for name, (read, text) in texts.items()),
        Target("order", order, (json.dumps(asdict(wish)).encode(),)),
        Target("attempts.jsonl", starts, (json.dumps(line).encode() + b"\n",)),
        Target("job's record", record, (json.dumps(asdict(job)).encode(),)),
        Target("gang's address", gang, (b'{"address": "tcp://n1:1", "dashboard": "http://n1:2/status"}',)),
    )
