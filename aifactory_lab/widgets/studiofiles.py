"""A design and its day as files: figures as CSV, the report as HTML, the hall as a zipped OpenUSD folder.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> table(evaluate(Plant(gpus=72, chassis="gb200-nvl72"), Service(requests_per_second=50)))[:22]
b'figure,value,low,high,'
"""

import io
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from aifactory_lab import twin_report
from aifactory_lab.twin import steady_racks, usd
from aifactory_lab.twin.hall import Hall
from aifactory_lab.twin.outcome import Outcome

if TYPE_CHECKING:
    from aifactory_lab.twin.operations import Day


def table(outcome: Outcome, day: "Day | None" = None) -> bytes:
    """Return the figures of a design as CSV; where a day was run, its timeline instead."""
    frame = outcome.table() if day is None else day.timeline
    return frame.write_csv().encode()


def report(outcome: Outcome, day: "Day | None" = None, front: pl.DataFrame | None = None) -> bytes:
    """Return the report as HTML."""
    return twin_report.page(outcome, day, front=front).html().encode()


def scene(outcome: Outcome, hall: Hall) -> bytes:
    """Return the hall as OpenUSD, zipped, with what each rack draws under its load."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(usd.export(hall, Path(folder) / "hall", values=steady_racks.racks(outcome)))
        root, packed = made if made.is_dir() else made.parent, io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(root.rglob("*")):
                archive.write(file, file.relative_to(root.parent))
        return packed.getvalue()
