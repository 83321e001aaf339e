"""The one small interface behind which every source of readings stands.

A source opens (and says what it will read), samples (fast, never blocking, never raising for one entity's
fault), tells slow facts in small slices, and closes. It starts no thread of its own for the fast set and keeps
no history: the sampler does both.

>>> class Constant(Source):
...     key = "constant"
...
...     def open(self):
...         return Layout((Entity(("here",), "host"),), ("busy",), "simulated", "a constant")
...
...     def sample(self):
...         return Snapshot.blank(self.layout, time=0.0).put("here", busy=42.0)
>>> with Constant() as source:
...     print(source.sample().reading("here", "busy"))
42 %
"""

import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import ClassVar, Self

from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Snapshot

__all__ = ["Entity", "Facts", "Layout", "Snapshot", "Source", "here"]


class Source(ABC):
    """Where readings come from.

    Attributes
    ----------
    key
        One sampler runs per key and process: ``"nvml"``, ``"host"``, ``"prometheus http://…/metrics"``.
    period
        Seconds between samples that suit this source.
    """

    key: str
    period: ClassVar[float] = 1.0

    @abstractmethod
    def open(self) -> Layout:
        """Get ready and say what will be read; called again after the entities changed.

        Raises
        ------
        TelemetryError
            If there is nothing to read, with the reason and how to mend it.
        """

    @abstractmethod
    def sample(self) -> Snapshot:
        """Read everything once.

        One entity's fault makes that entity's readings lost or unsupported and is noted in `Snapshot.notes`;
        only a fault of the whole source may raise, and the sampler then shows everything as lost and goes on. A
        source whose entities changed returns a snapshot with another layout; the sampler follows. A source that
        has nothing new returns the very same snapshot again; the sampler then keeps nothing, and time stands still.
        """

    def facts(self) -> Mapping[str, Facts]:
        """Return the slow facts of the next few entities, by entity id (called once a tick; about 2 ms at most)."""
        return {}

    def backlog(self) -> History | None:
        """Return what was read before this process looked, if the source keeps it; a sampler begins with that."""
        return None

    def close(self) -> None:  # noqa: B027 - most sources hold nothing
        """Let go of everything; may be called twice."""

    @cached_property
    def layout(self) -> Layout:
        """What is read, from the first `open`."""
        return self.open()

    def __enter__(self) -> Self:
        _ = self.layout
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def here() -> tuple[str, ...]:
    """Return the path of this machine: site, rack, node. A lone machine is its own site and rack."""
    return ("this site", "this rack", socket.gethostname().partition(".")[0])
