"""The board of the endpoints: how much each answers, how fast, how well, and for how many joules.

Without an argument it follows every endpoint that is announced on this machine, also those that start later. It
takes the address of any Prometheus metrics (vLLM, NIM, Triton, our own), or a source. It computes nothing.

>>> board = ThroughputBoard("http://127.0.0.1:9/metrics", slo_ms=50)
>>> board
ThroughputBoard(1 endpoint)
>>> board.close()
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aifactory_lab.telemetry.output import Output
from aifactory_lab.telemetry.readings import Snapshot
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.widgets import defaults
from aifactory_lab.widgets.board import Board, refuse, replace

if TYPE_CHECKING:
    import plotly.graph_objects as go

Endpoint = str | Source | Sampler
KEYWORDS = ("source", "slo_ms", "roofline", "title", "name")
SLO_MS = 50.0


class ThroughputBoard(Board):
    """Rates, latencies, queues, goodput and joules of endpoints, live.

    Parameters
    ----------
    source
        The address of an endpoint's metrics, a source or a running sampler, or several of these; by default every
        endpoint that is announced on this machine.
    slo_ms
        The latency within which an answer is good.
    roofline
        By name of a rate (``"tokens_rate"``, ``"predictions_rate"``, ``"rows_rate"``, ``"requests_rate"``), the
        most that this machine can reach; the tile then shows the share of it.
    title, name
        The heading, and the name under which a later board replaces this one.

    Raises
    ------
    FactoryError
        For an unknown keyword, or an address that is none. An endpoint that does not answer is shown as such, and
        the others go on.
    """

    def __init__(
        self,
        source: Endpoint | Sequence[Endpoint] | None = None,
        *,
        slo_ms: float = SLO_MS,
        roofline: Mapping[str, float] | None = None,
        title: str = "Throughput",
        name: str = "",
        **unknown: Any,
    ) -> None:
        refuse("ThroughputBoard", unknown, KEYWORDS)
        given = [source] if isinstance(source, str | Source | Sampler) else list(source or [])
        keys = " ".join(one if isinstance(one, str) else one.key for one in given)
        full = replace(name or f"ThroughputBoard {keys or 'auto'}")
        self._output = Output()
        with defaults.Found(self) as found:
            if not given:
                found.endpoints(slo_ms=slo_ms)
            for one in given:
                found.endpoint(one, slo_ms=slo_ms)
            meters = found.meters()
            super().__init__(
                found.feeds,
                panels=["throughput"],
                title=title,
                slow={"output": self._output.words, **found.production(drawn=False)},
                quiet=meters,
                absent=found.absent,
                options={"slo_ms": slo_ms, "roofline": dict(roofline or {})},
                name=full,
            )

    def look(self, sampler: Sampler, snapshot: Snapshot) -> None:
        """Keep the account of watts and outputs."""
        self._output.look(sampler.key, snapshot)

    def words(self) -> str:
        """Return how many endpoints were given, or that all that are announced are followed."""
        count = sum(feed.role == "service" and feed.sampler.key != "endpoints" for feed in self.feeds)
        return "1 endpoint" if count == 1 else f"{count} endpoints" if count else "announced endpoints"

    def snapshot(self) -> "go.Figure":
        """Return the history of the rates as a figure that stays as it is."""
        from aifactory_lab.figures import boards

        return boards.throughput([f.sampler.ring.history() for f in self.feeds if f.role == "service"])
