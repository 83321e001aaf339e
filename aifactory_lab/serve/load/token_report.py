"""What a token load test found: tokens per second, latencies, goodput, what failed, what it cost.

It holds every request (`records`) and derives all else, so nothing can be left out. This module does not know how the
requests were made.

>>> from aifactory_lab.serve.load.records import Record
>>> record = Record(0, start=0, end=9, outcome="200", output_tokens=3, chunks=(500_000_000, 2_000_000_000))
>>> TokenReport("m", (record, Record(1, start=0, end=9, outcome="429"))).statuses
{'200': 1, '429': 1}
"""

import html
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from aifactory_lab.aside import write_aside
from aifactory_lab.serve.load import summary
from aifactory_lab.serve.load.costs import Cost
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.summary import Distribution, Slo

if TYPE_CHECKING:
    import polars as pl

LATE_MS = 10.0  # an open loop's request that is sent later than this after its arrival is a late one
NAME = "aifactory_lab"
RECORDS, SUMMARY = "profile_export.jsonl", "profile_export_aiperf.json"  # the names that AIPerf gives them


@dataclass(frozen=True)
class TokenReport:
    """What one token load test found.

    Attributes
    ----------
    records
        Every request, in the order of sending.
    concurrency
        Connections (in an open loop the most).
    offered
        Arrivals per second of an open loop; `None` for a closed one.
    cost
        Processor time, energy, price.
    origin_ns
        The start on the wall clock.
    note
        Where the arrivals are from, if from a trace.
    """

    model: str
    records: tuple[Record, ...] = field(repr=False)
    slo: Slo | None = None
    concurrency: int = 1
    offered: float | None = None
    engine: str = ""
    cost: Cost = field(default_factory=Cost)
    origin_ns: int = 0
    note: str = ""

    @cached_property
    def distributions(self) -> dict[str, Distribution]:
        """How each figure is spread over the requests, by AIPerf's tags; times in milliseconds, from the sending."""
        return summary.distributions(self.records)

    @cached_property
    def totals(self) -> dict[str, float]:
        """The figures of the whole test, by AIPerf's tags."""
        return summary.totals(self.records, self.slo)

    @property
    def ttft(self) -> Distribution:
        """Time to first token in milliseconds, from the sending."""
        return self.distributions["time_to_first_token"]

    @property
    def itl(self) -> Distribution:
        """Inter-token latency in milliseconds: AIPerf's ITL, vLLM's TPOT."""
        return self.distributions["inter_token_latency"]

    @property
    def icl(self) -> Distribution:
        """Gaps between chunks in milliseconds: AIPerf's ICL, vLLM's ITL."""
        return self.distributions["inter_chunk_latency"]

    @property
    def latency(self) -> Distribution:
        """Time to the last token in milliseconds, from the sending."""
        return self.distributions["request_latency"]

    @property
    def per_user(self) -> Distribution:
        """Tokens per second that one user sees: 1 ÷ ITL."""
        return self.distributions["output_token_throughput_per_user"]

    @cached_property
    def ttft_from_arrival(self) -> Distribution:
        """Time to first token in milliseconds, from the scheduled arrival: what a user waits in an open loop."""
        return Distribution.of(one.ttft_ms + one.wait_ms for one in self._good if one.ttft_ms is not None)

    @cached_property
    def latency_from_arrival(self) -> Distribution:
        """Time to the last token in milliseconds, from the scheduled arrival."""
        return Distribution.of(one.latency_ms + one.wait_ms for one in self._good if one.latency_ms is not None)

    @cached_property
    def wait(self) -> Distribution:
        """How long after their scheduled arrival requests were sent, in milliseconds; failed ones count."""
        return Distribution.of(one.wait_ms for one in self.records if one.scheduled is not None)

    @property
    def late(self) -> int:
        """Requests of an open loop that were sent more than `LATE_MS` after their arrival."""
        return sum(one.wait_ms > LATE_MS for one in self.records)

    @property
    def tokens(self) -> int:
        """Tokens written in answers that came whole, as the server's usage counts them."""
        return int(self.totals["total_osl"])

    @property
    def seconds(self) -> float:
        """From the first sending to the last content."""
        return self.totals["benchmark_duration"]

    @property
    def tokens_per_second(self) -> float:
        """Output tokens per second of all requests together."""
        return self.totals["output_token_throughput"]

    @property
    def requests_per_second(self) -> float:
        """Requests answered whole, per second."""
        return self.totals["request_throughput"]

    @property
    def goodput(self) -> float | None:
        """Requests per second that met the objective, times from the sending, as in AIPerf; `None` without one."""
        return self.totals.get("goodput")

    @property
    def goodput_from_arrival(self) -> float | None:
        """The same with times from the scheduled arrival."""
        if self.slo is None:
            return None
        met = sum(self.slo.met(one, from_arrival=True) for one in self.records)
        return met / self.seconds if self.seconds else 0.0

    @property
    def statuses(self) -> dict[str, int]:
        """How requests ended, see `Record.outcome`; ``"200"`` are those answered whole."""
        return dict(sorted(Counter(one.outcome for one in self.records).items()))

    @property
    def errors(self) -> int:
        """Requests that were not answered whole."""
        return len(self.records) - len(self._good)

    @property
    def finishes(self) -> dict[str, int]:
        """Why the model stopped, among the requests answered whole."""
        return dict(sorted(Counter(one.finish for one in self._good).items()))

    @property
    def short(self) -> int:
        """Requests answered whole with fewer tokens than they asked for."""
        return sum(one.short for one in self._good)

    @property
    def dollars_per_million(self) -> float | None:
        """Dollars for a million output tokens; `None` without a price or a token."""
        return self.cost.dollars_per_million(self.tokens, self.seconds)

    @property
    def tokens_per_joule(self) -> float | None:
        """Output tokens for each joule of the whole machine; `None` if its energy is unknown."""
        return self.cost.per_joule(self.tokens)

    @property
    def frame(self) -> "pl.DataFrame":
        """The report as one row, as `pareto` has one for each concurrency."""
        from aifactory_lab.serve.load import token_tables

        return token_tables.frame([self])

    @property
    def metrics(self) -> "pl.DataFrame":
        """One row per metric by AIPerf's tags: avg, percentiles, ends, deviation."""
        from aifactory_lab.serve.load import token_tables

        return token_tables.metrics(self)

    @property
    def requests(self) -> "pl.DataFrame":
        """One row per request: when it came, was sent and ended, its latencies and tokens, how it ended."""
        from aifactory_lab.serve.load import token_tables

        return token_tables.requests(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: AIPerf's metrics by their tags, and under our name what it does not have."""
        from aifactory_lab.serve.load import token_tables

        ours = {
            **token_tables.row(self),
            "statuses": self.statuses,
            "finishes": self.finishes,
            "ttft_from_arrival_p99": self.ttft_from_arrival.p99,
            "goodput_from_arrival": self.goodput_from_arrival,
            "slo": None if self.slo is None else str(self.slo),
            "price_note": self.cost.price_note,
            "energy_note": self.cost.energy_note,
            "station": self.cost.station.to_dict() if self.cost.station else None,
            "note": self.note,
        }
        return {**summary.exported(self.records, self.slo), NAME: ours}

    def write(self, folder: Path | str) -> Path:
        """Write ``profile_export.jsonl`` (every request) and ``profile_export_aiperf.json`` as AIPerf names them."""
        folder = Path(folder)
        with write_aside(folder / RECORDS) as aside:
            lines = (orjson.dumps(one.exported(self.origin_ns, NAME)) + b"\n" for one in self.records)
            aside.write_bytes(b"".join(lines))
        with write_aside(folder / SUMMARY) as aside:
            aside.write_bytes(orjson.dumps(self.to_dict(), option=orjson.OPT_INDENT_2))
        return folder

    @property
    def _good(self) -> list[Record]:
        return [one for one in self.records if one.ok]

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(str(self))}</p>{self.metrics._repr_html_()}"

    def __str__(self) -> str:
        load = f"{self.concurrency} connections" if self.offered is None else f"{self.offered:.3g} arrivals/s"
        words = [
            f"{self.engine or self.model}, {load}: {self.tokens_per_second:,.0f} tokens/s"
            f" ({self.requests_per_second:.3g} requests/s, {self.per_user.p50:,.0f} tokens/s a user)",
            f"TTFT p50 {self.ttft.p50:.1f} p99 {self.ttft.p99:.1f} ms",
            f"ITL p50 {self.itl.p50:.2f} p99 {self.itl.p99:.2f} ms",
            self.cost.words(self.tokens, self.seconds),
        ]
        return "; ".join([*words, *self._troubles()])

    def _troubles(self) -> list[str]:
        found = []
        if self.slo is not None:
            found.append(f"goodput {self.goodput:.3g} requests/s ({self.slo})")
        if self.errors:
            found.append(f"{self.errors} of {len(self.records)} not answered whole {self.statuses}")
        if self.short:
            found.append(f"{self.short} shorter than asked for")
        if self.late:
            found.append(f"{self.late} sent more than {LATE_MS:g} ms late")
        return found
