"""What a file of a recording holds, as it says of itself: chunks of samples, layouts, and the stations at work.

All of it stands in the metadata of every file, with a checksum, so that each file stands alone. Rows are read chunk
by chunk. This module does not write.

>>> Chunk(Path("run.parquet"), 0, Layout((), ()), first=40, samples=5, start=0.0, stop=4.0).last
44
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aifactory_lab import decoding
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import CELL_BYTES
from aifactory_lab.telemetry.readings import Layout
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.columns import WHO, pack, schema, unpack

KEY, CHECK = b"aifactory recording", b"aifactory checksum"
FORMAT = 1
_FAULTS = (OSError, ValueError, KeyError, OverflowError)  # what pyarrow raises over bytes that make no sense


@dataclass(frozen=True)
class Chunk:
    """Samples of one layout without a gap: a row group of a file.

    Attributes
    ----------
    first, samples
        Number of the first sample since the recording began, and how many there are.
    start, stop
        Times of the first and the last sample.
    """

    path: Path
    group: int
    layout: Layout
    first: int
    samples: int
    start: float
    stop: float

    @property
    def last(self) -> int:
        """Number of the last sample."""
        return self.first + self.samples - 1

    @property
    def nbytes(self) -> int:
        """Bytes of its cells in memory."""
        return self.samples * self.layout.shape[0] * self.layout.shape[1] * CELL_BYTES

    def table(self, columns: Sequence[str] | None = None) -> Any:
        """Read its rows.

        Raises
        ------
        TelemetryError
            If they cannot be read; every page carries a checksum.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        wanted = list(columns or (*WHO, *self.layout.metrics))
        try:
            with pq.ParquetFile(self.path, page_checksum_verification=True) as file:
                table = file.read_row_group(self.group, columns=wanted).select(wanted)
        except FileNotFoundError as error:
            msg = f"{self.path.name} is gone: its recording went on, or was finished, after it was opened"
            raise TelemetryError(msg, mend="open it again: telemetry.Recording.open(…)") from error
        except (*_FAULTS, pa.ArrowException) as error:
            raise self._damaged(_brief(error)) from error
        kinds = schema(self.layout.metrics)
        if table.schema.remove_metadata() != pa.schema([kinds.field(name) for name in wanted]):
            raise self._damaged("its columns are of other types")
        if table.num_rows != self.samples * self.layout.shape[0]:
            raise self._damaged("it has another number of rows")
        return table

    def _damaged(self, why: str) -> TelemetryError:
        msg = f"samples {self.first} to {self.last} in {self.path} are damaged ({why})"
        return TelemetryError(msg, mend=f"recording.history(start={self.stop + 1e-6!r})")


@dataclass(frozen=True)
class _Head:
    """What a file says of itself."""

    layouts: tuple[dict[str, Any], ...]
    chunks: tuple[tuple[int, int, int, float, float], ...]
    bands: tuple[Band, ...]


def _sound(chunk: Chunk) -> bool:
    times = abs(chunk.start) <= decoding.LAST_MOMENT and abs(chunk.stop) <= decoding.LAST_MOMENT
    return times and chunk.first >= 0 and chunk.samples >= 1 and chunk.layout.shape[0] >= 1


@dataclass(frozen=True)
class Part:
    """One file: its chunks, and the stations that worked meanwhile."""

    path: Path
    chunks: tuple[Chunk, ...]
    bands: tuple[Band, ...] = ()

    @property
    def numbers(self) -> tuple[int, int]:
        """Numbers of its first and last sample."""
        return self.chunks[0].first, self.chunks[-1].last


def read(path: Path) -> Part:
    """Read what a file holds, without its rows.

    Raises
    ------
    TelemetryError
        If it is missing, truncated, not a recording, or written by a later version.
    """
    text, groups = _told(path)
    try:
        values = decoding.table(text)
        if decoding.fit(int, values.get("format")) > FORMAT:
            msg = f"{path} has format {values['format']}; this version reads up to {FORMAT}"
            raise TelemetryError(msg, mend="pip install --upgrade aifactory-lab")
        found = decoding.fit(_Head, values)
        layouts = [unpack(layout) for layout in found.layouts]
        chunks = [
            Chunk(path, group, layouts[which], first, samples, start, stop)
            for group, (which, first, samples, start, stop) in enumerate(found.chunks)
            if which >= 0
        ]
    except (ValueError, IndexError) as error:
        raise _damaged(path, f"what it says of itself makes no sense: {error}") from error
    if not chunks or len(chunks) != len(found.chunks) or len(chunks) != groups or not all(map(_sound, chunks)):
        raise _damaged(path, "the samples that it says it holds are not those that it has")
    return Part(path, tuple(chunks), found.bands)


def metadata(layouts: Sequence[Layout], chunks: Sequence[Chunk], bands: Sequence[Band]) -> dict[bytes, bytes]:
    """Return what a file of these chunks says of itself."""
    which = [next(i for i, other in enumerate(layouts) if other is c.layout or other == c.layout) for c in chunks]
    values = {
        "format": FORMAT,
        "layouts": [pack(layout) for layout in layouts],
        "chunks": [[i, c.first, c.samples, c.start, c.stop] for i, c in zip(which, chunks, strict=True)],
        "bands": [band.to_dict() for band in bands],
    }
    text = json.dumps(values).encode()
    return {KEY: text, CHECK: str(zlib.crc32(text)).encode()}


def _told(path: Path) -> tuple[bytes, int]:
    """Return what a file says of itself, and how many row groups it has."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_metadata(path)
        metadata: dict[bytes, bytes] = found.metadata or {}
    except (*_FAULTS, pa.ArrowException) as error:
        raise _damaged(path, _brief(error)) from error
    if KEY not in metadata:
        msg = f"{path} is a Parquet file, but not a recording"
        raise TelemetryError(msg, mend=f"polars.read_parquet({str(path)!r})")
    if str(zlib.crc32(metadata[KEY])).encode() != metadata.get(CHECK):
        raise _damaged(path, "what it says of itself does not fit its checksum")
    return metadata[KEY], found.num_row_groups


def _damaged(path: Path, why: str) -> TelemetryError:
    return TelemetryError(f"{path} is truncated or damaged ({why})", mend="take it from a backup, or record again")


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__
