"""What a Slurm can never start, known when it is sent: more than any node has, an unknown project, over the quota.

It looks at the nodes and at the books, and not at who is first in the queue.

>>> from aifactory_lab.fleet.slurm.rows import Node
>>> fitting([Node(name="n1", state="idle", gpus=2, used=0, cpus=8, cpus_used=0)], gpus=2, cpus=1)
1
"""

import getpass
from collections.abc import Sequence
from typing import NoReturn

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm.lanes import SPARE, quota_qos
from aifactory_lab.fleet.slurm.rows import Node
from aifactory_lab.fleet.slurm.snapshot import Snapshot


def check(order: Order, look: Snapshot) -> None:
    """Refuse an order that can never start.

    Raises
    ------
    FleetError
        With what there is, and what to ask for instead.
    """
    _nodes(order, look.nodes)
    _project(order, look)
    _quota(order, look)


def fitting(nodes: Sequence[Node], *, gpus: int, cpus: int) -> int:
    """Return how many nodes have so many GPUs and CPUs, busy or not."""
    return sum(node.gpus >= gpus and node.cpus >= cpus for node in nodes)


def _nodes(order: Order, nodes: Sequence[Node]) -> None:
    total, widest = sum(node.gpus for node in nodes), max((node.gpus for node in nodes), default=0)
    cores = max((node.cpus for node in nodes), default=0)
    if order.gpus > total:
        _refuse(f"{order.gpus} GPUs are asked for; this Slurm has {total}", f"gpus={total}")
    if order.gpus_per_node > widest:
        spread = -(-order.gpus // widest)
        _refuse(
            f"{order.gpus_per_node} GPUs on one node are asked for; no node has more than {widest}",
            f"gpus={spread * widest}, nodes={spread}",
        )
    if order.cpus > cores:
        _refuse(f"{order.cpus} CPUs on one node are asked for; no node has more than {cores}", f"cpus={cores}")
    if order.nodes > (most := fitting(nodes, gpus=order.gpus_per_node, cpus=order.cpus)):
        _refuse(f"{order.nodes} nodes are asked for; {most} are large enough", f"nodes={most}")


def _project(order: Order, look: Snapshot) -> None:
    if not look.accounts:  # a Slurm without books
        return
    users = look.accounts.get(order.project.lower())
    known = sorted(name for name, members in look.accounts.items() if getpass.getuser() in members)
    if users is None:
        msg = f"there is no project {order.project!r}; yours are: {', '.join(known) or 'none'}"
        mend = f'project="{known[0]}"' if known else f'fleet.slurm.projects.make("{order.project}", quota=1)'
        raise FleetError(msg, mend=f"fleet.submit(fn, …, {mend})" if known else mend)
    if getpass.getuser() not in users:
        msg = (
            f"{getpass.getuser()} does not belong to project {order.project!r}; yours are: {', '.join(known) or 'none'}"
        )
        raise FleetError(
            msg, mend=f"sacctmgr add user {getpass.getuser()} account={order.project}  # by an administrator"
        )


def _quota(order: Order, look: Snapshot) -> None:
    quota = look.quota(order.project)
    if quota is None or order.gpus <= quota or (order.borrows and SPARE in look.books):
        return
    msg = (
        f'{order.gpus} GPUs with priority "{order.priority}" must stay within the quota; '
        f"{order.project} has {quota} ({quota_qos(order.project)})"
    )
    raise FleetError(msg, mend=f'gpus={quota}, or priority="train", which may borrow')


def _refuse(what: str, mend: str) -> NoReturn:
    raise FleetError(what, mend=f"fleet.submit(fn, …, {mend})")
