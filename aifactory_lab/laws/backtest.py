"""How far a sweep may be extrapolated: what its smaller runs would have said of its larger ones.

An interval about a forecast knows the noise of the runs, and nothing of a law that bends. A backtest does: it forecasts
what is already known. Beyond the largest factor that was tested nothing is vouched for.

>>> words(pl.DataFrame({"beyond": [1.5, 1.8], "error": [0.01, -0.03]})).partition(";")[0]
'forecasts up to 1.8 times beyond the runs of a fit were within 0.026 nats in eight of ten cases'
"""

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.laws import runs as tables
from aifactory_lab.laws.chinchilla import fit, lack
from aifactory_lab.laws.objective import DELTA

SHARE = 0.8
FACTORS = (2, 4, 8, 16, 32, 64, 128)


def errors(runs: pl.DataFrame, *, least: int = 10, delta: float = DELTA) -> pl.DataFrame:
    """Say how good extrapolation was: fit the smaller runs, predict each larger one, at every cut that leaves enough.

    Parameters
    ----------
    least
        Runs that a fit must have.

    Returns
    -------
    DataFrame
        ``fitted`` (runs), ``beyond`` (times more operations than the largest of them), ``parameters``, ``tokens``,
        ``measured``, ``predicted``, ``error`` (predicted - measured, nats per token).
    """
    runs = tables.frame(runs).with_columns((6 * pl.col("parameters") * pl.col("tokens")).alias("work")).sort("work")
    made = []
    for cut in sorted(set(runs["work"]))[:-1]:
        known, unknown = runs.filter(pl.col("work") <= cut), runs.filter(pl.col("work") > cut)
        if known.height < least or lack(known):
            continue
        law = fit(known, replicates=0, delta=delta).law
        said = law.loss(unknown["parameters"].to_numpy(), unknown["tokens"].to_numpy())
        told = unknown.select("parameters", "tokens", pl.col("loss").alias("measured"), pl.col("work") / cut)
        told = told.rename({"work": "beyond"}).with_columns(pl.Series("predicted", said), fitted=known.height)
        made.append(told.with_columns((pl.col("predicted") - pl.col("measured")).alias("error")))
    if not made:
        msg = f"{runs.height} runs leave nothing to test: a fit needs {least}"
        raise TwinError(msg, mend="laws.backtest.errors(runs, least=8), or a larger sweep")
    order = ("fitted", "beyond", "parameters", "tokens", "measured", "predicted", "error")
    return pl.concat(made).select(order)


def words(told: pl.DataFrame) -> str:
    """Say how good the forecasts of `errors` were, by how far they went, and where the test ends."""
    said, least, most = [], 1.0, float(told["beyond"].to_numpy().max())
    for factor in FACTORS:
        near = told.filter((pl.col("beyond") > least) & (pl.col("beyond") <= factor))
        if near.height:
            error = near["error"].abs().quantile(SHARE, "linear")
            said.append(f"up to {min(factor, most):.2g} times within {error:.2g} nats")
        least = factor
    first, *rest = said
    first = first.replace(" times within", " times beyond the runs of a fit were within") + " in eight of ten cases"
    high = float((told["error"].to_numpy() > 0).mean())
    sign = f"{high:.0%} of them were too high"
    return f"forecasts {', '.join([first, *rest])}; {sign}; further than {most:.2g} times nothing was tested"
