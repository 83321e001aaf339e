"""One feed of a board: a sampler, the packer of its layout, and what the viewers have seen of it.

A feed turns snapshots into messages and knows neither comms nor widgets. Its lock makes history and ticks agree:
history is packed in the main thread, ticks in the sampler's.

>>> from aifactory_lab.telemetry import Entity, Layout, Snapshot, Source, watch
>>> class Constant(Source):
...     key = "feed doctest"
...
...     def open(self):
...         return Layout((Entity(("here",), "host"),), ("busy",), "simulated")
...
...     def sample(self):
...         return Snapshot.blank(self.layout, time=0.0).put("here", busy=42.0)
>>> with watch(Constant()) as sampler:
...     _ = sampler.first()
...     print([message["k"] for message, _ in Feed(0, "host", sampler).opening()])
['layout', 'history']
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.packets import Buffers, Message, Packer
from aifactory_lab.telemetry.readings import Facts, Snapshot
from aifactory_lab.telemetry.sampler import Sampler

Role = Literal["gpu", "host", "service", "station", "training", "fleet"]
Packet: TypeAlias = tuple[Message, Buffers]
MOST_PUSHED = 64  # beyond as many entities facts are sent when somebody asks


class Feed:
    """A sampler as a board sends it.

    Parameters
    ----------
    index
        The feed's number in every message.
    role
        Which panels draw it.
    """

    def __init__(self, index: int, role: Role, sampler: Sampler) -> None:
        self.index, self.role, self.sampler = index, role, sampler
        self.packer = Packer(sampler.layout)
        self.sent = 0.0  # time of the newest sample that viewers have
        self._facts: dict[str, Facts] = {}
        self._lock = threading.Lock()

    def opening(self) -> list[Packet]:
        """Return the layout and all history that fits: what a new viewer needs."""
        with self._lock:
            return self._opening()

    def missed(self) -> list[Packet]:
        """Return the samples that were taken while nobody looked."""
        with self._lock:
            if self.packer.layout is not self.sampler.layout:
                return self._opening()
            history = self.sampler.ring.history().between(start=_after(self.sent))
            return self._past(history, append=True)

    def tick(self, snapshot: Snapshot, more: Mapping[str, Any]) -> list[Packet]:
        """Return one sample as a message; after a change of layout, everything anew."""
        with self._lock:
            if snapshot.layout is not self.packer.layout:
                return self._opening(more)
            self.sent = snapshot.time
            return [self.packer.tick(snapshot, feed=self.index, **self._costs(), **self._news(), **more)]

    def facts(self, entity: str) -> dict[str, Any]:
        """Return what is known of one entity, as JSON."""
        known = self.sampler.facts.get(entity)
        return {entity: asdict(known)} if known is not None else {}

    def _opening(self, more: Mapping[str, Any] | None = None) -> list[Packet]:
        history, self._facts = self.sampler.ring.history(), {}
        if self.packer.layout is not history.layout:
            self.packer = Packer(history.layout)
        who = {"feed": self.index, "role": self.role, "key": self.sampler.key, "period": self.sampler.period}
        layout = self.packer.describe(**who, **self._news(), **(more or {}))
        return [(layout, []), *self._past(history)]

    def _past(self, history: History, **more: Any) -> list[Packet]:
        if not len(history):
            return []
        self.sent = float(history.times[-1])
        return [self.packer.history(history, feed=self.index, **more)]

    def _costs(self) -> dict[str, Any]:
        cost, error = self.sampler.cost, self.sampler.error
        costs = {"cost": [round(cost.microseconds, 1), cost.dropped]}
        return costs | ({"error": error} if error else {})

    def _news(self) -> dict[str, Any]:
        """Return the facts that viewers do not have yet."""
        if self.packer.layout.shape[0] > MOST_PUSHED:
            return {}
        news = {entity: facts for entity, facts in list(self.sampler.facts.items()) if self._facts.get(entity) != facts}
        self._facts |= news
        return {"facts": {entity: asdict(facts) for entity, facts in news.items()}} if news else {}


def _after(time: float) -> float:
    """Return a bound that leaves out a sample taken at `time`: clocks resolve far less than a microsecond."""
    return time + 1e-6
