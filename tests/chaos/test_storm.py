"""A small storm: every kind of process of these parts is killed, stopped and told to end while it works.

The long form is `make chaos`; the predictions, the fleet, Dask and the boards are struck there, and one at a time in
their own tests.
"""

import signal
import subprocess
import sys

import httpx
import psutil
import pytest

from tests.chaos import parts, serving, storm, watching, working
from tests.serve import raw_llama

pytestmark = pytest.mark.timeout(900)
SHAPE = {"vocabulary": 300, "layers": 1, "width": 64, "heads": 2, "kv_heads": 2, "hidden": 96, "context": 128}


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    text = (parts.__doc__ + storm.__doc__ + serving.__doc__) * 3
    return raw_llama.make_model(tmp_path_factory.mktemp("model"), [text], **SHAPE) / "model.gguf"


@pytest.fixture
def folder():
    with storm.place() as folder:
        yield folder


def held(row) -> None:
    assert row is not None
    assert row["held"] == "yes", row


def health_of_frozen(part: serving.TokenServer) -> str:
    """What the gateway says of an engine that stands still, in bounded time."""
    part.engine.suspend()
    try:
        answer = httpx.get(f"{part.server.url}/health", timeout=parts.LIMIT)
    finally:
        part.engine.resume()
    assert answer.status_code == 503
    return answer.json()["status"]


def test_the_token_server_keeps_its_promises(folder, gguf):
    part = serving.TokenServer(folder, gguf)
    with storm.blowing([part], seed=1) as blown:
        for victim, chosen in (
            ("engine", signal.SIGSTOP),
            ("engine", signal.SIGKILL),
            ("gateway", signal.SIGSTOP),
            ("gateway", signal.SIGKILL),
            ("gateway", signal.SIGTERM),
        ):
            held(blown.strike("tokens", chosen, victim))
        assert "has said nothing for 10 s" in health_of_frozen(part)
    assert blown.broken == []
    assert part.seen["right"] >= 10
    assert part.seen["wrong"] == 0
    assert storm.orphans(folder) == []


def test_instruments_and_a_line_keep_their_promises(folder):
    watchers, line = watching.Watchers(folder), working.Line(folder)
    with storm.blowing([watchers, line, watching.Scraper(folder)], seed=2) as blown:
        for name in ("watchers", "line"):
            for chosen in storm.SIGNALS:
                held(blown.strike(name, chosen))
    assert blown.broken == []
    assert watchers.seen["samples kept"] > 10
    assert line.seen["artefacts safe"] >= 3
    assert storm.orphans(folder) == []


class Sleeping(parts.Part):
    """A part that does not come back, and says something wrong."""

    name = "sleeping"

    def start(self) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    def work(self) -> None:
        if psutil.Process(self.process.pid).status() == psutil.STATUS_ZOMBIE:
            raise parts.Broken("one and one is three")

    def victims(self) -> dict[str, psutil.Process]:
        return {"sleeper": psutil.Process(self.process.pid)}

    def after(self, strike: parts.Strike) -> str:  # noqa: ARG002 - what every part is told
        parts.until(lambda: self.wrong, "nothing was said", 60)
        return "it came back"

    def stop(self) -> None:
        self.process.wait()
        raise parts.Broken("it does not end")

    def finish(self) -> None:
        raise parts.Broken("a job was lost")


def test_a_storm_tells_a_broken_promise_and_what_is_left(folder, monkeypatch):
    with storm.blowing([Sleeping(folder)], seed=3) as blown:
        row = blown.strike(with_signal=signal.SIGKILL)
    assert row["held"] == "NO"
    assert "one and one is three" in row["what happened"]
    assert [one["what happened"] for one in blown.broken[1:]] == ["Broken: it does not end", "Broken: a job was lost"]
    monkeypatch.setattr(storm, "MOMENT", 0.5)
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "tmp" / "left.sock").touch()
    found = storm.orphans(folder)
    left.kill()
    left.wait()
    assert len(found) == 2
    assert f"process {left.pid}" in found[0]
    assert "left.sock" in found[1]
    assert storm.orphans(folder) == found[1:]
