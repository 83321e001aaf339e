"""Where the ranks of a gang find each other: notes in the job's folder, which all nodes see.

Every rank leaves a note with its host, or with what is wrong there; rank 0 waits for all of them and leaves the
address at which it listens. A restarted job meets in a folder of its own, so that a stale note leads nowhere. This
module does not know what the ranks do.

>>> import tempfile
>>> first, second = (Rendezvous(Path(tempfile.gettempdir()) / "meeting", rank, 2) for rank in (0, 1))
>>> first.come(), second.come(), len(first.everybody())
(None, None, 2)
>>> first.announce("tcp://127.0.0.1:1")
>>> second.address()
'tcp://127.0.0.1:1'
>>> first.leave()
"""

import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aifactory_lab import decoding
from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.errors import FleetError, require

LOOK_SECONDS = 0.1
PATIENCE = 120.0  # seconds: on a cluster all ranks start within one, but a node may have to load Python first


@dataclass(frozen=True)
class Rendezvous:
    """A meeting of `ranks` ranks in a folder, seen by one of them, which waits `patience` seconds for the others."""

    folder: Path
    rank: int
    ranks: int
    patience: float = PATIENCE

    @classmethod
    def of_this_job(cls, patience: float = PATIENCE) -> Self:
        """Return the meeting of the job around this process; outside of jobs a meeting of one."""
        try:
            job = require("submitit", extra="fleet").JobEnvironment()
            folder, rank, ranks = job.paths.folder / f"{job.job_id}_gang", job.global_rank, job.num_tasks
        except (RuntimeError, KeyError):
            return cls(Path(tempfile.mkdtemp(prefix="aifactory-gang-")), 0, 1, patience)
        restart = os.environ.get("SLURM_RESTART_COUNT", "0")
        return cls(folder / (restart if ranks > 1 else f"{restart}-{os.getpid()}"), rank, ranks, patience)

    def come(self, trouble: str = "") -> None:
        """Leave this rank's note."""
        self.folder.mkdir(parents=True, exist_ok=True)
        note = {"rank": str(self.rank), "host": socket.gethostname(), "trouble": trouble}
        write_text(self._note(self.rank), json.dumps(note))

    def everybody(self) -> list[str]:
        """Wait for all ranks; return their hosts in order of rank.

        Raises
        ------
        FleetError
            If a rank did not come in time, or came with trouble.
        """
        notes = self._wait(lambda: _whole([_read(self._note(rank)) for rank in range(self.ranks)]))
        if notes is None:
            missing = [str(rank) for rank in range(self.ranks) if not self._note(rank).exists()]
            msg = f"rank {', '.join(missing)} of {self.ranks} did not come within {self.patience:g} s"
            raise FleetError(msg, mend="fleet.nodes()  # is a node down? Does it see the fleet's folder?")
        if troubled := next((note for note in notes if note["trouble"]), None):
            msg = f"rank {troubled['rank']} on {troubled['host']}: {troubled['trouble']}"
            raise FleetError(msg, mend="fleet.nodes()")
        return [note["host"] for note in notes]

    def announce(self, address: str, dashboard: str = "", key: Mapping[str, str] | None = None) -> None:
        """Leave where rank 0 listens, its dashboard for those who look from its node, and a key for its members."""
        if key:
            with write_aside(self._key) as aside:
                aside.touch(mode=0o600)
                aside.write_text(json.dumps(dict(key)))
        write_text(self._address, json.dumps({"address": address, "dashboard": dashboard}))

    def address(self) -> str:
        """Wait for that address.

        Raises
        ------
        FleetError
            If rank 0 left none in time.
        """
        told = self._wait(lambda: _read(self._address))
        if told is None:
            msg = f"rank 0 left no address in {self.folder} within {self.patience:g} s"
            raise FleetError(msg, mend="job.logs()  # of rank 0")
        return str(told["address"])

    def key(self) -> dict[str, str]:
        """Return the key that was left before the address; empty if none is needed."""
        return _read(self._key) or {}

    def leave(self) -> None:
        """Take the meeting's folder away; nobody needs it once all have met."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.name.endswith("_gang") and not any(self.folder.parent.iterdir()):
            self.folder.parent.rmdir()

    @property
    def _address(self) -> Path:
        return self.folder / "scheduler.json"

    @property
    def _key(self) -> Path:
        return self.folder / "key.json"

    def _note(self, rank: int) -> Path:
        return self.folder / f"rank-{rank}.json"

    def _wait(self, look: Callable[[], Any]) -> Any:
        stop = time.monotonic() + self.patience
        while (found := look()) is None and time.monotonic() < stop:
            time.sleep(LOOK_SECONDS)
        return found


def dashboard(jobs: Path, job_id: str) -> str:
    """Return the address of the dashboard of a gang that runs; empty if none is known."""
    notes = [told for path in (jobs / f"{job_id}_gang").glob("*/scheduler.json") if (told := _read(path))]
    return next((note["dashboard"] for note in reversed(notes) if note.get("dashboard")), "")


def _read(path: Path) -> dict[str, str] | None:
    try:
        return {name: str(value) for name, value in decoding.table(path.read_bytes()).items()}
    except (FileNotFoundError, ValueError):
        return None


def _whole(notes: list[dict[str, str] | None]) -> list[dict[str, str]] | None:
    """Return the notes once none is missing, or as soon as one tells of trouble."""
    here = [note for note in notes if note is not None]
    return here if len(here) == len(notes) or any(note["trouble"] for note in here) else None
