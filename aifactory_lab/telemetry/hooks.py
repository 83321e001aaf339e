"""Readings out of a function of time: what a model or a stand-in says, and always said to be simulated.

The digital twin of a plant shows itself through this; so does a lesson on a machine without a GPU. It does not
know what the function computes, and asks it for no more than the values.

>>> import math
>>> from aifactory_lab.telemetry.hooks import Entity, FunctionSource, Layout
>>> layout = Layout((Entity(("twin", "rack 1", "node 1", "gpu 0")),), ("busy", "power"))
>>> source = FunctionSource(layout, lambda now: {"twin/rack 1/node 1/gpu 0": {"busy": 50 + 50 * math.sin(now)}})
>>> with source:
...     snapshot = source.sample()
>>> snapshot.layout.origin, str(snapshot.reading("twin/rack 1/node 1/gpu 0", "power"))
('simulated', 'unsupported')
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Origin, Snapshot, State
from aifactory_lab.telemetry.sources import Source

__all__ = ["Entity", "FunctionSource", "Layout"]

Told: TypeAlias = Mapping[str, Mapping[str, float | State]] | NDArray[np.float64] | Snapshot


class FunctionSource(Source):
    """A source whose values a function of time returns.

    Parameters
    ----------
    layout
        What the values are of; its origin becomes `origin`, whatever it was.
    function
        Called with the seconds since the epoch, returns one of: values or states by entity and metric (what is
        left out is unsupported); an array of the layout's shape (NaN is unsupported); a whole `Snapshot`, of
        another layout too, when the plant was rebuilt.
    key
        One sampler runs per key.
    origin
        ``"simulated"``, or ``"recorded"`` for a function that plays something back; never ``"measured"``.
    facts
        Called like `function` for the slow facts, by entity.

    Raises
    ------
    TelemetryError
        If what is computed should pass for measured.
    """

    def __init__(
        self,
        layout: Layout,
        function: Callable[[float], Told],
        *,
        key: str = "function",
        origin: Origin = "simulated",
        facts: Callable[[float], Mapping[str, Facts]] | None = None,
    ) -> None:
        if origin == "measured":
            msg = "a function's values are not measured"
            raise TelemetryError(msg, mend='FunctionSource(layout, function, origin="simulated")')
        self.key = key
        self._origin, self._function, self._facts = origin, function, facts
        self._now = self._marked(layout)

    def open(self) -> Layout:
        """Return the layout, marked as what it is."""
        return self._now

    def sample(self) -> Snapshot:
        """Call the function.

        Raises
        ------
        TelemetryError
            If its answer does not fit the layout.
        """
        now = time.time()
        told = self._function(now)
        if isinstance(told, Snapshot):
            return replace(told, layout=self._follow(told.layout))
        if isinstance(told, np.ndarray):
            return self._from_array(now, told)
        snapshot = Snapshot.blank(self._now, time=now)
        for entity, values in told.items():
            snapshot.put(entity, **values)
        return snapshot

    def facts(self) -> Mapping[str, Facts]:
        """Return what the second function says."""
        return self._facts(time.time()) if self._facts else {}

    def _from_array(self, now: float, values: NDArray[np.float64]) -> Snapshot:
        if values.shape != self._now.shape:
            msg = f"the function of {self.key!r} returned shape {values.shape}, the layout is {self._now.shape}"
            raise TelemetryError(msg)
        missing = np.isnan(values)
        states = np.where(missing, np.uint8(State.UNSUPPORTED), np.uint8(State.VALUE))
        return Snapshot(now, self._now, values.astype(np.float64), states)

    def _follow(self, layout: Layout) -> Layout:
        """Return the object that stands for this layout, so that a sampler sees a change only where there is one."""
        marked = layout if layout is self._now else self._marked(layout)
        if marked != self._now:
            self._now = marked
        return self._now

    def _marked(self, layout: Layout) -> Layout:
        return replace(layout, origin=self._origin, label=layout.label or self._origin)
