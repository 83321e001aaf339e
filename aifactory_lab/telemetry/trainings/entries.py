r"""What a training's log says, line by line: begun, a step, a score, a sample, ended. One JSON object a line.

A line is written in one piece, with a newline before it that ends whatever a kill tore; a reader passes over what is
no whole entry. This module knows neither who writes nor who reads.

>>> line = write(Step(step=10, steps=100, tokens=10_240, loss=6.9, learning_rate=0.01))
>>> entry(line).tokens
10240
>>> entry(b'{"k": "step", "st') is None
True
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aifactory_lab import decoding

FILE = "training.jsonl"
Ended = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True)
class Begun:
    """A process begins to train, or goes on with what another left.

    Attributes
    ----------
    facts
        What stays as it is, in the words of `FACTS` and any others.
    after
        The step that it goes on after; `None` if it does not say.
    path
        Where the log was written: copies of it tell.
    pid, host, time
        Which process, where, since when (seconds since the epoch): whether it still lives can be asked.
    """

    title: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    after: int | None = None
    path: str = ""
    pid: int = 0
    host: str = ""
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Step:
    """One step, or the last of the few since the line before.

    Attributes
    ----------
    step, steps
        Which of how many, from 1.
    tokens
        Seen so far.
    loss
        Mean cross-entropy of its batch, nats per token.
    tokens_rate, mfu, eta
        Tokens per second; percent of the peak FLOP/s that the model's arithmetic used (Chowdhery et al. 2022); seconds
        that are left. `None` where it is not known.
    """

    step: int
    steps: int
    tokens: int
    loss: float
    learning_rate: float
    tokens_rate: float | None = None
    mfu: float | None = None
    eta: float | None = None
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Score:
    """A number that judges the model at a step, or, without a step, a baseline that it is judged against."""

    name: str
    value: float
    step: int | None = None
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Sample:
    """What the model writes at a step."""

    text: str
    step: int
    time: float = field(default_factory=time.time)


@dataclass(frozen=True)
class End:
    """The last word of a process."""

    state: Ended = "finished"
    reason: str = ""
    time: float = field(default_factory=time.time)


Entry: TypeAlias = Begun | Step | Score | Sample | End
KINDS: dict[str, type[Entry]] = {"begun": Begun, "step": Step, "score": Score, "sample": Sample, "end": End}
NANS = {"step": ("loss", "learning_rate"), "score": ("value",)}  # null there is the NaN that it was
_NAMES = {kind: name for name, kind in KINDS.items()}
# The facts that boards show first, in this order, with their words; others follow as they are.
FACTS = {
    "parameters": "parameters",
    "depth": "layers",
    "width": "width",
    "vocabulary": "vocabulary",
    "context": "context",
    "batch": "batch",
    "tokens": "tokens planned",
    "optimiser": "optimiser",
    "dtype": "number format",
    "device": "device",
    "device_reason": "why this device",
    "threads": "threads",
    "peak_flops": "peak FLOP/s",
}


def write(entry: Entry) -> bytes:
    """Return an entry as a line, without its newlines; what is no finite number becomes null."""
    values = {name: _plain(value) for name, value in asdict(entry).items()}
    return json.dumps({"k": _NAMES[type(entry)], **values}, default=str).encode()


def entry(line: bytes) -> Entry | None:
    """Return what a line says, `None` if it is torn or no entry."""
    try:
        values = decoding.table(line)
        told = str(values.get("k"))
        nans = {name: math.nan for name in NANS.get(told, ()) if values.get(name, 0.0) is None}
        found = decoding.fit(KINDS[told], values | nans)
    except (ValueError, KeyError):
        return None
    return found if abs(found.time) <= decoding.LAST_MOMENT else None


def file_of(path: Path | str) -> Path:
    """Return the log's file of a path: itself if it is called ``….jsonl``, else the one in that folder."""
    path = Path(path)
    return path if path.suffix == ".jsonl" else path / FILE


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
