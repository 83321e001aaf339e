"""A sweep: models of several sizes on several budgets of tokens, each a job of the fleet, none trained twice.

Every point has a folder; a point is finished once its `run.json` is there, which is written last. A sweep that was
killed is sent again: finished points are read, one that was being trained goes on from its last state, and two jobs of
the same point wait for each other. All points share tokens, context, batch and rates; each has a learning-rate schedule
of its own length, without which the loss at a budget says little (Hoffmann et al. 2022, arXiv 2203.15556). This module
fits nothing.

>>> grid(depths=(1, 2), tokens=(50_000, 100_000))[0]
Point(depth=1, tokens=50000, seed=0)
"""

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from aifactory_lab.aside import write_text
from aifactory_lab.errors import FleetError, require
from aifactory_lab.fleet import Fleet
from aifactory_lab.laws import runs

if TYPE_CHECKING:
    from aifactory_lab.lm.shards import Shards
    from aifactory_lab.lm.tokenizer import Tokenizer

RUN, LOCK, TOKENIZER, MODEL = "run.json", "lock", "tokenizer", "model"
CONTEXT, BATCH = 128, 4


@dataclass(frozen=True)
class Point:
    """One training of a sweep: the size of the model (`lm.model.shape`), its tokens, its seed."""

    depth: int
    tokens: int
    seed: int = 0

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"depth-{self.depth}-tokens-{self.tokens}-seed-{self.seed}"


@dataclass(frozen=True)
class Training:
    """How every point of a sweep is trained, as its jobs know it: `lm.pretrain.run` says what the options are.

    Attributes
    ----------
    shards, out
        Folders of the tokens and of the sweep, which every node must see; the tokenizer is in ``out``.
    data
        Which tokens those are: the hashes of the shards and of the tokenizer.
    """

    shards: str
    out: str
    data: tuple[str, str]
    context: int = CONTEXT
    batch: int = BATCH
    dtype: str = "auto"
    threads: int = 1
    device: str | None = None

    def mark(self, point: Point) -> str:
        """Return a fingerprint of all that the point's loss depends on."""
        own = [asdict(point), self.data, self.context, self.batch, self.dtype]
        return sha256(json.dumps(own).encode()).hexdigest()[:16]

    def found(self, point: Point) -> dict[str, Any] | None:
        """Return the point's run if it is finished, and is of this training."""
        try:
            run: dict[str, Any] = json.loads((Path(self.out) / point.name / RUN).read_text())
        except (OSError, ValueError):
            return None
        return run if run.pop("mark", "") == self.mark(point) else None


class PointRun:
    """What a job calls with its point; a job that is preempted and started again goes on with it."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.__name__ = "scaling-point"

    def __call__(self, point: Point) -> dict[str, Any]:
        """Train the point unless it is finished, and return its run."""
        training, folder = self.training, Path(self.training.out) / point.name
        with _alone(folder):
            run = training.found(point)
            if run is None:
                run = self._train(point, folder)
                write_text(folder / RUN, json.dumps({"mark": training.mark(point), **run}, indent=1))
        return run

    def checkpoint(self, point: Point) -> Any:
        """Return what is to run when the job is started again: the same point."""
        return require("submitit.helpers", extra="fleet").DelayedSubmission(self, point)

    def _train(self, point: Point, folder: Path) -> dict[str, Any]:
        pretrain = require("aifactory_lab.lm.pretrain", extra="lm")
        tokenizer = require("aifactory_lab.lm.tokenizer", extra="lm").Tokenizer.load(Path(self.training.out, TOKENIZER))
        shards = require("aifactory_lab.lm.shards", extra="lm").Shards.load(self.training.shards, tokenizer)
        asked = {name: getattr(self.training, name) for name in ("context", "batch", "dtype", "threads", "device")}
        result = pretrain.run(
            shards, tokenizer, folder / MODEL, **asdict(point), **asked, looks=1, title=point.name, show=False
        )
        told = result.report.details
        tokens = told["steps"] * self.training.batch * self.training.context
        return {
            **asdict(point),
            "tokens": tokens,
            "parameters": told["parameters"],
            "flops": told["flops_per_token"] * tokens,
            "loss": result.scores["nats_per_token"],
            "bits_per_byte": result.scores["bits_per_byte"],
            "cpu_seconds": result.report.cpu_seconds,
            "tokens_per_cpu_second": result.scores["tokens_per_cpu_second"],
            "mfu": result.scores["mfu"],
        }


def grid(depths: Sequence[int], tokens: Sequence[int], seeds: Sequence[int] = (0,)) -> list[Point]:
    """Return all points of these sizes, budgets and seeds, small ones first."""
    made = [Point(depth, budget, seed) for depth, budget, seed in product(depths, tokens, seeds)]
    return sorted(made, key=lambda point: (point.depth**3 * point.tokens, point.seed))


def run(
    points: Sequence[Point],
    shards: "Shards",
    tokenizer: "Tokenizer",
    out: Path | str,
    *,
    fleet: Fleet | None = None,
    at_most: int = 1,
    context: int = CONTEXT,
    batch: int = BATCH,
    dtype: str = "auto",
    threads: int = 1,
    device: str | None = None,
    order: Mapping[str, Any] | None = None,
) -> pl.DataFrame:
    """Train the points that are not finished yet, and return the runs of all.

    Parameters
    ----------
    points
        What to train: `grid`.
    shards, tokenizer
        The tokens, and what made them.
    out
        Folder of the sweep. A point that was trained on other tokens or otherwise is trained anew.
    fleet, at_most
        Where the jobs run (by default ``Fleet()``), and how many at the same time.
    context, batch, dtype, threads, device
        As of `lm.pretrain.run`, the same for all points.
    order
        What each job asks for: `fleet.orders.Order`.

    Returns
    -------
    DataFrame
        As `runs.frame`, with ``depth``, ``seed``, ``bits_per_byte``, ``cpu_seconds``, ``tokens_per_cpu_second`` and
        ``mfu``.

    Raises
    ------
    FleetError
        If there is no point, a training raised (its traceback is in the message), or its job was killed; what is
        finished stays.
    """
    if not points:
        msg = "a sweep of no points"
        raise FleetError(msg, mend="laws.sweep.run(laws.sweep.grid(depths=(1, 2, 3), tokens=(50_000, 100_000)), …)")
    out = Path(out).absolute()
    _keep_tokenizer(tokenizer, out / TOKENIZER)
    data = (shards.splits["train"].sha256, tokenizer.sha256)
    places = Training(str(Path(shards.folder).absolute()), str(out), data)
    training = replace(places, context=context, batch=batch, dtype=dtype, threads=threads, device=device)
    missing = [point for point in dict.fromkeys(points) if training.found(point) is None]
    if missing:
        fleet = Fleet() if fleet is None else fleet
        for job in fleet.map(PointRun(training), missing, at_most=at_most, **dict(order or {})):
            job.result()
    return runs.frame([found for point in points if (found := training.found(point))])


def _keep_tokenizer(tokenizer: "Tokenizer", folder: Path) -> None:
    """Save it once: rewriting it under the feet of a job that reads it would tear it."""
    room = require("aifactory_lab.lm.tokenizer", extra="lm")
    if not (folder / room.FILE).exists() or room.Tokenizer.load(folder).sha256 != tokenizer.sha256:
        tokenizer.save(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the point's folder: the kernel lets go of it when the process ends, however it ends."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
