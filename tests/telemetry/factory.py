"""A small plant that a test runs: GPUs with a MIG instance, a host, stations and services, all at known rates."""

import time
from collections.abc import Callable

from aifactory_lab.telemetry.metrics import METRICS
from aifactory_lab.telemetry.prometheus.plant_names import METRICS_OF
from aifactory_lab.telemetry.readings import Entity, Facts, Layout, Origin, Snapshot, State
from aifactory_lab.telemetry.sources import Source

NODE = ("lab", "rack 1", "n1")
GPUS = tuple(Entity((*NODE, f"gpu {i}"), "gpu", "NVIDIA H100 80GB HBM3", f"GPU-{i}") for i in range(2))
MIG = Entity((*NODE, "gpu 1", "mig 0"), "mig", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "MIG-0")
HOST = Entity(NODE, "host", "EPYC")
WORKER = Entity((*NODE, "worker 0"), "worker", "dask")
STATIONS = tuple(Entity(("factory", name), "station", name) for name in ("etl", "train"))
LLM = Entity((*NODE, "n1:8000"), "service", "vLLM llama", "http://n1:8000/metrics")
PREDICTOR = Entity((*NODE, "n1:8001"), "service", "aifactory", "http://n1:8001/metrics")
ENTITIES = (*GPUS, MIG, HOST, WORKER, *STATIONS, LLM, PREDICTOR)
# What counts up, per second; everything else stands still.
POWER, JOULES, MADE = 350.0, {"etl": 100.0, "train": 300.0}, {"etl": 40_000.0, "train": 1_000.0}
UNITS = {"etl": "rows", "train": "trees"}
FIXED = {"memory_total": 80e9, "memory_used": 20e9, "power": POWER, "power_limit": 700.0, "throttle": 0x24, "xid": 79.0}
LLM_LACKS = {"rows_rate", "predictions_rate"}
PREDICTOR_LACKS = {"prompt_tokens_rate", "tokens_rate", "cache_used", "ttft_p50", "ttft_p95", "ttft_p99"}


class Plant(Source):
    """Everything a plant has, in motion; `states` sets entities or readings that have no value."""

    period = 0.2

    def __init__(self, key: str = "plant", *, origin: Origin = "simulated", entities=ENTITIES, clock=time.time) -> None:
        self.key, self.origin, self.entities = key, origin, entities
        self.clock: Callable[[], float] = clock
        self.start = clock()
        self.states: dict[str, State | dict[str, State]] = {}

    def open(self) -> Layout:
        names = {name for entity in self.entities for name in METRICS_OF[entity.kind]}
        return Layout(self.entities, tuple(name for name in METRICS if name in names), self.origin, "a plant")

    def sample(self) -> Snapshot:
        now = self.clock()
        snapshot = Snapshot.blank(self.layout, time=now)
        for entity in self.entities:
            state = self.states.get(entity.id, {})
            if isinstance(state, State):
                snapshot.put(entity.id, **dict.fromkeys(self.layout.metrics, state))
            else:
                snapshot.put(entity.id, **{**values(entity, now - self.start), **state})
        return snapshot

    def facts(self) -> dict[str, Facts]:
        return {entity.id: Facts(details={"unit": UNITS[entity.path[-1]]}) for entity in STATIONS}


def values(entity: Entity, age: float) -> dict[str, float]:
    """What an entity of the plant reads after so many seconds."""
    lacks = LLM_LACKS if entity == LLM else PREDICTOR_LACKS if entity == PREDICTOR else set()
    if entity.kind == "mig":
        return {"busy": 40.0, "memory_used": 5e9, "memory_total": 10e9}
    found = {}
    for place, name in enumerate(METRICS_OF[entity.kind]):
        metric = METRICS[name]
        if name in lacks:
            continue
        value = FIXED.get(name, 10.0 + place if metric.unit in ("%", "°C", "s") else 100.0 + place)
        found[name] = 1_000.0 + age * value if metric.kind == "counter" else value
    if entity.kind == "station":
        found |= {"made": age * MADE[entity.path[-1]], "joules": age * JOULES[entity.path[-1]], "seconds": age}
    elif "energy" in found:
        found["energy"] = age * POWER
    return found
