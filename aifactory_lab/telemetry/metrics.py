"""The words of the plant: every metric's name, unit, kind and full scale, once for all sources and boards.

A name means the same on a GPU, a host, a worker or a recording, so that one board draws them all. Nothing here
reads anything.

>>> METRICS["power"].unit, METRICS["power"].text(351.26)
('W', '351 W')
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["gauge", "rate", "counter", "flags"]
ROUNDS_UP = 0.9995  # what rounds to 1,000 at three digits is said in the next size
PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes
    ----------
    name, label, unit
        Its key, the words on screen, and the SI unit (``"B"``, ``"B/s"``, ``"W"``, ``"s"``, ``"%"``, …).
    kind
        A gauge (now), a rate (since the last sample), a counter (since some start), or flags: a bit mask or a code.
    top
        Full scale: a number, the name of the metric that holds it (memory_used → memory_total), or `None`.
    """

    name: str
    label: str
    unit: str
    kind: Kind = "gauge"
    top: float | str | None = None

    def text(self, value: float) -> str:
        """Return a value as people say it: at most three digits that matter, with its unit."""
        if self.unit in ("B", "B/s", "J", "W", "/s", "rows/s", "tokens/s"):
            size, prefix = next(((s, p) for s, p in PREFIXES if abs(value) >= ROUNDS_UP * s), (1.0, ""))
            return f"{value / size:.3g} {prefix}{self.unit}"
        if self.unit == "s" and abs(value) < 1:
            return f"{value * 1e3:.3g} ms"
        return (
            f"{value:.3g} {self.unit}".rstrip()
            if abs(value) < 1000 * ROUNDS_UP
            else f"{value:,.0f} {self.unit}".rstrip()
        )


_ALL = (
    # devices: GPUs, MIG instances, hosts, workers
    Metric("busy", "busy", "%", top=100.0),
    Metric("memory_busy", "memory busy", "%", top=100.0),
    Metric("memory_used", "memory", "B", top="memory_total"),
    Metric("memory_total", "memory in all", "B"),
    Metric("temperature", "temperature", "°C", top=100.0),
    Metric("memory_temperature", "memory temperature", "°C", top=110.0),
    Metric("power", "power", "W", top="power_limit"),
    Metric("power_limit", "power limit", "W"),
    Metric("energy", "energy", "J", "counter"),
    Metric("sm_clock", "SM clock", "MHz", top="sm_clock_max"),
    Metric("sm_clock_max", "highest SM clock", "MHz"),
    Metric("memory_clock", "memory clock", "MHz"),
    Metric("pcie_rx", "PCIe in", "B/s", "rate"),
    Metric("pcie_tx", "PCIe out", "B/s", "rate"),
    Metric("nvlink_rx", "NVLink in", "B/s", "rate"),
    Metric("nvlink_tx", "NVLink out", "B/s", "rate"),
    Metric("ecc_corrected", "ECC errors corrected", "", "counter"),
    Metric("ecc_uncorrected", "ECC errors uncorrected", "", "counter"),
    Metric("remapped_rows", "memory rows remapped", "", "counter"),
    Metric("xid", "last Xid error", "", "flags"),
    Metric("throttle", "reasons for lower clocks", "", "flags"),
    Metric("sm_active", "SM active", "%", top=100.0),
    Metric("tensor_active", "tensor cores active", "%", top=100.0),
    Metric("dram_active", "memory bandwidth used", "%", top=100.0),
    Metric("load", "load average, 1 min", ""),
    Metric("disk_read", "disk read", "B/s", "rate"),
    Metric("disk_write", "disk written", "B/s", "rate"),
    Metric("network_rx", "network in", "B/s", "rate"),
    Metric("network_tx", "network out", "B/s", "rate"),
    # services: endpoints that answer requests
    Metric("requests_rate", "requests", "/s", "rate"),
    Metric("errors_rate", "requests refused or failed", "/s", "rate"),
    Metric("rows_rate", "rows", "rows/s", "rate"),
    Metric("predictions_rate", "predictions", "/s", "rate"),
    Metric("prompt_tokens_rate", "prompt tokens", "tokens/s", "rate"),
    Metric("tokens_rate", "output tokens", "tokens/s", "rate"),
    Metric("running", "requests in flight", ""),
    Metric("waiting", "waiting", ""),
    Metric("cache_used", "KV cache used", "%", top=100.0),
    *(
        Metric(f"{name}_p{share}", f"{label} p{share}", "s")
        for name, label in (("latency", "latency"), ("ttft", "time to first token"), ("itl", "inter-token latency"))
        for share in (50, 95, 99)
    ),
    Metric("goodput", "requests within the SLO", "/s", "rate"),
    Metric("good_share", "share within the SLO", "%", top=100.0),
    # trainings of language models
    Metric("loss", "training loss, nats per token", ""),
    Metric("bits_per_byte", "bits per byte of held-out text", ""),
    Metric("mfu", "share of the peak FLOP/s", "%", top=100.0),
    Metric("learning_rate", "learning rate", ""),
    Metric("progress", "done", "%", top=100.0),
    Metric("eta", "time left", "s"),
    Metric("steps", "steps taken", "", "counter"),
    Metric("tokens", "tokens seen", "", "counter"),
    # the fleet and its projects
    Metric("gpus_used", "GPUs in use", ""),
    Metric("gpus_asked", "GPUs asked for by jobs that wait", ""),
    Metric("jobs_running", "jobs that run", ""),
    Metric("jobs_waiting", "jobs that wait", ""),
    Metric("gpus_idle", "GPUs held that do nothing", ""),
    # stations of the factory
    Metric("rate", "made", "/s", "rate"),
    Metric("made", "made so far", "", "counter"),
    Metric("active", "stations at work", ""),
    Metric("seconds", "seconds at work", "s", "counter"),
    Metric("joules", "joules spent", "J", "counter"),
    Metric("floor_share", "share of the floor rate", "%", top=100.0),
)
METRICS = {metric.name: metric for metric in _ALL}


def _between(first: str, last: str) -> tuple[str, ...]:
    names = list(METRICS)
    return tuple(names[names.index(first) : names.index(last) + 1])


GPU = _between("busy", "dram_active")
HOST = ("busy", "memory_used", "memory_total", "power", "energy", "temperature", *_between("load", "network_tx"))
SERVICE = _between("requests_rate", "good_share")
FLEET = _between("gpus_used", "gpus_idle")
STATION = ("rate", "made", "active", "waiting", "seconds", "joules", "floor_share")
TRAINING = ("loss", "bits_per_byte", "tokens_rate", "mfu", "learning_rate", "progress", "eta", "steps", "tokens")
