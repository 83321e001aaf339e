"""Why a job of this machine waits, how it runs, how it ended: one sentence from the records.

>>> from aifactory_lab.fleet.orders import Order
>>> waiting = Record("2", dict(vars(Order(name="b", gpus=2))))
>>> running = Record("1", dict(vars(Order(name="a", gpus=3))), state="RUNNING", spans=[[0.0]])
>>> explain(waiting, [running, waiting], 4, "quota needs Slurm")[:39]
'job 2 (b) waits for 2 GPUs: 1 of 4 is f'
"""

import time
from collections.abc import Sequence

from aifactory_lab.fleet.workstation.records import Record


def explain(record: Record, others: Sequence[Record], gpus: int, limits: str) -> str:
    """Say how a job stands.

    Parameters
    ----------
    record
        The job.
    others
        All jobs that have not ended, oldest first.
    gpus
        How many GPUs this machine counts.
    limits
        What this engine cannot do.
    """
    name = f"job {record.id} ({record.order.name})"
    if record.ended:
        took = sum(span[-1] - span[0] for span in record.spans)
        ran = f" after {span_of(took)} in {_count(len(record.spans), 'attempt')}" if record.spans else ""
        return f"{name} is {record.state}{ran}" + (f": {record.reason}" if record.reason else "")
    if record.state == "RUNNING":
        where = f" on GPU {', '.join(record.devices)}" if record.devices else ""
        return f"{name} runs{where} since {span_of(_ran(record))}, and ends in {span_of(_left(record))} at the latest"
    open_ones = {one.id: one for one in others}
    if behind := [open_ones[job_id] for job_id in record.order.after if job_id in open_ones]:
        return f"{name} waits for job {behind[0].id}, which is {behind[0].state}, to succeed"
    running = [one for one in others if one.first == record.first and one.state == "RUNNING"]
    if 0 < record.at_most <= len(running):
        return f"{name} waits: {len(running)} of its map run, and at most {record.at_most} may"
    again = " again, as it was interrupted," if record.state == "REQUEUED" else ""
    return f"{name} waits{again} for {_resources(record, others, gpus)}; {limits}"


def _resources(record: Record, others: Sequence[Record], gpus: int) -> str:
    alike = [one for one in others if bool(one.order.gpus) == bool(record.order.gpus)]
    running = [one for one in alike if one.state == "RUNNING"]
    earlier = [one for one in alike if one.state != "RUNNING" and _before(one, record)]
    if not record.order.gpus:
        told = "a free core"
    else:
        free = gpus - sum(one.order.gpus for one in running)
        told = f"{_count(record.order.gpus, 'GPU')}: {free} of {gpus} {'is' if free == 1 else 'are'} free"
    if earlier:
        told += f", {_count(len(earlier), 'job')} before it"
    if running:
        first = min(running, key=_left)
        whose = f"{first.order.name}, {first.order.project}"
        told += f", and job {first.id} ({whose}) ends in {span_of(_left(first))} at the latest"
    return told


def _before(one: Record, other: Record) -> bool:
    from aifactory_lab.fleet.workstation.queue import PRIORITY

    return (-PRIORITY[one.order.priority], int(one.id)) < (-PRIORITY[other.order.priority], int(other.id))


def _ran(record: Record) -> float:
    return time.time() - record.spans[-1][0]


def _left(record: Record) -> float:
    return max(0.0, 3600 * record.order.hours - _ran(record))


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def span_of(seconds: float) -> str:
    """Return seconds as people say them.

    >>> span_of(75), span_of(7300)
    ('75 s', '2.0 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
