"""Batch scoring: a Parquet table of any size becomes a Parquet table of predictions.

The table is read, predicted and written a slice at a time, so memory does not grow with it. Predictions are
written aside and renamed when they are whole: a scoring that was killed leaves nothing that could be taken
for a result. Rows with an infinite value get a null, and are counted.

>>> score("no/such/model", "flights.parquet", "predictions.parquet")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/model is not a model of ours: no bundle.json in it
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from aifactory_lab import measure
from aifactory_lab.aside import write_aside
from aifactory_lab.errors import DataError
from aifactory_lab.etl.features import SPEC, TABLE, FeatureSpec
from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.serve.engines import ON_GPU
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.rows import check_schema, from_arrow, infinite
from aifactory_lab.train.bundle import Bundle

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PROBABILITY, DECISION = "probability", "decision"
SLICE_ROWS = 65_536
Source: TypeAlias = Path | str | Sequence[Path | str]


def score(
    model: Predictor | Bundle | Path | str,
    source: Source,
    out: Path | str,
    *,
    keep: Sequence[str] | None = None,
    slice_rows: int = SLICE_ROWS,
    progress: bool = False,
) -> StationReport:
    """Predict every row of a Parquet table.

    Parameters
    ----------
    model
        A predictor, or the model folder to load one from.
    source
        A Parquet file, a folder or list of them, or a feature table's folder (`features.parquet`).
    out
        The Parquet file to write: the kept columns, `probability` (float32) and `decision` (boolean), in the
        order of the source.
    keep
        Columns to carry over; by default all that are neither features of the model nor, where
        `features.json` lies beside the source, features of another.
    slice_rows
        Rows in memory at a time.
    progress
        Show a bar.

    Returns
    -------
    StationReport
        Made: predictions; details: engine, decisions, rows refused.

    Raises
    ------
    DataError
        If a file is missing or is not Parquet, or lacks a column, or has it in a type that is not a number.
    """
    predictor = model if isinstance(model, Predictor) else Predictor.load(model)
    files = _files(source)
    columns = _kept(files[0], predictor.bundle.names, keep)
    for path in files:
        _check(path, predictor.bundle.names, columns)
    out = Path(out)
    with Meter("score", unit="predictions") as meter, write_aside(out) as aside:
        counts = _score_files(predictor, files, columns, aside, slice_rows=slice_rows, progress=progress)
        read, written = sum(path.stat().st_size for path in files), aside.stat().st_size
        engine = predictor.engine_for(slice_rows)
        meter.count(counts["rows"], bytes_in=read, bytes_out=written, engine=engine, **counts)
        if engine.startswith(ON_GPU):  # float32 rows there, a probability each back
            sent = 4 * counts["rows"] * len(predictor.bundle.names)
            meter.count(host_to_device_bytes=sent, device_to_host_bytes=4 * counts["rows"])
    return meter.report


def _score_files(
    predictor: Predictor, files: Sequence[Path], columns: Sequence[str], out: Path, *, slice_rows: int, progress: bool
) -> dict[str, int]:
    import pyarrow.parquet as pq

    total = sum(_open(path).metadata.num_rows for path in files)
    schema = _schema(files[0], columns)
    counts = {"rows": 0, "decisions": 0, "refused": 0}
    with pq.ParquetWriter(out, schema, compression="zstd") as writer, _bar(total, progress) as bar:
        for path, batch in _batches(files, [*columns, *_missing(predictor.bundle.names, columns)], slice_rows):
            scored = _score_batch(predictor, batch, schema, columns, where=str(path))
            writer.write_batch(scored)
            counts["rows"] += scored.num_rows
            counts["decisions"] += scored.column(DECISION).true_count
            counts["refused"] += scored.column(PROBABILITY).null_count
            bar.update(scored.num_rows)
            measure.progress(scored.num_rows)
    return counts


def _score_batch(
    predictor: Predictor, batch: "pa.RecordBatch", schema: "pa.Schema", columns: Sequence[str], *, where: str
) -> "pa.RecordBatch":
    import pyarrow as pa

    rows = from_arrow(batch, predictor.bundle.names, where=where)
    bad = infinite(rows) if predictor.takes_missing else ~np.isfinite(rows).all(axis=1)
    values = np.zeros(len(rows), dtype=np.float32)
    if bad.any():
        values[~bad] = predictor(rows[~bad])
    else:
        values = predictor(rows)
    predictions = [pa.array(values, mask=bad), pa.array(values >= predictor.bundle.threshold, mask=bad)]
    return pa.RecordBatch.from_arrays([*(batch.column(name) for name in columns), *predictions], schema=schema)


def _batches(files: Sequence[Path], columns: Sequence[str], slice_rows: int) -> Iterator[tuple[Path, "pa.RecordBatch"]]:
    for path in files:
        table = _open(path)
        try:
            for batch in table.iter_batches(slice_rows, columns=list(columns)):
                yield path, batch
        except OSError as error:
            msg = f"{path} cannot be read to its end: {_line(error)}"
            raise DataError(msg, mend="make the file again") from error


def _files(source: Source) -> list[Path]:
    """Return the Parquet files of a source in sorted order."""
    places = [Path(place) for place in ([source] if isinstance(source, str | Path) else source)]
    found = [file for place in places for file in _inside(place)]
    if not found:
        msg = f"no Parquet file in {', '.join(map(str, places)) or 'an empty list'}"
        raise DataError(msg)
    if absent := [path for path in found if not path.is_file()]:
        msg = f"{absent[0]} does not exist"
        raise DataError(msg)
    return found


def _inside(place: Path) -> list[Path]:
    if (place / TABLE).is_file():  # what `etl.run` made: the other tables beside it say how, not what
        return [place / TABLE]
    return sorted(place.glob("*.parquet")) if place.is_dir() else [place]


def _open(path: Path) -> "pq.ParquetFile":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        msg = f"{path} is not a Parquet file, or is damaged: {_line(error)}"
        raise DataError(msg, mend="make the file again") from error


def _kept(path: Path, names: Sequence[str], keep: Sequence[str] | None) -> list[str]:
    if keep is not None:
        return list(keep)
    others: set[str] = set()
    if (path.parent / SPEC).exists():
        spec = FeatureSpec.load(path.parent)
        others = set(spec.columns(*spec.groups))
    return [name for name in _open(path).schema_arrow.names if name not in others and name not in names]


def _check(path: Path, names: Sequence[str], columns: Sequence[str]) -> None:
    schema = _open(path).schema_arrow
    check_schema(schema, names, where=str(path))
    if absent := _missing(columns, schema.names):
        msg = f"{path} has no column {absent[0]!r} to keep; it has: {', '.join(schema.names[:40])}"
        raise DataError(msg)
    if taken := {PROBABILITY, DECISION} & set(columns):
        msg = f"{path}: the column {min(taken)!r} to keep has the name of a result"
        raise DataError(msg, mend="score(…, keep=[…])  # without it")


def _schema(path: Path, columns: Sequence[str]) -> "pa.Schema":
    import pyarrow as pa

    schema = _open(path).schema_arrow
    kept = [schema.field(name).remove_metadata() for name in columns]
    return pa.schema([*kept, pa.field(PROBABILITY, pa.float32()), pa.field(DECISION, pa.bool_())])


def _missing(names: Sequence[str], among: Sequence[str]) -> list[str]:
    held = set(among)
    return [name for name in names if name not in held]


@contextmanager
def _bar(total: int, shown: bool) -> Iterator[Any]:
    from tqdm import tqdm

    with tqdm(total=total, unit="row", unit_scale=True, desc="score", disable=not shown) as bar:
        yield bar


def _line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
