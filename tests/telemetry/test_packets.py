"""The wire: what a board decodes is what was read, within a quarter of a percent, and small."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.telemetry.history import Ring
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.packets import FIRST, LEAST_STATE, LEVELS, Packer, _round_up
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State


def fleet(count: int) -> Layout:
    return Layout(tuple(Entity(("s", "r", f"n{i // 8}", f"gpu {i % 8}")) for i in range(count)), GPU, "simulated")


def full(layout: Layout, second: float = 0.0) -> Snapshot:
    values = np.random.default_rng(int(second)).uniform(0, 100, layout.shape)
    return Snapshot(second, layout, values, np.zeros(layout.shape, dtype=np.uint8))


def decode(packer: Packer, tops: list[float], cells: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Do what board.js does: cells to values and states."""
    shape = (packer.layout.shape[0], len(packer.metrics))
    count = shape[0] * shape[1]
    if packer.codec == "f32":
        states = np.frombuffer(cells, np.uint8, offset=4 * count).reshape(shape)
        return np.frombuffer(cells, "<f4", count).reshape(shape), states
    codes = np.frombuffer(cells, np.uint8).reshape(shape).astype(float)
    states = np.where(codes >= LEAST_STATE, codes - LEAST_STATE, 0)
    return np.where(codes >= LEAST_STATE, np.nan, codes / LEVELS * np.array(tops)), states


@pytest.mark.parametrize(("count", "codec", "most"), [(1, "f32", 120), (8, "f32", 960), (64, "u8", 1_300)])
def test_small_fleets_send_every_metric(count, codec, most):
    packer = Packer(fleet(count))
    message, buffers = packer.tick(full(packer.layout))
    assert packer.codec == codec
    assert set(FIRST) < set(packer.metrics)
    assert len(buffers[0]) == packer.bytes_per_tick <= most
    assert len(json.dumps(message)) < 400


@pytest.mark.parametrize("count", [1_024, 10_000])
def test_large_fleets_send_a_byte_for_each_of_the_first_metrics(count):
    packer = Packer(fleet(count))
    _, buffers = packer.tick(full(packer.layout))
    assert packer.metrics == FIRST
    assert len(buffers[0]) == 4 * count


@pytest.mark.parametrize("count", [1, 8, 64, 1_024])
def test_what_is_decoded_is_what_was_read(count):
    packer, snapshot = Packer(fleet(count)), full(fleet(count))
    states = np.random.default_rng(1).integers(0, 4, snapshot.states.shape).astype(np.uint8)
    snapshot = Snapshot(0.0, snapshot.layout, np.where(states == 0, snapshot.values, np.nan), states)
    message, buffers = packer.tick(snapshot)
    tops = message.get("tops", packer.describe()["tops"])
    values, found = decode(packer, tops, buffers[0])
    columns = [packer.layout.columns[name] for name in packer.metrics]
    assert (found == states[:, columns]).all()
    error = np.abs(values - snapshot.values[:, columns])
    limit = 1e-5 if packer.codec == "f32" else np.array(tops) / LEVELS / 2 + 1e-6
    assert np.nanmax(error / np.maximum(limit, 1e-12)) <= (100 if packer.codec == "f32" else 1)


def test_full_scale_grows_with_what_is_seen_and_is_told_when_it_does():
    layout = fleet(64)
    packer = Packer(layout)
    column = packer.metrics.index("power")
    first, _ = packer.tick(full(layout))
    assert first["tops"][column] == 100.0
    again, _ = packer.tick(full(layout))
    assert "tops" not in again
    hungry = full(layout)
    hungry.values[3, layout.columns["power"]] = 640.0
    message, buffers = packer.tick(hungry)
    assert message["tops"][column] == 1000.0
    assert decode(packer, message["tops"], buffers[0])[0][3, column] == pytest.approx(640.0, abs=2.0)


@given(st.floats(1e-9, 1e15))
def test_full_scale_is_a_round_number_that_holds_the_value(value):
    top = _round_up(value)
    assert value * (1 - 1e-9) <= top <= value * 2.6
    assert round(top / 10 ** np.floor(np.log10(top) + 1e-9)) in (1, 2, 5, 10)


@pytest.mark.parametrize("count", [8, 64, 1_024])
def test_history_is_the_ticks_one_after_another(count):
    layout = fleet(count)
    ring, packer, single = Ring(layout, 20), Packer(layout), Packer(layout)
    ticks = []
    for second in range(5):
        snapshot = full(layout, float(second))
        ring.append(snapshot)
        ticks.append(single.tick(snapshot)[1][0])
    message, (times, cells) = packer.history(ring.history())
    assert message["count"] == 5
    assert np.frombuffer(times, "<f8").tolist() == [0, 1, 2, 3, 4]
    assert cells == b"".join(ticks)


def test_history_is_bounded_and_keeps_the_newest():
    layout = fleet(10_000)
    ring = Ring(layout, 70)
    blank = Snapshot.blank(layout, time=0.0)
    for second in range(70):
        ring.append(Snapshot(float(second), layout, blank.values, blank.states))
    message, (times, cells) = Packer(layout).history(ring.history())
    assert len(cells) <= 1 << 20
    assert np.frombuffer(times, "<f8")[-1] == 69.0
    assert message["count"] * 40_000 == len(cells)


@pytest.mark.parametrize("count", [0, 1, 8, 64, 1_024])
def test_nothing_yet_can_be_sent(count):
    layout = fleet(count)
    message, (times, cells) = Packer(layout).history(Ring(layout, 4).history())
    assert (message["count"], times, cells) == (0, b"", b"")
    assert Packer(layout).tick(Snapshot.blank(layout, time=0.0))[1][0] is not None


def test_states_are_told_apart_from_zero():
    layout = Layout(fleet(1_024).entities, FIRST, "simulated")
    snapshot = Snapshot.blank(layout, time=0.0).put("s/r/n0/gpu 0", busy=0.0).put("s/r/n0/gpu 1", busy=State.LOST)
    cells = np.frombuffer(Packer(layout).tick(snapshot)[1][0], np.uint8).reshape(-1, 4)
    assert cells[:3, 0].tolist() == [0, LEAST_STATE + State.LOST, LEAST_STATE + State.UNSUPPORTED]


def test_notes_travel_and_are_bounded():
    layout = fleet(1)
    blank = Snapshot.blank(layout, time=0.0)
    snapshot = Snapshot(0.0, layout, blank.values, blank.states, tuple(f"note {i}" for i in range(100)))
    assert Packer(layout).tick(snapshot)[0]["notes"] == [f"note {i}" for i in range(8)]
