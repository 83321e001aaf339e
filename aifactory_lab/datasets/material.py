"""Raw material: named tables that are files on disk, opened lazily.

Whatever the source (the catalogue, a download, your own files), the stations after it see the same thing. A
table is one file or many of one format. This module does not know where files come from.

>>> from aifactory_lab import datasets
>>> datasets.load("flights")["airlines"].collect().height
16
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from aifactory_lab.datasets import formats
from aifactory_lab.errors import DataError
from aifactory_lab.workspace import file_hash


@dataclass(frozen=True)
class RawMaterial:
    """Tables by name; each is a tuple of files of one format."""

    name: str
    paths: Mapping[str, tuple[Path, ...]]

    def __getitem__(self, table: str) -> pl.LazyFrame:
        """Open one table lazily.

        Raises
        ------
        DataError
            If there is no such table, or its files are missing, damaged or do not fit together.
        """
        if table not in self.paths:
            msg = f"{self.name} has no table {table!r}; there are: {', '.join(self.paths)}"
            raise DataError(msg)
        return formats.scan(self.paths[table])

    def __repr__(self) -> str:
        tables = ", ".join(f"{name} ({len(files)})" for name, files in self.paths.items())
        return f"RawMaterial {self.name!r}, {self.bytes / 1e6:,.1f} MB; tables (files): {tables}"

    @property
    def tables(self) -> dict[str, pl.LazyFrame]:
        """Every table, opened lazily."""
        return {name: self[name] for name in self.paths}

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(path.stat().st_size for files in self.paths.values() for path in files)

    def content_hash(self) -> str:
        """Return one sha256 over tables, file names and contents, wherever the files lie: what lineage points to."""
        held = sorted(f"{name} {path.name} {file_hash(path)}" for name, files in self.paths.items() for path in files)
        return hashlib.sha256("\n".join(held).encode()).hexdigest()
