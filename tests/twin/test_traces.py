"""Traces: what a user hands in is checked by name and number, and real ones say what their publishers say."""

import numpy as np
import pytest

from aifactory_lab.datasets import places
from aifactory_lab.errors import TwinError
from aifactory_lab.serve.load import arrivals
from aifactory_lab.twin import traces
from aifactory_lab.twin.traces import Trace
from tests.datasets.test_cards import stores


@pytest.mark.parametrize(
    ("times", "isl", "osl", "word"),
    [
        ([], [], [], "empty"),
        ([0.0, 2.0, 1.5], 10, 10, "runs backwards: request 2 comes at 1.5 s, after one at 2 s"),
        ([0.0, float("nan")], 10, 10, "request 1 comes at"),
        ([-1.0, 0.0], 10, 10, "request 0 comes at"),
        ([0.0, 1.0], [10, 0], 10, r"request 1 has isl=.*0"),
        ([0.0, 1.0], 10, [1.5, 2], r"request 0 has osl=.*1\.5"),
        ([0.0, 1.0], [10, 20, 30], 10, r"isl has the shape \(3,\), for 2 requests"),
    ],
)
def test_a_trace_that_cannot_be_is_refused(times, isl, osl, word):
    with pytest.raises(TwinError, match=word) as refused:
        Trace.of(times, isl, osl)
    assert refused.value.mend


def test_blocks_must_be_those_of_the_requests():
    with pytest.raises(TwinError, match="for 1 prompts, of 2"):
        Trace.of([0.0, 1.0], 10, 10, blocks=[[0]])
    with pytest.raises(TwinError, match="from -1 to 3"):
        Trace.of([0.0, 1.0], 10, 10, blocks=[[0, 3], [-1]])


def test_a_trace_is_cut_with_its_blocks():
    trace = Trace.of([0.0, 1.0, 2.0], 600, 10, blocks=[[0, 1], [0], [0, 1, 2]])
    cut = trace.until(1.5)
    assert (len(cut), cut.blocks.tolist(), cut.starts.tolist()) == (2, [0, 1, 0], [0, 2, 3])
    assert trace.hit_rate() == pytest.approx(1 - 3 / 6)
    with pytest.raises(TwinError, match="nothing comes before"):
        trace.until(0.0)


def test_arrivals_are_taken_over_and_asked_for_lengths():
    poisson = arrivals.poisson(5.0, 100, seed=1)
    trace = traces.from_arrivals(poisson, isl=100, osl=20)
    assert trace.times.tolist() == poisson.times.tolist()
    assert trace.note == poisson.note
    with pytest.raises(TwinError, match="isl and osl"):
        traces.from_arrivals(poisson)


def test_what_is_no_trace_of_mooncakes_is_refused(tmp_path):
    file = tmp_path / "trace.jsonl"
    file.write_text('{"timestamp": 0, "input_length": 3}\n')
    with pytest.raises(TwinError, match=r"trace\.jsonl"):
        traces.mooncake(file)


def test_a_small_file_of_mooncakes_form_is_read(tmp_path):
    file = tmp_path / "trace.jsonl"
    rows = [(2000, 600, 5, [0, 2]), (0, 700, 6, [0, 1])]
    text = '{{"timestamp": {}, "input_length": {}, "output_length": {}, "hash_ids": {}}}'
    file.write_text("\n".join(text.format(*row) for row in rows))
    trace = traces.mooncake(file)
    assert trace.times.tolist() == [0.0, 2.0]
    assert trace.isl.tolist() == [700, 600]
    assert trace.blocks.tolist() == [0, 1, 0, 2]
    assert len(traces.mooncake(file, seconds=1.0)) == 1


@pytest.mark.parametrize("store", stores(), ids=str)
def test_mooncakes_trace_is_what_it_is_said_to_be(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    trace = traces.mooncake()
    assert len(trace) == 12_031
    assert trace.seconds == pytest.approx(3537, abs=1)
    assert np.mean(trace.isl) == pytest.approx(12_035, abs=1)
    assert np.mean(trace.osl) == pytest.approx(343, abs=1)
    assert trace.hit_rate() == pytest.approx(0.366, abs=0.001)
