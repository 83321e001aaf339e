"""The service behind the endpoints: a champion, the queue in front of it, and what it refuses.

It knows requests as a media type and a body, not as sockets; a bad row gets an error that names its field
while the others are answered, and a successor replaces the champion between two batches.

>>> Limits().max_requests
1024
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import orjson

from aifactory_lab.errors import DataError, FactoryError
from aifactory_lab.serve import answers
from aifactory_lab.serve.answers import Answer, refusal
from aifactory_lab.serve.batching import MAX_WAIT_SECONDS, Batcher, Busy
from aifactory_lab.serve.champions import Champion, Source, find, signature
from aifactory_lab.serve.meters import Meters
from aifactory_lab.serve.rows import Rows
from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON, Parsed, json_rows


@dataclass(frozen=True)
class Limits:
    """What the service refuses rather than collapse under."""

    max_body_bytes: int = 64 << 20
    max_requests: int = 1_024
    max_wait_seconds: float = MAX_WAIT_SECONDS


class Service:
    """The champion, the queue in front of it, and the answers to requests.

    Parameters
    ----------
    source
        Where the champion is; see `aifactory_lab.serve.champions`.
    threads
        The most threads that one prediction may use.
    watch
        Seconds between two looks at the source; 0 reloads only when asked to.
    """

    def __init__(
        self, source: Source, *, limits: Limits | None = None, threads: int | None = None, watch: float = 0.0
    ) -> None:
        self.source, self.threads, self.watch = source, threads, watch
        self.limits = limits or Limits()
        self.meters = Meters()
        self.batcher = Batcher(max_wait=self.limits.max_wait_seconds, meters=self.meters)
        self.open_requests = 0
        self._signature = signature(source)
        self._reloading = asyncio.Lock()
        self._serve(Champion.load(find(source), threads=threads))

    async def predict(self, media_type: str, body: bytes) -> Answer:
        """Answer one request for predictions; never raises for what a client sent."""
        champion = self.champion
        try:
            if media_type == JSON:
                return await self._predict_json(champion, body)
            if media_type == ARROW:
                parsed = champion.schema.read_arrow(body)
            elif media_type == FLOAT32:
                parsed = champion.schema.read_float32(body)
            else:
                return refusal(415, f"the content type {media_type!r} is none of {JSON}, {ARROW}, {FLOAT32}")
            probabilities = await self._probabilities(champion, parsed)
        except Busy as busy:
            return refusal(429, str(busy), headers=((b"retry-after", busy.retry_after.encode()),))
        except DataError as error:
            return refusal(400 if media_type == JSON else 422, str(error))
        encode = answers.arrow if media_type == ARROW else answers.float32
        return encode(parsed, probabilities, champion.predictor.bundle.threshold, self._headers)

    async def reload(self) -> bool:
        """Load the champion that the source names now; the old one serves until the new one is ready.

        Returns
        -------
        bool
            Whether another model serves now.

        Raises
        ------
        FactoryError
            If the new one cannot be loaded; the old one goes on.
        """
        async with self._reloading:
            self._signature = signature(self.source)
            try:
                champion = await asyncio.to_thread(Champion.load, find(self.source), threads=self.threads)
            except FactoryError:
                self.meters.reloaded("refused")
                raise
            changed = champion.version != self.champion.version
            self._serve(champion)
            self.meters.reloaded("changed" if changed else "unchanged")
            return changed

    async def watch_source(self) -> None:
        """Reload whenever the source names another model; a model that is refused is not tried again."""
        while True:
            await asyncio.sleep(self.watch)
            with suppress(FactoryError, OSError):
                if signature(self.source) != self._signature:
                    await self.reload()

    def _serve(self, champion: Champion) -> None:
        self.champion = champion
        self._headers = ((b"x-model-version", champion.version.encode()),)
        self.meters.serving(champion.predictor.bundle.estimator, champion.version)

    async def _predict_json(self, champion: Champion, body: bytes) -> Answer:
        rows, single = json_rows(body)
        parsed = champion.schema.read(rows)
        if single and parsed.errors:
            self.meters.refused(1)
            return Answer(422, orjson.dumps({"error": parsed.errors[0].to_dict()}), headers=self._headers)
        probabilities = await self._probabilities(champion, parsed)
        results = answers.results(parsed, probabilities, champion.predictor.bundle.threshold)
        return Answer(200, orjson.dumps(results[0] if single else {"results": results}), headers=self._headers)

    async def _probabilities(self, champion: Champion, parsed: Parsed) -> Rows:
        if parsed.errors:
            self.meters.refused(len(parsed.errors))
        if not len(parsed.rows):
            return np.empty(0, dtype=np.float32)
        return await self.batcher.predict(champion.predictor, parsed.rows)
