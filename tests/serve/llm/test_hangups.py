"""Clients that hang up, all at once or never: slots are freed, everybody else is answered, nothing leaks."""

import asyncio
import contextlib
import json
import random
import socket
import threading
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
import uvicorn

from aifactory_lab.serve import processes
from aifactory_lab.serve.llm import gateway
from aifactory_lab.serve.llm.engines import Served
from aifactory_lab.serve.llm.external import External
from aifactory_lab.serve.llm.upstream import Address
from tests.serve.llm.conftest import CONTEXT, PROMPT, SLOTS, busy_slots, engine_of, long, metric, quiet, wait_until
from tests.serve.scripted import serving

COMPLETIONS = "/v1/completions"


def send(server, fields) -> socket.socket:
    """Send a request and leave its answer where it is."""
    place, body = urlsplit(server.url), json.dumps(fields).encode()
    sent = socket.create_connection((place.hostname, place.port))
    sent.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return sent


@pytest.mark.parametrize("stream", [True, False])
def test_whoever_hangs_up_gives_the_slot_back(server, client, stream):
    before = metric(client, "vllm:request_success_total", finished_reason="abort")
    left = [send(server, long(stream=stream)) for _ in range(SLOTS + 2)]  # two of them wait
    wait_until(lambda: client.get("/health").json()["waiting"] == 2)
    wait_until(lambda: busy_slots(server) == SLOTS)
    for connection in left:
        connection.close()
    wait_until(lambda: quiet(client))
    assert client.post(COMPLETIONS, json={"prompt": PROMPT, "max_tokens": 2}).status_code == 200
    wait_until(lambda: busy_slots(server) == 0, seconds=10)
    assert metric(client, "vllm:request_success_total", finished_reason="abort") - before == SLOTS + 2
    assert metric(client, "vllm:num_requests_running") == metric(client, "vllm:num_requests_waiting") == 0


def test_a_busy_engine_stops_for_whoever_is_gone(server, client):
    """One answers a stream all the while: llama.cpp alone would not look whether the other still listens."""
    with send(server, long(stream=True)):
        gone = send(server, long(stream=False))
        wait_until(lambda: busy_slots(server) == 2)
        gone.close()
        wait_until(lambda: busy_slots(server) == 1, seconds=5)
    wait_until(lambda: busy_slots(server) == 0)


def test_the_slot_is_free_long_before_the_answer_would_have_been_whole(server, client):
    whole = metric(client, "vllm:generation_tokens_total")
    with send(server, long(stream=True)) as connection:
        while b"data: " not in connection.recv(4096):
            pass
    wait_until(lambda: busy_slots(server) == 0)
    assert metric(client, "vllm:generation_tokens_total") - whole < CONTEXT / 4


async def good(client, number) -> None:
    """A request that must be answered completely, however many others misbehave."""
    tokens, stream = 5 + number % 20, bool(number % 2)
    body = {"prompt": PROMPT, "max_tokens": tokens, "ignore_eos": True, "stream": stream}
    body |= {"stream_options": {"include_usage": True}} if stream else {}
    while (answer := await client.post(COMPLETIONS, json=body)).status_code == 429:
        await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    if stream:
        events = [line[6:] for line in answer.text.splitlines() if line]
        assert events.pop() == "[DONE]"
        usage = json.loads(events.pop())["usage"]
    else:
        usage = answer.json()["usage"]
    assert usage["completion_tokens"] == tokens


async def bad(client, number) -> None:
    bodies = [b"{", b'{"prompt": 1}', json.dumps({"prompt": "x" * 20_000}).encode(), b'{"prompt": "a", "model": "b"}']
    answer = await client.post(COMPLETIONS, content=bodies[number % 4])
    assert answer.status_code in (400, 404, 429)
    assert answer.json()["error"]["message"]


async def gone(client, number) -> None:
    """Hang up before the answer, at its beginning, or in its middle; where the house is full there is none."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.002 * (1 + number % 30)):
            async with client.stream("POST", COMPLETIONS, json=long(stream=bool(number % 3))) as answer:
                async for _ in answer.aiter_raw():
                    pass
                assert answer.status_code == 429


async def crowd(url: str, count: int) -> None:
    kinds = [good, bad, gone] * (count // 3 + 1)
    random.Random(count).shuffle(kinds)
    limits = httpx.Limits(max_connections=64)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        found = await asyncio.gather(
            *(kind(client, number) for number, kind in enumerate(kinds[:count])), return_exceptions=True
        )
    assert [error for error in found if error is not None] == []


def test_two_hundred_at_once_good_bad_and_gone(server, client):
    """Every good one is answered completely; afterwards nothing is left of any."""
    gateway, engine = psutil.Process(server.pid), engine_of(server)
    asyncio.run(crowd(server.url, 60))  # what is allocated once is allocated now
    wait_until(lambda: quiet(client) and busy_slots(server) == 0)
    files, threads = gateway.num_fds() + engine.num_fds(), engine.num_threads()
    memory = gateway.memory_info().rss + engine.memory_info().rss
    asyncio.run(crowd(server.url, 200))
    wait_until(lambda: quiet(client))
    wait_until(lambda: busy_slots(server) == 0)
    # A few come and go with connections that are kept for a while; one left by each request would be two hundred.
    wait_until(lambda: gateway.num_fds() + engine.num_fds() <= files + 8)
    assert gateway.memory_info().rss + engine.memory_info().rss - memory < 16 << 20
    assert engine.num_threads() <= threads + 2
    assert metric(client, "vllm:num_requests_running") == metric(client, "vllm:num_requests_waiting") == 0


async def _for_ever(server, writer, number) -> None:
    await server.stream(writer, number, ["word " * 10_000] * 10_000)  # more than the buffers of sockets hold


def test_who_neither_reads_nor_hangs_up_loses_the_slot(monkeypatch):
    monkeypatch.setattr(gateway, "READER_SECONDS", 0.5)
    listening = processes.bind("127.0.0.1", 0)
    with serving(_for_ever) as (url, _), listening:
        address = Address.of(url)
        app = gateway.Gateway(External("a test's", address, (Served("m"),), slots=1))
        server = uvicorn.Server(processes.config(app))
        server.config.lifespan = "off"
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        with socket.socket() as silent:
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            silent.connect(listening.getsockname())
            body = b'{"prompt": "a", "stream": true}'
            head = b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
            silent.sendall(head % len(body) + body)
            wait_until(lambda: app.admission.running == 1, seconds=120)
            wait_until(lambda: app.admission.running == 0, seconds=120)
        server.should_exit = True
        thread.join()
    assert b'finished_reason="abort",model_name="m"} 1.0' in app.meters.text()
