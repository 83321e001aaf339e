"""A recipe on workers: the same rows as in one process, also when workers are killed; and what is told before."""

import os
import signal
import threading
import time
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aifactory_lab import cluster, datasets, etl
from aifactory_lab.errors import DeviceError
from aifactory_lab.etl import cuts, scale_out, slices
from aifactory_lab.etl.contracts import ContractError
from aifactory_lab.etl.features import SPEC, TABLE
from tests.etl.sample import material

RAW = datasets.load("flights")
RECIPE = etl.recipes.flights()


@pytest.fixture(scope="module")
def here():
    with cluster.start("cpu", workers=2) as workers:
        yield workers


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return material(tmp_path_factory.mktemp("sample"))


def rows(folder) -> pl.DataFrame:
    return pl.read_parquet(folder / TABLE).sort(RECIPE.keys)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    etl.run(RECIPE, RAW, out=folder, engine="cpu", progress=False)
    return rows(folder)


def test_two_workers_write_what_one_process_writes(here, alone, tmp_path):
    report = etl.run(RECIPE, RAW, out=tmp_path, engine="cluster", client=here.client, progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [SPEC, TABLE]
    assert_frame_equal(rows(tmp_path), alone, check_exact=True)
    assert (report.made, report.details["slices"], report.details["engine"]) == (327_346, 2, "cluster")
    assert "workers=2, cpu" in report.details["reason"]


def test_the_slices_are_joined_in_the_order_of_time_with_the_schema_of_one_process(here, small, tmp_path):
    parts = slices.plan(RECIPE, small, 1_500)
    assert len(parts) > 3
    paths = tmp_path / "workers.parquet", tmp_path / "process.parquet"
    assert list(scale_out.write(here.client, RECIPE, small, parts, paths[0])) == [part.rows for part in parts]
    assert list(slices.write(RECIPE, small, parts, paths[1])) == [part.rows for part in parts]
    files = [pl.read_parquet(path) for path in paths]
    assert files[0].schema == files[1].schema
    edges = [part.rows for part in parts]
    assert (
        files[0]["sched_dep"].slice(0, edges[0] // 2).max() <= files[0]["sched_dep"].slice(sum(edges[:2]), None).min()
    )
    assert_frame_equal(*(file.sort(RECIPE.keys) for file in files), check_exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["process.parquet", "workers.parquet"]


def test_a_worker_killed_in_the_middle_loses_nothing(here, alone, tmp_path):
    """Both workers are killed in turn while they compute; nannies start them again."""
    before = here.workers["pid"].to_list()
    killer = threading.Thread(target=kill_each_when_busy, args=(here.client, before))
    killer.start()
    parts = slices.plan(RECIPE, RAW, 60_000)
    assert sum(scale_out.write(here.client, RECIPE, RAW, parts, tmp_path / TABLE)) == 336_776
    killer.join()
    assert_frame_equal(rows(tmp_path), alone, check_exact=True)
    assert [path.name for path in tmp_path.iterdir()] == [TABLE], "no fragment of the killed workers is left"
    here.client.wait_for_workers(2, timeout=60)
    assert not set(before) & set(here.workers["pid"])


def kill_each_when_busy(client, pids) -> None:
    for pid in pids:
        while not any(client.processing().values()):
            time.sleep(0.01)
        time.sleep(0.2)
        os.kill(pid, signal.SIGKILL)


def test_without_a_client_it_starts_workers_and_stops_them(small, tmp_path, monkeypatch):
    monkeypatch.setenv("AIFACTORY_DEVICE", "cpu")
    report = etl.run(RECIPE, small, out=tmp_path, engine="cluster", progress=False)
    assert report.details["reason"].startswith("cluster was asked for: cpu")
    assert_frame_equal(rows(tmp_path), RECIPE.query(small.tables).collect().sort(RECIPE.keys), check_exact=True)


def test_a_client_chooses_the_cluster_and_no_other_engine_takes_one(here, small, tmp_path):
    report = etl.run(RECIPE, small, out=tmp_path, client=here.client, progress=False)
    assert report.details["reason"].startswith("auto: a client was given")
    with pytest.raises(DeviceError, match="engine 'in-memory' runs in this process and has no use for a client"):
        etl.run(RECIPE, small, out=tmp_path, engine="in-memory", client=here.client)


def test_a_broken_file_is_told_as_in_one_process(here, small, tmp_path):
    """Its footer is whole, so only the worker that reads it sees the damage."""
    bad = tmp_path / "flights.parquet"
    data = bytearray(small.paths["flights"][0].read_bytes())
    data[1_000:20_000] = bytes(19_000)
    bad.write_bytes(bytes(data))
    raw = datasets.RawMaterial("bad", {**small.paths, "flights": (bad,)})
    with pytest.raises(ContractError, match=r"flights\.parquet"):
        etl.run(RECIPE, raw, out=tmp_path / "out", engine="cluster", client=here.client, progress=False)
    assert not (tmp_path / "out" / TABLE).exists()


def test_a_cluster_without_workers_is_said(small, tmp_path):
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        Client(empty) as client,
        pytest.raises(DeviceError, match="has no workers"),
    ):
        etl.run(RECIPE, small, out=tmp_path, client=client)


def test_a_worker_that_dies_while_it_is_asked_does_not_speak_for_the_others(here):
    here.client.wait_for_workers(2, timeout=60)
    before = here.workers["pid"].to_list()
    threading.Timer(0.2, os.kill, (before[0], signal.SIGKILL)).start()
    stop = time.monotonic() + 60
    while time.monotonic() < stop and before[0] in here.workers["pid"].to_list():
        assert scale_out.compute(here.client).kind == "cpu"
    here.client.wait_for_workers(2, timeout=60)


def test_a_scheduler_that_is_gone_is_said_and_leaves_nothing(small, tmp_path):
    from distributed import Client, LocalCluster

    lone = LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0")
    with Client(lone) as client:
        client.submit(time.sleep, 0).result()
        parts = slices.plan(RECIPE, small, 500)
        rows_done = scale_out.write(client, RECIPE, small, parts, tmp_path / TABLE)
        next(rows_done)
        rows_done.close()
        assert [path.name for path in tmp_path.iterdir()] == [TABLE], "an abandoned run takes its parts away"
        lone.close()
        with pytest.raises(DeviceError, match=r"is gone|has no workers"):
            scale_out.run(RECIPE, small, tmp_path / "again", progress=False, client=client)
    assert not (tmp_path / "again").exists()


def test_slices_fill_the_workers_evenly():
    for count in (1, 2, 3):
        assert len(scale_out.plan(RECIPE, RAW, count)) == count
    assert len(scale_out.plan(RECIPE, RAW, 2, rows=100_000)) == 4


def test_the_plan_tells_which_steps_are_cut_and_what_they_compute_twice():
    told = etl.distribution(RECIPE)
    assert told["step"].to_list() == [step.name for step in RECIPE.steps]
    again = dict(told.select("step", "again").iter_rows())
    assert (again["counts"], again["encodings"], again["departures"]) == (
        RECIPE.reach.before,
        RECIPE.reach.before,
        RECIPE.reach.near,
    )
    why = dict(told.select("step", "why").iter_rows())
    assert "shift over a key" in why["previous leg"]
    assert why["planes"].startswith("row by row")
    assert set(told["on CPU workers"]) == {cuts.SLICED}


def test_a_step_without_a_time_and_a_recipe_without_a_reach_do_not_distribute():
    step = etl.recipes.Step("ports", "airports by name", "ports", lambda tables: tables["airports"].select("faa"))
    told = etl.distribution(replace(RECIPE, steps=(step, *RECIPE.steps)))
    assert told.row(0) == ("ports", "ports", cuts.WHOLE, timedelta(0), "reads only tables without a time to cut by")
    none = replace(RECIPE, reach=None)
    assert set(etl.distribution(none)["on CPU workers"]) == {cuts.ONE}
    assert len(scale_out.plan(none, RAW, 2, rows=100_000)) == 1


def test_the_overlap_is_what_the_slices_really_read(small):
    """Rows counted by day against rows counted by reading each slice's own reach."""
    parts = slices.plan(RECIPE, RAW, 100_000)
    reach, flights = RECIPE.reach, RAW["flights"].select("time_hour").collect()["time_hour"]
    hours = flights.str.to_datetime(slices.FORMAT).dt.date()
    read = sum(
        (
            (hours >= (part.start - reach.before if part.start else hours.min())) & (hours < (part.end or hours.max()))
        ).sum()
        for part in parts
    )
    assert 1.5 < read / len(hours) < cuts.overlap(RECIPE, RAW, parts) < 3
    assert cuts.overlap(RECIPE, small, slices.plan(RECIPE, small)) == 1.0
