"""Rows by slice of time, and contracts on the feature table."""

import numpy as np
import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.etl.features import TABLE, FeatureSpec
from aifactory_lab.train.table import Table


def test_slices_part_the_rows_and_never_look_ahead(features):
    table = Table.open(features)
    count = {part: len(table.rows(part)) for part in ("learn", "valid", "train", "test")}
    assert count["learn"] + count["valid"] == count["train"]
    assert count["train"] + count["test"] == table.lazy.select(pl.len()).collect().item()
    assert count["valid"] / count["train"] == pytest.approx(0.15, abs=0.01)
    assert table.rows("learn").day.max() <= table.rows("valid").day.min()
    assert table.rows("train").day.max() <= table.rows("test").day.min()


def test_only_honest_groups_are_read_unless_a_leak_is_asked_for(features):
    assert "dep_delay" not in Table.open(features).columns
    assert Table.open(features, ("leak",)).rows("test").x.shape[1] == 1


def test_missing_values_are_nan_in_float32(features):
    rows = Table.open(features, ("plane",)).rows("test")
    assert rows.x.dtype == np.float32
    assert rows.x.flags.c_contiguous
    assert np.isnan(rows.x).any()


def test_features_carry_the_range_and_missing_share_of_training(features):
    table = Table.open(features, ("schedule", "plane"))
    by_name = {feature.name: feature for feature in table.features()}
    train = table.rows("train").x[:, table.columns.index("hour")]
    assert (by_name["hour"].minimum, by_name["hour"].maximum) == (train.min(), train.max())
    assert by_name["hour"].missing_share == 0
    assert 0.1 < by_name["seats"].missing_share < 0.2
    assert by_name["hour"].description == "scheduled hour, local"


def rewrite(features, folder, change):
    """Copy a feature table with one change to its frame."""
    change(pl.read_parquet(features / TABLE)).write_parquet(folder / TABLE)
    FeatureSpec.load(features).save(folder)
    return folder


def test_a_promised_column_that_is_missing_is_named(features, tmp_path):
    rewrite(features, tmp_path, lambda frame: frame.drop("humid"))
    with pytest.raises(DataError, match=r"lacks 'humid', which features.json promises"):
        Table.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (pl.col("late") * 0, "learn slice .* holds only late = 0"),
        (pl.lit("train").alias("split"), "test slice .* holds no rows"),
        (pl.lit("test").alias("split"), "no training rows"),
    ],
)
def test_a_slice_without_both_classes_is_refused(features, tmp_path, change, found):
    rewrite(features, tmp_path, lambda frame: frame.with_columns(change))
    with pytest.raises(DataError, match=found):
        Table.open(tmp_path)


def test_no_table_no_spec_and_no_such_slice(features, tmp_path):
    with pytest.raises(DataError, match="is not a feature specification"):
        Table.open(tmp_path)
    FeatureSpec.load(features).save(tmp_path)
    with pytest.raises(DataError, match=r"has no features.parquet"):
        Table.open(tmp_path)
    with pytest.raises(DataError, match="no slice 'future'"):
        Table.open(features).rows("future")
    with pytest.raises(DataError, match="not a share"):
        Table.open(features, validation=1.5)


def test_the_content_hash_changes_with_the_table(features, tmp_path):
    rewrite(features, tmp_path, lambda frame: frame.with_columns(pl.col("hour") + 1))
    assert Table.open(tmp_path).content_hash != Table.open(features).content_hash
