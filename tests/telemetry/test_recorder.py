"""The recorder: in bounded memory, beside a sampler that it never disturbs, whatever happens to kernel and disk."""

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import psutil
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import Recording, journal, record
from aifactory_lab.telemetry.hooks import FunctionSource
from aifactory_lab.telemetry.journal import Event
from aifactory_lab.telemetry.readings import Layout, Snapshot
from aifactory_lab.telemetry.recordings import damage, recorder
from aifactory_lab.telemetry.recordings.gathering import Gathering
from aifactory_lab.telemetry.sampler import watch
from tests.telemetry.runs import T0, plant, recorded, snapshots

RECORDING_CHILD = """
    import sys, time, numpy as np
    from aifactory_lab import telemetry
    from aifactory_lab.telemetry.hooks import Entity, FunctionSource, Layout
    layout = Layout((Entity(("gpu 0",)),), ("made", "busy"))
    count = 0
    def function(now):
        global count
        count += 1
        print(count, flush=True)
        return np.array([[float(count), 50.0]])
    sampler = telemetry.watch(FunctionSource(layout, function), period=0.01)
    {limit}
    recorder = telemetry.record(sampler, {path!r}, every=0.1)
    {then}
"""


def child(path: Path, then: str = "time.sleep(600)", limit: str = "") -> subprocess.Popen:
    code = textwrap.dedent(RECORDING_CHILD).format(path=str(path), then=then, limit=limit)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def living(layout: Layout, key: str = "runs"):
    """Return a sampler of changing values that runs by itself."""
    return watch(FunctionSource(layout, lambda now: np.full(layout.shape, now % 100), key=key), period=0.01)


def no_bands(since: float) -> tuple[()]:
    """Tell of no station."""
    return ()


def wait_for(condition) -> None:
    """Wait until something holds; the test's own time limit ends it."""
    while not condition():
        time.sleep(0.01)


def test_it_records_until_it_is_closed(tmp_path):
    with living(plant(2)) as sampler:
        kept = record(sampler, tmp_path / "runs" / "night", every=0.05)
        wait_for(lambda: kept.samples >= 30)
        assert kept.running
        assert kept.path == tmp_path / "runs" / "night.recording"
        assert "recording" in repr(kept)
        kept.close()
        kept.close()
        assert (kept.running, kept.error, kept.missed) == (False, None, 0)
        assert kept.path == tmp_path / "runs" / "night.parquet"
        recording = Recording.open(kept.path)
        assert 30 <= recording.samples == kept.samples
        assert not [t for t in threading.enumerate() if "recorder" in t.name]
        assert sampler.running


def test_flush_writes_what_waits(tmp_path):
    with living(plant(1)) as sampler, record(sampler, tmp_path / "run", every=600) as kept:
        sampler.first()
        wait_for(lambda: kept.samples)
        kept.flush()
        assert Recording.open(kept.path).samples >= 1


def test_a_name_that_is_taken_is_refused_or_given_up(tmp_path):
    recorded(tmp_path / "run", snapshots(plant(1), 3))
    with living(plant(1)) as sampler:
        with pytest.raises(TelemetryError, match=r"there is a recording .*run\.parquet already") as caught:
            record(sampler, tmp_path / "run.parquet")
        assert "overwrite=True" in caught.value.mend
        first = record(sampler, tmp_path / "run", overwrite=True, every=600)
        second = record(sampler, tmp_path / "run", overwrite=True, every=600)
        wait_for(lambda: second.samples)
        assert not first.running
        second.close()
        assert second.error is None
        assert Recording.open(tmp_path / "run").start > T0


def test_a_table_of_that_name_is_never_removed(tmp_path):
    pl.DataFrame({"flight": [1, 2]}).write_parquet(tmp_path / "flights.parquet")
    with living(plant(1)) as sampler, pytest.raises(TelemetryError, match="not a recording"):
        record(sampler, tmp_path / "flights", overwrite=True)
    assert pl.read_parquet(tmp_path / "flights.parquet").height == 2


def test_stations_that_cannot_be_told_cost_no_reading(tmp_path):
    def silent(since: float):
        raise ValueError("nobody at the desk")

    with living(plant(1)) as sampler, record(sampler, tmp_path / "run", bands=silent) as kept:
        wait_for(lambda: kept.samples)
        kept.flush()
        assert kept.running
    assert "nobody at the desk" in kept.note
    assert kept.note in repr(kept)
    assert Recording.open(kept.path).samples == kept.samples


@pytest.mark.parametrize("every", [0, -1, float("nan")])
def test_every_must_be_positive(tmp_path, every):
    with living(plant(1)) as sampler, pytest.raises(TelemetryError, match="must be a positive number of seconds"):
        record(sampler, tmp_path / "run", every=every)


def test_nothing_recorded_is_said(tmp_path):
    with living(plant(1)) as sampler:
        sampler._done.set()
        sampler._thread.join()
        with record(sampler, tmp_path / "run") as kept:
            pass
    assert "nothing was recorded" in kept.error.what
    assert list(tmp_path.iterdir()) == []


def test_a_slow_disk_costs_samples_not_memory_and_the_gap_is_known(tmp_path, monkeypatch):
    layout = plant(2)
    samples = snapshots(layout, 30)
    size = samples[0].values.nbytes + samples[0].states.nbytes
    monkeypatch.setattr(recorder, "MEMORY_BYTES", 10 * size)
    with living(layout) as sampler:
        kept = record(sampler, tmp_path / "run", every=600, bands=no_bands)
        kept._end()
        with kept._disk:  # the disk hangs: the recorder's thread waits for it
            for sample in samples[:20]:
                kept._hear(sampler, sample)
            assert len(kept._waiting) <= 10
        kept.flush()
        for sample in samples[20:]:
            kept._hear(sampler, sample)
        kept.close()
    recording = Recording.open(kept.path)
    missed = kept.missed
    assert missed >= 9
    assert recording.samples == kept.samples
    assert f"samples {20 - missed} to 19 are missing, before" in recording.damage


def test_a_killed_kernel_loses_no_more_than_the_last_moments(tmp_path):
    process = child(tmp_path / "run")
    lines = iter(process.stdout)
    while int(next(lines)) < 400:
        pass
    process.send_signal(signal.SIGKILL)
    told = [int(line) for line in [*lines, "0"]]
    process.communicate()
    recording = Recording.open(tmp_path / "run")
    made = recording.history().series("gpu 0", "made")[1]
    assert recording.damage == damage.NOT_CLOSED
    assert (np.diff(made) == 1).all(), "no sample in between is missing or twice"
    # `every` is 10 samples; a loaded machine may take some more to write them
    assert max(400, *told) - made[-1] < 150


def test_a_kernel_that_ends_without_closing_leaves_a_finished_file(tmp_path):
    process = child(tmp_path / "run", then="time.sleep(0.3)")
    _, complaints = process.communicate()
    assert (process.returncode, complaints) == (0, "")
    assert Recording.open(tmp_path / "run").path.name == "run.parquet"
    assert not (tmp_path / "run.recording").exists()


def test_a_full_disk_ends_the_recording_and_not_the_sampling(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))"  # a part fits, a merge does not
    then = """
while recorder.running: time.sleep(0.01)
    before = count
    while count < before + 5: time.sleep(0.01)
    recorder.close()
    print(sampler.running, sampler.error, recorder.error, file=sys.stderr)"""
    process = child(
        tmp_path / "run", then=textwrap.dedent(then.replace("\nwhile", "\n    while", 1)).strip(), limit=limit
    )
    _, complaints = process.communicate()
    assert process.returncode == 0
    assert complaints.startswith("True  ")
    assert "took no more" in complaints
    assert "samples are kept" in complaints
    assert "mend: telemetry.Recording.open(" in complaints
    recording = Recording.open(tmp_path / "run")
    assert recording.samples > 0
    assert (np.diff(recording.history().series("gpu 0", "made")[1]) == 1).all()
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_folder_that_vanishes_stops_the_recorder(tmp_path):
    with living(plant(1)) as sampler:
        kept = record(sampler, tmp_path / "run", every=600, bands=no_bands)
        wait_for(lambda: kept.samples)
        kept.path.rmdir()
        kept.path.write_text("in the way")
        kept.flush()
        assert not kept.running
        assert "took no more" in kept.error.what
        assert sampler.running
        kept.close()
        assert "stopped: " in repr(kept)


def test_a_folder_that_cannot_be_written_is_said_at_once(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with living(plant(1)) as sampler, pytest.raises(TelemetryError, match="cannot be written"):
        record(sampler, tmp_path / "file" / "run")


def test_stations_of_this_process_are_kept(tmp_path):
    with living(plant(1)) as sampler, record(sampler, tmp_path / "run", every=0.05) as kept:
        wait_for(lambda: kept.samples)
        journal.publish(Event("begin", "etl", run := journal.new_run(), unit="rows"))
        journal.publish(Event("end", "etl", run, unit="rows", made=123, seconds=0.5, joules=70.0))
        wait_for(lambda: kept.samples > 20)
    (band,) = [band for band in Recording.open(kept.path).events if band.station == "etl"]
    assert (band.made, band.unit, band.joules) == (123, "rows", 70.0)
    assert band.stop >= band.start


def test_a_day_of_eight_gpus_is_small_on_disk_and_in_memory(tmp_path):
    layout, random, place = plant(8), np.random.default_rng(0), plant(8).columns
    states, counter = np.zeros(layout.shape, dtype=np.uint8), np.zeros(8)
    kept = Gathering(tmp_path / "day")
    process, lot, most_files, memory = psutil.Process(), 300, 0, []
    for start in range(0, 86_400, lot):
        load = np.clip((start // 600) % 4 / 3 + random.normal(0, 0.05, (lot, 8)), 0, 1)
        values = np.repeat(np.round(100 * load)[:, :, None], 24, axis=2)
        values[:, :, place["power"]] = power = np.round(90 + 600 * load, 3)
        values[:, :, place["energy"]] = counter + np.cumsum(power, axis=0)
        counter = values[-1, :, place["energy"]]
        for name in ("pcie_rx", "pcie_tx", "nvlink_rx", "nvlink_tx"):
            values[:, :, place[name]] = 1e10 * random.random((lot, 8))
        samples = [Snapshot(T0 + start + second, layout, values[second], states) for second in range(lot)]
        kept.add(samples)
        most_files = max(most_files, len(list(kept.folder.iterdir())))
        memory.append(process.memory_info().rss)
    recording = Recording.open(kept.finish())
    assert recording.samples == 86_400
    assert recording.path.stat().st_size < 30e6
    assert most_files < 64
    assert max(memory) - memory[len(memory) // 8] < 200e6
    assert len(recording.history(step=60)) == 1440
