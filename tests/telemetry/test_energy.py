"""Joules: read from a powercap tree as Linux lays it out and from histories, or said to be unknown."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.telemetry.energy import Energy, energy_between
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.readings import Entity, Layout, State

PLANT = Layout(
    (
        Entity(("node 1", "gpu 0")),
        Entity(("node 1", "gpu 0", "mig 0"), "mig"),
        Entity(("node 1",), "host"),
    ),
    ("busy", "energy"),
    "simulated",
)


def zone(root: Path, index: int, energy: str, most: str = "1000000") -> Path:
    folder = root / f"intel-rapl:{index}"
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(energy)
    (folder / "max_energy_range_uj").write_text(most)
    return folder


def history(times, gpu, host, layout=PLANT) -> History:
    """Return a history of energy counters; MIG instances have none."""
    values = np.full((len(times), *layout.shape), np.nan)
    values[:, 0, 1], values[:, 2, 1] = gpu, host
    states = np.where(np.isnan(values), State.UNSUPPORTED, State.VALUE).astype(np.uint8)
    return History(layout, np.asarray(times, dtype=float), values, states)


def test_no_counter_is_said_not_guessed(tmp_path):
    joules, note = Energy(tmp_path).joules()
    assert joules is None
    assert "no energy counter" in note


def test_packages_are_summed(tmp_path):
    zone(tmp_path, 0, "100000")
    zone(tmp_path, 1, "0")
    energy = Energy(tmp_path)
    zone(tmp_path, 0, "600000")
    zone(tmp_path, 1, "250000")
    assert energy.joules() == (pytest.approx(0.75), "")


def test_a_wrapped_counter_keeps_counting(tmp_path):
    zone(tmp_path, 0, "900000")
    energy = Energy(tmp_path)
    zone(tmp_path, 0, "100000")
    assert energy.joules()[0] == pytest.approx(0.2)
    assert energy.joules()[0] == pytest.approx(0.2), "asking again adds nothing"


def test_unreadable_zone_is_left_out(tmp_path):
    (tmp_path / "intel-rapl:0").mkdir()
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir()  # reading a folder fails as a root-only file does
    assert Energy(tmp_path).joules()[0] is None


def test_a_zone_that_goes_silent_is_not_taken_for_zero(tmp_path):
    folder = zone(tmp_path, 0, "100000")
    energy = Energy(tmp_path)
    (folder / "energy_uj").unlink()
    assert energy.joules() == (None, "the energy counter of a CPU package can no longer be read")


def test_between_two_times_gpus_and_packages_are_summed_and_ends_interpolated():
    seconds = np.arange(11.0)
    told = history(seconds, 1e6 + 700 * seconds, 50 + 100 * seconds)
    assert energy_between(told, 2.25, 7.5) == (pytest.approx(800 * 5.25), "")
    assert energy_between(told, 0, 10) == (pytest.approx(8000), "")
    assert energy_between(told, 3, 3) == (0.0, "")
    assert energy_between(told, 2, 4, kinds=("host",)) == (pytest.approx(200), "")


@given(
    gains=st.lists(st.tuples(st.floats(0.01, 5), st.floats(0, 1e5), st.floats(0, 1e5)), min_size=2, max_size=30),
    cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3),
)
def test_energy_of_parts_adds_up_to_the_whole(gains, cuts):
    seconds, gpu, host = np.cumsum(np.array([(0.0, 0.0, 0.0), *gains]), axis=0).T
    told = history(1.7e9 + seconds, gpu, host)
    start, middle, stop = (told.times[0] + cut * (told.times[-1] - told.times[0]) for cut in sorted(cuts))
    parts = [energy_between(told, *pair)[0] for pair in ((start, middle), (middle, stop), (start, stop))]
    if None not in parts:  # an end in a gap that is long among such uneven samples is not guessed at
        assert parts[0] + parts[1] == pytest.approx(parts[2], rel=1e-6, abs=1e-3)
        assert min(parts) >= 0
        assert parts[2] <= gpu[-1] + host[-1] + 1e-3


@pytest.mark.parametrize(
    ("change", "start", "stop", "words"),
    [
        ({"host": np.nan}, 2, 4, "node 1 has no energy counter"),
        ({"gpu": [0, 5, 9, 1, 4, 8, 9, 10, 11, 12]}, 1, 5, "node 1/gpu 0 has a counter that began anew in between"),
        ({}, -1, 4, "not sampled over all of that time"),
        ({}, 4, 9.5, "not sampled over all of that time"),
        ({}, 4, 3, "not sampled over all of that time"),
    ],
)
def test_what_is_not_known_is_named(change, start, stop, words):
    counters = {"gpu": np.arange(10.0), "host": np.arange(10.0)} | change
    joules, note = energy_between(history(np.arange(10.0), **counters), start, stop)
    assert joules is None
    assert words in note


def test_an_end_within_a_long_gap_is_not_guessed_but_a_gap_in_between_is_no_loss():
    times = np.array([0.0, 1, 2, 3, 100, 101, 102, 103, 104])
    told = history(times, 10 * times, 0 * times)
    assert energy_between(told, 1.5, 102.5) == (pytest.approx(1010), "")
    assert energy_between(told, 3, 100) == (pytest.approx(970), ""), "both ends were sampled"
    joules, note = energy_between(told, 1, 50)
    assert joules is None
    assert "was lost for 97 s at an end" in note


def test_histories_without_energy_say_so():
    busy = Layout(PLANT.entities, ("busy",))
    nothing = Layout((Entity(("factory", "etl"), "station"),), ("busy",))
    assert "no energy counter is recorded for node 1/gpu 0" in energy_between(History.empty(busy), 0, 1)[1]
    assert "nothing that uses energy" in energy_between(History.empty(nothing), 0, 1)[1]
