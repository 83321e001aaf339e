"""What a job asks for: devices, nodes, a project, a priority, a limit; checked before anything is sent.

An order is what every engine understands. It is kept beside the job's files, so that a job can be found and told by
somebody who has only its id. This module does not know how an engine grants it.

>>> Order(name="train", gpus=4, nodes=2).gpus_per_node
2
"""

import getpass
import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from aifactory_lab import decoding
from aifactory_lab.aside import write_aside
from aifactory_lab.errors import FleetError

Priority = Literal["train", "interactive", "inference"]
Kind = Literal["function", "map", "gang", "notebook"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
MAX_HOURS = 24.0 * 365


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job's wishes.

    Attributes
    ----------
    name
        What people call it.
    gpus
        How many GPUs in all, spread evenly over the nodes; 0 for a job without.
    nodes
        How many nodes; a job starts on all of them or not at all.
    cpus
        CPU cores on every node.
    project
        Whose quota it counts against.
    priority
        The words of KAI and Run:ai. ``"train"`` may use what others leave and is preempted when they want it back;
        ``"interactive"`` and ``"inference"`` stay within the quota and are never preempted; ``"inference"`` goes first.
    hours
        The longest that it may run.
    after
        Ids of jobs that must have succeeded before it starts.
    retries
        How often it is started again when its process was killed (not when its function raised).
    kind
        What is run: a function, one of a map, a gang, or a notebook.
    user
        Who asked.
    """

    name: str
    gpus: int = 0
    nodes: int = 1
    cpus: int = 1
    project: str = "default"
    priority: Priority = "train"
    hours: float = 1.0
    after: tuple[str, ...] = ()
    retries: int = 0
    kind: Kind = "function"
    user: str = field(default_factory=getpass.getuser)

    def __post_init__(self) -> None:
        """Refuse what no engine could grant.

        Raises
        ------
        FleetError
            With the value and what it may be.
        """
        for name, least in (("gpus", 0), ("nodes", 1), ("cpus", 1), ("retries", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                _refuse(f"{name} must be a whole number, at least {least}; it is {value!r}", f"{name}={least}")
        if self.gpus % self.nodes:
            even = -(-self.gpus // self.nodes) * self.nodes
            _refuse(
                f"{self.gpus} GPUs do not spread evenly over {self.nodes} nodes", f"gpus={even}, nodes={self.nodes}"
            )
        if self.priority not in PRIORITIES:
            _refuse(f"priority {self.priority!r} is not one of {', '.join(PRIORITIES)}", 'priority="train"')
        if not 0 < self.hours <= MAX_HOURS:
            _refuse(f"hours must be above 0 and at most {MAX_HOURS:g}; it is {self.hours!r}", "hours=1")
        for name in ("name", "project"):
            if not re.fullmatch(r"[\w.+-]{1,64}", getattr(self, name)):
                _refuse(
                    f"{name} {getattr(self, name)!r} is not 1 to 64 letters, digits or any of . _ + -", f'{name}="a"'
                )

    @property
    def gpus_per_node(self) -> int:
        """GPUs on each of the nodes."""
        return self.gpus // self.nodes

    @property
    def borrows(self) -> bool:
        """Whether it may run on what other projects leave, and give it back when they ask."""
        return self.priority == "train"

    def save(self, path: Path) -> None:
        """Keep it as a JSON file, never half-written."""
        with write_aside(path) as aside:
            aside.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        FleetError
            If the file is not an order.
        """
        try:
            told = decoding.table(path.read_bytes())
            return decoding.fit(cls, _whole(told))
        except (OSError, ValueError) as error:
            msg = f"{path} is not an order: {error}"
            raise FleetError(msg, mend=f"rm {path}") from error


def _whole(told: dict[str, Any]) -> dict[str, Any]:
    """Return what was saved, if it says everything that counts and nothing else."""
    known = {item.name for item in fields(Order)}
    if unknown := [name for name in told if name not in known]:
        msg = f"{unknown[0][:40]}: an order says nothing of the sort"
        raise ValueError(msg)
    return {"after": None, **told}


def _refuse(what: str, mend: str) -> None:
    raise FleetError(what, mend=f"fleet.submit(fn, …, {mend})")
