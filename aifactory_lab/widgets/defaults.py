"""What a board shows when it is told nothing: the GPUs of this machine, the machine, the stations, the endpoints.

What cannot be had is noted with its reason and the line that mends it, and the rest goes on. Samplers are shared
by all boards of the process. This module does not know how anything is drawn.

>>> class Viewer: ...
>>> viewer = Viewer()
>>> found = Found(viewer)
>>> found.host()
>>> [(role, sampler.key) for role, sampler in found.feeds]
[('host', 'host')]
>>> holding.release(viewer)
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aifactory_lab import workspace
from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.widgets import holding
from aifactory_lab.widgets.feeds import Role


class Found:
    """The feeds that were found for a viewer, and what was not.

    Attributes
    ----------
    feeds
        Pairs of a role and a running sampler.
    absent
        Dicts of role, reason, mend.
    """

    def __init__(self, viewer: object) -> None:
        self.viewer = viewer
        self.feeds: list[tuple[Role, Sampler]] = []
        self.absent: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of everything again if the board could not be made."""
        if kind is not None:
            holding.release(self.viewer)

    def gpus(self, given: str | Source | Sampler | None = None) -> None:
        """Add the GPUs given, or those of this machine."""
        if given is not None:
            self.endpoint(given, role="gpu")
            return
        from aifactory_lab.telemetry.nvml.source import NvmlSource

        self._add("gpu", lambda: holding.hold(self.viewer, NvmlSource.key, lambda: everyones(NvmlSource())))

    def host(self) -> None:
        """Add this machine."""
        from aifactory_lab.telemetry.hosts.source import HostSource

        self._add("host", lambda: holding.hold(self.viewer, HostSource.key, lambda: everyones(HostSource())))

    def meters(self) -> list[Sampler]:
        """Return the samplers of whatever has a meter for watts here, without drawing them."""
        drawn, told = len(self.feeds), len(self.absent)
        self.gpus()
        self.host()
        found = [sampler for _, sampler in self.feeds[drawn:]]
        del self.feeds[drawn:], self.absent[told:]
        return found

    def stations(self, source: object) -> dict[str, Callable[[], Any]]:
        """Return what tells of the stations that worked while a source was read, without drawing them."""
        told = getattr(source, "bands", None)  # a recording's own
        if callable(told):
            return {"bands": lambda: list(told())}
        here = all(sampler.layout.origin == "measured" for _, sampler in self.feeds)
        return self.production(drawn=False) if here else {}

    def production(self, given: Source | Sampler | None = None, *, drawn: bool = True) -> dict[str, Callable[[], Any]]:
        """Add the stations, as a feed or only as the bands behind others; return what tells of them."""
        from aifactory_lab.telemetry.production import Production

        files = [workspace.default_root() / journal.FILE]
        sampler = (
            holding.hold_given(self.viewer, given)
            if given is not None
            else holding.hold(self.viewer, Production.key, lambda: Production(files))
        )
        if drawn:
            self.feeds.append(("station", sampler))
        source = sampler.source
        if not isinstance(source, Production):
            return {}
        source.services += [one for role, one in self.feeds if role == "service" and one not in source.services]
        return {"bands": lambda: bands(source)} | ({"floor": source.flow} if drawn else {})

    def training(self, given: Source | Sampler) -> Sampler:
        """Add a training, sampled once for all boards that show it."""
        if isinstance(given, Sampler):
            sampler = holding.hold_given(self.viewer, given)
        else:
            sampler = holding.hold(self.viewer, given.key, lambda: given)
        self.feeds.append(("training", sampler))
        return sampler

    def fleet(self, given: Source | Sampler) -> dict[str, Callable[[], Any]]:
        """Add a fleet, asked once for all boards that show it; return what tells of it."""
        if isinstance(given, Sampler):
            sampler = holding.hold_given(self.viewer, given)
        else:
            sampler = holding.hold(self.viewer, given.key, lambda: given)
        self.feeds.append(("fleet", sampler))
        told = getattr(sampler.source, "words", None)
        return {"jobs": told} if callable(told) else {}

    def endpoints(self, *, slo_ms: float) -> None:
        """Add every endpoint that is or will be announced on this machine."""
        from aifactory_lab.telemetry.prometheus.source import PrometheusSource
        from aifactory_lab.telemetry.sharing.announced import EndpointsSource

        def make() -> Source:
            return EndpointsSource(lambda url: PrometheusSource(url, slo_ms=slo_ms))

        self._add("service", lambda: holding.hold(self.viewer, EndpointsSource.key, make))

    def endpoint(self, given: str | Source | Sampler, *, role: Role = "service", slo_ms: float = 50.0) -> None:
        """Add an endpoint: the address of its metrics, or a source or sampler of them."""
        if not isinstance(given, str):
            self.feeds.append((role, holding.hold_given(self.viewer, given)))
            return
        from aifactory_lab.telemetry.prometheus.source import PrometheusSource

        def held() -> Sampler:
            source = PrometheusSource(given, slo_ms=slo_ms)
            return holding.hold(self.viewer, source.key, lambda: source)

        self._add(role, held)

    def _add(self, role: Role, sampler: Callable[[], Sampler]) -> None:
        try:
            self.feeds.append((role, sampler()))
        except FactoryError as error:
            self.absent.append({"role": role, "reason": error.what, "mend": error.mend})


def everyones(source: Source) -> Source:
    """Return the source shared by all processes of this user, so that ten pages cost the driver as much as one.

    Where there is no private folder to meet in, each process reads for itself.
    """
    try:
        from aifactory_lab.telemetry.sharing.commons import Shared

        return Shared(source)
    except (FactoryError, ImportError):  # ImportError: no file locks on this system
        return source


def bands(production: Any) -> list[dict[str, Any]]:
    """Return when which station worked, without what changes while it works."""
    return [{key: band[key] for key in ("station", "start", "stop")} for band in production.bands()[-100:]]
