"""The arithmetic of token load tests: against numpy, against AIPerf's own export, and what it must not hide."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.datasets import places
from aifactory_lab.errors import DataError
from aifactory_lab.measure import Meter
from aifactory_lab.serve import load
from aifactory_lab.serve.load import Arrivals, Distribution, Slo, TokenReport, arrivals, prompts, summary, token_tables
from aifactory_lab.serve.load.costs import Cost, metered, price
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.streams import Answer, events, message
from aifactory_lab.serve.load.targets import Target
from aifactory_lab.serve.load.token_clients import outcome_of
from tests.benchmarks.llm import aiperf
from tests.datasets.test_cards import stores

EXPORT = Path(__file__).parent / "aiperf"  # AIPerf 0.13 on llama.cpp, 12 requests, 4 at once
OUTCOMES = ["200", "200", "200", "429", "cut", "lost", "timeout"]


@st.composite
def requests(draw, scheduled=False):
    start = draw(st.integers(0, 10**10))
    gaps = draw(st.lists(st.integers(1, 10**9), min_size=1, max_size=12))
    chunks = tuple(int(moment) for moment in start + np.cumsum(gaps))
    outcome = draw(st.sampled_from(OUTCOMES))
    wait = draw(st.integers(0, 10**9)) if scheduled else None
    return Record(
        draw(st.integers(0, 99)),
        start=start,
        end=chunks[-1] + 5,
        outcome=outcome,
        finish="length",
        input_tokens=draw(st.integers(1, 500)),
        output_tokens=draw(st.integers(1, 40)),
        chunks=chunks,
        scheduled=None if wait is None else start - wait,
        requested=20,
    )


LISTS = st.lists(requests(), min_size=1, max_size=25)


@settings(deadline=None)
@given(LISTS)
def test_every_figure_is_numpy_s(records):
    """An oracle of its own: AIPerf's definitions on arrays."""
    good = [one for one in records if one.outcome == "200"]
    found = summary.distributions(records)
    columns = [(o.start, o.chunks[0], o.chunks[-1], o.output_tokens, o.input_tokens) for o in good]
    start, first, last, written, read = np.array(columns, dtype=float).reshape(-1, 5).T
    several = (written >= 2) & (last > first)
    itl = (last - first)[written >= 2] / (written[written >= 2] - 1) / 1e6
    expected = {
        "time_to_first_token": (first - start) / 1e6,
        "time_to_second_token": np.array([(o.chunks[1] - o.chunks[0]) / 1e6 for o in good if len(o.chunks) > 1]),
        "request_latency": (last - start) / 1e6,
        "inter_token_latency": itl,
        "inter_chunk_latency": np.concatenate([[], *(np.diff(o.chunks) / 1e6 for o in good)]),
        "output_token_throughput_per_user": 1e9 * (written[several] - 1) / (last - first)[several],
        "e2e_output_token_throughput": 1e9 * written / (last - start),
        "prefill_throughput_per_user": 1e9 * read / (first - start),
        "input_sequence_length": read,
        "output_sequence_length": written,
    }
    assert found.keys() == expected.keys()
    for tag, values in expected.items():
        one = found[tag]
        assert one.count == len(values), tag
        if len(values):
            middle = [one.avg, one.p50, one.p90, one.p95, one.p99, one.std]
            wanted = [values.mean(), *np.quantile(values, [0.5, 0.9, 0.95, 0.99]), values.std()]
            assert middle == pytest.approx(wanted, rel=1e-9, abs=1e-6 * values.max())
            assert (one.min, one.max) == pytest.approx((values.min(), values.max()))


@settings(deadline=None)
@given(LISTS, st.floats(1, 3_000), st.floats(0.1, 500))
def test_totals_add_up(records, ttft_ms, itl_ms):
    slo = Slo(ttft_ms=ttft_ms, itl_ms=itl_ms)
    totals = summary.totals(records, slo)
    good = [one for one in records if one.ok]
    assert totals["request_count"] + totals["error_request_count"] == len(records)
    if not good:
        assert totals["output_token_throughput"] == totals["goodput"] == totals["benchmark_duration"] == 0
        return
    seconds = (max(one.chunks[-1] for one in good) - min(one.start for one in good)) / 1e9
    assert totals["benchmark_duration"] == pytest.approx(seconds)
    assert totals["output_token_throughput"] * seconds == pytest.approx(sum(one.output_tokens for one in good))
    assert totals["total_token_throughput"] == pytest.approx(
        totals["output_token_throughput"] + totals["input_token_throughput"]
    )
    met = [
        one
        for one in good
        if (one.chunks[0] - one.start) / 1e6 <= ttft_ms
        and one.output_tokens > 1
        and (one.chunks[-1] - one.chunks[0]) / 1e6 / (one.output_tokens - 1) <= itl_ms
    ]
    assert totals["goodput"] * seconds == pytest.approx(len(met))
    assert totals["good_request_fraction"] == pytest.approx(len(met) / len(records))


@settings(deadline=None)
@given(st.lists(requests(scheduled=True), min_size=1, max_size=20), st.floats(1, 3_000))
def test_waiting_counts_from_the_arrival_and_never_helps(records, most):
    report = TokenReport("m", tuple(records), slo=Slo(e2e_ms=most), offered=1.0)
    assert report.goodput_from_arrival <= report.goodput * (1 + 1e-9)
    good = [one for one in records if one.ok]
    if good:
        waits = [(one.chunks[0] - one.scheduled) / 1e6 for one in good]
        assert report.ttft_from_arrival.max == pytest.approx(max(waits))
        assert report.ttft_from_arrival.p50 >= report.ttft.p50
    assert report.late == sum(one.start - one.scheduled > 10e6 for one in records)
    assert sum(report.statuses.values()) == len(report.records) == report.wait.count
    assert report.errors == len(records) - len(good)
    assert report.short == sum(one.output_tokens < 20 for one in good)


def test_aiperf_sees_the_same_in_its_own_measurements():
    """What AIPerf recorded, read by our arithmetic, gives AIPerf's results, to the last digit."""
    found = aiperf.agreement(EXPORT, Slo(ttft_ms=100))
    # AIPerf 0.13 divides its rates by the window of its phase, a little longer than the duration that it reports.
    rates = [found.pop(tag) for tag in summary.TOTAL_UNITS if tag.endswith("_throughput") or tag == "goodput"]
    assert len(found) >= 16
    assert max(found.values()) < 1e-12, found
    assert max(rates) < 0.01
    assert max(rates) == pytest.approx(min(rates))


def test_a_request_of_one_token_has_no_inter_token_latency_and_misses_that_objective():
    record = Record(0, start=0, end=9, outcome="200", output_tokens=1, chunks=(5_000_000,))
    assert record.itl_ms is None
    assert not Slo(itl_ms=1e9).met(record)
    assert Slo(ttft_ms=5).met(record)
    assert not Slo(ttft_ms=4.9).met(record)
    assert Slo().met(record)


def test_chunks_are_not_tokens():
    record = Record(0, start=0, end=9, outcome="200", output_tokens=9, chunks=(0, 1_000_000, 4_000_000))
    assert record.itl_ms == pytest.approx(0.5)
    assert TokenReport("m", (record,)).tokens == 9


SENT = [
    {"choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "gün"}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": ""}, "finish_reason": None}]},
    {"choices": [{"delta": {"content": "aydın"}, "finish_reason": None}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
]


@settings(deadline=None)
@given(st.data(), st.sampled_from(["\n", "\r\n"]))
def test_a_stream_is_read_the_same_however_it_was_cut(data, end):
    text = ": ping" + end * 2 + "".join(f"data: {json.dumps(one, ensure_ascii=False)}{end * 2}" for one in SENT)
    body = (text + f"data: [DONE]{end * 2}").encode()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(body) - 1), max_size=40)))
    pieces = [(n, body[a:b]) for n, (a, b) in enumerate(zip([0, *cuts], [*cuts, len(body)], strict=True))]
    answer = Answer.read(pieces)
    assert (answer.finish, answer.input_tokens, answer.output_tokens, answer.done) == ("stop", 7, 5, True)
    assert len(answer.chunks) == 2
    # A chunk's time is that of the piece that completed it.
    ends = [body.index("gün".encode()), body.index("aydın".encode())]
    ends = [body.index((end * 2).encode(), place) + 2 * len(end) for place in ends]
    borders = [*cuts, len(body)]
    latest = [next(n for n, border in enumerate(borders) if border >= place) for place in ends]
    if end == "\n":
        assert answer.chunks == latest
    assert outcome_of(200, answer, whole=True) == "200"


@pytest.mark.parametrize(
    ("status", "answer", "whole", "outcome"),
    [
        (0, Answer(), False, "lost"),
        (503, Answer(error="busy"), True, "503"),
        (200, Answer([1], "length", 1, 2, done=True), False, "200"),  # [DONE] came, then the connection went
        (200, Answer([1], "length", 1, 2), False, "cut"),
        (200, Answer([1], "", 1, 2, done=True), True, "cut"),
        (200, Answer([1], "length"), True, "no usage"),
        (200, Answer([], "stop", 4, 0), True, "empty"),
        (200, Answer([1], "length", 1, 2, error="out of memory"), True, "error"),
    ],
)
def test_how_a_request_ended_has_one_name(status, answer, whole, outcome):
    assert outcome_of(status, answer, whole=whole) == outcome


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error":{"message":"no slot","code":503}}', "no slot"),
        (b'{"detail":[{"msg":"field required"}]}', "[{'msg': 'field required'}]"),
        (b'{"error":"plain"}', "plain"),
        (b"<html>", "<html>"),
        (b"", ""),
    ],
)
def test_a_server_s_words_are_kept(body, words):
    assert message(body) == words


def test_an_error_in_the_stream_is_its_words():
    answer = Answer.read([(0, b'data: {"error": {"message": "gone"}}\n\n')])
    assert answer.error == "gone"
    assert Answer.read([(0, b"data: {oops\n\n")]).error.startswith("not JSON")
    assert list(events([(0, b"event: ping\n\n")])) == []


@pytest.fixture
def report() -> TokenReport:
    asked = {"input_tokens": 5, "output_tokens": 3, "requested": 4}
    good = Record(0, start=0, end=9, outcome="200", chunks=(10**8, 2 * 10**8), **asked)
    failed = Record(1, start=5, end=9, outcome="429", error="too many", scheduled=0)
    with Meter("tokens", unit="tokens") as meter:
        meter.count(3)
    cost = Cost(meter.report, 1.5, 3e-5, 3.6, "as given")
    return TokenReport("m", (good, failed), slo=Slo(ttft_ms=150), engine="e", cost=cost, origin_ns=10**18)


def test_the_report_says_everything(report):
    words = str(report)
    assert "1 of 2 not answered whole {'200': 1, '429': 1}" in words
    assert "1 shorter than asked for" in words
    assert "goodput 5 requests/s (TTFT ≤ 150 ms)" in words
    assert "tokens/J unknown (" in words or report.tokens_per_joule is not None
    assert report.dollars_per_million == pytest.approx(1e6 * 0.001 * 0.2 / 3)
    row = token_tables.row(report)
    assert (row["tokens"], row["errors"], row["tokens_per_cpu_second"]) == (3, 1, 2.0)
    assert row["client_us_per_token"] == pytest.approx(10)
    assert report.frame.columns == list(row)
    assert report.requests["outcome"].to_list() == ["200", "429"]
    assert report.metrics.row(0, named=True)["p99"] == 100.0
    assert report.metrics["metric"].to_list() == list(report.distributions)
    assert "TTFT ≤ 150 ms" in report._repr_html_()
    assert "<table" in report._repr_html_()


def test_the_files_bear_aiperf_s_names(report, tmp_path):
    report.write(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "profile_export.jsonl").read_text().splitlines()]
    assert lines[0]["metrics"]["time_to_first_token"] == {"value": 100.0, "unit": "ms"}
    assert lines[0]["metrics"]["inter_chunk_latency"] == {"value": [100.0], "unit": "ms"}
    assert lines[0]["metadata"]["request_start_ns"] == 10**18
    assert lines[1]["error"] == {"code": 429, "type": "429", "message": "too many"}
    assert lines[1]["metrics"] == {}
    whole = json.loads((tmp_path / "profile_export_aiperf.json").read_text())
    assert whole["output_token_throughput"] == {"unit": "tokens/sec", "avg": pytest.approx(15)}
    assert whole["goodput"]["avg"] == pytest.approx(5)
    assert whole["aifactory_lab"]["statuses"] == {"200": 1, "429": 1}
    theirs = json.loads((EXPORT / "profile_export_aiperf.json").read_text())
    for tag, values in whole.items():
        if tag in theirs:
            assert values["unit"] == theirs[tag]["unit"]
            assert values.keys() <= theirs[tag].keys()
    assert len(whole.keys() & theirs.keys()) >= 20


def test_nothing_answered_is_a_report_too():
    report = TokenReport("m", (Record(0, start=0, end=9, outcome="refused"),), slo=Slo(ttft_ms=1))
    assert (report.tokens, report.tokens_per_second, report.goodput) == (0, 0.0, 0.0)
    assert np.isnan(report.ttft.p99)
    assert report.dollars_per_million is None
    assert json.loads(json.dumps(report.to_dict()["request_error_rate"])) == {"unit": "%", "avg": 100.0}
    assert "time_to_first_token" not in report.to_dict()


def test_a_price_is_said_or_assumed_aloud_or_missing(monkeypatch):
    here, there = Target("http://127.0.0.1:8000", "m"), Target("https://example.org", "m")
    assert price(here, 2.0) == (2.0, "$2 an hour, as given")
    monkeypatch.setenv("AIFACTORY_DOLLARS_PER_CORE_HOUR", "0.25")
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    dollars, note = price(here, None)
    assert dollars == 1.0
    assert "an assumption" in note
    assert price(there, None)[0] is None


def test_another_machine_s_energy_is_not_ours():
    with Meter("tokens") as meter:
        pass
    assert metered(meter.report, Target("http://127.0.0.1:8000", "m")) is meter.report
    station = metered(meter.report, Target("https://example.org", "m"))
    assert (station.joules, station.energy_note) == (None, "the server runs on another machine")
    assert Cost(station).words(5, 1.0).startswith("tokens/J unknown (the server runs on another machine)")


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("http://127.0.0.1:8000", ("127.0.0.1", 8000, False), "/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/", ("127.0.0.1", 8000, False), "/v1/chat/completions"),
        ("https://example.org/api/v1", ("example.org", 443, True), "/api/v1/chat/completions"),
    ],
)
def test_an_address_is_understood_with_and_without_v1(url, place, path):
    target = Target.of(url, model="m")
    assert target.place() == place
    assert target.path("chat/completions") == path


def test_what_cannot_be_tested_is_an_error():
    with pytest.raises(DataError, match="no prompts"):
        load.tokens("http://127.0.0.1:9", [], model="m")
    with pytest.raises(DataError, match="one or the other"):
        load.tokens("http://127.0.0.1:9", ["a"], model="m", rate=1.0, arrivals=[0.0])
    with pytest.raises(DataError, match="'embed' is not one of completions, chat"):
        load.tokens("http://127.0.0.1:9", ["a"], model="m", api="embed")
    with pytest.raises(DataError, match="must be positive"):
        arrivals.poisson(0, 3)


def test_poisson_arrivals_have_exponential_gaps_and_repeat():
    some = arrivals.poisson(50.0, 20_000, seed=3)
    gaps = np.diff(some.times)
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.03)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)
    assert (some.times == arrivals.poisson(50.0, 20_000, seed=3).times).all()
    assert some.rate == pytest.approx(50, rel=0.03)
    assert np.isnan(Arrivals(np.empty(0)).rate)


TRACE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
2023-11-16 18:16:10.0000000,8,1
"""


@pytest.fixture
def trace(monkeypatch, tmp_path) -> Path:
    """The first rows of the real trace, where the catalogue looks for the whole."""
    from aifactory_lab.datasets import entries, remote

    path = tmp_path / "AzureLLMInferenceTrace_conv.csv"
    path.write_text(TRACE)
    known = entries.Entry(
        "azure-llm", "", "", "", files=(("requests", remote.RemoteFile(path.name, "http://127.0.0.1:9/")),)
    )
    monkeypatch.setitem(entries.ENTRIES, "azure-llm", known)
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    return path


def test_a_window_of_the_trace_is_scaled_as_its_note_says(trace):
    window = arrivals.azure("conv", start=1.0, seconds=10.0, pace=0.5, length=0.25, context=128)
    assert window.times.tolist() == pytest.approx([2 * 3.314579, 2 * 3.541877])
    assert window.input_tokens.tolist() == [99, 114]
    assert window.output_tokens.tolist() == [27, 14]
    assert (window.input_tokens + window.output_tokens <= 128).all()
    assert window.note.endswith("1–11 s: 2 requests, pace × 0.5, lengths × 0.25, 1 cut to 128 tokens")
    assert window.frame.columns == ["time", "input_tokens", "output_tokens"]


def test_the_trace_as_it_is(trace):
    whole = arrivals.azure("conv", seconds=60.0)
    assert whole.frame.select(pl.col("input_tokens").sum(), pl.col("output_tokens").sum()).row(0) == (1657, 209)
    assert whole.times[0] == 0
    with pytest.raises(DataError, match="nothing came from 100 s"):
        arrivals.azure("conv", start=100.0)
    with pytest.raises(DataError, match="no trace 'chat'; there are: conv, code"):
        arrivals.azure("chat")
    with pytest.raises(DataError, match="must be positive"):
        arrivals.azure("conv", pace=0)


@pytest.mark.parametrize("store", stores(), ids=str)
def test_the_real_trace_is_as_it_was_published(monkeypatch, store):
    monkeypatch.setenv(places.VARIABLE, str(store))
    whole = arrivals.azure("conv", seconds=4_000.0)
    assert len(whole) == 19_366
    assert whole.rate == pytest.approx(5.53, abs=0.01)
    assert whole.input_tokens.mean() == pytest.approx(1_154.7, abs=0.05)
    assert whole.output_tokens.mean() == pytest.approx(211.1, abs=0.05)
    slow = arrivals.azure("conv", start=600, seconds=60, pace=0.1, length=1 / 8, context=256)
    assert slow.times[-1] < 600
    assert (slow.input_tokens + slow.output_tokens).max() <= 256
    assert slow.input_tokens.min() >= 1


@pytest.fixture(scope="module")
def words():
    from aifactory_lab.lm import tokenizer

    text = Path(json.__file__).read_text()
    return text, tokenizer.train([text], vocabulary=600)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.integers(0, 5))
def test_prompts_have_the_wanted_tokens(words, lengths, seed):
    text, tokenizer = words
    made = prompts.of_lengths([text, "häuser, straßen\n" * 200], tokenizer, lengths, seed=seed)
    assert [len(tokenizer.encode(one)) for one in made] == lengths
    assert made == prompts.of_lengths([text, "häuser, straßen\n" * 200], tokenizer, lengths, seed=seed)


def test_prompts_cannot_be_longer_than_the_text(words):
    text, tokenizer = words
    with pytest.raises(DataError, match="cannot be cut from texts of"):
        prompts.of_lengths([text], tokenizer, [10**6])


def test_a_distribution_of_nothing_is_nan():
    assert Distribution.of([]).count == 0
    assert np.isnan(Distribution.of([]).p50)
