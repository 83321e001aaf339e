"""What we write we read back equal, and what others read we read the same."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from prometheus_client.parser import text_string_to_metric_families

from aifactory_lab.etl.features import SPEC, FeatureSpec
from aifactory_lab.fleet.orders import Order
from aifactory_lab.serve.llm.streams import Stream
from aifactory_lab.serve.llm.wholes import Whole
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.prometheus.exposition import parse
from aifactory_lab.telemetry.readings import Entity, Facts, Finding, Layout, Process
from aifactory_lab.telemetry.sharing import documents
from aifactory_lab.telemetry.trainings.entries import Begun, End, Sample, Score, Step, entry, write
from tests.fuzz.scratch import emptied, put
from tests.telemetry.pages import Families, family

steady = settings(derandomize=True, max_examples=40, database=None, deadline=None)
words = st.text(st.characters(codec="utf-8"), max_size=8)
counts, moments = st.integers(0, 2**62), st.floats(0, 1e10)
floats = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | floats
kinds = st.sampled_from(["begin", "progress", "end", "failed", "reused"])
events = st.builds(journal.Event, kinds, words, words, words, counts, moments, maybe, maybe, moments)
entries = st.one_of(
    st.builds(Begun, words, st.dictionaries(words, counts | words), st.none() | counts, words, counts, words, moments),
    st.builds(Step, counts, counts, counts, floats, floats, maybe, maybe, maybe, moments),
    st.builds(Score, words, floats, st.none() | counts, moments),
    st.builds(Sample, words, counts, moments),
    st.builds(End, st.sampled_from(["finished", "stopped", "failed"]), words, moments),
)
entities = st.builds(Entity, st.lists(words, min_size=2, max_size=4).map(tuple), st.just("gpu"), words, words)
layouts = st.builds(
    Layout,
    st.lists(entities, max_size=3, unique_by=lambda one: one.id).map(tuple),
    st.lists(words, max_size=3, unique=True).map(tuple),
    st.sampled_from(["measured", "recorded", "simulated"]),
    words,
)
facts = st.builds(
    Facts,
    st.lists(st.builds(Process, counts, words, words, st.none() | counts, maybe), max_size=2).map(tuple),
    st.lists(st.builds(Finding, st.sampled_from(["info", "warning"]), words, words), max_size=2).map(tuple),
    st.dictionaries(words, words, max_size=2),
)


@steady
@given(st.lists(events, min_size=1, max_size=3))
def test_a_journal(told):
    path = put("journal/round.jsonl", b"")
    for event in told:
        journal.append(path, event)
    assert journal.read(path)[0] == told


@steady
@given(entries)
def test_a_line_of_a_training(told):
    assert entry(write(told)) == told


@steady
@given(layouts, facts)
def test_layouts_and_facts(layout, fact):
    assert documents.read_layout(documents.write_layout(layout)) == layout
    assert documents.read_facts(documents.write_facts({"a": fact})) == {"a": fact}


@steady
@given(st.dictionaries(words, st.lists(words, max_size=3).map(tuple), max_size=3), words)
def test_the_words_of_a_feature_table(groups, word):
    spec = FeatureSpec(word, word, word, groups, tuple(groups)[:1], {word: word})
    folder = emptied("round")
    (folder / SPEC).write_text(json.dumps(asdict(spec)))
    assert FeatureSpec.load(folder) == spec


@steady
@given(st.integers(1, 9), st.integers(1, 9), st.lists(st.text("0123456789", min_size=1), max_size=2).map(tuple))
def test_an_order(nodes, each, after):
    order = Order(name="a", nodes=nodes, gpus=nodes * each, after=after)
    path = put("round/1_order.json", b"")
    order.save(path)
    assert Order.load(path) == order


@steady
@given(st.lists(st.tuples(st.dictionaries(st.sampled_from(["gpu", "node"]), words), floats), min_size=1, max_size=5))
def test_metrics_as_prometheus_own_client_reads_them(rows):
    text = Families(family("power", "gauge", rows)).text().decode()
    theirs = [(s.labels, s.value) for f in text_string_to_metric_families(text) for s in f.samples]
    assert [(s.labels, s.value) for s in parse(text, known={"power": "power"})["power"]] == theirs


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("space", [b" ", b""], ids=["with a space", "without"])
@pytest.mark.parametrize("last", [True, False], ids=["whole", "without its last empty line"])
@steady
@given(st.lists(words.filter(bool), min_size=1, max_size=4), st.integers(1, 60))
def test_a_stream_of_any_server_as_openais_own_client_types_it(end, space, last, texts, size):
    base = {"id": "1", "object": "text_completion", "created": 1, "model": "m"}
    chunks = [{**base, "choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in texts]
    chunks[-1]["choices"][0]["finish_reason"] = "stop"
    chunks.append({**base, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
    data = b"".join(b"data:" + space + json.dumps(chunk).encode() + 2 * end for chunk in chunks)
    data = data if last else data.removesuffix(2 * end)
    whole, stream = Whole(), None
    stream = Stream(usage_wanted=True, collect=whole.add)
    passed = [stream.pass_on(data[at : at + size], 1.0) for at in range(0, len(data), size)]
    passed.append(stream.end(1.0))
    assert b"".join(passed).count(b"data:") == len(chunks)
    completion = Completion.model_validate(whole.answer())
    assert (completion.choices[0].text, completion.choices[0].finish_reason) == ("".join(texts), "stop")
    assert (stream.tokens, stream.prompt_tokens) == (2, 1)
