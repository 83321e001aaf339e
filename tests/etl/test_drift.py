"""Drift against numpy and against what is known of normal densities."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.etl import drift as room
from aifactory_lab.etl.features import TABLE, FeatureSpec


def features(folder: Path, train: dict[str, object], test: dict[str, object]) -> Path:
    """Write a feature folder with these columns in either split."""
    folder.mkdir(exist_ok=True)
    sides = [pl.DataFrame(side).with_columns(split=pl.lit(name)) for name, side in (("train", train), ("test", test))]
    pl.concat(sides, how="vertical_relaxed").write_parquet(folder / TABLE)
    spec = FeatureSpec(target="late", time="t", split="split", groups={"all": tuple(train)})
    spec.save(folder)
    return folder


def test_drift_ranks_the_features_that_moved(tmp_path):
    rng = np.random.default_rng(7)
    normal = rng.normal(size=(2, 20_000))
    train = {"same": normal[0], "moved": normal[0], "shifted": normal[0], "flat": np.ones(20_000)}
    test = {"same": normal[1], "moved": normal[1] + 0.4, "shifted": normal[1] + 1, "flat": np.ones(20_000)}
    frame = room.drift(features(tmp_path / "f", train, test))
    assert frame["feature"].to_list() == ["shifted", "moved", "same", "flat"]
    assert frame["verdict"].to_list() == ["shifted", "moved", "stable", "stable"]
    # For normal densities a δ apart the divergence is δ²; ten bins keep most of it.
    assert frame["psi"].to_list() == pytest.approx([1.0, 0.16, 0.0, 0.0], abs=0.12)
    assert frame.filter(feature="shifted")["mean_test"].item() == pytest.approx(1, abs=0.03)


def test_psi_over_deciles_agrees_with_numpy(tmp_path):
    rng = np.random.default_rng(3)
    train, test = rng.gamma(2, size=9_000), rng.gamma(2.5, size=4_000)
    edges = np.quantile(train, np.arange(1, 10) / 10)
    counts = [np.bincount(np.searchsorted(edges, side), minlength=10) for side in (train, test)]
    p, q = ((count + 0.5) / (count + 0.5).sum() for count in counts)
    found = room.drift(features(tmp_path / "f", {"x": train}, {"x": test}))["psi"].item()
    assert found == pytest.approx(float(((p - q) * np.log(p / q)).sum()), rel=0.01)


def test_missing_values_are_a_bin_of_their_own_and_nan_is_one_of_them(tmp_path):
    values = np.arange(1000.0)
    hollow = np.where(values % 2 == 0, np.nan, values)
    row = room.drift(features(tmp_path / "f", {"x": values}, {"x": hollow})).row(0, named=True)
    assert (row["missing_train"], row["missing_test"], row["verdict"]) == (0.0, 0.5, "shifted")
    assert row["mean_test"] == pytest.approx(500.0)


def test_a_split_without_rows_does_not_break_the_report(tmp_path):
    row = room.drift(features(tmp_path / "f", {"x": [1.0, 2.0]}, {"x": []})).row(0, named=True)
    assert row["missing_test"] is None
    assert row["mean_test"] is None


def test_a_folder_without_features_is_an_error_that_says_so(tmp_path):
    with pytest.raises(DataError, match=r"features\.json"):
        room.drift(tmp_path)


histograms = st.integers(1, 12).flatmap(
    lambda n: st.tuples(*(st.lists(st.integers(0, 1000), min_size=n, max_size=n).filter(any) for _ in range(2)))
)


@given(histograms)
def test_psi_is_a_symmetric_distance(pair):
    expected, actual = pair
    assert room.psi(expected, actual) >= 0
    assert room.psi(expected, actual) == pytest.approx(room.psi(actual, expected))
    assert room.psi(expected, expected) == 0
    assert room.psi([*expected, 0], [*actual, 0]) == room.psi(expected, actual)
