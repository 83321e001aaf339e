"""The two endpoints under strikes: no wrong answer, clear words while a process is down, nothing left behind."""

import time
from pathlib import Path

import httpx
import numpy as np
import psutil

from aifactory_lab import serve
from aifactory_lab.serve.predictor import Predictor
from aifactory_lab.serve.schemas import FLOAT32
from aifactory_lab.telemetry.sharing.announced import announced
from tests.chaos.parts import LIMIT, Broken, Part, Strike, gone, until

HEALTH_SECONDS = 30.0  # in which /health must have answered, whatever the engine does
ROWS, TOKENS = 20, 6


class Predictions(Part):
    """`serve.start` in a process of its own, asked all the while."""

    name = "predictions"

    def __init__(self, folder: Path, model: Path, rows: np.ndarray) -> None:
        super().__init__(folder)
        self.model, self.rows = model, np.ascontiguousarray(rows[:ROWS])

    def start(self) -> None:
        """Start the server and load the same model here."""
        self.expected = Predictor.load(self.model, threads=1)(self.rows)
        self.server = serve.start(self.model, threads=1)

    def work(self) -> None:
        """Ask for some rows; the answer is right or the connection fails."""
        headers = {"content-type": FLOAT32}
        try:
            answer = httpx.post(
                f"{self.server.url}/predict", content=self.rows.tobytes(), headers=headers, timeout=LIMIT
            )
        except httpx.TimeoutException as error:
            raise Broken(f"no answer within {LIMIT:g} s") from error
        except httpx.TransportError:
            self.seen["no connection"] += 1
            time.sleep(0.2)
            return
        right = answer.status_code == 200 and np.allclose(
            np.frombuffer(answer.content, "<f4"), self.expected, atol=2e-6
        )
        self.seen["right" if right else "wrong"] += 1
        if not right:
            raise Broken(f"{answer.status_code}: {answer.content[:100]!r}")

    def victims(self) -> dict[str, psutil.Process]:
        """The server."""
        return {"server": psutil.Process(self.server.pid)}

    def after(self, strike: Strike) -> str:
        """A stopped one goes on; a dead one is no longer announced, and `serve.start` brings it back."""
        before = self.count_from_here()
        if not strike.deadly:
            self.goes_on(before)
            return "went on; who asked waited and was answered"
        until(lambda: not psutil.pid_exists(strike.pid) or gone(psutil.Process(strike.pid)), "the server lives on")
        dead = self.server
        until(lambda: f"{dead.url}/metrics" not in announced(), "a dead server is still announced")
        self.server = serve.start(self.model, threads=1)
        dead.stop()
        self.goes_on(self.count_from_here())
        return "refused connections; serve.start(model) brought it back"

    def stop(self) -> None:
        """End the server."""
        self.server.stop()


class TokenServer(Part):
    """`serve.llm.start`: a gateway and llama.cpp, asked whole and by streams."""

    name = "tokens"

    def __init__(self, folder: Path, gguf: Path) -> None:
        super().__init__(folder)
        self.gguf, self.turn = gguf, 0

    def start(self) -> None:
        """Start the gateway and its engine."""
        self.server = serve.llm.start(self.gguf, name="tiny", slots=2, context=128)
        (self.engine,) = psutil.Process(self.server.pid).children()

    def work(self) -> None:
        """Ask for some tokens: as many come, or an error in OpenAI's form, or the connection fails."""
        self.turn += 1
        body = {"prompt": "import os", "max_tokens": TOKENS, "ignore_eos": True, "stream": self.turn % 2 == 0}
        body |= {"stream_options": {"include_usage": True}} if body["stream"] else {}
        try:
            answer = httpx.post(f"{self.server.base_url}/completions", json=body, timeout=LIMIT)
        except httpx.TimeoutException as error:
            raise Broken(f"no answer within {LIMIT:g} s") from error
        except httpx.TransportError:
            self.seen["no connection"] += 1
            time.sleep(0.2)
            return
        self._judge(answer)

    def _judge(self, answer: httpx.Response) -> None:
        text = answer.text
        told = '"code":"engine_unavailable"' in text
        if answer.status_code == 503 or (told and answer.status_code == 200):  # a stream says it as its last event
            self.seen["refused"] += 1
            if not told:
                raise Broken(text[:300])
            time.sleep(0.2)
            return
        whole = f'"completion_tokens":{TOKENS}' in text and answer.status_code == 200
        self.seen["right" if whole else "wrong"] += 1
        if not whole:
            raise Broken(f"{answer.status_code}: {text[:300]}")

    def victims(self) -> dict[str, psutil.Process]:
        """The gateway and the engine."""
        return {"gateway": psutil.Process(self.server.pid), "engine": self.engine}

    def after(self, strike: Strike) -> str:
        """What is stopped goes on; a dead engine is named; after a dead gateway the engine ends by itself."""
        before = self.count_from_here()
        if not strike.deadly or not self._ended(strike):
            self.goes_on(before)
            return "went on; who asked waited and was answered"
        words = self._after_engine() if strike.victim == "engine" else self._after_gateway()
        dead = self.server
        self.start()
        dead.stop()
        self.goes_on(self.count_from_here())
        return f"{words}; serve.llm.start(model) brought it back"

    def _ended(self, strike: Strike) -> bool:
        """Whether the signal ended it: an engine leaves SIGTERM to its gateway."""
        if strike.victim == "engine" and strike.signal.name == "SIGTERM":
            time.sleep(1)
            return gone(self.engine)
        until(
            lambda: not psutil.pid_exists(strike.pid) or gone(psutil.Process(strike.pid)), f"{strike.victim} lives on"
        )
        return True

    def _after_engine(self) -> str:
        answer = httpx.get(f"{self.server.url}/health", timeout=HEALTH_SECONDS)
        if answer.status_code != 503 or "process ended (SIGKILL)" not in answer.json()["status"]:
            raise Broken(f"/health says {answer.status_code} {answer.text[:200]}")
        return f"the gateway answers 503: {answer.json()['status']}"

    def _after_gateway(self) -> str:
        until(lambda: gone(self.engine), "the engine outlives its gateway")
        return "the engine ended after its gateway"

    def stop(self) -> None:
        """End both."""
        self.server.stop()
        until(lambda: gone(self.engine), "the engine outlives its gateway")
