"""A ring file keeps the last samples, and a sample that is torn is not believed."""

import multiprocessing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot, State
from aifactory_lab.telemetry.sharing.ringfile import RingFile


def layout(entities=3):
    return Layout(tuple(Entity((f"gpu {place}",)) for place in range(entities)), ("busy", "power"), "simulated", "é")


def sample(of, number, **more):
    values = np.full(of.shape, float(number))
    return Snapshot(float(number), of, values, np.full(of.shape, State.VALUE, dtype=np.uint8), **more)


def ring(folder, capacity=4, of=None, **more):
    return RingFile.create(folder / "test.ring", of or layout(), key="test", capacity=capacity, **more)


@given(capacity=st.integers(1, 7), written=st.integers(0, 25), skip=st.integers(0, 3), entities=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_last_samples_are_kept_in_order(tmp_path_factory, capacity, written, skip, entities):
    of = layout(entities)
    writer = ring(tmp_path_factory.mktemp("ring"), capacity, of)
    reader = RingFile(writer.path, key="test")
    assert reader.newest() is None
    for number in range(written):
        writer.append(sample(of, number))
        assert reader.newest().time == number
        assert reader.newest() is reader.newest()
    expected = list(range(max(0, written - capacity), max(0, written - skip)))
    history = reader.history(skip=skip)
    assert history.times.tolist() == expected
    assert (history.values == history.times[:, None, None]).all()
    assert history.values.shape == (len(expected), entities, 2)


@given(written=st.integers(4, 9), torn=st.integers(0, 3), byte=st.integers(4, 24 + 1000 + 48))
@settings(max_examples=40, deadline=None)
def test_one_wrong_byte_costs_one_sample(tmp_path_factory, written, torn, byte):
    writer = ring(tmp_path_factory.mktemp("ring"))
    for number in range(written):
        writer.append(sample(layout(), number))
    writer._samples[torn, byte] ^= 0x40
    kept = [number for number in range(written - 4, written) if number % 4 != torn]
    assert RingFile(writer.path, key="test").history().times.tolist() == kept


def test_words_and_states_travel(tmp_path):
    writer = ring(tmp_path)
    told = sample(layout(), 1, notes=("gpu 0 is lost", "a note\nof two lines", "é" * 600))
    told.put("gpu 0", busy=State.LOST)
    writer.append(told)
    found = RingFile(writer.path, key="test").newest()
    assert found.reading("gpu 0", "busy").state == State.LOST
    assert np.isnan(found.values[0, 0])
    assert found.notes[:2] == ("gpu 0 is lost", "a note of two lines")
    assert set(found.notes[2]) == {"é"}
    assert found.layout == layout()


def test_a_file_can_begin_with_a_history(tmp_path):
    numbers = np.arange(6.0)
    values = np.broadcast_to(numbers[:, None, None], (6, 3, 2))
    writer = ring(tmp_path, history=History(layout(), numbers, values, np.zeros((6, 3, 2), dtype=np.uint8)))
    assert writer.history().times.tolist() == [2, 3, 4, 5]
    writer.append(sample(layout(), 6))
    assert RingFile(writer.path, key="test").history().times.tolist() == [3, 4, 5, 6]


def test_what_is_of_another_key_or_cut_off_is_not_believed(tmp_path):
    writer = ring(tmp_path)
    with pytest.raises(TelemetryError, match="is of another source"):
        RingFile(writer.path, key="other")
    writer.path.write_bytes(writer.path.read_bytes()[:-1])
    with pytest.raises(TelemetryError, match="cut off"):
        RingFile(writer.path, key="test")
    with pytest.raises(TelemetryError, match="cannot be read"):
        RingFile(tmp_path / "none", key="test")


def hammer(path, count):
    """Write as fast as possible, in a process of its own."""
    writer = RingFile(path, key="test", write=True)
    for number in range(count):
        writer.append(sample(writer.layout, number))


def test_readers_never_see_half_a_sample_while_another_process_writes(tmp_path):
    of = layout(500)
    reader = ring(tmp_path, 2, of)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=hammer, args=(reader.path, 20_000), daemon=True)
    process.start()
    read, damaged = [], 0
    while process.is_alive() or not read:
        try:
            found = reader.newest()
            history = reader.history()
        except TelemetryError:  # overtaken five times in a row
            damaged += 1
            continue
        if found is not None:
            assert (found.values == found.time).all()
            assert (history.values == history.times[:, None, None]).all()
            read.append(found.time)
    process.join(60)
    assert process.exitcode == 0
    assert read == sorted(read)
    assert reader.newest().time == 19_999
    assert damaged < len(read)
