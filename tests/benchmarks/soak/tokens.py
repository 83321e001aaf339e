"""What clients of the token server do: chats and completions, whole and streamed, and what is refused.

An untrained model says nothing sensible, so the text is not judged: every answer must have as many tokens as were asked
for, count its prompt as our own tokenizer does, and end as OpenAI's protocol has it.
"""

import asyncio
import random
import time
from typing import Any

import httpx
import orjson

from tests.benchmarks.soak.asked import Asked, Bursts, Wrong, demand
from tests.benchmarks.soak.plant import Plant

HERE = "tokens"
CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
PATIENCE = 60.0
END = "data: [DONE]"


class Tokens:
    """One client of the token server; its methods are acts."""

    def __init__(self, plant: Plant, asked: Asked, seed: int) -> None:
        self.plant, self.asked, self.random = plant, asked, random.Random(seed)
        self.client = httpx.AsyncClient(base_url=plant.tokens.url, timeout=PATIENCE)
        self.bursts = Bursts()
        self.valid = {self.chat: 3, self.chat_stream: 4, self.completion: 3, self.completion_stream: 4}
        self.invalid = {
            self.not_json: 2, self.wrong_type: 2, self.unknown_model: 2, self.too_long: 1, self.unsupported: 1,
            self.no_such_path: 1,
        }  # fmt: skip
        self.around = {self.scrape: 2, self.models: 1}

    async def reconnect(self) -> None:
        """Close every connection, and begin with new ones."""
        await self.client.aclose()
        self.client = httpx.AsyncClient(base_url=self.plant.tokens.url, timeout=PATIENCE)

    async def ask(self, path: str, body: dict[str, Any] | bytes) -> httpx.Response:
        """Send a request and read all of its answer; while a burst fills the server, come back."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        while True:
            began = time.monotonic()
            answer = await self.client.post(path, content=content)
            if answer.status_code != 200:
                self.asked.count(HERE, answer.status_code)
            if answer.status_code != 429:
                return answer
            self.asked.unprompted += not self.bursts.since(began)
            self.busy(answer)
            await asyncio.sleep(1)

    def busy(self, answer: httpx.Response) -> None:
        """Check a 429."""
        self.refused(answer, 429, "try again", code="rate_limit_exceeded")
        demand(int(answer.headers["retry-after"]) >= 1, "a 429 says when to come back")
        self.asked.busy += 1

    def refused(self, answer: httpx.Response, status: int, words: str, *, code: str | None = None) -> None:
        """Check a refusal."""
        demand(answer.status_code == status, f"{answer.status_code} is not {status}: {answer.text}")
        error = answer.json()["error"]
        demand(words in error["message"] and error["code"] == code, answer.text)

    def prompt(self) -> str:
        """Return a piece of real text."""
        text = self.random.choice(self.plant.texts)
        start = self.random.randrange(len(text) - 200)
        return text[start : start + self.random.randint(20, 150)]

    def fields(self, prompt: str, *, chat: bool, stream: bool) -> dict[str, Any]:
        """Return a valid request."""
        asked: dict[str, Any] = {"max_tokens": self.random.randint(4, 24), "ignore_eos": True, "seed": 7}
        asked |= {"messages": [{"role": "user", "content": prompt}]} if chat else {"prompt": prompt}
        return asked | ({"stream": True, "stream_options": {"include_usage": True}} if stream else {})

    def check(self, usage: dict[str, int], asked: dict[str, Any], prompt: str, reason: str) -> None:
        """Compare the usage with what was asked for."""
        demand(usage["completion_tokens"] == asked["max_tokens"] and reason == "length", (usage, asked, reason))
        text = f"### user\n{prompt}\n### assistant\n" if "messages" in asked else prompt
        own = len(self.plant.tokenizer.encode(text))
        demand(usage["prompt_tokens"] == own, f"{usage} for a prompt of {own} tokens: {prompt!r}")
        self.asked.count(HERE, "length")
        self.asked.tokens += usage["completion_tokens"]

    async def whole(self, *, chat: bool) -> None:
        """Ask for an answer in one piece."""
        prompt = self.prompt()
        asked = self.fields(prompt, chat=chat, stream=False)
        answer = await self.ask(CHAT if chat else COMPLETION, asked)
        demand(answer.status_code == 200, answer.text)
        found = answer.json()
        demand(found["model"] == "tiny", found["model"])
        self.check(found["usage"], asked, prompt, found["choices"][0]["finish_reason"])

    async def streamed(self, *, chat: bool) -> None:
        """Ask for a stream."""
        prompt = self.prompt()
        asked = self.fields(prompt, chat=chat, stream=True)
        answer = await self.ask(CHAT if chat else COMPLETION, asked)
        demand(answer.status_code == 200, answer.text)
        lines = [line for line in answer.text.splitlines() if line]
        demand(lines.pop() == END, lines[-1:])
        chunks = [orjson.loads(line.removeprefix("data: ")) for line in lines]
        reasons = [
            c["choices"][0]["finish_reason"] for c in chunks if c["choices"] and c["choices"][0]["finish_reason"]
        ]
        self.check(chunks[-1]["usage"], asked, prompt, reasons[-1])

    # valid
    async def chat(self) -> None:
        """A conversation, answered whole."""
        await self.whole(chat=True)

    async def chat_stream(self) -> None:
        """A conversation, streamed."""
        await self.streamed(chat=True)

    async def completion(self) -> None:
        """A completion, answered whole."""
        await self.whole(chat=False)

    async def completion_stream(self) -> None:
        """A completion, streamed."""
        await self.streamed(chat=False)

    # invalid
    async def not_json(self) -> None:
        """Bytes that are not JSON."""
        body = self.random.choice([b"{", b"", b"[1,", b"\xff\xfe{}", b"[" * 3_000])
        self.refused(await self.ask(COMPLETION, body), 400, "not JSON", code="invalid_json")

    async def wrong_type(self) -> None:
        """A field of a wrong type."""
        answer = await self.ask(CHAT, {"messages": [{"role": "user", "content": "x"}], "temperature": "hot"})
        self.refused(answer, 400, "temperature", code="invalid_value")

    async def unknown_model(self) -> None:
        """A model that is not served."""
        answer = await self.ask(COMPLETION, {"prompt": "x", "model": "gpt-9"})
        self.refused(answer, 404, "gpt-9", code="model_not_found")

    async def too_long(self) -> None:
        """A prompt longer than the context."""
        answer = await self.ask(COMPLETION, {"prompt": self.plant.texts[0][:4_000]})
        self.refused(answer, 400, "the context holds", code="context_length_exceeded")

    async def unsupported(self) -> None:
        """A field that the engine would ignore."""
        answer = await self.ask(COMPLETION, {"prompt": "x", "n": 3})
        self.refused(answer, 400, "n is not supported", code="unsupported_parameter")

    async def no_such_path(self) -> None:
        """A path and a method that are not there."""
        self.refused(await self.ask("/v1/nothing", {}), 404, "/v1/nothing", code="not_found")
        self.refused(await self.ask("/health", {}), 405, "GET", code="method_not_allowed")

    # around
    async def scrape(self) -> None:
        """Prometheus comes by."""
        demand("vllm:generation_tokens_total" in (await self.client.get("/metrics")).text, "metrics")

    async def models(self) -> None:
        """What is served, and how it is."""
        demand((await self.client.get("/v1/models")).json()["data"][0]["id"] == "tiny", "models")
        demand((await self.client.get("/health")).json()["status"] == "ok", "health")


async def idle(url: str, *, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until nothing runs and nothing waits at the gateway any more; return its last word."""
    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        while (state := (await client.get("/health")).json())["running"] or state["waiting"]:
            if time.monotonic() > deadline:
                raise Wrong(f"still running: {state}")
            await asyncio.sleep(0.1)
    return dict(state)
