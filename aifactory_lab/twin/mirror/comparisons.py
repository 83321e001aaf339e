"""Forecasts beside what was then measured: the error of each, and whether the measurement lay in the band.

>>> table = pl.DataFrame(
...     {"figure": ["tpot"], "predicted": [0.011], "measured": [0.01], "error": [0.1], "within": [True]}
... )
>>> errors(table).row(0)
('tpot', 1, 0.1, 0.1, 0.1, 1.0)
"""

from collections.abc import Sequence

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.twin.mirror.forecasts import same_load
from aifactory_lab.twin.mirror.observations import Observations, observe
from aifactory_lab.twin.mirror.replays import Replay, reported


def compare(
    prediction: pl.DataFrame | Replay, measurement: Observations | TokenReport | Sequence[TokenReport]
) -> pl.DataFrame:
    """Return what was forecast beside what was measured.

    Parameters
    ----------
    prediction
        From `forecast` or `replay`.
    measurement
        Observations of the same loads; for a `Replay` the report of the load test with these arrivals.

    Returns
    -------
    frame
        The prediction's rows that were measured, with ``measured``, ``error`` (predicted ÷ measured - 1) and ``within``
        (whether the measurement lay in the band). Several measurements of a load are a row each.

    Raises
    ------
    TwinError
        If none of the loads was measured.
    """
    if isinstance(prediction, Replay):
        if not isinstance(measurement, TokenReport):
            msg = f"a replay of arrivals is compared with the report of one load test, not {type(measurement).__name__}"
            raise TwinError(msg, mend="mirror.compare(replay, serve.load.tokens(server, prompts, arrivals=arrivals))")
        measured = pl.DataFrame(list(reported(measurement).items()), schema=["figure", "measured"], orient="row")
        return _judged(prediction.figures.join(measured, on="figure"))
    if not isinstance(measurement, Observations):
        measurement = observe(measurement, model="llama-3-8b")  # the shape takes no part
    rows = [
        row | {"measured": cell[row["figure"]]}
        for row in prediction.iter_rows(named=True)
        for cell in measurement.cells.iter_rows(named=True)
        if same_load(cell, row)
    ]
    if not rows:
        msg = f"none of the {len(prediction)} forecast loads is among the {len(measurement)} that were measured"
        raise TwinError(msg, mend="mirror.compare(mirror.forecast(fitted, observations), observations)")
    return _judged(pl.DataFrame(rows))


def errors(compared: pl.DataFrame) -> pl.DataFrame:
    """Return a row a figure: ``rows``, mean and median of the absolute error, bias, and the share within the band."""
    size = pl.col("error").abs()
    return compared.group_by("figure", maintain_order=True).agg(
        rows=pl.len(),
        mean=size.mean(),
        median=size.median(),
        bias=pl.col("error").median(),
        within=pl.col("within").mean(),
    )


def _judged(table: pl.DataFrame) -> pl.DataFrame:
    return table.with_columns(
        error=pl.col("predicted") / pl.col("measured") - 1,
        within=pl.when(pl.col("low").is_nan())
        .then(None)
        .otherwise(pl.col("measured").is_between(pl.col("low"), pl.col("high"))),
    )
