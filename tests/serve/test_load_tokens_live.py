"""Token load tests on real servers: llama.cpp, and one that breaks as its script says."""

import asyncio
import json
import os
import signal
import socket
import sysconfig
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import openai
import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.serve import load
from aifactory_lab.serve.load import Arrivals, Slo, prompts
from tests.serve import raw_llama
from tests.serve.scripted import serving

SHAPE = {"vocabulary": 512, "layers": 2, "width": 64, "heads": 2, "kv_heads": 2, "hidden": 192, "context": 128}
FRESH = {"cache_prompt": False}


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return [(Path(sysconfig.get_paths()["stdlib"]) / "textwrap.py").read_text()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, texts) -> Path:
    return raw_llama.make_model(tmp_path_factory.mktemp("lm") / "tiny", texts, **SHAPE)


@pytest.fixture(scope="module")
def asked(folder, texts) -> list[str]:
    from aifactory_lab.lm.tokenizer import Tokenizer

    return prompts.of_lengths(texts, Tokenizer.load(folder), [9, 17, 30, 41])


@pytest.fixture(scope="module")
def llama(folder):
    with raw_llama.serve(folder / "model.gguf", slots=4, context=128) as running:
        yield running


def counted(llama) -> dict[str, float]:
    lines = httpx.get(llama.url + "/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("llamacpp:"))
    return {name.removeprefix("llamacpp:"): float(value) for name, value in pairs}


def test_a_closed_loop_counts_what_the_server_counts(llama, asked):
    before = counted(llama)
    report = load.tokens(llama, asked, concurrency=3, requests=12, max_tokens=20, extra=FRESH, slo=Slo(e2e_ms=60_000))
    after = counted(llama)
    assert report.statuses == {"200": 12}
    assert report.finishes == {"length": 12}
    assert report.tokens == 12 * 20 == after["tokens_predicted_total"] - before["tokens_predicted_total"]
    assert [one.input_tokens for one in report.records] == [9, 17, 30, 41] * 3
    assert report.totals["total_isl"] == after["prompt_tokens_total"] - before["prompt_tokens_total"]
    assert report.short == report.late == report.errors == 0
    assert report.goodput == pytest.approx(report.requests_per_second)
    assert 0 < report.ttft.p50 <= report.latency.p50
    assert report.cost.server_cpu_seconds > 0
    assert report.cost.client_cpu_seconds > 0
    assert report.offered is None
    assert (report.cost.station.made, report.cost.station.unit) == (240, "tokens")
    concurrent = sum(one.start < report.records[0].end for one in report.records)
    assert concurrent >= 3


def test_a_closed_loop_stops_sending_after_its_time(llama, asked):
    report = load.tokens(llama, asked, concurrency=2, seconds=0.5, max_tokens=5)
    assert report.errors == 0
    assert max(one.start for one in report.records) < 500_000_000
    assert report.tokens == 5 * len(report.records)


def test_a_chat_and_a_warm_up(llama, asked):
    before = counted(llama)["tokens_predicted_total"]
    report = load.tokens(llama, asked, api="chat", requests=3, warmup=2, max_tokens=8)
    assert (report.tokens, counted(llama)["tokens_predicted_total"] - before) == (24, 40)
    assert min(one.input_tokens for one in report.records) > 9  # the template's words count


def test_token_ids_are_a_prompt_too(llama):
    report = load.tokens(llama.url, [[5, 6, 7]], model="tiny", requests=1, max_tokens=3)
    assert (report.records[0].input_tokens, report.tokens) == (3, 3)
    assert report.cost.server_cpu_seconds is None  # an address does not say which process


def test_without_a_model_s_name_the_server_is_asked(llama, asked):
    assert load.tokens(llama.url, asked, requests=1, max_tokens=2).model == "tiny"
    with pytest.raises(FactoryError, match="does not say which models it has"):
        load.tokens(f"http://127.0.0.1:{_free_port()}", asked)


def test_an_open_loop_sends_at_its_times_and_asks_for_the_trace_s_lengths(llama, asked):
    coming = Arrivals(np.array([0.0, 0.2, 0.25, 0.9]), output_tokens=np.array([3, 9, 1, 30]), note="by hand")
    report = load.tokens(llama, asked, arrivals=coming)
    assert [one.output_tokens for one in report.records] == [3, 9, 1, 30]
    assert [one.scheduled for one in report.records] == [0, 200_000_000, 250_000_000, 900_000_000]
    assert min(one.wait_ms for one in report.records) >= 0
    assert report.ttft_from_arrival.min >= report.ttft.min
    assert (report.note, report.wait.count) == ("by hand", 4)
    assert report.itl.count == 3  # an answer of one token has none


def test_poisson_arrivals_are_as_many_as_their_rate_says(llama, asked):
    report = load.tokens(llama, asked, rate=30.0, seconds=1.5, max_tokens=2)
    assert len(report.records) == pytest.approx(45, abs=34)  # Poisson: five standard deviations
    assert report.offered == 30.0
    assert load.tokens(llama, asked, rate=200.0, requests=7, max_tokens=2).statuses == {"200": 7}


def test_pareto_is_one_row_for_each_concurrency(llama, asked):
    frame = load.pareto(llama, asked, (1, 4), requests=2, max_tokens=4, engine="raw", price_per_hour=1.0)
    assert frame["concurrency"].to_list() == [1, 4]
    assert frame["requests"].to_list() == [2, 4]
    assert frame["engine"].to_list() == ["raw", "raw"]
    dollars = 1e6 / 3600 * frame["seconds"] / frame["tokens"]
    assert frame["dollars_per_million"].to_list() == pytest.approx(dollars.to_list())


def test_the_official_client_is_told_the_same(llama, asked):
    """A foreign load generator: the openai package from several threads, on the same server with the same requests."""
    ours = load.tokens(llama, asked, concurrency=4, requests=8, max_tokens=16, extra=FRESH)
    client = openai.OpenAI(base_url=llama.url + "/v1", api_key="none", max_retries=0)
    theirs: dict[int, tuple[int, int, int]] = {}

    def ask(number: int) -> None:
        stream = client.completions.create(
            model="tiny",
            prompt=asked[number % len(asked)],
            max_tokens=16,
            temperature=0,
            seed=0,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"ignore_eos": True, **FRESH},
        )
        parts = list(stream)
        content = sum(bool(choice.text) for part in parts for choice in part.choices)
        theirs[number] = (parts[-1].usage.prompt_tokens, parts[-1].usage.completion_tokens, content)

    for some in (range(4), range(4, 8)):
        threads = [threading.Thread(target=ask, args=(number,)) for number in some]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    client.close()
    found = {one.number: (one.input_tokens, one.output_tokens, len(one.chunks)) for one in ours.records}
    assert found == theirs


def test_a_server_killed_under_load_is_counted_not_hidden(folder, asked):
    def kill(running) -> None:
        while counted(running)["tokens_predicted_total"] < 160:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGKILL)

    with raw_llama.serve(folder / "model.gguf", slots=2, context=128) as running:
        killer = threading.Thread(target=kill, args=(running,))
        killer.start()
        report = load.tokens(running, asked, concurrency=2, requests=400, max_tokens=80)
        killer.join()
    assert len(report.records) == 400
    assert report.statuses["200"] > 0
    assert report.statuses["refused"] > 0
    assert set(report.statuses) <= {"200", "cut", "lost", "refused"}
    assert report.tokens == 80 * report.statuses["200"]  # what was cut is in no rate


async def _well(server, writer, number):
    await server.stream(writer, number, ["a", "b", "c"])


def test_times_are_those_of_the_wire():
    """The script says when it sent each chunk; the clock is one for all processes of a machine."""

    async def slowly(server, writer, number):
        await server.stream(writer, number, ["a", "", "b", "c"], pause=0.04)

    with serving(slowly) as (url, server):
        report = load.tokens(url, ["x"], model="m", requests=2)
    for record, sent in zip(report.records, server.sent, strict=True):
        assert len(record.chunks) == 3  # an empty text is no token
        assert record.ttft_ms >= 40
        assert record.ttst_ms >= 70  # two pauses lie between the first and the second content
        wire = np.diff([sent[0], sent[2], sent[3]])
        assert record.output_tokens == 8
        assert record.itl_ms == pytest.approx(wire.sum() / 1e6 / 7, abs=20)
    assert server.connections == 1  # kept alive


def test_what_is_asked_is_what_was_said():
    with serving(_well) as (url, server):
        load.tokens(url, ["x"], model="m", requests=1, max_tokens=5, seed=4, extra={"top_k": 1})
        load.tokens(url, ["x"], model="m", requests=1, ignore_eos=False, api="chat")
    assert server.bodies[0] == {
        "model": "m",
        "prompt": "x",
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0.0,
        "seed": 4,
        "ignore_eos": True,
        "top_k": 1,
    }
    assert "ignore_eos" not in server.bodies[1]
    assert server.bodies[1]["messages"] == [{"role": "user", "content": "x"}]
    assert server.heads[1].startswith("POST /v1/chat/completions HTTP/1.1")


def test_the_key_is_sent_and_written_nowhere(monkeypatch, tmp_path):
    monkeypatch.setenv("AIFACTORY_LLM_KEY", "sesame-0815")
    with serving(_well) as (url, server):
        report = load.tokens(url, ["x"], model="m", requests=1)
    assert "Authorization: Bearer sesame-0815" in server.heads[0]
    report.write(tmp_path)
    written = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "sesame" not in written + repr(report) + str(report)


async def _faults(server, writer, number):
    match number % 6:
        case 0:
            await server.stream(writer, number, ["a", "b"])
        case 1:
            body = json.dumps({"error": {"message": "all slots are busy"}}).encode()
            writer.write(b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        case 2:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await server.event(writer, number, {"choices": [{"text": "a", "finish_reason": None}]})
            writer.close()
        case 3:
            await server.stream(writer, number, ["a"], usage=False)
        case 4:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            await server.event(writer, number, {"error": {"message": "out of memory"}})
            writer.write(b"0\r\n\r\n")
        case 5:
            await asyncio.sleep(30)


def test_every_way_to_fail_has_its_name():
    with serving(_faults) as (url, _):
        report = load.tokens(url, ["x"], model="m", requests=6, patience=1.0, slo=Slo(ttft_ms=10_000))
    assert [one.outcome for one in report.records] == ["200", "429", "cut", "no usage", "error", "timeout"]
    assert [one.error for one in report.records] == ["", "all slots are busy", "", "", "out of memory", ""]
    assert report.tokens == 4
    assert report.totals["good_request_fraction"] == pytest.approx(1 / 6)
    assert "5 of 6 not answered whole" in str(report)


def test_a_kept_connection_that_the_server_closed_is_no_failure():
    async def once(server, writer, number):
        await server.stream(writer, number, ["a"])
        writer.close()  # without a word: the next request finds it gone, or goes into the void

    with serving(once) as (url, server):
        report = load.tokens(url, ["x"], model="m", requests=5)
    assert report.statuses == {"200": 5}
    assert server.connections == 5


def test_an_open_loop_that_finds_no_connection_is_late_and_says_so():
    async def slowly(server, writer, number):
        await server.stream(writer, number, ["a"], pause=0.1)

    with serving(slowly) as (url, _):
        report = load.tokens(url, ["x"], model="m", arrivals=[0.0] * 5, concurrency=1, slo=Slo(ttft_ms=10_000))
    assert report.statuses == {"200": 5}
    assert report.late >= 4
    assert report.latency_from_arrival.max > report.latency.max + 350  # four answers of 100 ms came before


def test_nobody_there_is_refused_not_an_exception():
    report = load.tokens(f"http://127.0.0.1:{_free_port()}", ["x"], model="m", requests=3, concurrency=2)
    assert report.statuses == {"refused": 3}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
