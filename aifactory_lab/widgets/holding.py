"""Who looks at which sampler: boards share samplers, and the last one to leave ends those that boards began.

A sampler that was started elsewhere, by `telemetry.watch` for example, is only looked at. This module does not know
what is drawn.

>>> class Viewer: ...
>>> one = Viewer()
>>> from aifactory_lab.telemetry.hosts.source import HostSource
>>> sampler = hold(one, HostSource.key, HostSource)
>>> release(one)
>>> sampler.running
False
"""

import threading
from collections.abc import Callable
from weakref import WeakSet

from aifactory_lab.telemetry.sampler import Sampler, shared, watch
from aifactory_lab.telemetry.sources import Source

_LOCK = threading.RLock()
_BEGUN: dict[str, Sampler] = {}
_HOLDERS: dict[str, "WeakSet[object]"] = {}


def hold(viewer: object, key: str, make: Callable[[], Source]) -> Sampler:
    """Return the sampler of a key for a viewer, and start it if none runs.

    Raises
    ------
    TelemetryError
        If the source has nothing to read.
    """
    fresh: list[Source] = []

    def made() -> Source:
        fresh.append(make())
        return fresh[0]

    with _LOCK:
        sampler = shared(key, made)
        _note(viewer, sampler, begun=bool(fresh))
        return sampler


def hold_given(viewer: object, given: Sampler | Source) -> Sampler:
    """Return the sampler of what a person gave: theirs, or one begun on their source in place of another of its key."""
    with _LOCK:
        sampler = given if isinstance(given, Sampler) else watch(given, period=getattr(given, "best_period", None))
        _note(viewer, sampler, begun=sampler is not given)
        return sampler


def release(viewer: object) -> None:
    """Let go of everything that a viewer holds; what boards began and nobody else holds ends."""
    ended = []
    with _LOCK:
        for key, holders in list(_HOLDERS.items()):
            if viewer not in holders:
                continue
            holders.discard(viewer)
            if not holders:
                del _HOLDERS[key]
                ended.append(_BEGUN.pop(key, None))
    for sampler in ended:  # outside the lock: this waits for their threads
        if sampler is not None:
            sampler.close()


def _note(viewer: object, sampler: Sampler, *, begun: bool) -> None:
    if begun:
        _BEGUN[sampler.key] = sampler
    _HOLDERS.setdefault(sampler.key, WeakSet()).add(viewer)
