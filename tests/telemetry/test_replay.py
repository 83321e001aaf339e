"""Recordings that are played and compared: a source like any other, honest about what it is and when it was."""

import numpy as np
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import Recording, RecordingSource, compare, record, replay
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.recordings import playback
from aifactory_lab.telemetry.recordings.bands import Band
from tests.telemetry.runs import T0, plant, recorded, snapshots, working

NOW = 2_000_000_000.0


class Clock:
    """The time of a player, which a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def time(self) -> float:
        return NOW + self.seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Move the player's time by hand."""
    clock = Clock()
    monkeypatch.setattr(playback, "time", clock)
    return clock


@pytest.fixture
def run(tmp_path):
    """Sixty seconds of two GPUs."""
    return recorded(tmp_path / "run", snapshots(plant(2), 60))


# a source


def test_it_says_that_and_what_it_is(run):
    with RecordingSource(run, speed=10) as source:
        assert source.key == "recording run"
        assert source.layout.origin == "recorded"
        assert source.layout.label == "recording of node-3, 24 Nov 2026 14:02:10 UTC, 2 × NVIDIA H100, 10×"


@pytest.mark.parametrize("label", ["twin of node-3", "simulated"])
def test_what_was_simulated_stays_simulated(tmp_path, label):
    path = recorded(tmp_path / "run", snapshots(plant(1, origin="simulated", label=label), 3))
    with RecordingSource(path) as source:
        assert source.sample().layout.origin == "simulated"
        assert source.layout.label.startswith("recording of simulated")
        assert source.layout.label.count("simulated") == 1


def test_the_moment_played_lies_under_the_time_now(run, clock):
    recording = Recording.open(run)
    with RecordingSource(recording, speed=10) as source:
        for clock.seconds, then in ((0.0, 0), (0.55, 5), (2.0, 20), (5.99, 59)):
            snapshot = source.sample()
            assert snapshot.time == NOW + clock.seconds
            np.testing.assert_array_equal(snapshot.states, recording.at(T0 + then).states)
            np.testing.assert_array_equal(snapshot.values, recording.at(T0 + then).values)
        facts = source.facts()[recording.layout.entities[0].id]
        assert facts.details["recorded"] == "24 Nov 2026 14:03:09 UTC"


def test_the_stations_work_in_the_players_time(two, clock):
    with RecordingSource(two[0], speed=10) as source:  # etl from second 5 to 25
        assert source.bands() == [], "still to come"
        clock.seconds = 1.0
        (band,) = source.bands()
        assert (band["station"], band["stop"]) == ("etl", None)
        assert band["start"] == pytest.approx(NOW + 0.5)
        clock.seconds = 4.0
        (band,) = source.bands()
        assert (band["start"], band["stop"]) == (pytest.approx(NOW + 0.5), pytest.approx(NOW + 2.5))
        source.speed = 0
        assert source.bands() == [], "time stands still"


def test_it_loops(run, clock):
    with RecordingSource(run, speed=60) as source:
        clock.seconds = 59.5 / 60
        assert source.position == pytest.approx(59.5), "the last sample lasts as long as any"
        clock.seconds = 61 / 60
        assert source.position == pytest.approx(1.0)


def test_it_holds_the_end_and_says_so(run, clock):
    with RecordingSource(run, speed=60, end="hold") as source:
        clock.seconds = 0.5
        assert source.sample().notes == ()
        clock.seconds = 100
        last = source.sample()
        np.testing.assert_array_equal(last.values, Recording.open(run).at(T0 + 59).values)
        assert last.notes == ("the recording has ended: the last readings are held",)


def test_seek_goes_there_and_no_further_than_the_ends(run, clock):
    with RecordingSource(run, speed=2) as source:
        source.seek(30)
        clock.seconds = 3
        assert source.position == 36
        source.seek(1e9)
        assert source.position == 59
        source.seek(-5)
        assert source.position == 0


def test_speed_may_change_while_it_plays(run, clock):
    with RecordingSource(run, speed=2) as source:
        clock.seconds = 5
        source.speed = 0
        assert source.position == 10
        clock.seconds = 500
        assert source.position == 10
        assert source.sample().layout.label.endswith(", 0×")


@pytest.mark.parametrize("speed", [-1, 61, float("nan")])
def test_a_speed_out_of_range_is_refused(run, speed):
    with pytest.raises(TelemetryError, match="must be between 0 and 60"):
        RecordingSource(run, speed)


def test_a_gap_shows_as_stale_as_it_did_then(tmp_path, clock):
    layout = plant(1)
    path = recorded(tmp_path / "run", [*working(layout, 50, 300.0), *working(layout, 50, 300.0, start=T0 + 3600)])
    with RecordingSource(path, speed=60, end="hold") as source:
        clock.seconds = 10
        snapshot = source.sample()
        assert snapshot.reading(layout.entities[0].id, "power").state == State.STALE
        assert snapshot.notes == ("no data for 551 s",)
        assert Recording.open(path).period == 1, "a gap is no period"
        clock.seconds = 3610 / 60
        assert source.sample().reading(layout.entities[0].id, "power").value == 300


def test_layouts_change_where_they_changed_and_only_there(tmp_path, clock):
    small, large = plant(1), plant(2)
    path = recorded(tmp_path / "run", [*snapshots(small, 10), *snapshots(large, 10, start=T0 + 10)])
    with RecordingSource(path) as source:
        layouts = []
        for clock.seconds in (0.0, 5.0, 12.0, 15.0, 21.0):
            layouts.append(source.sample().layout)
    assert layouts[0] is source.layout
    assert layouts[0] is layouts[1] is layouts[4], "a sampler sees a change by identity"
    assert layouts[2] is layouts[3]
    assert [len(layout.entities) for layout in layouts] == [1, 1, 2, 2, 1]


def test_replay_is_a_sampler_that_can_be_recorded_again(run, tmp_path):
    with replay(run, speed=60) as sampler, record(sampler, tmp_path / "again", every=0.1) as kept:
        assert sampler.period == playback.LEAST_PERIOD
        assert sampler.first().layout.origin == "recorded"
        while kept.samples < 3:
            sampler.source.seek(30)
    again = Recording.open(kept.path)
    assert again.layout.origin == "recorded"
    assert again.layout.label.startswith("recording of node-3")


def test_a_player_samples_as_often_as_the_recording_within_reason(run):
    assert [RecordingSource(run, speed).best_period for speed in (0, 0.5, 1, 4, 60)] == [1, 1, 1, 0.25, 0.1]


# two runs


@pytest.fixture
def two(tmp_path):
    """Two runs whose station began at different moments, at 700 and 350 W a GPU."""
    runs = []
    for name, watts, begin, station in (("before", 700.0, 5, 20), ("after", 350.0, 15, 30)):
        bands = [Band("etl", T0 + begin, T0 + begin + station, 1000, "rows")]
        runs.append(recorded(tmp_path / name, working(plant(2), 60, watts), bands))
    return runs


def numbers(comparison) -> dict[str, tuple]:
    return {row[0]: row[2:] for row in comparison.table().rows()}


def test_the_table_tells_means_peaks_and_joules(two):
    table = numbers(compare(*two))
    assert table["power, mean"] == (1400, 700, 0.5), "watts are summed over GPUs"
    assert table["busy, mean"] == (90, 90, 1), "shares are averaged"
    assert table["energy, added"] == (1400 * 59, 700 * 59, 0.5)
    assert table["etl, seconds"] == (20, 30, 1.5)
    assert table["etl, joules"] == (pytest.approx(28_000), pytest.approx(21_000), pytest.approx(0.75))


def test_runs_are_aligned_at_their_start_or_at_a_station(two):
    by_start, by_station = compare(*two), compare(*two, align="station", station="etl")
    frame = by_start.frame()
    assert frame.columns[:2] == ["run", "seconds"]
    assert frame.group_by("run", maintain_order=True).first()["seconds"].to_list() == [0, 0]
    assert [by_station.first.seconds[0], by_station.second.seconds[0]] == [-5, -15]
    assert compare(*two, align="station").second.zero == T0 + 15


def test_runs_of_one_name_are_told_apart(two):
    assert compare(two[0], two[0]).table().columns[2:4] == ["before (a)", "before (b)"]


def test_a_sum_is_not_known_while_a_part_is_lost(tmp_path):
    layout = plant(2, ("busy", "power"))
    samples = working(plant(2, ("busy", "power", "energy")), 10, 300.0)
    samples[4].put(layout.entities[1].id, power=State.LOST, busy=State.LOST)
    run = compare(*[recorded(tmp_path / "run", samples)] * 2).first
    assert np.isnan(run.lines["power"]).tolist() == [place == 4 for place in range(10)]
    assert run.lines["busy"][4] == 90, "a mean is that of the others"


def test_a_counter_that_began_anew_tells_no_sum(tmp_path):
    samples = working(plant(1), 10, 300.0)
    samples[7].put(plant(1).entities[0].id, energy=5.0)
    path = recorded(tmp_path / "run", samples, [Band("etl", T0 + 1, T0 + 9)])
    table = numbers(compare(path, path))
    assert table["energy, added"] == (None, None, None)
    assert table["etl, joules"] == (None, None, None)


def test_joules_that_a_station_told_itself_count_first(tmp_path):
    bands = [Band("etl", T0 + 1, T0 + 2, joules=5.0), Band("etl", T0 + 3, T0 + 4, joules=6.0)]
    path = recorded(tmp_path / "run", working(plant(1), 10, 300.0), bands)
    assert numbers(compare(path, path))["etl, joules"][:2] == (11, 11)


def test_what_two_runs_do_not_share_is_told(two, tmp_path):
    host = Layout((Entity(("lab", "rack 1", "node-3"), "host"),), ("busy",))
    other = recorded(tmp_path / "host", [Snapshot.blank(host, time=T0).put(host.entities[0].id, busy=1.0)])
    with pytest.raises(TelemetryError, match="no kind of entity in common; both have: none"):
        compare(two[0], other)
    with pytest.raises(TelemetryError, match="no station 'train' in common; both have: etl"):
        compare(*two, align="station", station="train")
    with pytest.raises(TelemetryError, match="no station in common"):
        compare(other, other, align="station")


def test_a_comparison_shows_itself(two):
    comparison = compare(*two)
    assert repr(comparison) == "Comparison('before' and 'after': busy, power, energy)"
    assert "etl, joules" in comparison._repr_html_()
