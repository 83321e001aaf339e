"""Raw material and recipes in the catalogue: datasets, recordings, the interpreter's own text, and what refines them.

A dataset is loaded and described; a recipe is run on the data that it takes, to a folder. What they are, their rooms
say: `datasets`, `etl`, `lm.corpus`.

>>> [entry.name for entry in recipes()]
['flights', 'curation']
"""

from collections.abc import Iterator
from typing import Any

import polars as pl

from aifactory_lab import datasets as raw
from aifactory_lab import etl
from aifactory_lab.catalog import readiness
from aifactory_lab.catalog.entry import Entry, Order, Ran, State
from aifactory_lab.catalog.slices import documents, flights

TEXT = "standard-library"
CURATION = "curation"
STEADY = "nothing more"


def datasets() -> Iterator[Entry]:
    """Yield the datasets of the catalogue, the recordings, and the text that every Python brings."""
    for row in raw.catalogue().iter_rows(named=True):
        size = f"{row['rows']:,} rows, {row['bytes'] / 1e6:.1f} MB"
        yield Entry(
            "datasets",
            row["name"],
            row["title"],
            needs=f"{size}, {'in the package' if row['where'] == 'vendored' else 'downloaded once'}",
            command=f"aifactory catalog run datasets/{row['name']}",
            python=f"from aifactory_lab import datasets; datasets.load({row['name']!r})",
            licence=row["licence"],
            source=row["source"],
            state=readiness.download(row["bytes"]) if row["where"] == "remote" else State(),
        )
    for name, shown in raw.recordings().items():
        open_it = f"telemetry.Recording.open(datasets.recording({name!r}))"
        yield Entry(
            "datasets",
            name,
            f"a telemetry recording, {shown}",
            command=f"aifactory catalog run datasets/{name}",
            python=f"from aifactory_lab import datasets, telemetry; {open_it}",
            licence="Apache-2.0",
            source="datasets/recordings/README.md",
        )
    yield Entry(
        "datasets",
        TEXT,
        "The standard library of the Python that runs: code, docstrings, the language reference",
        needs=STEADY + ": it is read where it lies",
        command=f"aifactory catalog run datasets/{TEXT}",
        python="from aifactory_lab import lm; lm.corpus.standard_library()",
        licence="PSF-2.0",
        source="https://docs.python.org/3/license.html",
    )


def recipes() -> Iterator[Entry]:
    """Yield the recipes of tables, and the curation of text."""
    for name in etl.recipes.names():
        yield Entry(
            "recipes",
            name,
            etl.recipes.named(name).title,
            needs=f"the dataset {name}",
            command=f"aifactory catalog run recipes/{name}",
            python=f"from aifactory_lab import datasets, etl; "
            f"etl.run(etl.recipes.named({name!r}), datasets.load({name!r}), out='features')",
        )
    lines = (etl.curation.__doc__ or "").splitlines()
    yield Entry(
        "recipes",
        CURATION,
        lines[0].removeprefix("Curation: ").rstrip("."),
        needs=f"text: the dataset {TEXT}, or your own files; {readiness.LM}",
        command=f"aifactory catalog run recipes/{CURATION}",
        python="from aifactory_lab import lm; from aifactory_lab.etl import curation; "
        "curation.run(lm.corpus.standard_library(), 'curated')",
        state=readiness.packages("lm"),
    )


def load(entry: Entry, order: Order) -> Ran:
    """Load a dataset and describe it."""
    if entry.name == TEXT:
        found = _text(order)
        kinds = found.group_by("kind").agg(pl.len().alias("documents"), pl.col("text").str.len_bytes().sum())
        return Ran(entry, f"{found.height:,} documents", kinds.rename({"text": "bytes"}).sort("kind"), found)
    if entry.name in raw.recordings():
        return _recorded(entry)
    material: Any = raw.load(entry.name)
    return Ran(entry, repr(material), raw.describe(material), material)


def refine(entry: Entry, order: Order) -> Ran:
    """Run a recipe on its data, to a folder."""
    folder = order.folder(entry)
    if entry.name == CURATION:
        curated = etl.curation.run(_text(order), folder)
        words = f"{curated.documents.height:,} documents kept, {curated.dropped.height:,} dropped; {folder}"
        return Ran(entry, words, curated.funnel, curated)
    material = flights(order) if entry.name == "flights" else raw.load(entry.name)
    report = etl.run(etl.recipes.named(entry.name), material, out=folder, progress=False)
    sample = pl.scan_parquet(folder / "features.parquet").head(5).collect()
    return Ran(entry, f"{report.made:,} rows of {sample.width} columns; {folder}", sample, report)


def _text(order: Order) -> pl.DataFrame:
    from aifactory_lab import lm

    return documents() if order.quick else lm.corpus.standard_library()


def _recorded(entry: Entry) -> Ran:
    from aifactory_lab.telemetry import Recording

    found = Recording.open(raw.recording(entry.name))
    stations = [{"station": b.station, "made": b.made, "unit": b.unit, "joules": b.joules} for b in found.events]
    return Ran(entry, repr(found), pl.DataFrame(stations, schema_overrides={"joules": pl.Float64}), found)
