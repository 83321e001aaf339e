"""Endpoints in the catalogue: predictions, tokens, metrics; each is started on the champion, and answers until stopped.

They listen on loopback unless told otherwise. What they say, their rooms decide: `serve`, `serve.llm`, `telemetry`.

>>> from pathlib import Path
>>> [entry.name for entry in endpoints(Path("no/such/workspace"))]
['predictions', 'completions', 'metrics']
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aifactory_lab.access import tokens
from aifactory_lab.catalog import readiness
from aifactory_lab.catalog.entry import Entry, Order, Ran, State
from aifactory_lab.errors import FactoryError, ModelError
from aifactory_lab.train.versions import champions

PREDICTIONS, COMPLETIONS, METRICS = "predictions", "completions", "metrics"
LINES = {PREDICTIONS: "decisions", COMPLETIONS: "tokens"}


def endpoints(workspace: Path) -> Iterator[Entry]:
    """Yield the endpoints; whether they can start depends on the champions of the workspace."""
    yield Entry(
        "endpoints",
        PREDICTIONS,
        "HTTP: rows in, probabilities out (POST /predict; /docs, /model, /health, /metrics)",
        needs="a champion of the decision line",
        command=f"aifactory catalog run endpoints/{PREDICTIONS} --port 8000",
        python="from aifactory_lab import serve, train; "
        f"serve.start(train.Registry({str(workspace)!r}, 'flights-late').champion().folder)",
        state=_champion(workspace, PREDICTIONS),
    )
    yield Entry(
        "endpoints",
        COMPLETIONS,
        "HTTP: OpenAI's API before a language model (/v1/chat/completions, /v1/models, /metrics)",
        needs=f"a champion of the token line; {readiness.LM}",
        command=f"aifactory catalog run endpoints/{COMPLETIONS} --port 8000",
        python="from aifactory_lab import lm, serve; "
        f"serve.llm.start(lm.registry.Registry({str(workspace)!r}, 'pocket-llama'))",
        state=readiness.first(readiness.packages("lm"), _champion(workspace, COMPLETIONS)),
    )
    yield Entry(
        "endpoints",
        METRICS,
        "HTTP: this machine's GPUs and host under the names of DCGM and node_exporter, for Prometheus",
        command=f"aifactory catalog run endpoints/{METRICS} --port 9400",
        python="from aifactory_lab import telemetry; telemetry.watch(telemetry.HostSource()); telemetry.export(9400)",
        state=readiness.gpus(),
    )


def start(entry: Entry, order: Order) -> Ran:
    """Start an endpoint."""
    where: dict[str, Any] = {"host": order.host, "port": order.port}
    if entry.name == METRICS:
        if not (tokens.local(order.host) or tokens.given()):
            msg = f"metrics on {order.host} want a token that Prometheus knows too"
            raise FactoryError(msg, mend=f"export {tokens.VARIABLE}=$({tokens.MAKE})")
        service: Any = Watched(**where)
        return Ran(entry, f"metrics at {service.url}", value=service, service=service)
    registry = _registry(order.workspace, entry.name)
    if entry.name == PREDICTIONS:
        from aifactory_lab import serve

        service = serve.start(registry.champion().folder, **where)
        return Ran(entry, f"predictions at {service.url}/predict, on {registry.name}", value=service, service=service)
    from aifactory_lab.serve import llm

    service = llm.start(registry, **where)
    return Ran(entry, f"OpenAI's API at {service.base_url}, on {registry.name}", value=service, service=service)


class Watched:
    """The metrics of this machine, read and exported until stopped."""

    def __init__(self, host: str, port: int) -> None:
        from aifactory_lab import telemetry

        sources = [telemetry.HostSource(), *([telemetry.NvmlSource()] if _gpus() else [])]
        self._samplers = [telemetry.watch(source) for source in sources]
        self._exporter = telemetry.export(port, host, self._samplers)
        self.url = self._exporter.url

    def stop(self) -> None:
        """Stop answering, then reading."""
        self._exporter.close()
        for sampler in self._samplers:
            sampler.close()


def _gpus() -> bool:
    from aifactory_lab import device

    return bool(device.probe().gpus)


def _named(workspace: Path, endpoint: str) -> list[str]:
    """Return the champions that an endpoint can serve, that of the line first."""
    decides = endpoint == PREDICTIONS
    names = [name for name, tags in champions(workspace).items() if ("estimator" in tags) == decides]
    return sorted(names, key=lambda name: (name not in ("flights-late", "pocket-llama"), name))


def _champion(workspace: Path, endpoint: str) -> State:
    if names := _named(workspace, endpoint):
        return State(words=f"runs here, on the champion {names[0]}")
    mend = f"aifactory run --line {LINES[endpoint]}"
    return State(ready=False, words=f"no champion in {workspace}", mend=mend)


def _registry(workspace: Path, endpoint: str) -> Any:
    names = _named(workspace, endpoint)
    if not names:
        state = _champion(workspace, endpoint)
        raise ModelError(state.words, mend=state.mend)
    if endpoint == PREDICTIONS:
        from aifactory_lab import train

        return train.Registry(workspace, names[0])
    from aifactory_lab import lm

    return lm.registry.Registry(workspace, names[0])
