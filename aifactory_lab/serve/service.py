"""The service behind the endpoints: a champion, the queue in front of it, and what it refuses.

It knows requests as a media type and a body, not as sockets; a bad row gets an error that names its field
while the others are answered, and a successor replaces the champion between two batches.

>>> Limits().max_requests
1024
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from aifactory_lab.errors import DataError, FactoryError
from aifactory_lab.serve import answers
from aifactory_lab.serve.answers import Answer, refusal
from aifactory_lab.serve.batching import MAX_WAIT_SECONDS, Batcher, Busy
from aifactory_lab.serve.champions import Champion, Source, find, signature
from aifactory_lab.serve.meters import Meters
from aifactory_lab.serve.rows import Rows
from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON, Parsed, RowSchema, json_rows

LOG = logging.getLogger("aifactory_lab.serve")
LARGE_BODY = 1 << 20


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
    engines
        Those that may be chosen by batch size; by default every one that can serve the model.
    """

    def __init__(
        self,
        source: Source,
        *,
        limits: Limits | None = None,
        threads: int | None = None,
        watch: float = 0.0,
        engines: Sequence[str] = (),
    ) -> None:
        self.source, self.threads, self.watch, self.engines = source, threads, watch, tuple(engines)
        self.limits = limits or Limits()
        self.meters = Meters()
        self.batcher = Batcher(max_wait=self.limits.max_wait_seconds, meters=self.meters)
        self.open_requests = 0
        self.meters.watch_requests(lambda: self.open_requests)
        self._signature = signature(source)
        self._reloading = asyncio.Lock()
        self._serve(Champion.load(find(source), threads=threads, engines=self.engines))

    async def predict(self, media_type: str, body: bytes) -> Answer:
        """Answer one request for predictions; never raises for what a client sent."""
        champion = self.champion  # the same one reads, answers and signs, whatever is loaded meanwhile
        if media_type not in READERS:
            return refusal(415, f"the content type {media_type!r} is none of {', '.join(READERS)}")
        try:
            # The event loop is for many small requests; a large body is read beside it.
            read, args = READERS[media_type], (champion.schema, body)
            parsed, single = read(*args) if len(body) < LARGE_BODY else await asyncio.to_thread(read, *args)
            probabilities = await self._probabilities(champion, parsed)
        except Busy as busy:
            return refusal(429, str(busy), headers=((b"retry-after", busy.retry_after.encode()),))
        except DataError as error:
            return refusal(400 if media_type == JSON else 422, str(error))
        encode = {JSON: answers.rows, ARROW: answers.arrow, FLOAT32: answers.float32}[media_type]
        if single:
            encode = answers.row
        return encode(parsed, probabilities, champion.predictor.bundle.threshold, champion.headers)

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
            try:
                self._signature = signature(self.source)
                champion = await asyncio.to_thread(
                    Champion.load, find(self.source), threads=self.threads, engines=self.engines
                )
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
            try:
                if signature(self.source) != self._signature:
                    await self.reload()
            except (FactoryError, OSError) as error:
                LOG.warning("the new champion is refused, the old one serves on: %s", error)

    def _serve(self, champion: Champion) -> None:
        self.champion = champion
        self.meters.serving(champion.predictor.bundle.estimator, champion.version)

    async def _probabilities(self, champion: Champion, parsed: Parsed) -> Rows:
        if parsed.errors:
            self.meters.refused(len(parsed.errors))
        if not len(parsed.rows):
            return np.empty(0, dtype=np.float32)
        return await self.batcher.predict(champion.predictor, parsed.rows)


def _read_json(schema: RowSchema, body: bytes) -> tuple[Parsed, bool]:
    rows, single = json_rows(body)
    return schema.read(rows), single


Reader: TypeAlias = Callable[[RowSchema, bytes], tuple[Parsed, bool]]
READERS: dict[str, Reader] = {
    JSON: _read_json,
    ARROW: lambda schema, body: (schema.read_arrow(body), False),
    FLOAT32: lambda schema, body: (schema.read_float32(body), False),
}
