"""Snapshots and their history: states survive, memory is flat, readers get whole samples."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import History, Ring, default_capacity
from aifactory_lab.telemetry.metrics import FLEET, GPU, HOST, METRICS, SERVICE, STATION, TRAINING
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State, lost

PAIR = Layout((Entity(("a", "gpu 0")), Entity(("a", "gpu 1"))), ("busy", "power"), "simulated")


def snapshot(second: float, busy: float = 1.0) -> Snapshot:
    return Snapshot.blank(PAIR, time=second).put("a/gpu 0", busy=busy).put("a/gpu 1", busy=State.LOST)


def test_readings_are_values_or_say_why_not():
    s = snapshot(0.0, busy=0.0)
    assert [str(s.reading("a/gpu 0", m)) for m in ("busy", "power")] == ["0 %", "unsupported"]
    assert str(s.reading("a/gpu 1", "busy")) == "lost"
    assert np.isnan(s.reading("a/gpu 1", "busy").value), "arithmetic on a missing reading is missing"
    assert (lost(PAIR, time=0.0, notes=["why"]).states == State.LOST).all()


def test_old_values_are_stale_and_the_rest_keeps_its_state():
    s = snapshot(100.0).aged(now=110.0, limit=5.0)
    assert [str(s.reading("a/gpu 0", m)) for m in ("busy", "power")] == ["stale", "unsupported"]
    assert str(s.reading("a/gpu 1", "busy")) == "lost"
    assert s.notes == ("no data for 10 s",)
    fresh = snapshot(100.0)
    assert fresh.aged(now=104.0, limit=5.0) is fresh


def test_unknown_entities_and_metrics_are_named():
    with pytest.raises(TelemetryError, match="no entity 'x'; there are: a/gpu 0, a/gpu 1"):
        snapshot(0.0).reading("x", "busy")
    with pytest.raises(TelemetryError, match="no metric 'speed' here; there are: busy, power"):
        snapshot(0.0).column("speed")


def test_a_frame_has_null_where_there_is_no_value():
    frame = snapshot(0.0).frame()
    assert frame["busy"].to_list() == [1.0, None]
    assert frame["power"].to_list() == [None, None]
    assert frame["entity"].to_list() == ["a/gpu 0", "a/gpu 1"]


@given(st.integers(1, 7), st.integers(0, 30), st.integers(1, 12))
def test_a_ring_is_the_tail_of_what_was_appended(capacity, count, wanted):
    ring = Ring(PAIR, capacity)
    for second in range(count):
        ring.append(snapshot(float(second), busy=float(second)))
    times, values = ring.history(wanted).series("a/gpu 0", "busy")
    expected = list(range(count))[-min(wanted, capacity) :]
    assert times.tolist() == expected
    assert values.tolist() == expected
    assert len(ring) == min(count, capacity)
    assert (ring.history().states[:, 1, 0] == State.LOST).all()


def test_readers_never_see_a_torn_sample():
    ring, done = Ring(PAIR, 8), threading.Event()

    def write():
        second = 0
        while not done.is_set():
            second += 1
            ring.append(snapshot(float(second), busy=float(second)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3_000):
            history = ring.history()
            assert (history.times == history.values[:, 0, 0]).all()
            assert (np.diff(history.times) > 0).all()
    finally:
        done.set()
        writer.join()


def test_history_windows_and_frames():
    ring = Ring(PAIR, 10)
    for second in range(6):
        ring.append(snapshot(float(second)))
    history = ring.history()
    assert history.between(2.0, 4.0).times.tolist() == [2.0, 3.0, 4.0]
    assert history.snapshot().time == 5.0
    assert history.metric("busy").shape == (6, 2)
    assert history.frame().height == 12
    assert len(History.empty(PAIR)) == 0
    assert History.empty(PAIR).frame().height == 0


def test_a_day_at_one_a_second_stays_within_the_rings_memory():
    layout = Layout(tuple(Entity((f"gpu {i}",)) for i in range(64)), GPU, "simulated")
    ring, blank = Ring(layout), Snapshot.blank(layout, time=0.0)
    held = ring._values.nbytes + ring._states.nbytes
    assert held <= 64 << 20
    for second in range(0, 86_400, 4):
        ring.append(Snapshot(float(second), layout, blank.values, blank.states))
    assert ring._values.nbytes + ring._states.nbytes == held
    assert len(ring) == ring.capacity == default_capacity(layout)


def test_every_metric_can_be_said():
    for metric in METRICS.values():
        assert metric.label
        for value in (0.0, 0.0123, 7.0, 123.4, 4567.8, 3.2e9):
            assert metric.text(value).strip()
        assert metric.top is None or isinstance(metric.top, float) or metric.top in METRICS
    assert {*GPU, *HOST, *SERVICE, *FLEET, *STATION, *TRAINING} == set(METRICS)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("memory_used", 85_520_809_984, "85.5 GB"),
        ("power", 0.0, "0 W"),
        ("ttft_p50", 0.0123, "12.3 ms"),
        ("ttft_p99", 2.5, "2.5 s"),
        ("tokens_rate", 1234.0, "1.23 ktokens/s"),
        ("temperature", 61.0, "61 °C"),
        ("sm_clock", 1980.0, "1,980 MHz"),
        ("xid", 79.0, "79"),
        ("power", 999.7, "1 kW"),
        ("temperature", 999.7, "1,000 °C"),
    ],
)
def test_values_as_people_say_them(name, value, words):
    assert METRICS[name].text(value) == words
