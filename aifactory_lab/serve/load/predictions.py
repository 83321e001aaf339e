"""Load tests of predictions: what a service gives under load, in requests per second, percentiles and goodput.

Goodput is the rate of requests answered well within the service-level objective (SLO); throughput alone
flatters a server that answers late. The clients run in a process of their own (`aifactory_lab.serve.clients`).

>>> report = LoadReport.of([[0.0, 0.010, 200], [0.5, 0.030, 200], [0.9, 0.100, 429]], slo_ms=20)
>>> report.throughput, report.goodput, report.statuses
(2.0, 1.0, {'200': 2, '429': 1})
"""
# ruff: noqa: PT028 - `test` is a load test, not one of pytest's

import io
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

import numpy as np
import orjson
from numpy.typing import NDArray

from aifactory_lab.access.tokens import VARIABLE
from aifactory_lab.errors import DataError, FactoryError
from aifactory_lab.serve.clients import LOST, PATIENCE, Plan
from aifactory_lab.serve.schemas import ARROW, FLOAT32, JSON

if TYPE_CHECKING:
    import polars as pl

Body = Literal["json", "arrow", "float32"]
MEDIA_TYPES = {"json": JSON, "arrow": ARROW, "float32": FLOAT32}
MOST_BODIES = 2_000  # different requests of one test; they take turns
MOST_BYTES = 64 << 20
KEY_VARIABLE = VARIABLE  # the token is read from the environment by who needs it, and is written nowhere
OPEN_LOOP_CONNECTIONS = 512


@dataclass(frozen=True)
class LoadReport:
    """What one load test found.

    Attributes
    ----------
    throughput, rows_per_second
        Requests, and rows, answered with status 200, per second.
    p50_ms, p95_ms, p99_ms
        Latency of those; in an open loop counted from the arrival, waiting included. NaN if there are none.
    goodput
        Requests answered with 200 within `slo_ms`, per second.
    offered
        Arrivals per second that an open loop was to make; `None` for a closed loop.
    sent
        Requests made; `statuses` counts them by status ("lost": the connection broke or patience ran out).
    """

    concurrency: int
    seconds: float
    sent: int
    throughput: float
    rows_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    slo_ms: float
    goodput: float
    statuses: dict[str, int]
    offered: float | None = None
    latencies_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0), repr=False, compare=False)

    @classmethod
    def of(
        cls, lines: Any, *, slo_ms: float, concurrency: int = 1, rows: int = 1, offered: float | None = None
    ) -> Self:
        """Sum up lines of (start in seconds, latency in seconds, status)."""
        start, latency, status = np.asarray(lines, dtype=np.float64).reshape(-1, 3).T
        seconds = float((start + latency).max()) if len(start) else 0.0
        good = np.sort(latency[status == 200]) * 1e3
        p50, p95, p99 = np.percentile(good, [50, 95, 99]).tolist() if len(good) else [float("nan")] * 3
        per_second = 1 / seconds if seconds > 0 else 0.0
        kinds, counts = np.unique(status.astype(int), return_counts=True)
        statuses = {"lost" if kind == LOST else str(kind): int(n) for kind, n in zip(kinds, counts, strict=True)}
        return cls(
            concurrency=concurrency,
            seconds=seconds,
            sent=len(start),
            throughput=len(good) * per_second,
            rows_per_second=len(good) * rows * per_second,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            slo_ms=slo_ms,
            goodput=int((good <= slo_ms).sum()) * per_second,
            statuses=statuses,
            offered=offered,
            latencies_ms=good,
        )

    @property
    def errors(self) -> int:
        """Requests that were not answered with 200."""
        return self.sent - self.statuses.get("200", 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, without the single latencies."""
        values = asdict(replace(self, latencies_ms=np.empty(0)))
        del values["latencies_ms"]
        return values

    @property
    def frame(self) -> "pl.DataFrame":
        """The report as one row."""
        return frame([self])

    def _repr_html_(self) -> str:
        return str(self.frame._repr_html_())

    def __str__(self) -> str:
        arrivals = f"{self.offered:,.0f}/s offered" if self.offered else f"{self.concurrency} connections"
        failed = f", {self.errors:,} of {self.sent:,} not answered {self.statuses}" if self.errors else ""
        return (
            f"{arrivals}: {self.throughput:,.0f} requests/s ({self.rows_per_second:,.0f} rows/s),"
            f" p50 {self.p50_ms:.1f} ms, p95 {self.p95_ms:.1f} ms, p99 {self.p99_ms:.1f} ms,"
            f" goodput {self.goodput:,.0f}/s within {self.slo_ms:g} ms{failed}"
        )


def test(
    url: str,
    rows: Any,
    *,
    concurrency: int | None = None,
    seconds: float | None = None,
    requests: int | None = None,
    rate: float | None = None,
    slo_ms: float = 50.0,
    rows_per_request: int = 1,
    body: Body = "json",
    path: str = "/predict",
    key_variable: str = KEY_VARIABLE,
) -> LoadReport:
    """Put load on a service and return what it gave.

    Parameters
    ----------
    url
        Where it is: ``server.url``.
    rows
        A Polars or pandas frame of features, or a list of rows as JSON values.
    concurrency
        Connections, each sending its next request when the last is answered (default 32); with `rate` the
        most connections (default 512).
    seconds, requests
        When to stop: after so long (default 5 s), or after so many requests.
    rate
        Open loop: so many arrivals per second (Poisson), however slow the answers.
    slo_ms
        The latency that goodput allows.
    rows_per_request, body
        How many rows a request carries, as JSON, as an Arrow stream, or as raw float32.
    path
        What is asked: ``"/predict"`` unless the service has others.
    key_variable
        The environment variable that holds the service's token, if it wants one.

    Raises
    ------
    DataError
        If there are fewer rows than one request needs.
    FactoryError
        If the clients could not run.
    """
    bodies = _some(make_bodies(rows, rows_per_request, body))
    if not bodies:
        msg = f"a request of {rows_per_request} rows needs at least so many"
        raise DataError(msg)
    place = urlsplit(url)
    plan = Plan(
        place.hostname or "127.0.0.1",
        place.port or 80,
        path=path,
        media_type=MEDIA_TYPES[body],
        concurrency=concurrency or (OPEN_LOOP_CONNECTIONS if rate else 32),
        seconds=seconds or (0.0 if requests else 5.0),
        requests=requests or 0,
        rate=rate or 0.0,
        key_variable=key_variable,
    )
    lines = _run_clients(plan, bodies)
    return LoadReport.of(lines, slo_ms=slo_ms, concurrency=plan.concurrency, rows=rows_per_request, offered=rate)


test.__test__ = False  # type: ignore[attr-defined]


def sweep(
    url: str, rows: Any, concurrencies: Sequence[int] = (1, 2, 4, 8, 16, 32, 64), **options: Any
) -> list[LoadReport]:
    """Return a `test` of `url` with `rows` and options at each of `concurrencies`; `figures.serving.latency` draws."""
    return [test(url, rows, concurrency=concurrency, **options) for concurrency in concurrencies]


def frame(reports: Sequence[LoadReport]) -> "pl.DataFrame":
    """Return one row per report."""
    import polars as pl

    rows = []
    for report in reports:
        values = report.to_dict()
        statuses = values.pop("statuses")
        words = ", ".join(f"{kind}: {count}" for kind, count in statuses.items())
        rows.append({**values, "errors": report.errors, "statuses": words})
    return pl.DataFrame(rows, schema_overrides={"offered": pl.Float64})


def make_bodies(rows: Any, size: int, body: Body = "json") -> Iterator[bytes]:
    """Yield request bodies of `size` rows each, in the format that `body` names.

    Examples
    --------
    >>> list(make_bodies([{"hour": 7}, {"hour": 8}], 1))
    [b'{"hour":7}', b'{"hour":8}']
    """
    if isinstance(rows, list) and body == "json":
        parts = (rows[start : start + size] for start in range(0, len(rows) - size + 1, size))
        for part in parts:
            alone = size == 1 and isinstance(part[0], dict)
            yield orjson.dumps(part[0] if alone else {"rows": part})
        return
    table = _table(rows)
    for start in range(0, len(table) - size + 1, size):
        piece = table[start : start + size]
        if body == "json":
            yield from make_bodies(piece.to_dicts(), size)
        elif body == "arrow":
            yield _stream(piece)
        else:
            yield piece.to_numpy().astype("<f4").tobytes()


def _some(bodies: Iterator[bytes]) -> list[bytes]:
    """Take as many different bodies as a test needs and memory should hold."""
    taken, size = [], 0
    for one in islice(bodies, MOST_BODIES):
        taken.append(one)
        size += len(one)
        if size > MOST_BYTES:
            break
    return taken


def _table(rows: Any) -> "pl.DataFrame":
    import polars as pl

    if isinstance(rows, pl.DataFrame):
        return rows.select(pl.all().cast(pl.Float32).fill_nan(None))
    if isinstance(rows, list):
        return pl.DataFrame(rows, infer_schema_length=None)
    return _table(pl.from_pandas(rows))


def _stream(part: "pl.DataFrame") -> bytes:
    import pyarrow as pa

    sink, table = io.BytesIO(), part.to_arrow()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def _run_clients(plan: Plan, bodies: Sequence[bytes]) -> NDArray[np.float64]:
    header = json.dumps({"plan": asdict(plan), "lengths": [len(body) for body in bodies]}).encode() + b"\n"
    command = [sys.executable, "-m", "aifactory_lab.serve.clients"]
    limit = (plan.seconds or plan.requests) + 4 * PATIENCE
    try:
        done = subprocess.run(  # noqa: S603
            command, input=header + b"".join(bodies), capture_output=True, timeout=limit, check=True
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        words = (error.stderr or b"").decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
        msg = f"the clients of the load test failed: {words[0]}"
        raise FactoryError(msg) from error
    lines: NDArray[np.float64] = np.load(io.BytesIO(done.stdout))
    return lines
