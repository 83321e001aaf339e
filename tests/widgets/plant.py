"""A scripted plant for the boards' tests and pictures: smooth, plausible, and the same every time."""

import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.metrics import GPU, HOST, SERVICE, STATION
from aifactory_lab.telemetry.packets import Packer
from aifactory_lab.telemetry.readings import Entity, Facts, Finding, Layout, Process, Snapshot, State

START = 1_780_000_000.0
SEEN = tuple(name for name in GPU if name not in ("tensor_active", "sm_active", "dram_active"))
CONSTANT = {
    "memory_total": 80e9,
    "power_limit": 700.0,
    "sm_clock_max": 1980.0,
    "memory_clock": 2619.0,
    "ecc_corrected": 0.0,
    "ecc_uncorrected": 0.0,
    "remapped_rows": 0.0,
    "xid": 0.0,
    "throttle": 0.0,
}


def gpu_layout(count: int, *, mig: bool = False, origin="simulated") -> Layout:
    """GPUs by eights in nodes, nodes by eights in racks, racks by 80 in sites."""
    entities = []
    for index in range(count):
        node, rack, site = index // 8, index // 64, index // 5120
        path = (f"hall {site + 1}", f"rack {rack + 1}", f"node {node + 1}", f"gpu {index % 8}")
        entities.append(Entity(path, "gpu", "NVIDIA H100 80GB HBM3", f"GPU-{index:08x}"))
        if mig and index == 2:
            entities += [Entity((*path, f"mig {part}"), "mig", "MIG 3g.40gb") for part in range(2)]
    return Layout(tuple(entities), SEEN, origin, "a scripted plant" if origin == "simulated" else "run of 12 May")


def gpu_snapshot(layout: Layout, second: float, *, broken: bool = False) -> Snapshot:
    snapshot = Snapshot.blank(layout, time=START + second, state=State.VALUE)
    rows = np.arange(len(layout.entities))
    phase = (rows * 0.37) % 6.28
    wave = 0.5 + 0.5 * np.sin(second / 17 + phase * 0.35) * np.cos(second / 41 + (rows // 8) * 0.21)
    busy = 52 + 46 * wave + 1.6 * np.sin(second * 1.7 + phase * 9)
    columns = {
        "busy": np.clip(busy, 0, 100),
        "memory_busy": np.clip(busy * 0.62, 0, 100),
        "memory_used": 41e9 + 30e9 * wave,
        "temperature": 44 + 0.29 * busy + 2 * np.sin(phase),
        "memory_temperature": 52 + 0.31 * busy + 2 * np.sin(phase),
        "power": 140 + 5.1 * busy,
        "energy": 1e6 + second * 450.0,
        "sm_clock": 1980 - 240 * wave,
        "pcie_rx": 1.8e9 + 9e9 * wave,
        "pcie_tx": 1.1e9 + 5e9 * wave,
        "nvlink_rx": 40e9 + 180e9 * wave,
        "nvlink_tx": 38e9 + 178e9 * wave,
        **{name: np.full(len(rows), value) for name, value in CONSTANT.items()},
    }
    for name in layout.metrics:
        snapshot.values[:, layout.column(name)] = columns[name]
    if broken:
        _break(snapshot)
    for row, entity in enumerate(layout.entities):
        if entity.kind == "mig":
            _state(snapshot, row, ("temperature", "power", "pcie_rx", "pcie_tx"), State.UNSUPPORTED)
    return snapshot


def _break(snapshot: Snapshot) -> None:
    count = len(snapshot.layout.entities)
    _state(snapshot, count * 5 // 8, snapshot.layout.metrics, State.LOST)
    _state(snapshot, count * 6 // 8, ("busy", "sm_clock"), State.UNSUPPORTED)
    _state(snapshot, count * 7 // 8, snapshot.layout.metrics, State.STALE)


def _state(snapshot: Snapshot, row: int, metrics, state: State) -> None:
    for name in metrics:
        column = snapshot.layout.column(name)
        snapshot.values[row, column], snapshot.states[row, column] = np.nan, state


def history(snapshots: list[Snapshot]) -> History:
    first = snapshots[0]
    return History(
        first.layout,
        np.array([s.time for s in snapshots]),
        np.stack([s.values for s in snapshots]),
        np.stack([s.states for s in snapshots]),
    )


class Wire:
    """A feed as the page gets it: layout and history at once, then ticks, all packed by the real packer."""

    def __init__(self, index: int, role: str, layout: Layout, snapshot_at, *, facts=None, seconds: int = 240) -> None:
        self.index, self.role, self.layout, self.snapshot_at = index, role, layout, snapshot_at
        self.packer, self.facts, self.second = Packer(layout), facts or {}, seconds

    def opening(self) -> Iterator[tuple[dict, list[bytes]]]:
        who = {"feed": self.index, "role": self.role, "key": f"scripted {self.role}", "period": 1.0}
        yield self.packer.describe(**who, facts={name: asdict(fact) for name, fact in self.facts.items()}), []
        past = history([self.snapshot_at(self.layout, float(second)) for second in range(self.second)])
        yield self.packer.history(past, feed=self.index)

    def tick(self, **more) -> tuple[dict, list[bytes]]:
        snapshot = self.snapshot_at(self.layout, float(self.second))
        self.second += 1
        return self.packer.tick(snapshot, feed=self.index, cost=[162.0, 0], **more)


def gpu_facts(layout: Layout) -> dict[str, Facts]:
    return {
        entity.id: Facts(
            (
                Process(4211, "python train.py <script>alert(1)</script>", "maria", 61_200_000_000, 92.0),
                Process(977, "tritonserver", "serve", 8_400_000_000, None),
            ),
            (Finding("warning", "thermal", "clocks are held down by heat: 14 % of the last minute"),)
            if place == 3
            else (),
            {"driver": "580.65.06", "PCIe": "generation 5, 16 lanes", "UUID": f"{entity.uid}-5b1c-11ef", "MIG": "off"},
        )
        for place, entity in enumerate(layout.entities)
    }


BANDS = [
    {"station": "etl", "start": START + 60, "stop": START + 128},
    {"station": "train", "start": START + 140, "stop": START + 214},
    {"station": "serve", "start": START + 226, "stop": None},
]


def host_layout() -> Layout:
    return Layout((Entity(("this site", "this rack", "dgx-01"), "host", "Linux, 128 cores"),), HOST)


def host_snapshot(layout: Layout, second: float) -> Snapshot:
    wave = 0.5 + 0.5 * math.sin(second / 19)
    readings = {
        "busy": 22 + 50 * wave,
        "memory_used": 210e9 + 60e9 * wave,
        "memory_total": 2.16e12,
        "power": State.UNSUPPORTED,
        "energy": State.UNSUPPORTED,
        "temperature": State.UNSUPPORTED,
        "load": 20 + 40 * wave,
        "disk_read": 1.2e9 * wave,
        "disk_write": 0.2e9 * (1 - wave),
        "network_rx": 3.1e9 * wave,
        "network_tx": 1.4e9 * wave,
    }
    snapshot = Snapshot.blank(layout, time=START + second)
    return snapshot.put(layout.entities[0].id, **{k: v for k, v in readings.items() if k in layout.columns})


def service_layout() -> Layout:
    paths = (("predictions", "http://127.0.0.1:8000"), ("tokens", "http://127.0.0.1:8001"))
    names = ("flights-late", "llama-3.1-8b")
    return Layout(tuple(Entity((p[0],), "service", name, p[1]) for p, name in zip(paths, names, strict=True)), SERVICE)


def service_snapshot(layout: Layout, second: float) -> Snapshot:
    wave = 0.5 + 0.5 * math.sin(second / 13)
    both = {"requests_rate": 900 + 260 * wave, "errors_rate": 0.0, "running": 18 + 12 * wave, "waiting": 4 * wave}
    late = {f"latency_p{share}": t * (1 + 0.3 * wave) for share, t in ((50, 0.0061), (95, 0.0142), (99, 0.031))}
    good = {"goodput": 880 + 250 * wave, "good_share": 97.6 - 2 * wave}
    first = {"rows_rate": 41_000 + 9_000 * wave, "predictions_rate": 41_000 + 9_000 * wave}
    tokens = {
        **{f"ttft_p{share}": t * (1 + 0.4 * wave) for share, t in ((50, 0.12), (95, 0.31), (99, 0.62))},
        **{f"itl_p{share}": t * (1 + 0.2 * wave) for share, t in ((50, 0.011), (95, 0.019), (99, 0.034))},
        **{f"latency_p{share}": t * (1 + 0.2 * wave) for share, t in ((50, 2.1), (95, 4.4), (99, 7.9))},
    }
    second_one = {"tokens_rate": 11_800 + 2_600 * wave, "prompt_tokens_rate": 28_000 + 9_000 * wave, "cache_used": 61.0}
    snapshot = Snapshot.blank(layout, time=START + second)
    snapshot.put(layout.entities[0].id, **both, **late, **good, **first)
    slower = {name: value / 40 for name, value in both.items() if name != "errors_rate"}
    return snapshot.put(layout.entities[1].id, **slower, **tokens, **second_one)


STATIONS = ("ingest", "etl", "train", "tune", "score", "serve")


def station_layout() -> Layout:
    return Layout(tuple(Entity(("factory", name), "station", name) for name in STATIONS), STATION)


def station_snapshot(layout: Layout, second: float) -> Snapshot:
    wave = 0.5 + 0.5 * math.sin(second / 11)
    snapshot = Snapshot.blank(layout, time=START + second)
    snapshot.put("factory/ingest", rate=0.0, made=338_412, active=0, seconds=1.62, joules=State.UNSUPPORTED)
    snapshot.put("factory/etl", rate=0.0, made=338_412, active=0, seconds=2.31, joules=412.0, floor_share=21.4)
    snapshot.put("factory/train", rate=1.2e6 * (0.9 + 0.1 * wave), made=9_400_000 + second * 1.1e6, active=1)
    snapshot.put("factory/train", seconds=41.0 + second, joules=18_400 + 300 * second, floor_share=8.1)
    snapshot.put("factory/score", rate=0.0, made=338_412, active=0, seconds=0.9, joules=120.0)
    return snapshot.put("factory/serve", rate=41_000 + 9_000 * wave, active=1, waiting=4.0)


FLOOR = {
    "flow": [
        {"station": name, "label": label, "unit": unit, "last": ""}
        for name, label, unit in (
            ("ingest", "raw material", "rows"),
            ("etl", "ETL", "rows"),
            ("train", "train", "rows"),
            ("tune", "tune", "models"),
            ("score", "score", "rows"),
            ("serve", "serve", "rows"),
        )
    ],
    "bottleneck": {"station": "train", "reason": "281.0 of the line's 290.2 s (97 %)"},
}
ALERTS = [
    {
        "id": "lost hall 1/rack 1/node 1/gpu 5",
        "severity": "critical",
        "entity": "hall 1/rack 1/node 1/gpu 5",
        "text": "hall 1/rack 1/node 1/gpu 5 is lost",
        "since": START + 201,
        "cleared": None,
    },
    {
        "id": "hot hall 1/rack 1/node 1/gpu 2",
        "severity": "warning",
        "entity": "hall 1/rack 1/node 1/gpu 2",
        "text": "hall 1/rack 1/node 1/gpu 2 is hot: 91 °C",
        "since": START + 220,
        "cleared": None,
    },
    {
        "id": "slo predictions",
        "severity": "warning",
        "entity": "predictions",
        "text": "predictions burns its SLO: 92 % within 50 ms",
        "since": START + 40,
        "cleared": START + 95,
    },
]
OUTPUT = {
    "watts": 3630.0,
    "of": "7 GPUs",
    "joules": 812_000.0,
    "seconds": 240.0,
    "why": "",
    "services": {
        "predictions": {"unit": "predictions", "joules_per_1000": 81.3, "why": ""},
        "tokens": {"unit": "tokens", "joules_per_1000": 287.0, "why": ""},
    },
}
NO_OUTPUT = {
    "watts": None,
    "of": "",
    "joules": None,
    "seconds": 240.0,
    "why": "unknown: no energy counter",
    "services": {},
}
ABSENT = [
    {
        "role": "gpu",
        "reason": "No GPU here: no NVIDIA driver. The host is shown instead.",
        "mend": "widgets.GpuBoard(RecordingSource('…'))",
    },
    {"role": "service", "reason": "No endpoint is announced on this machine.", "mend": "serve.start(bundle)"},
]
