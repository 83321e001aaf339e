"""The way to the engine, against servers that behave and servers that do not."""

import asyncio
from collections.abc import Callable

import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.llm.upstream import MOST_BUFFERED, Address, Exchange, Unreachable, fetch

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def exchange(tmp_path, speak: Callable, ask: Callable):
    """Let `speak` serve a Unix socket while `ask` asks it."""

    async def serve(reader, writer):
        try:
            await reader.readuntil(b"\r\n\r\n")
            await speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def run():
        path = str(tmp_path / "s")
        async with await asyncio.start_unix_server(serve, path):
            return await asyncio.wait_for(ask(Address(unix=path)), 30)

    return asyncio.run(run())


def says(*parts: bytes) -> Callable:
    async def speak(_, writer):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.01)

    return speak


async def collected(address) -> bytes:
    async with Exchange(address, "POST", "/v1/completions", b"{}") as asked:
        return await asked.body()


def test_an_answer_in_pieces_is_put_together(tmp_path):
    pieces = (HEAD[:9], HEAD[9:] + b"3\r\nab", b"c\r\n2\r\nde\r", b"\n0\r\n\r\n")
    assert exchange(tmp_path, says(*pieces), collected) == b"abcde"
    told = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
    assert exchange(tmp_path, says(told), lambda address: fetch(address, "/health")) == (404, b"no")


@pytest.mark.parametrize(
    "parts", [(), (HEAD,), (HEAD, b"3\r\nabc\r\n"), (b"what?\r\n\r\n",), (HEAD, b"zz\r\n"), (HEAD[:20],)]
)
def test_an_engine_that_stops_or_raves_is_told_from_one_that_answers(tmp_path, parts):
    with pytest.raises(Unreachable, match="stopped in the middle of its answer"):
        exchange(tmp_path, says(*parts), collected)


def test_nobody_there(tmp_path):
    with pytest.raises(Unreachable, match=r"cannot be reached: .*No such file"):
        asyncio.run(fetch(Address(unix=str(tmp_path / "nobody")), "/health"))
    with pytest.raises(Unreachable, match="cannot be reached"):
        asyncio.run(fetch(Address.of("http://127.0.0.1:9"), "/health"))


def test_hanging_up_is_heard_at_once(tmp_path):
    heard = []

    async def speak(reader, writer):
        writer.write(HEAD)
        await reader.read()  # the body, and then nothing more to come
        heard.append(True)

    async def ask(address):
        async with Exchange(address, "POST", "/v1/completions", b"{}"):
            assert not heard
        await asyncio.sleep(0.1)

    exchange(tmp_path, speak, ask)
    assert heard == [True]


def test_a_reader_that_falls_behind_makes_the_engine_wait(tmp_path):
    """Of 32 MiB only a little is taken while nobody reads, and all of it in the end."""
    sent, block = [0], b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    async def speak(_, writer):
        writer.write(HEAD)
        for _ in range(512):
            writer.write(block)
            await writer.drain()
            sent[0] += 65_536
        writer.write(b"0\r\n\r\n")

    async def ask(address):
        async with Exchange(address, "GET", "/") as asked:
            await asyncio.sleep(0.3)
            waiting = sent[0]
            size = 0
            while piece := await asked.piece():
                size += len(piece)
                assert len(piece) < 4 * MOST_BUFFERED
            return waiting, size

    waiting, size = exchange(tmp_path, speak, ask)
    assert waiting < 4 << 20
    assert size == 32 << 20


def test_addresses_are_shown_without_their_secrets():
    address = Address.of("https://user:secret@api.example.com/nim/v1/", key="sk-private")
    assert repr(address) == "Address('https://api.example.com/nim')"
    assert b"POST /nim/v1/completions HTTP/1.1\r\nHost: api.example.com\r\n" in address.head(
        "POST", "/v1/completions", 0
    )
    assert b"Authorization: Bearer sk-private" in address.head("POST", "/v1/completions", 0)
    for word in ("", "ftp://host", "http://", "http://host:port", "localhost:8000"):
        with pytest.raises(FactoryError, match="begins with http"):
            Address.of(word)


@pytest.mark.parametrize("parts", [(), (HEAD,), (HEAD, b"3\r\nabc\r\n")])
def test_an_engine_that_falls_silent_is_given_up(tmp_path, parts):
    async def speak(_, writer):
        for part in parts:
            writer.write(part)
        await asyncio.sleep(30)

    async def ask(address):
        async with Exchange(address, "GET", "/", silence=0.3) as exchange:
            await exchange.body()

    with pytest.raises(Unreachable, match=r"has said nothing for 0\.3 s"):
        exchange(tmp_path, speak, ask)


def test_the_silence_of_a_slow_reader_is_not_the_engine_s(tmp_path):
    async def speak(_, writer):
        writer.write(HEAD + b"3\r\nabc\r\n0\r\n\r\n")
        await writer.drain()

    async def ask(address):
        async with Exchange(address, "GET", "/", silence=0.3) as exchange:
            await asyncio.sleep(0.6)
            return await exchange.body()

    assert exchange(tmp_path, speak, ask) == b"abc"
