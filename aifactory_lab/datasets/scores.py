"""The reference scores of the flights card, computed: the public baseline, and what an honest model must beat.

Logistic regression by scikit-learn on one-hot codes and standardised numbers; about one CPU-second each. The
ladder that leads on from here is climbed in `train`.

>>> HONEST.target
'arr_delay > 15'
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.datasets.formats import scan

SEED = 0


@dataclass(frozen=True)
class Score:
    """A logistic regression: what it is asked, what it may see, how it is tested."""

    target: str
    numbers: tuple[str, ...]
    codes: tuple[str, ...]
    by_time: bool


# The model of tidymodels' "recipes" tutorial, less the public holidays.
PUBLIC = Score(
    "arr_delay >= 30", ("dep_time", "air_time", "distance"), ("origin", "dest", "carrier", "weekday", "month"), False
)
HONEST = Score("arr_delay > 15", ("sched_dep_time", "distance"), ("origin", "dest", "carrier", "weekday", "hour"), True)


def flights_with_weather(folder: Path) -> pl.DataFrame:
    """Return the flights that arrived and have a weather row: the population of the public baseline."""
    weather = scan([folder / "weather.parquet"]).select("origin", "time_hour")
    flights = scan([folder / "flights.parquet"]).join(weather, on=["origin", "time_hour"], maintain_order="left")
    weekday = pl.date("year", "month", "day").dt.weekday()
    return flights.drop_nulls("arr_delay").with_columns(weekday=weekday).collect()


def auc(flights: pl.DataFrame, score: Score) -> float:
    """Fit on months 1–9 (or on a random three quarters) and return the area under the ROC curve on the rest."""
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    train, test = _split(flights.with_columns(late=pl.sql_expr(score.target)), by_time=score.by_time)
    columns = [*score.numbers, *score.codes]
    coded = (OneHotEncoder(handle_unknown="ignore"), list(score.codes))
    features = make_column_transformer((StandardScaler(), list(score.numbers)), coded)
    model: Any = make_pipeline(features, LogisticRegression(solver="newton-cholesky"))
    model.fit(train.select(columns).to_pandas(), train["late"].to_numpy())
    return float(roc_auc_score(test["late"].to_numpy(), model.predict_proba(test.select(columns).to_pandas())[:, 1]))


def _split(flights: pl.DataFrame, *, by_time: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    if by_time:
        return flights.filter(pl.col("month") <= 9), flights.filter(pl.col("month") > 9)
    from sklearn.model_selection import train_test_split

    chosen, rest = train_test_split(range(flights.height), random_state=SEED, stratify=flights["late"].to_numpy())
    return flights[chosen], flights[rest]
