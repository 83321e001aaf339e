"""The log of one training, written line by line as it goes, and announced to the dashboards of this user.

Every line is on its way to the disk before the next step begins, so a killed process loses none; one that resumes
goes on in the same file. A log that cannot be written costs no training. What the numbers mean is `entries`' business.

>>> import tempfile
>>> from aifactory_lab.telemetry.trainings.training import read
>>> folder = tempfile.mkdtemp()
>>> with TrainingLog(folder, title="doctest", facts={"parameters": 1_000}, announced=False) as log:
...     log.step(Step(step=1, steps=1, tokens=1024, loss=7.6, learning_rate=1e-3))
...     log.score("bits_per_byte", 3.1, step=1)
>>> read(folder).state
'finished'
"""

import os
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.trainings.entries import (
    Begun,
    End,
    Ended,
    Entry,
    Sample,
    Score,
    Step,
    file_of,
    write,
)
from aifactory_lab.telemetry.trainings.found import announce, leave, remember

Listener = Callable[[Entry], None]


class TrainingLog:
    """The log of one training.

    Parameters
    ----------
    path
        The run's folder (the file in it is ``training.jsonl``), or a file called ``….jsonl``; made if need be. What
        an earlier process wrote there stays: readers drop the steps that this one takes again.
    title
        What boards call it.
    facts
        What stays as it is: ``parameters``, ``depth``, ``vocabulary``, ``context``, ``tokens`` (planned), ``device``,
        ``device_reason``, ``dtype``, ``threads``, ``peak_flops`` (FLOP/s, measured), and any others.
    after
        When resumed, the last step that is kept; without it, the first step that is taken again says so.
    announced
        Whether dashboards of this user find it by themselves.

    Attributes
    ----------
    begun
        The entry that it began with.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        title: str,
        facts: Mapping[str, Any] | None = None,
        after: int | None = None,
        announced: bool = True,
    ) -> None:
        self.path = file_of(path).absolute()
        self.begun = Begun(title, dict(facts or {}), after, str(self.path), os.getpid(), socket.gethostname())
        self.closed, self._announced = False, announced
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._told = ExitStack()
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._append(self.begun)
        if announced:
            with suppress(TelemetryError, OSError):  # where nothing can be announced, it is trained all the same
                self._told.enter_context(announce(self.path))

    def step(self, step: Step) -> None:
        """Note a step."""
        self._append(step)

    def sample(self, text: str, step: int) -> None:
        """Note what the model writes."""
        self._append(Sample(text, step))

    def score(self, name: str, value: float, step: int | None = None) -> None:
        """Note a score, or without a step a baseline: ``log.score("gzip", 1.92)`` beside ``"bits_per_byte"``."""
        self._append(Score(name, float(value), step))

    def close(self, state: Ended = "finished", reason: str = "") -> None:
        """Say that it is over, and how; may be called twice, the first word counts."""
        if not self.closed:
            self._append(End(state, reason))
            self.closed = True
            if self._announced:
                with suppress(TelemetryError, OSError):
                    leave(self.path)
        self._told.close()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every entry from now on, in the thread that writes; return what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            self.close("stopped", type(error).__name__)
        else:
            self.close("failed", f"{type(error).__name__}: {error}".strip())

    def __repr__(self) -> str:
        return f"TrainingLog({self.begun.title!r}, {str(self.path)!r})"

    def _append(self, entry: Entry) -> None:
        line = b"\n" + write(entry) + b"\n"  # the newline before it ends a line torn by a kill
        with self._lock, suppress(OSError):
            handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                os.write(handle, line)
            finally:
                os.close(handle)
        for listener in list(self._listeners):
            listener(entry)


def keep(log: Path | str, folder: Path | str) -> None:
    """Copy the log of a training that has ended to where it stays, and leave word of it: boards go on with the copy.

    A log that could not be written, or a word that cannot be left, is passed over.

    Parameters
    ----------
    log, folder
        Log and where it goes: folders, or files called ``….jsonl``.
    """
    source, target = file_of(log), file_of(folder)
    if source.exists():
        shutil.copyfile(source, target)
        with suppress(TelemetryError, OSError):
            remember(target)
