"""The gateway over real sockets: refusals, limits, keys, health, metrics."""

import contextlib
import http.client
import json
import os
import socket
import time
from urllib.parse import urlsplit

import httpx
import openai
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.serve import llm
from aifactory_lab.telemetry.prometheus import PrometheusSource
from tests.serve.llm.conftest import CONTEXT, PROMPT, SLOTS, WAITING, engine_of, long, metric, quiet, wait_until

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "body", "status", "param", "code"),
    [
        (COMPLETIONS, b"{", 400, None, "invalid_json"),
        (COMPLETIONS, b"", 400, None, "invalid_json"),
        (COMPLETIONS, b"\xff", 400, None, "invalid_json"),
        (COMPLETIONS, b"[]", 400, None, "invalid_value"),
        (COMPLETIONS, b"{}", 400, "prompt", "invalid_value"),
        (COMPLETIONS, b'{"prompt": 3}', 400, "prompt", "invalid_value"),
        (COMPLETIONS, b'{"prompt": "a", "max_tokens": "many"}', 400, "max_tokens", "invalid_value"),
        (COMPLETIONS, b'{"prompt": "a", "max_tokens": 0}', 400, "max_tokens", "invalid_value"),
        (COMPLETIONS, b'{"prompt": "a", "temperature": -1}', 400, "temperature", "invalid_value"),
        (COMPLETIONS, b'{"prompt": "a", "stream": "yes"}', 400, "stream", "invalid_value"),
        (COMPLETIONS, b'{"prompt": ["a", "b"]}', 400, "prompt", "unsupported_parameter"),
        (COMPLETIONS, b'{"prompt": "a", "model": "b"}', 404, "model", "model_not_found"),
        (COMPLETIONS, b'{"prompt": "a", "lora": 3, "stop": [1]}', 400, "stop.0", "invalid_value"),
        (CHAT, b'{"messages": []}', 400, "messages", "invalid_value"),
        (CHAT, b'{"messages": [{"content": "a"}]}', 400, "messages.0.role", "invalid_value"),
        (CHAT, b'{"messages": "hello"}', 400, "messages", "invalid_value"),
    ],
)
def test_what_is_wrong_is_said(client, path, body, status, param, code):
    answer = client.post(path, content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["message"]
    assert error["type"] == "invalid_request_error"


def test_fields_that_are_not_ours_are_the_engines(client):
    """`top_k` is llama.cpp's and vLLM's: with the likeliest token alone, no seed matters."""

    def text(seed):
        asked = {"prompt": PROMPT, "max_tokens": 12, "temperature": 1.0, "top_k": 1, "seed": seed}
        return client.post(COMPLETIONS, json=asked).json()["choices"][0]["text"]

    assert len({text(seed) for seed in range(4)}) == 1
    refused = client.post(COMPLETIONS, json={"prompt": PROMPT, "grammar": "root ::= ("})
    assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_request_error")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-3, 5) | st.floats(-3, 3) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    ),
    st.sampled_from(
        ["prompt", "messages", "model", "stream", "n", "stop", "seed", "logit_bias", "stream_options", "echo", "lora"]
    ),
    st.sampled_from([COMPLETIONS, CHAT]),
)
@settings(max_examples=80, deadline=None)
def test_no_request_is_answered_with_a_fault_of_ours(client, value, field, path):
    asked = {"max_tokens": 2, "prompt": "a", "messages": [{"role": "user", "content": "a"}], field: value}
    answer = client.post(path, json=asked)
    assert answer.status_code in (200, 400, 404), answer.text
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", COMPLETIONS, 405),
        ("DELETE", "/v1/models", 405),
        ("POST", "/health", 405),
        ("GET", "/", 404),
        ("POST", "/v1/embeddings", 404),
        ("GET", "/slots", 404),  # what llama.cpp has besides stays inside
        ("GET", "/v1/models/", 200),
    ],
)
def test_paths_and_methods(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["allow"] in ("GET", "POST")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(client, server):
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname, place.port, timeout=30)
    with contextlib.closing(connection):
        connection.putrequest("POST", COMPLETIONS)
        connection.putheader("Content-Length", str(1 << 40))
        connection.endheaders()
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["error"]["code"]) == (413, "request_too_large")

    def pieces():
        for _ in range(200):
            yield b"x" * (1 << 16)

    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # the gateway may close before all is sent
        assert client.post(COMPLETIONS, content=pieces()).status_code == 413


def test_a_request_that_comes_in_pieces_is_read(client):
    body = json.dumps({"prompt": PROMPT, "max_tokens": 2}).encode()
    answer = client.post(COMPLETIONS, content=iter([body[:7], body[7:20], body[20:]]))
    assert answer.json()["usage"]["completion_tokens"] == 2


def test_who_comes_on_top_is_told_when_to_return(server, client, official):
    """All slots run and all places to wait are taken: the next one is refused, and those waiting are answered."""
    place = urlsplit(server.url)
    inside = []
    for number in range(SLOTS + WAITING):
        body = json.dumps(long(stream=True, max_tokens=CONTEXT if number < SLOTS else 30)).encode()
        inside.append(socket.create_connection((place.hostname, place.port)))
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        inside[-1].sendall(head % len(body) + body)
        wait_until(lambda number=number: inside_now(client) == number + 1)
    assert metric(client, "vllm:num_requests_running") == SLOTS
    assert metric(client, "vllm:num_requests_waiting") == WAITING
    refused = client.post(COMPLETIONS, json={"prompt": PROMPT})
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    with pytest.raises(openai.RateLimitError, match="4 requests are running and 6 wait"):
        official.completions.create(model="tiny", prompt=PROMPT)
    for running in inside[:SLOTS]:
        running.close()
    for waiting in inside[SLOTS:]:
        with waiting, waiting.makefile("rb") as answer:
            assert b"data: [DONE]" in answer.read()
    wait_until(lambda: quiet(client))


def inside_now(client) -> int:
    state = client.get("/health").json()
    return state["running"] + state["waiting"]


def test_a_board_reads_the_server_as_it_reads_vllm(server, client):
    source = PrometheusSource(server.url, slo_ms=60_000)
    with contextlib.closing(source):
        source.layout = source.open()
        source.sample()
        time.sleep(0.6)  # a rate spans half a period at least
        for _ in range(4):
            client.post(COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 20, "ignore_eos": True, "stream": True})
        snapshot = source.sample()
        (row,) = snapshot.layout.rows.values()
        assert snapshot.layout.entities[row].name == "llama.cpp tiny", "vLLM's names, not its reputation"
        told = dict(zip(snapshot.layout.metrics, snapshot.values[row], strict=True))
    for name in ("tokens_rate", "prompt_tokens_rate", "requests_rate", "ttft_p50", "itl_p50", "latency_p99"):
        assert told[name] > 0, name
    assert told["good_share"] == 100
    assert (told["running"], told["waiting"], told["errors_rate"]) == (0, 0, 0)
    assert told["tokens_rate"] == pytest.approx(20 * told["requests_rate"])
    assert told["itl_p50"] < told["latency_p50"]


def test_every_token_is_counted_once(client, checkpoint):
    def counted():
        names = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total", "vllm:e2e_request_latency_seconds_count")
        reasons = [metric(client, "vllm:request_success_total", finished_reason=word) for word in ("length", "stop")]
        return [metric(client, name) for name in names] + reasons

    before, prompt = counted(), len(checkpoint.tokenizer.encode(PROMPT))
    client.post(COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 30, "ignore_eos": True})
    client.post(COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 30, "ignore_eos": True, "stream": True})
    stopped = client.post(COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 30, "temperature": 0, "stop": "t"}).json()
    now = [after - earlier for after, earlier in zip(counted(), before, strict=True)]
    assert now == [60 + stopped["usage"]["completion_tokens"], 3 * prompt, 3, 2, 1]
    text = client.get("/metrics").text
    assert 'aifactory_llm_info{engine="llama.cpp",model_name="tiny"} 1.0' in text


def test_a_key_is_asked_for_and_never_told(checkpoint, monkeypatch, capfd):
    key = "sk-a-very-private-key"
    monkeypatch.setenv("AIFACTORY_LLM_KEY", key)
    with llm.start(checkpoint.folder, slots=1) as server:
        with httpx.Client(base_url=server.url) as client:
            for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": key}):
                for path in (COMPLETIONS, CHAT, "/v1/models"):
                    method = "GET" if path == "/v1/models" else "POST"
                    answer = client.request(method, path, headers=headers)
                    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
                    assert key not in answer.text
            assert client.get("/health").status_code == 200
            assert key not in client.get("/metrics").text + client.get("/health").text + repr(server)
        stranger = openai.OpenAI(base_url=server.base_url, api_key="wrong", max_retries=0)
        with stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        with openai.OpenAI(base_url=server.base_url, api_key=key) as owner:
            assert owner.completions.create(model="tiny", prompt=PROMPT, max_tokens=1).usage.completion_tokens == 1
        told = str(psutil.Process(server.pid).cmdline()) + str(engine_of(server).cmdline())
    assert key not in told + "".join(capfd.readouterr())
    assert os.environ["AIFACTORY_LLM_KEY"] == key
