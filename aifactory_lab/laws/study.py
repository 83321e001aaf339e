"""The study that this package's numbers come from: measure it again, on this machine, with one command a part.

    nice python -m aifactory_lab.laws.study pretraining FOLDER
    nice python -m aifactory_lab.laws.study answering FOLDER

Each part writes its tables into FOLDER, with what they were measured on; killed, it goes on where it was, as the study
did whose tables are in `laws/data`. This module only says what is measured, and with which settings.

>>> len(POINTS), POINTS[0], HELD_OUT[-1]
(26, Point(depth=1, tokens=50000, seed=0), Point(depth=5, tokens=800000, seed=0))
>>> STAGES[:2]
('base', 'copied-200')
"""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl

from aifactory_lab.fleet import Fleet
from aifactory_lab.laws import answering as answers
from aifactory_lab.laws import countdown, runs, sweep, test_time
from aifactory_lab.laws.sweep import grid

if TYPE_CHECKING:
    from aifactory_lab.lm.shards import Shards
    from aifactory_lab.lm.tokenizer import Tokenizer

VOCABULARY = 1024
# Some ten minutes of one core. A budget of 25,000 tokens would be 50 steps, too few for any optimiser.
POINTS = [
    *grid(depths=(1, 2, 3, 4), tokens=(50_000, 100_000, 200_000, 400_000)),
    *grid(depths=(5,), tokens=(50_000, 100_000, 200_000)),
    *grid(depths=(1, 2, 3), tokens=(800_000,)),
    *grid(depths=(1, 2), tokens=(50_000, 200_000), seeds=(1,)),
]
HELD_OUT = grid(depths=(5,), tokens=(400_000, 800_000))  # costlier than all of those: what the fit is to predict
PRETRAINING, POST_TRAINING, TEST_TIME = "pretraining.csv", "post_training.csv", "test_time.csv"
# The base reads the language reference byte by byte; then steps of copying, each number a run with a schedule of its
# own, and steps of trying after the longest of them.
BYTES, BASE = 257, {"depth": 3, "tokens": 400_000, "batch": 8, "context": 128}
COPIED, TRIED, TRIED_EACH = (200, 400, 800, 1600), 3, 10
STAGES = ("base", *(f"copied-{steps}" for steps in COPIED), *(f"tried-{n * TRIED_EACH}" for n in range(1, TRIED + 1)))
JUDGED, ANSWERS, QUESTIONS, MOST = 100, 16, 150, 32


def pretraining(folder: Path, *, dtype: str = "auto", engine: str = "inline") -> pl.DataFrame:
    """Train the sweep and its held-out points on the standard library; return the runs."""
    from aifactory_lab.lm import corpus

    documents = corpus.standard_library()
    words, packed = _packed(documents, VOCABULARY, folder)
    fleet = Fleet(engine, folder=folder / "fleet")
    found = sweep.run([*POINTS, *HELD_OUT], packed, words, folder / "sweep", fleet=fleet, dtype=dtype)
    with_ = f"context {sweep.CONTEXT}, batch {sweep.BATCH}, {dtype}"
    runs.write(found, folder / PRETRAINING, told=[*_about(documents, packed), with_, *_again("pretraining", dtype)])
    return found


def answering(folder: Path, *, dtype: str = "bfloat16") -> pl.DataFrame:
    """Pre-train a base, tune it stage by stage, and have it answer; return the law of post-training."""
    from aifactory_lab.lm.place import use_threads

    with use_threads(1):
        return _answered(folder, dtype)


def _answered(folder: Path, dtype: str) -> pl.DataFrame:
    from aifactory_lab.laws import post_training
    from aifactory_lab.lm import checkpoint, corpus, pretrain

    folder = folder / "answering"
    documents = corpus.standard_library(kinds=("prose",))
    words, packed = _packed(documents, BYTES, folder)
    if not (folder / "base" / "pretraining.json").exists():
        pretrain.run(packed, words, folder / "base", **BASE, dtype=dtype, looks=1, show=False)  # type: ignore[arg-type]
    told = [*_about(documents, packed), f"depth {BASE['depth']}, {dtype}", *_again("answering", dtype)]
    rows: list[dict[str, Any]] = []
    for stage in STAGES:
        if not (folder / "stages" / stage / "card.json").exists():
            _tune(folder, stage, words, packed, rows, dtype)
        rows.append(checkpoint.load(folder / "stages" / stage).card["row"])
        runs.write(post_training.curve(rows), folder.parent / POST_TRAINING, told=told)
    curves = [curve for stage in (f"copied-{COPIED[-1]}", STAGES[-1]) for curve in _curves(folder, stage, words)]
    runs.write(pl.concat([*curves, *_control()]), folder.parent / TEST_TIME, told=told)
    return post_training.curve(rows)


def _tune(
    folder: Path, stage: str, words: "Tokenizer", packed: "Shards", rows: list[dict[str, Any]], dtype: str
) -> None:
    """Make one stage from the one that it begins at, judge it, and keep both."""
    from aifactory_lab.laws import post_training
    from aifactory_lab.lm import checkpoint, evaluation, flops

    kind, _, steps = stage.partition("-")
    before = folder / "base" if kind in {"base", "copied"} else folder / "stages" / rows[-1]["stage"]
    model, spent = checkpoint.load(before).model.to(flops.dtype(dtype)), post_training.Spent()
    if kind == "copied":
        for _ in post_training.supervised(model, words, spent, steps=int(steps)):
            pass
    elif kind == "tried":
        spent = post_training.Spent(rows[-1]["tokens"], rows[-1]["flops"])
        for _ in post_training.reinforced(model, words, spent, steps=TRIED_EACH, seed=int(steps)):
            pass
    old = evaluation.HeldOut.of(packed, words)
    puzzles = countdown.some(JUDGED)
    row = post_training.judged(model, words, puzzles, old, spent, stage=stage, answers=ANSWERS)
    checkpoint.save(folder / "stages" / stage, model, words, {"kind": "post-trained", "row": row})


def _curves(folder: Path, stage: str, words: "Tokenizer") -> Iterator[pl.DataFrame]:
    """Yield what more answers bring a stage's model, as expressions and as chains, with a verifier and by vote."""
    from aifactory_lab.lm import checkpoint

    model = checkpoint.load(folder / "stages" / stage).model
    for form in ("expression", "chain"):
        found = answers.ask(model, words, countdown.some(QUESTIONS, 1), answers=MOST, chain=form == "chain")
        for way, curve in (("best", test_time.best_of), ("vote", test_time.majority)):
            yield _named(curve(found), stage, form, way)


def _control() -> Iterator[pl.DataFrame]:
    for form in ("expression", "chain"):
        found = answers.guesses(countdown.some(QUESTIONS, 1), answers=MOST, chain=form == "chain")
        yield _named(test_time.best_of(found), "guesses", form, "best")


def _named(curve: pl.DataFrame, who: str, form: str, way: str) -> pl.DataFrame:
    names = [pl.lit(value).alias(name) for name, value in (("who", who), ("form", form), ("way", way))]
    return curve.select(*names, pl.all())


def _packed(documents: pl.DataFrame, vocabulary: int, folder: Path) -> "tuple[Tokenizer, Shards]":
    from aifactory_lab.lm import shards, tokenizer

    if (folder / "shards" / "shards.json").exists():
        words = tokenizer.Tokenizer.load(folder / "words")
        return words, shards.Shards.load(folder / "shards", words)
    words = tokenizer.train(documents.filter(split="train")["text"], vocabulary)
    words.save(folder / "words")
    return words, shards.write(documents, words, folder / "shards")


def _about(documents: pl.DataFrame, packed: "Shards") -> list[str]:
    import torch

    from aifactory_lab.lm import corpus

    about = corpus.manifest(documents, licence=corpus.LICENCE)
    return [
        f"standard library of Python {about['python']}: {about['bytes']:,} bytes, sha256 {about['sha256'][:16]}",
        f"{packed.tokens('train'):,} tokens to learn from, vocabulary {packed.vocabulary:,}",
        f"one thread of {platform.machine()}, PyTorch {torch.__version__}",
    ]


def _again(part: str, dtype: str) -> list[str]:
    return [f"again: nice python -m aifactory_lab.laws.study {part} FOLDER --dtype {dtype}"]


def main() -> None:
    """Measure a part of the study from a command line."""
    import typer

    app, precision = typer.Typer(add_completion=False), typer.Option(help="auto, bfloat16 or float32")

    @app.command("pretraining")
    def _pretraining(folder: Path, dtype: Annotated[str, precision] = "auto") -> None:
        """Train the sweep: about fifteen minutes of one core."""
        typer.echo(str(pretraining(folder, dtype=dtype)))

    @app.command("answering")
    def _answering(folder: Path, dtype: Annotated[str, precision] = "bfloat16") -> None:
        """Tune a model on Countdown and have it answer: about seven minutes of one core."""
        typer.echo(str(answering(folder, dtype=dtype)))

    app()


if __name__ == "__main__":
    main()
