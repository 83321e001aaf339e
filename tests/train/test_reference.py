"""The public baseline on the same flights: the recipes tutorial of tidymodels.

Late means at least 30 minutes at arrival; inner join with the hour's weather; rows without missing values; a
logistic regression on departure time, air time, distance, carrier, origin, destination, weekday, month and holiday;
a random 3:1 split (https://www.tidymodels.org/start/recipes/, 325,819 rows, 16.1 % late, AUC about 0.76). Its
departure time is known only after push-back and its split is random, so it is a reference, not a rung.
"""

import numpy as np
import polars as pl
import pytest

from aifactory_lab import datasets
from aifactory_lab.train import estimators, evaluation

BASELINE = 0.759
HOLIDAYS = ((1, 1), (1, 21), (5, 27), (7, 4), (9, 2), (11, 11), (11, 28), (12, 25))
NUMBERS = ("dep_time", "air_time", "distance")
WORDS = ("carrier", "origin", "dest", "weekday", "month")


@pytest.fixture(scope="module")
def table():
    raw = datasets.load("flights")
    weather = raw["weather"].select("origin", "time_hour")
    flights = raw["flights"].join(weather, on=["origin", "time_hour"], how="inner", maintain_order="left")
    date = pl.date("year", "month", "day")
    columns = ["dep_time", "flight", "origin", "dest", "air_time", "distance", "carrier", "arr_delay", "month", "day"]
    return (
        flights.select(*columns, date.dt.weekday().alias("weekday"), late=pl.col("arr_delay") >= 30)
        .drop_nulls()
        .collect()
    )


def test_the_rows_of_the_tutorial(table):
    assert table.height == 325_819
    assert table["late"].mean() == pytest.approx(0.1613, abs=5e-5)


def test_the_score_of_the_tutorial(table):
    some = table.gather_every(3)  # a third of the rows moves the AUC by less than its interval
    holiday = pl.any_horizontal((pl.col("month") == month) & (pl.col("day") == day) for month, day in HOLIDAYS)
    x = some.select(*NUMBERS, holiday.alias("holiday"), *WORDS).to_dummies(list(WORDS), drop_first=True)
    x = x.cast(pl.Float32).to_numpy()
    y = some["late"].cast(pl.Int8).to_numpy()
    order = np.random.default_rng(555).permutation(len(y))
    train, test = np.split(order, [len(y) * 3 // 4])
    model = estimators.make("logistic_regression", device="cpu", C=1e4, tol=1e-3).fit(x[train], y[train])
    auc = evaluation.scores(y[test], estimators.probability(model, x[test]), replicates=50)["auc"]
    assert auc.low < BASELINE < auc.high
