"""Clients that say nothing, little by little, or too much: they are hung up upon, and the others are served."""

import socket
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from aifactory_lab import serve, telemetry
from aifactory_lab.serve import connections
from aifactory_lab.telemetry.prometheus import exporter as exporters
from tests.security.conftest import ROW

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
SLOW = {
    "says nothing": (b"", b""),
    "drips a head": (b"POST /predict HTTP/1.1\r\nX-Long: ", b"x"),
    "drips a body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "drips chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
}


@pytest.fixture(scope="module")
def server(bundle):
    """A service in this process whose patience is a tenth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections, "PATIENCE_SECONDS", 0.1)
        patch.setattr(connections, "MERCY_SECONDS", 0.05)
        with serve.start(bundle.folder, threads=1, where="thread") as running:
            yield running


def ends(connection: socket.socket, drop: bytes = b"", seconds: float = 60.0) -> bool:
    """Send drops until the other side hangs up."""
    connection.settimeout(0.02)
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        try:
            if drop:
                connection.sendall(drop)
            if connection.recv(1_000) == b"":
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def connected(url: str) -> socket.socket:
    place = urlsplit(url)
    return socket.create_connection((place.hostname, place.port))


@pytest.mark.parametrize("how", SLOW)
def test_the_slow_are_hung_up_upon(server, how):
    begun, drop = SLOW[how]
    with closing(connected(server.url)) as slow:
        slow.sendall(begun)
        assert ends(slow, drop)
    answer = httpx.post(f"{server.url}/predict", json=ROW, timeout=60)
    assert answer.status_code == 200
    assert httpx.get(f"{server.url}/health", timeout=60).json()["open_requests"] == 0, "and hold no place"


def test_who_sends_steadily_has_time(server, monkeypatch):
    """500 bytes buy a second: a large body over a slow line is no attack."""
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 1.0)
    body = b'{"temp": 1, "wind_gust": 2, "visib": 3' + b" " * 4_000 + b"}"
    with closing(connected(server.url)) as steady:
        steady.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        for at in range(0, len(body), 400):
            steady.sendall(body[at : at + 400])
            time.sleep(0.2)
        steady.settimeout(60)
        assert steady.recv(100).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("line", [b"X-Long: ", b"X: y\r\n"])
def test_a_head_without_end_is_refused_after_64_kib(server, line, monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 60.0)
    sent, said = 0, b""
    with closing(connected(server.url)) as endless:
        endless.settimeout(60)
        endless.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + line)
        with suppress(OSError):
            while sent < 64 << 20:
                endless.sendall(line * 1_000)
                sent += len(line) * 1_000
        with suppress(OSError):
            said = endless.recv(1_000)
    assert sent < 32 << 20, "it went on reading"
    assert said == b"" or said.startswith(b"HTTP/1.1 400")


def test_hundreds_of_silent_connections_do_not_keep_others_out(server):
    crowd = [connected(server.url) for _ in range(200)]
    try:
        assert httpx.post(f"{server.url}/predict", json=ROW, timeout=60).status_code == 200
        assert all(ends(one) for one in crowd)
    finally:
        for one in crowd:
            one.close()


def test_the_exporter_serves_on_while_clients_drip_and_crowd(monkeypatch):
    monkeypatch.setattr(exporters, "PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr(exporters, "MOST_CONNECTIONS", 8)
    with telemetry.export(port=0, samplers=[]) as exporter:
        crowd = [connected(exporter.url) for _ in range(20)]
        try:
            assert served(exporter.url, crowd)
        finally:
            for one in crowd:
                one.close()


def served(url: str, crowd: list[socket.socket], seconds: float = 60.0) -> bool:
    """Whether one more client is answered before long, while all of a crowd drip."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        for one in crowd:
            with suppress(OSError):
                one.sendall(b"G")
        with suppress(httpx.HTTPError):
            return httpx.get(url, timeout=5).status_code == 200
        time.sleep(0.1)
    return False
