"""Where a private Slurm keeps its things, and on which ports it answers.

Everything lies in ``<fleet folder>/slurm``. Sockets have short names by the kernel's rule (107 bytes), so that a deep
folder gets a second, short one for them. Ports are chosen free, on loopback, and kept. This module starts nothing.

>>> Places("/tmp/plant").conf.name
'slurm.conf'
"""

import json
import re
import socket
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from aifactory_lab.aside import write_text
from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import folders
from aifactory_lab.fleet.private.layout import Layout

LONGEST = 107 - len("/n64/n64_4294967295.4294967295")  # of a folder in which a step's socket still has a name
LOOPBACK = "127.0.0.1"


class Places:
    """The files of a plant.

    Attributes
    ----------
    root
        The fleet's folder.
    folder
        The plant's own.
    """

    def __init__(self, root: Path | str | None = None) -> None:
        self.root = folders.root(root)
        self.folder = self.root / "slurm"
        self.conf = self.folder / "slurm.conf"
        self.gres = self.folder / "gres.conf"
        self.dbd = self.folder / "slurmdbd.conf"
        self.cnf = self.folder / "mariadb.cnf"
        self.key = self.folder / "munge.key"
        self.state = self.folder / "state"
        self.database = self.folder / "database"
        self.logs = self.folder / "log"
        self.pids = self.folder / "pid"
        self.lock = self.folder / "lock"
        self.first_job = self.folder / "first_job.conf"
        self.jobs = self.root / "jobs" / "slurm"
        self.kept = self.folder / "plant.json"

    def log(self, name: str) -> Path:
        """Return where a daemon writes."""
        return self.logs / f"{name}.log"

    def pid(self, name: str) -> Path:
        """Return where a daemon's process is written down."""
        return self.pids / name

    def make(self) -> None:
        """Make the folders, for their owner only.

        Raises
        ------
        FleetError
            If the folder's name cannot stand in Slurm's configuration.
        """
        if wrong := re.search(r"[^\w/.+@~-]", str(self.folder)):
            msg = f"Slurm cannot keep its files in {self.folder}: {wrong[0]!r} has a meaning in its configuration"
            raise FleetError(msg, mend=f"export {folders.VARIABLE}=~/.aifactory/fleet  # or any plain name")
        for folder in (self.folder, self.state, self.logs, self.pids):
            folders.made(folder)

    def run(self, kept: str = "") -> Path:
        """Return the folder of sockets: the one that was kept, if it is still there."""
        if len(str(self.folder / "run")) <= LONGEST:
            return folders.made(self.folder / "run")
        if kept and Path(kept).is_dir():
            return Path(kept)
        return Path(tempfile.mkdtemp(prefix="aifactory-slurm-"))

    def load(self) -> dict[str, Any]:
        """Return what was kept of the plant that was here: layout, ports, run; empty if none was.

        Raises
        ------
        FleetError
            If the file cannot be read.
        """
        try:
            told: dict[str, Any] = json.loads(self.kept.read_text())
            return {**told, "layout": Layout(**told["layout"])}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            msg = f"{self.kept} cannot be read: {error}"
            raise FleetError(msg, mend=f"rm {self.kept}  # its size and ports are chosen anew") from error

    def save(self, layout: Layout, ports: dict[str, int], run: Path, made: dict[str, int]) -> None:
        """Keep what makes the plant the same one next time, and which projects its books have with which quota."""
        told = {"layout": layout.told(), "ports": ports, "run": str(run), "made": made}
        write_text(self.kept, json.dumps(told, indent=1))


def free_ports(names: Iterable[str], kept: dict[str, int], busy: Iterable[str] = ()) -> dict[str, int]:
    """Return a port for each name: the kept one where it is free or its daemon holds it itself, else any free one."""
    ours, held = set(busy), []
    ports: dict[str, int] = {}
    for name in names:
        port = kept.get(name, 0)
        if name not in ours:
            listening = _bound(port) or _bound(0)
            held.append(listening)  # until all are chosen, so that no two are the same
            port = listening.getsockname()[1] if listening else 0
        ports[name] = port
    for listening in held:
        if listening:
            listening.close()
    return ports


def _bound(port: int) -> socket.socket | None:
    listening = socket.socket()
    with suppress(OSError):
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the daemons do: not stopped by TIME_WAIT
        listening.bind((LOOPBACK, port))
        return listening
    listening.close()
    return None
