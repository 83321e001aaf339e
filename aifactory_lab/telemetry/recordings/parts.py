"""Recordings on disk: Parquet files that each stand alone, and the folder in which they gather.

While a recording runs it is a folder ``name.recording`` of parts, each written aside, then renamed; small parts are
merged into larger ones, sixteen at a time, so that a day is some fifty files. Finished, it is one file
``name.parquet`` of the same format. A part is named by the numbers of its samples: what a merge was killed over
is there once or twice, never half. This module does not know samplers, nor what is missing from a folder.

>>> samples_of(Path("run.recording/000000040-000000044.parquet"))
(40, 44)
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aifactory_lab.aside import write_aside
from aifactory_lab.telemetry.readings import Layout
from aifactory_lab.telemetry.recordings.bands import Band, united
from aifactory_lab.telemetry.recordings.chunks import Chunk, Part, metadata
from aifactory_lab.telemetry.recordings.columns import WHO, schema

CHUNK_BYTES = 16 << 20  # of cells in memory; a row group of a finished file is about as large
SUFFIX, FOLDER = ".parquet", ".recording"


Piece = tuple[Any, Chunk]  # a table, and what it holds; its path and group are those it came from


def write(path: Path, pieces: Iterable[Piece], layouts: Sequence[Layout], bands: Iterable[Band] = ()) -> Part:
    """Write a file aside, then rename it.

    Parameters
    ----------
    layouts
        All layouts that occur in the pieces; the file has the columns of all of them.

    Raises
    ------
    OSError
        If it cannot be written; then nothing is left of it.
    """
    import pyarrow.parquet as pq

    metrics = tuple(dict.fromkeys(name for layout in layouts for name in layout.metrics))
    kinds, told, chunks = schema(metrics), united(bands), list[Chunk]()
    options = {
        "compression": "zstd",
        "use_dictionary": list(WHO),
        # Measured: a day of 8 GPUs × 24 metrics takes 22 MB so, 28 MB with dictionaries, 39 MB as float64.
        "column_encoding": dict.fromkeys(metrics, "BYTE_STREAM_SPLIT"),
        "write_statistics": ["time"],
        "write_page_checksum": True,
    }
    with write_aside(path) as aside, pq.ParquetWriter(aside, kinds, **options) as writer:
        for table, chunk in pieces:
            writer.write_table(_widened(table, kinds), row_group_size=table.num_rows)
            chunks.append(replace(chunk, path=path, group=len(chunks)))
        writer.add_key_value_metadata(metadata(layouts, chunks, told))
    return Part(path, tuple(chunks), told)


def merge(path: Path, chunks: Sequence[Chunk], bands: Iterable[Band] = ()) -> Part:
    """Write chunks, in order, as one file; those of one layout that follow each other are joined."""
    return write(path, _joined(chunks), distinct(chunk.layout for chunk in chunks), bands)


def distinct(layouts: Iterable[Layout]) -> list[Layout]:
    """Return each layout once, in order."""
    found: list[Layout] = []
    for layout in layouts:
        if not any(layout is other for other in found) and layout not in found:
            found.append(layout)
    return found


def places(path: Path | str) -> tuple[Path, Path]:
    """Return the file and the folder of a recording, whichever of them or the bare name is given.

    Examples
    --------
    >>> [place.name for place in places("runs/night.v2")]
    ['night.v2.parquet', 'night.v2.recording']
    """
    path = Path(path)
    name = path.name.removesuffix(SUFFIX).removesuffix(FOLDER)
    return path.with_name(name + SUFFIX), path.with_name(name + FOLDER)


def part_name(first: int, last: int) -> str:
    """Return the name of the part that holds these samples."""
    return f"{first:09d}-{last:09d}{SUFFIX}"


def samples_of(path: Path) -> tuple[int, int]:
    """Return the numbers of the first and last sample of a part, from its name."""
    first, last = path.stem.split("-")
    return int(first), int(last)


def _joined(chunks: Iterable[Chunk]) -> Iterator[Piece]:
    """Yield chunks as pieces of about `CHUNK_BYTES`; no more than one of them is in memory."""
    import pyarrow as pa

    held: list[Chunk] = []
    tables: list[Any] = []
    for chunk in chunks:
        if held and (not _follows(held[-1], chunk) or sum(c.nbytes for c in held) + chunk.nbytes > CHUNK_BYTES):
            yield pa.concat_tables(tables), _spanning(held)
            held, tables = [], []
        held.append(chunk)
        tables.append(chunk.table())
    if held:
        yield pa.concat_tables(tables), _spanning(held)


def _follows(before: Chunk, after: Chunk) -> bool:
    same = before.layout is after.layout or before.layout == after.layout
    return same and after.first == before.last + 1


def _spanning(chunks: Sequence[Chunk]) -> Chunk:
    return replace(chunks[0], samples=chunks[-1].last - chunks[0].first + 1, stop=chunks[-1].stop)


def _widened(table: Any, kinds: Any) -> Any:
    """Return a table with all columns of a file, null where its layout has no such metric."""
    import pyarrow as pa

    def column(field: Any) -> Any:
        return table[field.name] if field.name in table.column_names else pa.nulls(table.num_rows, field.type)

    return pa.table([column(field) for field in kinds], schema=kinds)
