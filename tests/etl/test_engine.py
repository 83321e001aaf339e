"""Runs: the agreed files, the choice of engine, and what a killed or starved run leaves behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aifactory_lab import datasets, device, etl
from aifactory_lab.errors import DataError, DeviceError, WorkspaceError
from aifactory_lab.etl import engine, recipes, slices
from aifactory_lab.etl.features import SPEC, TABLE, FeatureSpec
from tests.etl.sample import material

RAW = datasets.load("flights")
RECIPE = recipes.flights()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return material(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features")
    return folder, etl.run(RECIPE, RAW, out=folder, engine="cpu", progress=False)


def test_a_run_leaves_the_agreed_files_and_nothing_else(done):
    folder, report = done
    assert sorted(path.name for path in folder.iterdir()) == [SPEC, TABLE]
    assert FeatureSpec.load(folder) == RECIPE.spec
    assert report.made == pl.scan_parquet(folder / TABLE).select(pl.len()).collect().item() == 327_346


def test_the_report_says_what_moved_and_why_this_engine(done):
    folder, report = done
    assert (report.station, report.unit, report.device) == ("etl", "rows", "cpu")
    assert report.bytes_in == RAW.bytes
    assert report.bytes_out == (folder / TABLE).stat().st_size
    assert report.peak_memory_bytes > 0
    assert report.details == {"recipe": "flights", "engine": "cpu", "reason": "cpu was asked for", "slices": 1}
    json.dumps(report.to_dict())


def test_the_in_memory_engine_agrees_with_streaming(small, tmp_path):
    keys, frames = list(RECIPE.keys), []
    for name in ("cpu", "in-memory"):
        etl.run(RECIPE, small, out=tmp_path / name, engine=name, progress=False)
        frames.append(pl.read_parquet(tmp_path / name / TABLE).sort(keys))
    assert_frame_equal(*frames, check_exact=True)


@pytest.mark.parametrize("rows", [1_000_000, 2_000])
def test_the_bar_can_be_seen_and_can_be_silent(small, tmp_path, capfd, monkeypatch, rows):
    monkeypatch.setattr(slices.plan, "__defaults__", (rows,))
    etl.run(RECIPE, small, out=tmp_path, engine="cpu", progress=False)
    assert "flights" not in "".join(capfd.readouterr())
    etl.run(RECIPE, small, out=tmp_path, engine="cpu")
    assert "flights" in "".join(capfd.readouterr())


def test_an_unknown_engine_is_answered_with_the_list(tmp_path):
    with pytest.raises(
        DeviceError, match="unknown engine 'spark'; it must be one of auto, cpu, in-memory, gpu, cluster"
    ):
        etl.run(RECIPE, RAW, out=tmp_path, engine="spark")


def test_a_gpu_that_is_not_there_is_refused_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    with pytest.raises(DeviceError, match="engine 'gpu' needs a GPU, but the device is cpu: cpu was asked for by"):
        etl.run(RECIPE, RAW, out=tmp_path / "never", engine="gpu")
    assert not (tmp_path / "never").exists()


def test_auto_follows_the_device(monkeypatch):
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert engine.choose("auto").engine == "cpu"
    assert engine.choose("auto").reason == "auto: cpu was asked for by AIFACTORY_DEVICE"


def test_material_that_breaks_the_contract_is_refused_before_anything_is_written(tmp_path):
    bad = tmp_path / "flights.parquet"
    RAW["flights"].drop("tailnum").sink_parquet(bad)
    raw = datasets.RawMaterial("mine", {**RAW.paths, "flights": (bad,)})
    with pytest.raises(DataError, match=r"flights\.parquet: column 'tailnum'"):
        etl.run(RECIPE, raw, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


RUN = """
import sys
from pathlib import Path
from aifactory_lab import datasets, etl
from aifactory_lab.datasets.copies import multiply
from aifactory_lab.etl import slices
slices.plan.__defaults__ = (200_000,)
raw = multiply(datasets.load("flights"), int(sys.argv[2]), Path(sys.argv[3]))
report = etl.run(etl.recipes.flights(), raw, out=sys.argv[1], engine="cpu", progress=False)
print(report.peak_memory_bytes, report.details["slices"])
"""


def start(*arguments, **kwargs) -> subprocess.Popen:
    command = [sys.executable, "-c", RUN, *map(str, arguments)]
    environment = {**os.environ, "POLARS_MAX_THREADS": "2", "MALLOC_ARENA_MAX": "2"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, **kwargs)


def test_a_killed_run_leaves_nothing_that_looks_finished_and_the_next_one_completes(tmp_path):
    out = tmp_path / "out"
    with start(out, 1, tmp_path) as process:
        while not (fragments := list(out.glob(".*.partial-*"))) and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    assert fragments, "the run was killed while it wrote"
    assert not (out / TABLE).exists()
    with pytest.raises(DataError, match="not a feature specification"):
        FeatureSpec.load(out)
    report = etl.run(RECIPE, RAW, out=out, engine="cpu", progress=False)
    assert report.made == 327_346
    assert sorted(path.name for path in out.iterdir()) == [SPEC, TABLE], "fragments of the killed run are gone"


def test_a_run_killed_over_an_older_result_does_not_pass_the_old_one_off_as_new(tmp_path):
    (tmp_path / SPEC).write_text("{}")
    with start(tmp_path, 1, tmp_path) as process:
        while (tmp_path / SPEC).exists() and process.poll() is None:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(DataError):
        FeatureSpec.load(tmp_path)


@pytest.mark.parametrize("rows", [1_000_000, 2_000])
def test_a_full_disk_is_said_and_nothing_is_believed(small, tmp_path, monkeypatch, rows):
    """A limit on the size of files stands for the full disk: the same error path, without a mount."""
    monkeypatch.setattr(slices.plan, "__defaults__", (rows,))
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, old[1]))
    try:
        with pytest.raises(WorkspaceError, match="cannot be written"):
            etl.run(RECIPE, small, out=tmp_path, engine="cpu", progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        etl.run(RECIPE, RAW, out=tmp_path / "file" / "out", engine="cpu", progress=False)


def test_memory_stays_flat_while_the_data_grows(tmp_path):
    peaks = {}
    for copies in (1, 3):
        with start(tmp_path / f"out{copies}", copies, tmp_path / "data") as process:
            peak, parts = process.communicate(timeout=200)[0].split()
        assert process.returncode == 0
        assert int(parts) == -(-copies * 336_776 // 200_000)
        peaks[copies] = int(peak)
    assert peaks[3] < 1.5 * peaks[1], peaks
