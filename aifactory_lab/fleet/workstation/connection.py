"""The way to the engine of a folder: found by its note, started if nobody answers, asked in one line of JSON.

>>> import tempfile
>>> Connection(Path(tempfile.mkdtemp())).note is None
True
"""

import fcntl
import json
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import psutil

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.births import birth
from aifactory_lab.fleet.folders import made

START_SECONDS = 90.0
_STARTED: list[psutil.Popen] = []  # children that outlive us: a Popen that is thrown away complains of them


@dataclass(frozen=True)
class Note:
    """What an engine says of itself in ``engine.json``."""

    port: int
    key: str
    pid: int
    born: str
    gpus: int
    pretend: bool

    @property
    def lives(self) -> bool:
        """Whether the process that wrote it is there."""
        return birth(self.pid) == self.born != ""


class Connection:
    """The engine of a fleet's folder.

    Parameters
    ----------
    folder
        The fleet's.
    gpus, pretend
        What an engine that has to be started counts.
    """

    def __init__(self, folder: Path, gpus: int = 0, *, pretend: bool = False) -> None:
        self.folder, self.home = folder, made(folder / "workstation")
        self.gpus, self.pretend = gpus, pretend

    @property
    def note(self) -> Note | None:
        """What the last engine said, whether or not it lives."""
        try:
            return Note(**json.loads((self.home / "engine.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    @property
    def lives(self) -> bool:
        """Whether an engine is there."""
        return (note := self.note) is not None and note.lives

    def call(self, operation: str, *words: Any) -> dict[str, Any]:
        """Ask the engine, which is started if it is not there.

        Raises
        ------
        FleetError
            If it cannot be started, or could not do what it was asked.
        """
        for _ in range(3):
            note = self.ensure()
            try:
                told = _ask(note, operation, words)
            except (OSError, EOFError, AuthenticationError):
                continue  # it died between the look and the word: look again
            if "error" in told:
                msg = f"the engine could not {operation} {words}: {told['error']}"
                raise FleetError(msg, mend=f"less {self.home / 'engine.log'}")
            return told
        msg = f"the engine of {self.folder} does not answer"
        raise FleetError(msg, mend=f"less {self.home / 'engine.log'}")

    def ensure(self) -> Note:
        """Return the note of a living engine.

        Raises
        ------
        FleetError
            If none can be started; the end of its log is in the message.
        """
        note = self.note
        if note and note.lives:
            return note
        with (self.home / "start.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several notebooks may find it dead at the same time
            note = self.note
            return note if note and note.lives else self._start()

    def stop(self) -> None:
        """End the engine, if there is one; running jobs live on, and the next engine finds them."""
        note = self.note
        if not note or not note.lives:
            return
        with suppress(OSError, EOFError, AuthenticationError):
            _ask(note, "stop", ())
        with suppress(psutil.Error):
            psutil.Process(note.pid).wait(30)
        _STARTED[:] = [one for one in _STARTED if one.poll() is None]

    def _start(self) -> Note:
        log = self.home / "engine.log"
        command = [sys.executable, "-m", "aifactory_lab.fleet.workstation", str(self.folder)]
        with log.open("ab") as file:
            process = psutil.Popen(
                [*command, str(self.gpus), str(self.pretend)],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        _STARTED.append(process)
        stop = time.monotonic() + START_SECONDS
        while time.monotonic() < stop and process.poll() is None:
            note = self.note
            if note and note.lives:
                return note
            time.sleep(0.05)
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        msg = f"the workstation's engine did not start:\n{tail}"
        raise FleetError(msg, mend=f"less {log}")


def _ask(note: Note, operation: str, words: tuple[Any, ...]) -> dict[str, Any]:
    with Client(("127.0.0.1", note.port), authkey=bytes.fromhex(note.key)) as line:
        line.send_bytes(json.dumps([operation, *words]).encode())
        told: dict[str, Any] = json.loads(line.recv_bytes())
        return told
