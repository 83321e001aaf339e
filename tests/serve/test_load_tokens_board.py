"""Our server, its board and its load test say the same, each by its own clock."""

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aifactory_lab.serve import llm, load
from aifactory_lab.widgets import ThroughputBoard
from tests.serve import raw_llama
from tests.serve.test_load_tokens_live import SHAPE
from tests.telemetry.scripted import wait_for

TEXT = ['"""Counting."""\n\ndef count(items):\n    return sum(1 for _ in items)\n' * 30]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = raw_llama.make_model(tmp_path_factory.mktemp("lm") / "tiny", TEXT, **SHAPE)
    with llm.start(folder, slots=4) as running:
        yield running


def metered(server) -> dict[str, float]:
    families = text_string_to_metric_families(httpx.get(server.url + "/metrics").text)
    return {sample.name: sample.value for family in families for sample in family.samples if "le" not in sample.labels}


def test_the_server_s_meters_agree_with_the_load_test(server):
    before = metered(server)
    report = load.tokens(server, ["def count(", "return sum("], concurrency=3, requests=24, max_tokens=40)
    after = metered(server)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert report.statuses == {"200": 24}
    assert grown["vllm:generation_tokens_total"] == report.tokens == 24 * 40
    assert grown["vllm:prompt_tokens_total"] == report.totals["total_isl"]
    assert grown["vllm:time_to_first_token_seconds_count"] == report.ttft.count
    # The gateway's clock starts later and stops earlier than the client's, never the other way round.
    assert grown["vllm:time_to_first_token_seconds_sum"] <= report.ttft.sum / 1e3
    assert grown["vllm:e2e_request_latency_seconds_sum"] <= sum(one.end - one.start for one in report.records) / 1e9


def test_the_board_shows_the_tokens_while_they_come(server):
    board = ThroughputBoard(server.url, name="under load")
    try:
        sampler = next(feed.sampler for feed in board.feeds if feed.role == "service")
        wait_for(lambda: len(sampler.ring) > 2)
        report = load.tokens(server, ["def count("], rate=8.0, seconds=4.0, max_tokens=40)
        seen = len(sampler.ring)
        wait_for(lambda: len(sampler.ring) > seen + 2)
        history, figure = sampler.ring.history(), board.snapshot()
    finally:
        board.close()
    who = history.layout.entities[0].id
    times, rates = history.series(who, "tokens_rate")
    known = np.isfinite(rates)
    shown = np.sum(rates[known][1:] * np.diff(times[known]))
    # A rate is between two looks, and a loaded machine looks late.
    assert shown == pytest.approx(report.tokens, rel=0.15)
    assert report.tokens == 40 * len(report.records)
    assert "output tokens (tokens/s)" in {note.text for note in figure.layout.annotations}
    tops = [np.nanmax(np.array(trace.y, dtype=float)) for trace in figure.data]
    assert np.nanmax(rates) in tops
