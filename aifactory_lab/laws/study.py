"""The study that this package's numbers come from: measure it again, on this machine, with one command.

    nice python -m aifactory_lab.laws.study pretraining FOLDER

Each part writes its table into FOLDER, with what it was measured on; killed, it goes on where it was. The tables in
`laws/data` were written by these very commands. This module only says what is measured, and with which settings.

>>> len(POINTS), POINTS[0], HELD_OUT[1]
(26, Point(depth=1, tokens=50000, seed=0), Point(depth=5, tokens=800000, seed=0))
"""

import platform
from pathlib import Path
from typing import Annotated

import polars as pl

from aifactory_lab import device
from aifactory_lab.fleet import Fleet
from aifactory_lab.laws import runs, sweep
from aifactory_lab.laws.sweep import grid

VOCABULARY = 1024
# Some ten minutes of one core. A budget of 25,000 tokens would be 50 steps, too few for any optimiser.
POINTS = [
    *grid(depths=(1, 2, 3, 4), tokens=(50_000, 100_000, 200_000, 400_000)),
    *grid(depths=(5,), tokens=(50_000, 100_000, 200_000)),
    *grid(depths=(1, 2, 3), tokens=(800_000,)),
    *grid(depths=(1, 2), tokens=(50_000, 200_000), seeds=(1,)),
]
HELD_OUT = grid(depths=(5,), tokens=(400_000, 800_000))  # costlier than all of those: what the fit is to predict
PRETRAINING = "pretraining.csv"


def pretraining(folder: Path, *, dtype: str = "auto", engine: str = "inline") -> pl.DataFrame:
    """Train the sweep and its held-out points on the standard library; return the runs."""
    from aifactory_lab.lm import corpus, shards, tokenizer

    documents = corpus.standard_library()
    if (folder / "shards" / "shards.json").exists():
        words = tokenizer.Tokenizer.load(folder / "words")
        packed = shards.Shards.load(folder / "shards", words)
    else:
        words = tokenizer.train(documents.filter(split="train")["text"], VOCABULARY)
        words.save(folder / "words")
        packed = shards.write(documents, words, folder / "shards")
    fleet = Fleet(engine, folder=folder / "fleet")
    found = sweep.run([*POINTS, *HELD_OUT], packed, words, folder / "sweep", fleet=fleet, dtype=dtype)
    about = corpus.manifest(documents, licence=corpus.LICENCE)
    told = [
        f"standard library of Python {about['python']}: {about['bytes']:,} bytes, sha256 {about['sha256'][:16]}",
        f"{packed.tokens('train'):,} tokens of {VOCABULARY}, context {sweep.CONTEXT}, batch {sweep.BATCH}, {dtype}",
        *_machine(),
        "again: python -m aifactory_lab.laws.study pretraining FOLDER",
    ]
    runs.write(found, folder / PRETRAINING, told=told)
    return found


def _machine() -> list[str]:
    import torch

    return [f"one thread of {device.current('cpu')}, {platform.machine()}, PyTorch {torch.__version__}"]


def main() -> None:
    """Measure a part of the study from a command line."""
    import typer

    app = typer.Typer(add_completion=False)

    @app.callback()
    def _parts() -> None:
        """Measure a part of the study again."""

    @app.command("pretraining")
    def _pretraining(
        folder: Path, dtype: Annotated[str, typer.Option(help="auto, bfloat16 or float32")] = "auto"
    ) -> None:
        """Train the sweep: about fifteen minutes of one core."""
        typer.echo(str(pretraining(folder, dtype=dtype)))

    app()


if __name__ == "__main__":
    main()
