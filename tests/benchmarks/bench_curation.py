"""Curation of the standard library beside the same in plain Python, and near duplicates beside three peers.

Every contestant of the whole curation writes its own stages; what must agree is what went as an exact duplicate and
for its quality, and how many addresses were redacted. Near duplicates depend on the hashes, so they are shown, and
those that contaminate follow from them.
"""

import tempfile
from pathlib import Path

import polars as pl

from tests.benchmarks.curation_peers import environment
from tests.benchmarks.harness import Case, Table, compare

PEERS = "tests.benchmarks.curation_peers"
AIM = 4.0  # MB of text per CPU-second, end to end


def main(*, quick: bool) -> list[Table]:
    """Curate code, docstrings and prose; `quick` takes docstrings and prose alone, once."""
    from aifactory_lab.lm import corpus

    found = corpus.standard_library(("docstring", "prose") if quick else ("code", "docstring", "prose"))
    size = float(found["text"].str.len_bytes().sum())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "documents.parquet"
        found.write_parquet(path)
        return [_whole(str(path), size, quick=quick), _near(found, folder, quick=quick)]


def _whole(path: str, size: float, *, quick: bool) -> Table:
    from aifactory_lab.etl.curation import RULES

    rules = [(rule.measure, rule.kinds, rule.low, rule.high) for rule in RULES]
    cases = [Case("etl.curation.run", f"{PEERS}.ours:whole", {"path": path})]
    if environment.versions():
        kwargs = {"path": path, "rules": rules}
        cases.append(
            Case("plain Python, datasketch", f"{PEERS}.plain_python:whole", kwargs, str(environment.PYTHON), most=1)
        )
    title = f"Curation of {size / 1e6:.1f} MB"
    table = compare(title, cases, repeats=1 if quick else 3, equal=("documents", "exact", "quality", "redacted"))
    _rate(table, size)
    verdict = "reached" if table.rows[0]["MB/CPU-s"] >= AIM else "missed"
    table.notes = [f"Aim: {AIM:g} MB per CPU-second end to end, {verdict} ({table.rows[0]['MB/CPU-s']:.1f})."]
    return table


def _near(found: pl.DataFrame, folder: str, *, quick: bool) -> Table:
    """Only documents of a window or more, and no exact duplicates: what the search is given in a run."""
    long = found.unique("text").filter(pl.col("text").str.len_chars() >= 24).sort(pl.col("split") != "valid", "id")
    path = f"{folder}/long.parquet"
    long.with_row_index("row").select("row", "text").write_parquet(path)
    cases = [
        Case("windows by NumPy, rensa", f"{PEERS}.ours:near", {"path": path}),
        Case("windows by Python, rensa", f"{PEERS}.ours:rensa_sets", {"path": path}),
    ]
    if environment.versions():
        peers = {"datasketch": "plain_python", "datatrove, 5 words": "datatrove_pipeline"}
        cases += [
            Case(name, f"{PEERS}.{module}:near", {"path": path}, str(environment.PYTHON), most=1)
            for name, module in peers.items()
        ]
    size = float(long["text"].str.len_bytes().sum())
    table = compare(f"Near duplicates in {size / 1e6:.1f} MB", cases, repeats=1 if quick else 3, equal=("documents",))
    _rate(table, size)
    table.notes = ["260 hashes in 20 bands of 13; datatrove's unit is five words, so it finds others."]
    return table


def _rate(table: Table, size: float) -> None:
    for row in table.rows:
        row["MB/CPU-s"] = round(size / 1e6 / max(row["CPU-s"], 1e-3), 2)
        row["documents/CPU-s"] = round(row["documents"] / max(row["CPU-s"], 1e-3))
