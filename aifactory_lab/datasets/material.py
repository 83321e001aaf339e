"""Raw material: named tables that are files on disk, opened lazily.

Whatever the source (the catalogue, a download, your own files), the stations after it see the same thing. A
table is one file or many of one format. This module does not know where files come from.

>>> from aifactory_lab import datasets
>>> datasets.load("flights")["airlines"].collect().height
16
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.workspace import files_hash

SCANS: dict[str, Callable[[list[Path]], pl.LazyFrame]] = {
    ".parquet": lambda paths: pl.scan_parquet(paths),
    ".csv": lambda paths: pl.scan_csv(paths, try_parse_dates=False),
    ".jsonl": lambda paths: pl.scan_ndjson(paths),
}


@dataclass(frozen=True)
class RawMaterial:
    """Tables by name; each is a tuple of files of one format."""

    name: str
    paths: Mapping[str, tuple[Path, ...]]

    def __getitem__(self, table: str) -> pl.LazyFrame:
        """Open one table lazily."""
        if table not in self.paths:
            msg = f"{self.name} has no table {table!r}; there are: {', '.join(self.paths)}"
            raise DataError(msg)
        files = list(self.paths[table])
        suffix = files[0].suffix
        if suffix not in SCANS:
            msg = f"{files[0]} is of a format that cannot be read; readable are {', '.join(SCANS)}"
            raise DataError(msg)
        return SCANS[suffix](files)

    @property
    def tables(self) -> dict[str, pl.LazyFrame]:
        """Every table, opened lazily."""
        return {name: self[name] for name in self.paths}

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for files in self.paths.values() for path in files)

    def content_hash(self) -> str:
        """Return one sha256 over the names and contents of all files: what lineage points back to."""
        return files_hash([path for files in self.paths.values() for path in files])
