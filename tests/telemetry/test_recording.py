"""Recordings: what goes in comes out, states too; what a kill, a full disk or a torn file leaves is read and named."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import Recording
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.recordings import damage, gathering, parts
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.gathering import Gathering
from tests.telemetry.runs import T0, assert_same, plant, recorded, snapshots

# what goes in comes out


@pytest.mark.parametrize("finish", [True, False])
def test_values_states_and_layout_survive(tmp_path, finish):
    layout = plant(3)
    samples = snapshots(layout, 83)
    recording = Recording.open(recorded(tmp_path / "run", samples, finish=finish))
    assert recording.layout == layout
    assert (recording.samples, recording.seconds, recording.start, recording.period) == (83, 82.0, T0, 1.0)
    assert_same(recording.history(), samples)
    assert recording.damage == ("" if finish else damage.NOT_CLOSED)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.parquet" if finish else "run.recording"]


names = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=6)
layouts = st.builds(
    Layout,
    st.lists(names, min_size=1, max_size=4, unique=True).map(lambda ids: tuple(Entity(("x", i)) for i in ids)),
    st.lists(st.sampled_from(sorted(METRICS)), min_size=0, max_size=5, unique=True).map(tuple),
    st.sampled_from(["measured", "simulated"]),
    names,
)


@st.composite
def runs(draw):
    """Samples of layouts that change, with steps, values, states and notes of every sort."""
    found, now = [], T0
    for layout in draw(st.lists(layouts, min_size=1, max_size=3)):
        for _ in range(draw(st.integers(1, 4))):
            now += draw(st.floats(0.001, 1e4))
            states = draw(hnp.arrays(np.uint8, layout.shape, elements=st.integers(0, 3)))
            values = draw(hnp.arrays(np.float64, layout.shape, elements=st.floats(-(2.0**99), 2.0**99, width=32)))
            values = np.where(states == State.VALUE, values, np.nan)
            notes = tuple(draw(st.lists(names.filter(lambda note: "\n" not in note), max_size=2)))
            found.append(Snapshot(now, layout, values, states, notes))
    return found


@given(samples=runs(), lot=st.integers(1, 9), fan_in=st.integers(2, 3), finish=st.booleans())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_run_comes_back(tmp_path_factory, monkeypatch, samples, lot, fan_in, finish):
    monkeypatch.setattr(gathering, "FAN_IN", fan_in)
    recording = Recording.open(recorded(tmp_path_factory.mktemp("any") / "run", samples, lot=lot, finish=finish))
    assert recording.samples == len(samples)
    for sample in samples:
        back = recording.at(sample.time + 1e-6)
        assert (back.layout, back.notes) == (sample.layout, sample.notes)
        np.testing.assert_array_equal(back.states, sample.states)
        np.testing.assert_array_equal(back.values, sample.values)
    whole = recording.history()
    assert whole.layout == recording.layout
    assert (np.diff(whole.times) > 0).all()


def test_counters_keep_every_digit_and_gauges_seven(tmp_path):
    layout = plant(1, ("energy", "power"))
    exact = Snapshot.blank(layout, time=T0).put(layout.entities[0].id, energy=123_456_789_012.345, power=351.123456789)
    energy, power = Recording.open(recorded(tmp_path / "run", [exact])).history().values[0, 0]
    assert energy == 123_456_789_012.345
    assert power == pytest.approx(351.123456789, rel=1e-7)


def test_any_tool_reads_it(tmp_path):
    layout = plant(2, ("busy", "power"))
    blank = Snapshot.blank(layout, time=T0, state=State.LOST).put(layout.entities[0].id, busy=97.0)
    frame = pl.read_parquet(recorded(tmp_path / "run", [replace(blank, notes=("gpu 1 fell off the bus",))]))
    assert frame.columns == ["time", "entity", "states", "notes", "busy", "power"]
    assert frame["busy"].to_list() == [97.0, None]
    assert frame["states"].to_list() == ["02", "22"]
    assert frame["notes"].to_list() == ["gpu 1 fell off the bus", None]
    assert frame["time"][0].timestamp() == T0


def test_a_change_of_layout_starts_a_new_part_and_the_whole_has_all_entities(tmp_path):
    small, large = plant(1, ("busy", "power")), plant(2, ("busy", "temperature"))
    before, after = snapshots(small, 3), snapshots(large, 4, start=T0 + 3)
    folder = recorded(tmp_path / "run", [*before, *after], lot=100, finish=False)
    assert [path.name for path in sorted(folder.iterdir())] == [parts.part_name(0, 2), parts.part_name(3, 6)]
    recording = Recording.open(recorded(tmp_path / "finished", [*before, *after]))
    assert (len(recording.layout.entities), recording.layout.metrics) == (2, ("busy", "power", "temperature"))
    history = recording.history()
    np.testing.assert_array_equal(history.values[:3, 0, :2], [snapshot.values[0] for snapshot in before])
    assert (history.states[:3, 1] == State.UNSUPPORTED).all()
    assert (history.states[3:, :, 1] == State.UNSUPPORTED).all(), "no power is told any more"


def test_a_clock_that_is_set_back_disorders_nothing(tmp_path):
    layout = plant(1)
    samples = [*snapshots(layout, 5), *snapshots(layout, 5, start=T0 - 3600)]
    history = Recording.open(recorded(tmp_path / "run", samples, lot=3)).history()
    assert (history.times - T0).tolist() == list(range(10))


def test_a_sample_that_says_nothing_new_is_kept_once(tmp_path):
    one = snapshots(plant(1), 1)
    assert Recording.open(recorded(tmp_path / "run", one * 4)).samples == 1


# reading


def test_history_can_be_cut_thinned_and_narrowed(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "CHUNK_BYTES", 20_000)
    layout = plant(2)
    samples = snapshots(layout, 100)
    recording = Recording.open(recorded(tmp_path / "run", samples))
    assert len(recording.chunks) > 1
    assert_same(recording.history(T0 + 10, T0 + 20), samples[10:21])
    assert (recording.history(step=7).times - T0).tolist() == list(range(0, 100, 7))
    narrow = recording.history(step=30, metrics=["power", "busy"])
    assert narrow.layout.metrics == ("power", "busy")
    assert narrow.snapshot(1).reading(layout.entities[1].id, "busy").state == samples[30].states[1, 0]
    assert len(recording.history(T0 + 500)) == 0
    assert recording.frame(step=50).shape == (4, 26)
    with pytest.raises(TelemetryError, match="no metric 'colour'"):
        recording.history(metrics=["colour"])


def test_too_large_a_history_names_the_step_that_fits(tmp_path, monkeypatch):
    monkeypatch.setattr("aifactory_lab.telemetry.recordings.recording.HISTORY_BYTES", 9 * 48 * 10)
    recording = Recording.open(recorded(tmp_path / "run", snapshots(plant(2), 100)))
    with pytest.raises(TelemetryError, match="100 samples of 2 × 24 take") as caught:
        recording.history()
    assert caught.value.mend == "recording.history(step=10)"
    assert len(recording.history(step=10)) == 10


def test_a_moment_is_the_last_sample_before_it(tmp_path):
    samples = snapshots(plant(1), 10)
    recording = Recording.open(recorded(tmp_path / "run", samples))
    assert recording.at(T0 + 4.99).time == T0 + 4
    assert recording.at(T0 - 100).time == T0
    assert recording.at(T0 + 100).time == T0 + 9


def test_it_says_what_it_is(tmp_path):
    band = Band("etl <x>", T0 + 1, T0 + 3, 500, "rows", 700.0)
    layout = plant(8, origin="simulated", label="twin")
    recording = Recording.open(recorded(tmp_path / "night", snapshots(layout, 61), [band]))
    text = "8 × NVIDIA H100 × 24 metrics, 24 Nov 2026 14:02:10 UTC, 60 s, 61 samples, simulated (twin)"
    assert repr(recording) == f"Recording('night': {text})"
    assert "etl &lt;x&gt;: 500 rows in 2.0 s, 700 J" in recording._repr_html_()


def test_saving_makes_one_file_of_what_was_torn(tmp_path):
    samples = snapshots(plant(2), 23)
    torn = Recording.open(recorded(tmp_path / "run", samples, finish=False))
    whole = Recording.open(torn.save(tmp_path / "saved"))
    assert whole.damage == ""
    assert_same(whole.history(), samples)
    with pytest.raises(TelemetryError, match=r"there is a recording .*saved already"):
        torn.save(tmp_path / "saved.parquet")


# the stations


def test_stations_that_others_tell_are_kept_each_once(tmp_path):
    done, undone = Band("etl", T0 + 1, T0 + 4, 9, "rows"), Band("train", T0 + 5)
    samples = snapshots(plant(1), 40)
    folder = recorded(tmp_path / "run", samples, [done, undone, Band("etl", T0 - 50, T0 - 40)], finish=False)
    assert Recording.open(folder).events == (done, undone)
    ended = replace(undone, stop=T0 + 9, joules=700.0)
    other = Gathering(tmp_path / "other")
    other.add(samples[:20], [undone])
    other.add(samples[20:], [ended])
    assert Recording.open(other.finish()).events == (ended,)


# what a killed kernel and a torn file leave


def torn(tmp_path, count: int = 20) -> tuple[list[Snapshot], list[Path]]:
    samples = snapshots(plant(2), count)
    folder = recorded(tmp_path / "run", samples, finish=False)
    return samples, sorted(folder.iterdir())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_a_torn_last_part_is_left_out_and_named(tmp_path, share):
    samples, files = torn(tmp_path)
    os.truncate(files[-1], int(share * files[-1].stat().st_size))
    recording = Recording.open(tmp_path / "run")
    assert_same(recording.history(), samples[:15])
    assert "samples 15 to 19 are missing, after 24 Nov 2026 14:02:24 UTC" in recording.damage


def test_a_missing_part_is_a_gap_that_is_named(tmp_path):
    samples, files = torn(tmp_path)
    files[1].unlink()
    recording = Recording.open(tmp_path / "run")
    assert_same(recording.history(), samples[:5] + samples[10:])
    assert recording.damage.startswith("samples 5 to 9 are missing, before 24 Nov 2026 14:02:20 UTC")
    assert Recording.open(recording.save(tmp_path / "saved")).damage.startswith("samples 5 to 9 are missing")


def test_a_kill_between_two_steps_of_a_merge_doubles_nothing(tmp_path):
    samples, files = torn(tmp_path)
    chunks = [chunk for file in files[:3] for chunk in parts_of(file)]
    parts.merge(files[0].with_name(parts.part_name(0, 14)), chunks)  # … and killed before the small ones are gone
    recording = Recording.open(tmp_path / "run")
    assert len(recording.chunks) == 2
    assert_same(recording.history(), samples)
    os.truncate(files[0].with_name(parts.part_name(0, 14)), 100)
    assert_same(Recording.open(tmp_path / "run").history(), samples)


def parts_of(path: Path):
    return Recording.open(path.parent).chunks if path.is_dir() else damage.read(path).chunks


def test_a_kill_after_the_last_step_leaves_the_finished_file(tmp_path, monkeypatch):
    samples = snapshots(plant(2), 20)
    monkeypatch.setattr(gathering.shutil, "rmtree", print)  # as if killed before
    recorded(tmp_path / "run", samples)
    for path in (tmp_path / "run", tmp_path / "run.recording", tmp_path / "run.parquet"):
        recording = Recording.open(path)
        assert (recording.path.name, recording.damage) == ("run.parquet", "")
        assert_same(recording.history(), samples)
    os.truncate(tmp_path / "run.parquet", 1000)
    recording = Recording.open(tmp_path / "run.parquet")
    assert recording.path.name == "run.recording"
    assert "its parts were read instead" in recording.damage
    assert_same(recording.history(), samples)


def test_a_truncated_file_is_refused_wherever_it_was_cut(tmp_path):
    path = recorded(tmp_path / "run", snapshots(plant(2), 40))
    whole, footer = path.read_bytes(), int.from_bytes(path.read_bytes()[-8:-4], "little")
    ends = [0, 1, 3, 4, 5, 12]  # the magic number and after it
    ends += [len(whole) - footer - 8 + step for step in (-1, 0, 1, 50)]  # where the rows end and the metadata begin
    ends += [len(whole) - step for step in (1, 3, 4, 5, 8, 9, 12, 100)]  # the length of the metadata, the magic number
    ends += list(range(7, len(whole), len(whole) // 60))
    for end in ends:
        path.write_bytes(whole[:end])
        with pytest.raises(TelemetryError, match="truncated or damaged") as caught:
            Recording.open(path)
        assert caught.value.mend


@pytest.mark.parametrize("seed", range(5))
def test_flipped_bits_are_never_taken_for_readings(tmp_path, seed):
    samples = snapshots(plant(2), 40)
    path = recorded(tmp_path / "run", samples)
    whole, random = path.read_bytes(), np.random.default_rng(seed)
    for place in random.integers(4, len(whole), 25):
        torn = bytearray(whole)
        torn[place] ^= 1 << int(random.integers(8))
        path.write_bytes(torn)
        try:
            history = Recording.open(path).history()
        except TelemetryError:
            continue
        assert_same(history, samples)  # it fell where nothing is read, as in a statistic


def test_what_is_no_recording_is_told(tmp_path):
    pl.DataFrame({"x": [1]}).write_parquet(tmp_path / "table.parquet")
    with pytest.raises(TelemetryError, match="is a Parquet file, but not a recording"):
        Recording.open(tmp_path / "table")
    (tmp_path / "empty.recording").mkdir()
    with pytest.raises(TelemetryError, match="holds nothing that can be read yet"):
        Recording.open(tmp_path / "empty")
    with pytest.raises(TelemetryError, match="there is no recording"):
        Recording.open(tmp_path / "nowhere")


def test_a_later_format_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("aifactory_lab.telemetry.recordings.chunks.FORMAT", 2)
    path = recorded(tmp_path / "run", snapshots(plant(1), 2))
    monkeypatch.undo()
    with pytest.raises(TelemetryError, match="has format 2; this version reads up to 1") as caught:
        Recording.open(path)
    assert "upgrade" in caught.value.mend


def test_a_recording_that_goes_on_while_it_is_read_asks_to_be_opened_again(tmp_path):
    _, files = torn(tmp_path)
    recording = Recording.open(tmp_path / "run")
    files[0].unlink()
    with pytest.raises(TelemetryError, match="is gone: its recording went on") as caught:
        recording.history()
    assert "open it again" in caught.value.mend
