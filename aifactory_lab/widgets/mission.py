"""Mission control: floor, GPUs, throughput, jobs and quota, power, cost and health on one page.

It finds by itself what this machine has, says in words what it has not, and keeps an account of alerts and joules
from the moment it is made. It computes nothing: rules and sums stand in `telemetry`.

>>> board = MissionControl(host=False)
>>> board
MissionControl(floor, gpus, hosts, throughput, jobs, cost, health)
>>> board.close()
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.telemetry.alerts import Alerts
from aifactory_lab.telemetry.output import Output
from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import PANELS, Board, refuse, replace
from aifactory_lab.widgets.throughput import SLO_MS, Endpoint

if TYPE_CHECKING:
    import plotly.graph_objects as go

KEYWORDS = ("gpus", "endpoints", "fleet", "host", "slo_ms", "price", "pue", "title", "name")
PRICE = 0.12  # dollars per kWh: an assumption to edit on the board, not a measurement
PUE = 1.3  # watts at the meter per watt in the machines: an assumption to edit on the board
SILENT_PERIODS, SILENT_SECONDS = 5.0, 10.0


class MissionControl(Board):
    """The whole plant on one page, live.

    Parameters
    ----------
    gpus
        A source or sampler of GPU readings; by default the GPUs of this machine.
    endpoints
        Addresses of metrics, sources or samplers, beside the endpoints that are announced on this machine.
    fleet
        A fleet or an engine; by default this user's own on this machine, shown once there is one.
    host
        Whether the machine itself is shown.
    slo_ms
        The latency within which an answer is good.
    price, pue
        Dollars per kWh, and watts at the meter per watt in the machines: the assumptions shown first.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword.
    """

    def __init__(
        self,
        gpus: Source | Sampler | None = None,
        *,
        endpoints: Sequence[Endpoint] = (),
        fleet: Any = None,
        host: bool = True,
        slo_ms: float = SLO_MS,
        price: float = PRICE,
        pue: float = PUE,
        title: str = "Mission control",
        name: str = "",
        **unknown: Any,
    ) -> None:
        refuse("MissionControl", unknown, KEYWORDS)
        full = replace(name or "MissionControl")
        self._alerts, self._output = Alerts(), Output()
        with defaults.Found(self) as found:
            found.endpoints(slo_ms=slo_ms)
            for endpoint in endpoints:
                found.endpoint(endpoint, slo_ms=slo_ms)
            found.gpus(gpus)
            if host:
                found.host()
            slow = found.production() | found.fleet(FleetSource(fleet))
            super().__init__(
                found.feeds,
                panels=PANELS,
                title=title,
                slow={**slow, "alerts": self._alerts.feed, "output": self._output.words},
                absent=found.absent,
                options={"slo_ms": slo_ms, "price": price, "pue": pue},
                name=full,
            )

    def look(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Keep the accounts of alerts and joules, and mind who has fallen silent."""
        self._alerts.observe(sampler.key, snapshot)
        self._output.look(sampler.key, snapshot)
        now = time.time()
        for feed in self.feeds:
            other = feed.sampler
            silence = now - latest.time if (latest := other.latest) is not None else 0.0
            if silence > max(SILENT_PERIODS * other.period, SILENT_SECONDS) and other.layout.origin == "measured":
                self._alerts.silent(other.key, silence, now=now)

    def words(self) -> str:
        """Return the panels."""
        return ", ".join(self.panels)

    def snapshot(self) -> "go.Figure":
        """Return the history of everything as a figure that stays as it is."""
        from aifactory_lab.figures import boards

        return boards.overview([feed.sampler.ring.history() for feed in self.feeds])
