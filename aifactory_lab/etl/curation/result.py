"""What curation leaves behind: a folder of kept documents, dropped ones with the reason, and the account of both.

The folder holds `documents.parquet` (a documents frame), `dropped.parquet` (the same columns, and reason, partner,
detail), `funnel.parquet`, `tags.parquet` and `manifest.json`, which is written last: a folder that has one is
complete. This module does not know how documents were judged.

>>> Curated.load("no/such/folder")
Traceback (most recent call last):
...
aifactory_lab.errors.DataError: no/such/folder holds no curated documents (no manifest.json)
  mend: etl.curation.run(documents, 'no/such/folder')
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from aifactory_lab.aside import sweep, write_aside
from aifactory_lab.errors import DataError, WorkspaceError
from aifactory_lab.etl.curation import documents
from aifactory_lab.measure import StationReport

DOCUMENTS, DROPPED, FUNNEL, TAGS, MANIFEST = (
    "documents.parquet",
    "dropped.parquet",
    "funnel.parquet",
    "tags.parquet",
    "manifest.json",
)
DROPPED_SCHEMA = {**documents.SCHEMA, "reason": pl.String, "partner": pl.String, "detail": pl.String}
FUNNEL_SCHEMA = {
    "stage": pl.String,
    "documents_in": pl.Int64,
    "documents_out": pl.Int64,
    "dropped": pl.Int64,
    "changed": pl.Int64,
    "bytes_in": pl.Int64,
    "bytes_out": pl.Int64,
}


@dataclass(frozen=True)
class Curated:
    """Curated documents.

    Attributes
    ----------
    folder
        Where they lie.
    report
        Documents kept, bytes read and kept, seconds; `details` count what each stage dropped.
    """

    folder: Path
    report: StationReport

    @cached_property
    def documents(self) -> pl.DataFrame:
        """What was kept: id, path, kind, split, text, sorted by id."""
        return pl.read_parquet(self.folder / DOCUMENTS)

    @cached_property
    def dropped(self) -> pl.DataFrame:
        """What went: the same columns, with reason, partner (the document that stayed instead) and detail."""
        return pl.read_parquet(self.folder / DROPPED)

    @cached_property
    def funnel(self) -> pl.DataFrame:
        """What each stage let through: stage, documents in and out, dropped, changed, bytes in and out."""
        return pl.read_parquet(self.folder / FUNNEL)

    @cached_property
    def tags(self) -> pl.DataFrame:
        """What the kept documents are like: id, kind, and the columns of `curation.tags`."""
        return pl.read_parquet(self.folder / TAGS)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Where the documents are from, the settings, the counts, and the hash of what was kept."""
        return dict(json.loads((self.folder / MANIFEST).read_text()))

    @property
    def reasons(self) -> pl.DataFrame:
        """Reason, kind, documents, bytes of what went, most documents first."""
        size = pl.col("text").str.len_bytes().sum().cast(pl.Int64).alias("bytes")
        counted = self.dropped.group_by("reason", "kind").agg(pl.len().cast(pl.Int64).alias("documents"), size)
        return counted.sort(["documents", "reason", "kind"], descending=[True, False, False])

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Open a curated folder.

        Raises
        ------
        DataError
            If it is not complete.
        """
        folder = Path(folder)
        if not (folder / MANIFEST).is_file():
            msg = f"{folder} holds no curated documents (no {MANIFEST})"
            raise DataError(msg, mend=f"etl.curation.run(documents, {str(folder)!r})")
        manifest = json.loads((folder / MANIFEST).read_text())
        return cls(folder, StationReport.from_dict(manifest["report"]))

    def __str__(self) -> str:
        return "\n".join([str(self.report), *(f"  {row}" for row in _lines(self.funnel))])


def _lines(funnel: pl.DataFrame) -> list[str]:
    return [
        f"{row['stage']}: {row['documents_in']:,} → {row['documents_out']:,} documents,"
        f" {row['bytes_out'] / 1e6:,.2f} MB, {row['changed']:,} changed"
        for row in funnel.iter_rows(named=True)
    ]


def clear(folder: Path) -> None:
    """Make the folder; from here on it is not complete, whatever it held.

    Raises
    ------
    WorkspaceError
        If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MANIFEST).unlink(missing_ok=True)
        for name in (DOCUMENTS, DROPPED, FUNNEL, TAGS, MANIFEST):
            sweep(folder, name)
    except OSError as error:
        msg = f"{folder} cannot be written: {error}"
        raise WorkspaceError(msg, mend="choose another folder: etl.curation.run(documents, folder)") from error


def save(folder: Path, name: str, frame: pl.DataFrame) -> int:
    """Write one table aside, rename it, and return its size in bytes."""
    with write_aside(folder / name) as aside:
        frame.write_parquet(aside)
    return (folder / name).stat().st_size


def finish(folder: Path, manifest: dict[str, Any]) -> None:
    """Write the manifest, last."""
    with write_aside(folder / MANIFEST) as aside:
        aside.write_text(json.dumps(manifest, indent=1, ensure_ascii=False))
