"""Any Prometheus endpoint as a source: vLLM, NIM, Triton, our own service, dcgm-exporter, nvitop, another plant.

What an endpoint is, its metrics' names say. GPU exporters give GPUs, servers of models give services, and the
exporter of another notebook gives its whole plant. While the endpoint does not answer, everything is lost with the
reason, and it comes back when the endpoint does. This module does not know the names: they stand in tables.

>>> source = PrometheusSource("http://ann:secret@localhost:8000")
>>> source.key
'prometheus http://***@localhost:8000'
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.prometheus import device_names, devices, plant, plant_names, service_names, services
from aifactory_lab.telemetry.prometheus.devices import Place
from aifactory_lab.telemetry.prometheus.exposition import Samples
from aifactory_lab.telemetry.prometheus.growth import Growth
from aifactory_lab.telemetry.prometheus.plant_names import METRICS_OF
from aifactory_lab.telemetry.prometheus.scraping import Endpoint, redacted
from aifactory_lab.telemetry.prometheus.service_names import LLM_INFO, MODEL_INFO, PRODUCTS, VLLM, Product
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Origin, Snapshot, State, lost
from aifactory_lab.telemetry.sources import Source, here

WINDOW_SECONDS = 30.0  # what quantiles are taken over
LOOPBACK = ("localhost", "127.0.0.1", "::1")
KNOWN = device_names.known() | service_names.known() | plant_names.known()


@dataclass
class Look:
    """What one scrape found."""

    found: dict[Entity, dict[str, float | State]] = field(default_factory=dict)
    ids: dict[str, Entity] = field(default_factory=dict)
    facts: dict[str, Facts] = field(default_factory=dict)
    origin: Origin = "measured"
    notes: list[str] = field(default_factory=list)

    def add(self, entity: Entity, readings: Mapping[str, float | State]) -> None:
        """Add readings of an entity; two tables that tell of the same one complete each other."""
        known = self.ids.setdefault(entity.id, entity)
        self.found[known] = {**readings, **self.found.get(known, {})}


class PrometheusSource(Source):
    """The readings of one endpoint.

    Parameters
    ----------
    url
        http or https; without a path, ``/metrics`` is read. User and password in it are used, and never shown.
    slo_ms
        The latency within which an answer is good, for goodput and the good share.
    period
        Seconds between scrapes; one scrape may take eight tenths of it.
    site, rack
        Where the endpoint stands, for what its own labels do not say.

    Raises
    ------
    TelemetryError
        If the URL is not one of http or https. An endpoint that does not answer is no error: it is lost until it
        does.
    """

    period: float = 1.0  # type: ignore[misc]  # each endpoint has its own

    def __init__(self, url: str, *, slo_ms: float = 50.0, period: float = 1.0, site: str = "", rack: str = "") -> None:
        self.period = _positive("period", period)
        self.slo = _positive("slo_ms", slo_ms) / 1e3
        self.endpoint = Endpoint(url, timeout=0.8 * period)
        self.key = f"prometheus {redacted(url)}"
        host, local = urlsplit(self.endpoint.url).hostname or "", here()
        self.place = Place(site or local[0], rack or local[1], local[2] if host in LOOPBACK else host)
        self._growth: dict[tuple[str, str], Growth] = {}
        self._facts: dict[str, Facts] = {}

    def __repr__(self) -> str:
        return f"PrometheusSource({self.endpoint.label!r})"

    def open(self) -> Layout:
        """Look once; an endpoint that does not answer yet is a service that is lost."""
        try:
            return self._layout_of(self._look())
        except TelemetryError:
            return self._layout_of(Look())

    def sample(self) -> Snapshot:
        """Scrape once."""
        before = self.layout
        try:
            look = self._look()
        except TelemetryError as error:
            return lost(
                before, time=time.time(), notes=[f"{error.what}; try: {error.mend}" if error.mend else error.what]
            )
        now, layout = time.time(), self._layout_of(look)
        if _shape(layout) != _shape(before):
            self.layout = layout
            look.notes += _gone(before, layout)
        snapshot = Snapshot.blank(self.layout, time=now)
        for entity, readings in look.found.items():
            snapshot.put(entity.id, **readings)
        self._facts = look.facts
        return replace(snapshot, notes=tuple(look.notes))

    def facts(self) -> Mapping[str, Facts]:
        """Tell in words what each service is."""
        return self._facts

    def close(self) -> None:
        """Let go of the connection."""
        self.endpoint.close()

    def _look(self) -> Look:
        samples = self.endpoint.scrape(KNOWN)
        now = time.monotonic()
        look = Look(origin=_origin(samples), notes=_left_out(samples))
        for read in (devices.read(samples, self.place, look.notes), plant.read(samples, self.place)):
            for entity, values in read.items():
                look.add(entity, values)
        self._serve(look, samples, now)
        self._bury(look, samples)
        if not look.found:
            names = ", ".join(product.name for product in PRODUCTS)
            look.notes.append(f"{self.endpoint.label} answers, but tells nothing known here (services: {names}; GPUs)")
        return look

    def _serve(self, look: Look, samples: Samples, now: float) -> None:
        """Add the services: one per endpoint, or one per model where there are several."""
        seen: dict[tuple[str, str], Growth] = {}
        for sort in (product for product in PRODUCTS if any(sign in samples for sign in product.signs)):
            product = _named(sort, samples)
            several = services.models(product, samples)
            for model, told in several.items():
                who = (product.name, model)
                growth = seen[who] = self._growth.get(who) or Growth(max(WINDOW_SECONDS, 3 * self.period))
                growth.add(now, services.counters(product, told))
                entity = self._service(f"{product.name} {model}".strip(), model if len(several) > 1 else "")
                look.add(entity, services.read(product, told, growth, slo=self.slo, least=self.period / 2))
                look.facts[entity.id] = self._words(product, model, samples, services.mean_latency(told, growth))
        self._growth = seen

    def _bury(self, look: Look, samples: Samples) -> None:
        """Add what another plant has lost: it is lost here too, not gone."""
        for entity, up in plant.states(samples, self.place):
            look.add(entity, {} if up else dict.fromkeys(METRICS_OF[entity.kind], State.LOST))
        made = plant.units(samples)
        for entity in (entity for entity in look.found if entity.kind == "station" and entity.path[-1] in made):
            look.facts[entity.id] = Facts(details={"unit": made[entity.path[-1]]})

    def _service(self, name: str = "", model: str = "") -> Entity:
        unit = (urlsplit(self.endpoint.label).netloc.rpartition("@")[2], *([model] if model else []))
        return Entity((*self.place, *unit), "service", name, self.endpoint.label)

    def _words(self, product: Product, model: str, samples: Samples, mean: float | None) -> Facts:
        words = {"product": product.name, "endpoint": self.endpoint.label}
        serving = [row.labels for row in samples.get(MODEL_INFO, ()) if row.value == 1]
        if model or serving:
            words["model"] = model or " ".join(serving[0].values())
        if mean is not None:
            words["mean latency"] = METRICS["latency_p50"].text(mean)
        words["quantiles and good share"] = f"of the last {max(WINDOW_SECONDS, 3 * self.period):g} s"
        words["SLO"] = METRICS["latency_p50"].text(self.slo)
        return Facts(details=words)

    def _layout_of(self, look: Look) -> Layout:
        entities = sorted(look.found, key=_natural) or [self._service()]
        names = {name for entity in entities for name in METRICS_OF[entity.kind]}
        metrics = tuple(name for name in METRICS if name in names)
        return Layout(tuple(entities), metrics, look.origin, self.endpoint.label)


def _shape(layout: Layout) -> tuple[set[Entity], tuple[str, ...], str]:
    return set(layout.entities), layout.metrics, layout.origin


def _natural(entity: Entity) -> list[tuple[int, int, str]]:
    """Sort gpu 10 behind gpu 9."""
    parts = re.split(r"(\d+)", "\0".join(entity.path))
    bare = [part.lstrip("0") for part in parts]  # the longer number is the greater, of whatever length
    return [(0, len(own), own) if part.isdecimal() else (1, 0, part) for part, own in zip(parts, bare, strict=True)]


def _origin(samples: Samples) -> Origin:
    """Say simulated or recorded if anything is: what is shown may be taken for no more than its least part."""
    told = {row.labels.get("origin", "") for rows in samples.values() for row in rows}
    return "simulated" if "simulated" in told else "recorded" if "recorded" in told else "measured"


def _left_out(samples: Samples) -> list[str]:
    lines = samples.left_out
    return [f"{len(lines)} malformed lines left out, the first: {lines[0].strip()[:60]!r}"] if lines else []


def _gone(before: Layout, now: Layout) -> list[str]:
    gone = [
        entity.id
        for entity in before.entities
        if entity.id not in now.rows and (entity.name or entity.kind != "service")
    ]
    more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
    return [f"no longer told of: {', '.join(gone[:3])}{more}"] if gone else []


def _positive(name: str, value: float) -> float:
    if not (value > 0 and math.isfinite(value)):
        msg = f"{name}={value!r} must be a number above 0"
        raise TelemetryError(msg, mend="PrometheusSource(url, slo_ms=50.0, period=1.0)")
    return float(value)


def _named(product: Product, samples: Samples) -> Product:
    """Call a server that only took vLLM's names by the engine that it says it is."""
    told = [row.labels.get("engine", "") for row in samples.get(LLM_INFO, ())]
    return replace(product, name=told[0]) if product is VLLM and told and told[0] else product
