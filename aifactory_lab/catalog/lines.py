"""Blueprints in the catalogue: whole lines described in a file, taken to their report.

What each describes and asks for stands in its file; `blueprints` reads and runs it.

>>> "flights" in [entry.name for entry in blueprints()]
True
"""

from collections.abc import Iterator

import polars as pl

from aifactory_lab import blueprints as room
from aifactory_lab.blueprints import Blueprint
from aifactory_lab.catalog import readiness
from aifactory_lab.catalog.entry import Entry, Order, Ran, State


def blueprints() -> Iterator[Entry]:
    """Yield the blueprints that came with this package."""
    for name in room.names():
        path = room.path(name)
        described = room.read(path)
        yield Entry(
            "blueprints",
            name,
            _title(described),
            needs=f"some minutes; {readiness.LM}" if described.tokens else "a minute",
            command=f"aifactory run {name}",
            python=f"from aifactory_lab import blueprints; blueprints.run(blueprints.read(blueprints.path({name!r})))",
            source=f"aifactory_lab/blueprints/{path.name}",
            state=readiness.packages("lm") if described.tokens else State(),
        )


def execute(entry: Entry, order: Order) -> Ran:
    """Run a blueprint, to its report and the verdict on its objectives."""
    done = room.run(room.read(room.path(entry.name)), order.workspace, order.say)
    frame = pl.concat([each.stations() for each in done.lines], how="vertical_relaxed")
    words = "; ".join([*(str(verdict) for verdict in done.slo), f"report: {done.report}"])
    return Ran(entry, words, frame, done)


def _title(described: Blueprint) -> str:
    """Return what a blueprint is for, as it says itself or as its lines do."""
    lines = [line.title for line in (described.decisions, described.tokens) if line is not None and line.title]
    return described.title or " ".join(lines) or described.name
