"""Both lines on thin material, to their report, as a process that can be killed: what `aifactory run` does, in seconds.

``python -m tests.survival.thin_run WORKSPACE MATERIAL`` takes the flights and the documents that `material.make` left.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl

from aifactory_lab import datasets, line, line_report
from aifactory_lab.datasets import RawMaterial
from aifactory_lab.line import token_settings, tokens

FLIGHTS, DOCUMENTS = "flights.parquet", "documents.parquet"
DECISIONS = line.decisions.Settings(parameters={"rounds": 100}, concurrency=8, seconds=0.4)
TOKENS = token_settings.Settings(
    depth=1, tokens=40_000, vocabulary=600, tune_steps=3, users=(1, 4), answer_tokens=16, seconds=0.3
)


def make(folder: Path) -> Path:
    """Leave thin material: one aircraft in thirty with all its flights, and every eighth file of Python's library."""
    from aifactory_lab import lm

    raw = datasets.load("flights")
    kept = raw["flights"].filter(pl.col("tailnum").str.extract(r"(\d\d)", 1).is_in(["15", "38", "71"]))
    kept.sink_parquet(folder / FLIGHTS)
    lm.corpus.standard_library().gather_every(8).write_parquet(folder / DOCUMENTS)
    return folder


def run(workspace: Path, material: Path, say: Callable[[str], None]) -> Path:
    """Take the material through both lines; return the report."""
    raw = RawMaterial("thin", {**datasets.load("flights").paths, "flights": (material / FLIGHTS,)})
    decided = line.run(workspace, raw=raw, settings=DECISIONS, say=say)
    spoken = tokens.run(workspace, documents=pl.read_parquet(material / DOCUMENTS), settings=TOKENS, say=say)
    return line_report.write(decided, spoken)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    print(run(Path(sys.argv[1]), Path(sys.argv[2]), _say))
