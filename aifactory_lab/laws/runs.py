"""The points of a sweep as a frame: how large a model, on how many tokens, and what loss it came to.

A frame of runs is a small CSV file that people can read. This module trains and fits nothing.

>>> frame([{"parameters": 1e6, "tokens": 2e6, "loss": 3.5}]).select("parameters", "loss", "flops").row(0)
(1000000.0, 3.5, 12000000000000.0)
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from aifactory_lab.aside import write_text
from aifactory_lab.errors import TwinError

NEEDED = ("parameters", "tokens", "loss")
MEND = 'laws.runs.frame([{"parameters": 1e6, "tokens": 2e7, "loss": 3.2}, …])'
LARGEST_COUNT = 1e15


def frame(rows: pl.DataFrame | Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """Return runs as a checked frame, the smallest first.

    Parameters
    ----------
    rows
        With ``parameters`` (of the model), ``tokens`` (that it was trained on) and ``loss`` (nats per token of held-out
        text); where ``flops`` (floating-point operations of the training) is missing it is 6 × parameters × tokens
        (Kaplan et al. 2020, arXiv 2001.08361).

    Returns
    -------
    DataFrame
        The three columns and ``flops`` as Float64, and whatever else was given.

    Raises
    ------
    TwinError
        If a column is missing, there is no run, or a value is not a positive number.
    """
    found = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame([dict(row) for row in rows])
    missing = [name for name in NEEDED if name not in found.columns]
    if missing or not found.height:
        msg = f"these are no runs: {found.height} rows, without {', '.join(missing) or 'any'}"
        raise TwinError(msg, mend=MEND)
    if "flops" not in found.columns:
        found = found.with_columns((6.0 * pl.col("parameters") * pl.col("tokens")).alias("flops"))
    try:
        found = found.with_columns(pl.col(*NEEDED, "flops").cast(pl.Float64))
    except pl.exceptions.PolarsError as error:
        msg = f"these are no runs: {str(error).splitlines()[0]}"
        raise TwinError(msg, mend=MEND) from error
    for name in (*NEEDED, "flops"):
        wrong = found.filter(~(pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(value=False))
        if wrong.height:
            msg = f"{name} must be positive in every run; it is {wrong[name][0]!r} in {wrong.height} of {found.height}"
            raise TwinError(msg, mend=f"runs.filter(pl.col({name!r}) > 0)")
    return found.sort("parameters", "tokens")


def write(runs: pl.DataFrame, path: Path | str, *, told: Iterable[str] = ()) -> Path:
    """Write runs, or any other small table, as CSV.

    Parameters
    ----------
    told
        Lines that say where they are from; they stand above the table, each after a ``#``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "".join(f"# {line}\n" for line in told)
    whole = [name for name in runs.columns if runs[name].dtype.is_float() and _is_whole(runs[name])]
    write_text(path, head + runs.with_columns(pl.col(whole).cast(pl.Int64)).write_csv(float_precision=6))
    return path


def _is_whole(values: pl.Series) -> bool:
    """Tell whether floats are counts: people read 430752, not 430752.000000."""
    return bool((values.is_finite() & (values == values.round()) & (values.abs() < LARGEST_COUNT)).all())


def read(path: Path | str) -> pl.DataFrame:
    """Return what `write` wrote, as runs.

    Raises
    ------
    TwinError
        If there is no such file, or it holds no runs.
    """
    return frame(table(path))


def table(path: Path | str) -> pl.DataFrame:
    """Return a small table that `write` wrote.

    Raises
    ------
    TwinError
        If there is none.
    """
    try:
        return pl.read_csv(io.StringIO(Path(path).read_text()), comment_prefix="#")
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        msg = f"{path} holds no table: {error}"
        raise TwinError(msg, mend="laws.runs.write(runs, path)") from error


def kept(name: str) -> Path:
    """Return the file that came with this package: ``"pretraining"``, ``"post_training"`` or ``"test_time"``.

    `study` says how each was measured, and `told` what its file says of it.

    Raises
    ------
    TwinError
        If there is none.
    """
    path = Path(__file__).with_name("data") / f"{name}.csv"
    if not path.exists():
        msg = f"no table {name!r} came with this package"
        raise TwinError(msg, mend='laws.runs.kept("pretraining")')
    return path


def told(path: Path | str) -> str:
    """Return what a table's file says of where it is from."""
    return "\n".join(line[2:] for line in Path(path).read_text().splitlines() if line.startswith("#"))


def below(runs: pl.DataFrame, flops: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part runs into those of at most so many operations and the larger ones, which a fit then never sees.

    Raises
    ------
    TwinError
        If one of the two would be empty.
    """
    smaller, larger = runs.filter(pl.col("flops") <= flops), runs.filter(pl.col("flops") > flops)
    if not (smaller.height and larger.height):
        work = runs["flops"].to_numpy()
        msg = f"{flops:.3g} operations part nothing: the runs have {work.min():.3g} to {work.max():.3g}"
        raise TwinError(msg, mend=f"laws.runs.below(runs, {np.median(work):.3g})")
    return smaller, larger
