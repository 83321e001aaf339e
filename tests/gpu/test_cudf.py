"""One step written natively in cuDF and in pandas under `cudf.pandas`: the names are there, the results agree."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from aifactory_lab import datasets

pytestmark = pytest.mark.rapids

# The step "departures of an origin in an hour", as a pandas user writes it; `sys.argv` gives Parquet in, JSON out.
STEP = """
import json, sys
import pandas as pd

flights = pd.read_parquet(sys.argv[1], columns=["origin", "time_hour", "dep_delay"])
flights["time_hour"] = pd.to_datetime(flights["time_hour"], format="%Y-%m-%dT%H:%M:%SZ")
hours = flights.groupby(["origin", "time_hour"], as_index=False).agg(
    departures=("dep_delay", "size"), delay=("dep_delay", "mean")
)
hours = hours.sort_values(["origin", "time_hour"]).reset_index(drop=True)
module = type(pd).__module__ + " " + type(pd.DataFrame).__module__
with open(sys.argv[2], "w") as out:
    json.dump({"by": module, "departures": hours["departures"].tolist(), "delay": hours["delay"].tolist()}, out)
"""


@pytest.fixture(scope="module")
def flights(tmp_path_factory) -> Path:
    """The flights of two weeks."""
    path = tmp_path_factory.mktemp("cudf") / "flights.parquet"
    datasets.load("flights")["flights"].filter(pl.col("month") == 1, pl.col("day") <= 14).sink_parquet(path)
    return path


def run(*command: str, script: Path, flights: Path, out: Path) -> dict[str, list[float]]:
    script.write_text(STEP)
    done = subprocess.run(
        [sys.executable, *command, str(script), str(flights), str(out)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())


def test_pandas_code_runs_unchanged_under_cudf_pandas(flights, tmp_path):
    script = tmp_path / "step.py"
    plain = run(script=script, flights=flights, out=tmp_path / "plain.json")
    proxied = run("-m", "cudf.pandas", script=script, flights=flights, out=tmp_path / "proxied.json")
    assert "cudf" not in plain["by"]
    assert "cudf.pandas" in proxied["by"]
    assert proxied["departures"] == plain["departures"]
    assert proxied["delay"] == pytest.approx(plain["delay"], nan_ok=True)


def test_the_same_step_in_polars_agrees(flights, tmp_path):
    plain = run(script=tmp_path / "step.py", flights=flights, out=tmp_path / "plain.json")
    hours = pl.scan_parquet(flights).group_by("origin", "time_hour").agg(n=pl.len(), delay=pl.col("dep_delay").mean())
    hours = hours.sort("origin", "time_hour").collect()
    assert hours["n"].to_list() == plain["departures"]
    known = [(ours, theirs) for ours, theirs in zip(hours["delay"], plain["delay"], strict=True) if ours is not None]
    assert [ours for ours, _ in known] == pytest.approx([theirs for _, theirs in known])


def test_the_names_of_native_cudf_are_there():
    """The same step in cuDF's own words; running it needs a GPU, its names and parameters do not."""
    import cudf

    inspect.signature(cudf.read_parquet).bind("flights.parquet", columns=["origin"])
    inspect.signature(cudf.to_datetime).bind(None, format="%Y-%m-%dT%H:%M:%SZ")
    inspect.signature(cudf.DataFrame.groupby).bind(None, ["origin", "time_hour"], as_index=False)
    inspect.signature(cudf.DataFrame.merge).bind(None, None, on=["origin"], how="left")
    inspect.signature(cudf.DataFrame.sort_values).bind(None, ["origin", "time_hour"])
    inspect.signature(cudf.DataFrame.to_parquet).bind(None, "hours.parquet")
    for name in ("from_pandas", "concat", "Series"):
        assert hasattr(cudf, name)
    assert callable(cudf.DataFrame.to_pandas)
    assert callable(cudf.DataFrame.reset_index)


def test_dask_cudf_is_there_for_several_gpus():
    import dask_cudf

    inspect.signature(dask_cudf.read_parquet).bind("flights/*.parquet")
