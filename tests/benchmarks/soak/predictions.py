"""What clients of the predictions do: valid requests in every form, invalid ones, reloads, scrapes.

Every answer is compared with what the model that signed it says; every refusal must have the right status and name what
was wrong.
"""

import asyncio
import json
import random
import time
from typing import Any

import httpx
import numpy as np
import orjson
import pyarrow as pa

from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON
from tests.benchmarks.soak.asked import Asked, Bursts, Wrong, demand
from tests.benchmarks.soak.plant import Plant

HERE, CLOSE_TO = "predictions", 2e-6
PATIENCE = 60.0  # a request answered later than that counts as hanging


class Predictions:
    """One client of the predictions; its methods are acts."""

    def __init__(self, plant: Plant, asked: Asked, seed: int) -> None:
        self.plant, self.asked, self.random = plant, asked, random.Random(seed)
        self.client = httpx.AsyncClient(base_url=plant.predictions.url, timeout=PATIENCE)
        self.reloading, self.turn = asyncio.Lock(), 0
        self.bursts = Bursts()
        self.valid = {self.one_row: 5, self.many_rows: 3, self.arrow: 3, self.float32: 4, self.gaps: 2}
        self.invalid = {
            self.bad_row: 2, self.bad_row_alone: 2, self.wrong_columns: 2, self.not_json: 2, self.not_a_number: 2,
            self.infinite: 1, self.other_media: 1, self.half_matrix: 1, self.no_such_path: 1,
        }  # fmt: skip
        self.around = {self.scrape: 2, self.health: 1, self.reload: 0.6, self.reload_damaged: 0.3}

    async def reconnect(self) -> None:
        """Close every connection, and begin with new ones."""
        await self.client.aclose()
        self.client = httpx.AsyncClient(base_url=self.plant.predictions.url, timeout=PATIENCE)

    async def ask(self, body: bytes, media: str = JSON) -> httpx.Response:
        """Send a request; while a burst fills the server, come back when it says so."""
        while True:
            began = time.monotonic()
            answer = await self.client.post("/predict", content=body, headers={"content-type": media})
            self.asked.count(HERE, answer.status_code)
            if answer.status_code != 429:
                return answer
            self.asked.unprompted += not self.bursts.since(began)
            demand(int(answer.headers["retry-after"]) >= 1, "a 429 says when to come back")
            self.asked.busy += 1
            await asyncio.sleep(1)

    def some(self, count: int) -> np.ndarray:
        """Return rows of real flights."""
        start = self.random.randrange(len(self.plant.rows) - count)
        return self.plant.rows[start : start + count]

    def check(self, answer: httpx.Response, rows: np.ndarray, found: Any) -> None:
        """Compare with the model that signed the answer."""
        demand(answer.status_code == 200, answer.text)
        model = self.plant.champions[answer.headers["x-model-version"]]
        expected = model(np.ascontiguousarray(rows))
        wrong = float(np.max(np.abs(np.asarray(found, np.float32) - expected), initial=0.0))
        demand(len(expected) == len(found) and wrong < CLOSE_TO, f"off by {wrong}")

    def refused(self, answer: httpx.Response, status: int, words: str) -> None:
        """Check a refusal."""
        demand(answer.status_code == status, f"{answer.status_code} is not {status}: {answer.text}")
        demand(words in answer.json()["error"]["message"], answer.text)

    # valid
    async def one_row(self) -> None:
        """A row by names."""
        rows = self.some(1)
        answer = await self.ask(orjson.dumps(self._named(rows[0])))
        self.check(answer, rows, [answer.json().get("probability", np.nan)])

    async def many_rows(self) -> None:
        """Lists of numbers."""
        rows = self.some(self.random.randint(2, 40))
        answer = await self.ask(orjson.dumps({"rows": [list(map(_null, row)) for row in rows.tolist()]}))
        self.check(answer, rows, [one["probability"] for one in answer.json()["results"]])

    async def arrow(self) -> None:
        """An Arrow stream."""
        rows = self.some(self.random.randint(1, 400))
        answer = await self.ask(_stream(pa.table(dict(zip(self.plant.schema.names, rows.T, strict=True)))), ARROW)
        self.check(answer, rows, pa.ipc.open_stream(answer.content).read_all()["probability"].to_numpy())

    async def float32(self) -> None:
        """Raw float32."""
        rows = self.some(self.random.randint(1, 400))
        answer = await self.ask(rows.tobytes(), FLOAT32)
        self.check(answer, rows, np.frombuffer(answer.content, "<f4"))

    async def gaps(self) -> None:
        """Missing values."""
        rows = self.some(3).copy()
        rows[:, self.random.randrange(rows.shape[1])] = np.nan
        answer = await self.ask(orjson.dumps([list(map(_null, row)) for row in rows.tolist()]))
        self.check(answer, rows, [one["probability"] for one in answer.json()["results"]])

    # invalid
    async def bad_row(self) -> None:
        """One wrong row among good ones: the others are answered."""
        rows = self.some(3)
        body = [self._named(row) for row in rows]
        body[1] = {**body[1], "hour": "seven"}
        answer = await self.ask(orjson.dumps(body))
        first, wrong, last = answer.json()["results"]
        demand(wrong["error"]["field"] == "hour", wrong)
        self.check(answer, rows[[0, 2]], [first["probability"], last["probability"]])

    async def bad_row_alone(self) -> None:
        """One wrong row."""
        self.refused(await self.ask(orjson.dumps({**self._named(self.some(1)[0]), "distance": "far"})), 422, "number")

    async def wrong_columns(self) -> None:
        """Columns that the model does not know."""
        table = pa.table({"colour": [1.0], "weight": [2.0]})
        self.refused(await self.ask(_stream(table), ARROW), 422, "")

    async def not_json(self) -> None:
        """Bytes that are not JSON."""
        body = self.random.choice([b"{", b"", b"[1,", b"\xff\xfe{}", b"[" * 3_000])
        self.refused(await self.ask(body), 400, "not JSON")

    async def not_a_number(self) -> None:
        """NaN as Python's json writes it: in a row, that row is refused."""
        row = [float("nan")] + [1.0] * (len(self.plant.schema.names) - 1)
        answer = await self.ask(json.dumps([row]).encode())
        demand("error" in answer.json()["results"][0], answer.text)

    async def infinite(self) -> None:
        """Infinity in a matrix: NaN in its place, the others answered."""
        rows = self.some(3).copy()
        rows[1, 2] = np.inf
        answer = await self.ask(rows.tobytes(), FLOAT32)
        found = np.frombuffer(answer.content, "<f4")
        demand(np.isnan(found).tolist() == [False, True, False], found)
        self.check(answer, rows[[0, 2]], found[[0, 2]])

    async def other_media(self) -> None:
        """A media type that nobody reads."""
        self.refused(await self.ask(b"<row/>", "application/xml"), 415, "application/xml")

    async def half_matrix(self) -> None:
        """A matrix cut off in the middle of a row."""
        self.refused(await self.ask(self.some(2).tobytes()[:-3], FLOAT32), 422, "")

    async def no_such_path(self) -> None:
        """A path and a method that are not there."""
        demand((await self.client.get("/nothing")).status_code == 404, "404")
        demand((await self.client.get("/predict")).status_code == 405, "405")

    # around
    async def scrape(self) -> None:
        """Prometheus comes by."""
        demand("aifactory_requests_total" in (await self.client.get("/metrics")).text, "metrics")

    async def health(self) -> None:
        """Who serves, and who."""
        demand((await self.client.get("/health")).json()["status"] == "ok", "health")
        demand((await self.client.get("/model")).json()["version"] in self.plant.champions, "model")

    async def reload(self) -> None:
        """The other champion takes over, under load."""
        async with self.reloading:
            self.turn = 1 - self.turn
            self.plant.point_at(self.turn)
            answer = await self.client.post("/reload")
        demand(answer.status_code == 200 and answer.json()["changed"], answer.text)

    async def reload_damaged(self) -> None:
        """A damaged champion is refused, the old one serves on."""
        async with self.reloading:
            before = (await self.client.get("/health")).json()["model"]
            self.plant.point_at(2)
            answer = await self.client.post("/reload")
            self.plant.point_at(self.turn)
            after = (await self.client.get("/health")).json()["model"]
        demand(answer.status_code == 409 and before == after, answer.text)

    def _named(self, row: np.ndarray) -> dict[str, float | None]:
        return dict(zip(self.plant.schema.names, map(_null, row.tolist()), strict=True))


def _null(value: float) -> float | None:
    return None if np.isnan(value) else value


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


async def idle(url: str, *, seconds: float = 60.0) -> dict[str, Any]:
    """Wait until nothing is open at the predictions any more; return their last word."""
    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        while (state := (await client.get("/health")).json())["open_requests"]:
            if time.monotonic() > deadline:
                raise Wrong(f"still open: {state}")
            await asyncio.sleep(0.1)
    return dict(state)
