import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import polars as pl
import pytest

from aifactory_lab.errors import DataError
from aifactory_lab.etl.features import FeatureSpec
from aifactory_lab.serve.scoring import score
from tests.serve.conftest import FEATURES


@pytest.fixture
def table(tmp_path, flights):
    path = tmp_path / "features.parquet"
    flights.write_parquet(path, row_group_size=5_000)
    return path


def test_every_row_gets_its_prediction_and_keeps_its_keys(table, tmp_path, flights, rows, bundle, predictor):
    report = score(predictor, table, tmp_path / "out.parquet", slice_rows=7_000)
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.columns == ["tailnum", "late", "probability", "decision"]
    assert found.schema["probability"] == pl.Float32
    assert found["tailnum"].equals(flights["tailnum"])
    np.testing.assert_allclose(found["probability"], bundle.model().inplace_predict(rows), atol=1e-6)
    assert found["decision"].equals(found["probability"] >= 0.3)
    assert (report.made, report.unit, report.details["refused"]) == (len(flights), "predictions", 0)
    assert report.details["decisions"] == found["decision"].sum()
    assert (report.bytes_in, report.bytes_out) == (table.stat().st_size, (tmp_path / "out.parquet").stat().st_size)


def test_a_bundle_and_its_folder_serve_as_well(table, tmp_path, bundle, predictor):
    outs = []
    for place, model in enumerate((predictor, bundle, bundle.folder)):
        score(model, table, tmp_path / f"{place}.parquet")
        outs.append(pl.read_parquet(tmp_path / f"{place}.parquet")["probability"])
    for out in outs[1:]:
        np.testing.assert_allclose(out, outs[0], atol=1e-6)


def test_the_size_of_the_slices_does_not_matter(table, tmp_path, predictor):
    answers = []
    for size in (999, 100_000):
        score(predictor, table, tmp_path / "out.parquet", slice_rows=size)
        answers.append(pl.read_parquet(tmp_path / "out.parquet")["probability"].to_numpy())
    np.testing.assert_allclose(*answers, atol=1e-6)


def test_folders_and_lists_are_read_in_order(tmp_path, flights, predictor):
    folder = tmp_path / "parts"
    folder.mkdir()
    for part, start in enumerate(range(0, 3_000, 1_000)):
        flights[start : start + 1_000].write_parquet(folder / f"{part}.parquet")
    score(predictor, folder, tmp_path / "a.parquet")
    score(predictor, sorted(folder.iterdir()), tmp_path / "b.parquet")
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.read_parquet(tmp_path / "b.parquet"))
    assert pl.read_parquet(tmp_path / "a.parquet")["tailnum"].equals(flights["tailnum"][:3_000])


def test_a_folder_of_the_etl_is_its_feature_table(table, tmp_path, predictor, flights):
    pl.DataFrame({"feature": ["hour"], "psi": [0.1]}).write_parquet(tmp_path / "drift.parquet")
    assert score(predictor, tmp_path, tmp_path / "out" / "scored.parquet").made == len(flights)


def test_kept_columns_can_be_named_features_included(table, tmp_path, predictor, flights):
    score(predictor, table, tmp_path / "out.parquet", keep=["hour", "tailnum"])
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert found.columns == ["hour", "tailnum", "probability", "decision"]
    assert found["hour"].equals(flights["hour"])


def test_features_of_other_models_are_not_carried_over(table, tmp_path, predictor, flights):
    flights.with_columns(dep_delay=pl.lit(3.0, pl.Float32)).write_parquet(table)
    spec = FeatureSpec("late", "time", "split", {"all": tuple(FEATURES), "leak": ("dep_delay",)}, leaks=("leak",))
    spec.save(table.parent)
    score(predictor, table, tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").columns == ["tailnum", "late", "probability", "decision"]


def test_integers_and_nulls_are_read_as_the_model_was_trained(table, tmp_path, predictor, rows, flights):
    flights.with_columns(pl.col("month", "hour").cast(pl.Int32)).write_parquet(table)
    score(predictor, table, tmp_path / "out.parquet")
    np.testing.assert_allclose(pl.read_parquet(tmp_path / "out.parquet")["probability"], predictor(rows), atol=1e-6)


def test_rows_with_infinite_values_get_null_and_are_counted(table, tmp_path, predictor, flights):
    hour = pl.when(pl.int_range(pl.len()) % 100 == 7).then(float("inf")).otherwise(pl.col("hour")).cast(pl.Float32)
    flights[:1_000].with_columns(hour=hour).write_parquet(table)
    report = score(predictor, table, tmp_path / "out.parquet")
    found = pl.read_parquet(tmp_path / "out.parquet")
    assert report.details["refused"] == found["probability"].null_count() == found["decision"].null_count() == 10
    assert found["probability"][7] is None


def test_an_empty_table_gives_an_empty_one(table, tmp_path, predictor, flights):
    flights[:0].write_parquet(table)
    assert score(predictor, table, tmp_path / "out.parquet").made == 0
    assert pl.read_parquet(tmp_path / "out.parquet").columns == ["tailnum", "late", "probability", "decision"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop("temp"), "no column 'temp'"),
        (lambda f: f.with_columns(pl.col("temp").cast(pl.String)), "'temp' should hold numbers, found"),
        (lambda f: f.with_columns(probability=1.0), "'probability' to keep has the name of a result"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_before_anything_is_written(
    change, words, table, tmp_path, predictor, flights
):
    change(flights[:10]).write_parquet(table)
    with pytest.raises(DataError, match=words):
        score(predictor, table, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["features.parquet"]


def test_a_missing_column_to_keep_a_missing_file_and_an_empty_folder_are_named(table, tmp_path, predictor):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no column 'gate' to keep"):
        score(predictor, table, tmp_path / "out.parquet", keep=["gate"])
    with pytest.raises(DataError, match=r"absent.parquet does not exist"):
        score(predictor, tmp_path / "absent.parquet", tmp_path / "out.parquet")
    with pytest.raises(DataError, match="no Parquet file in .*empty"):  # noqa: RUF043
        score(predictor, tmp_path / "empty", tmp_path / "out.parquet")


def test_a_damaged_file_leaves_no_result(table, tmp_path, predictor):
    content = bytearray(table.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 4_000] = bytes(4_000)
    table.write_bytes(content)
    with pytest.raises(DataError, match=r"features.parquet cannot be read to its end"):
        score(predictor, table, tmp_path / "out.parquet")
    table.write_bytes(content[:5_000])
    with pytest.raises(DataError, match=r"features.parquet is not a Parquet file, or is damaged"):
        score(predictor, table, tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["features.parquet"]


SCORE = """
    import resource, sys
    from aifactory_lab import serve
    report = serve.score(sys.argv[1], sys.argv[2], sys.argv[3], slice_rows=8_192)
    print(report.made, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run_scoring(*words) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(SCORE), *map(str, words)]


def test_memory_does_not_grow_with_the_table(table, tmp_path, bundle, predictor, flights):
    peaks = []
    for copies in (1, 12):
        pl.concat([flights] * copies).write_parquet(table, row_group_size=20_000)
        done = subprocess.run(
            run_scoring(bundle.folder, table, tmp_path / "out.parquet"), capture_output=True, text=True, check=True
        )
        made, peak = map(int, done.stdout.split())
        assert made == copies * len(flights)
        peaks.append(peak)
    assert peaks[1] < peaks[0] * 1.15


def test_a_killed_scoring_leaves_nothing_to_believe(table, tmp_path, bundle, predictor, flights):
    pl.concat([flights] * 25).write_parquet(table, row_group_size=20_000)
    out = tmp_path / "out.parquet"
    process = subprocess.Popen(run_scoring(bundle.folder, table, out), stdout=subprocess.DEVNULL)
    started = time.monotonic()
    while not list(tmp_path.glob(".out.parquet.partial-*")) and time.monotonic() - started < 60:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    assert score(predictor, table, out).made == 25 * len(flights)
