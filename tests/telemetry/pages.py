"""A real HTTP server on loopback whose answer a test sets, and the metrics of known products to answer with."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric

TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Page:
    """What the server answers next."""

    def __init__(self) -> None:
        self.url = ""
        self.body: bytes | list[bytes] = b""
        self.status, self.kind = 200, TEXT
        self.length: int | None = None  # a Content-Length that is not the body's
        self.pause = 0.0
        self.packed = False
        self.open: set[socket.socket] = set()
        self.asked: list[tuple[str, dict[str, str]]] = []


@contextmanager
def serving(page: Page, port: int = 0) -> Iterator[Page]:
    """Serve a page on loopback while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5

        def setup(self) -> None:
            super().setup()
            page.open.add(self.connection)

        def finish(self) -> None:
            page.open.discard(self.connection)
            super().finish()

        def do_GET(self) -> None:
            page.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            chunks = [page.body] if isinstance(page.body, bytes) else page.body
            self.send_response(page.status)
            self.send_header("content-type", page.kind)
            self.send_header("content-length", str(sum(map(len, chunks)) if page.length is None else page.length))
            if page.packed:
                self.send_header("content-encoding", "gzip")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(chunk)
                self.wfile.flush()
                time.sleep(page.pause)
            self.close_connection = page.length is not None

        def log_message(self, *_: object) -> None:
            pass

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

        def handle_error(self, *_: object) -> None:  # the client may hang up in the middle: that is what is tested
            pass

    with Server(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        page.url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
        try:
            yield page
        finally:
            server.shutdown()
            thread.join()
            for connection in list(page.open):  # what was kept alive ends with its server
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


BUCKETS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0)


class LanguageModel:
    """vLLM's metrics, with the names and labels of vllm/v1/metrics/loggers.py; NIM's with an empty prefix."""

    def __init__(self, *models: str, prefix: str = "vllm:", older: bool = False, reasons: bool = True) -> None:
        self.registry, self.models = CollectorRegistry(), models
        labels = ["model_name", "engine"]

        def of(kind, name, names=labels, **options):
            return kind(prefix + name, name, names, registry=self.registry, **options)

        self.running, self.waiting = of(Gauge, "num_requests_running"), of(Gauge, "num_requests_waiting")
        self.cache = of(Gauge, "gpu_cache_usage_perc" if older else "kv_cache_usage_perc")
        self.prompt, self.tokens = of(Counter, "prompt_tokens"), of(Counter, "generation_tokens")
        self.success = of(Counter, "request_success", [*labels, "finished_reason"] if reasons else labels)
        self.failure = None if reasons else of(Counter, "request_failure")
        self.ttft = of(Histogram, "time_to_first_token_seconds", buckets=BUCKETS)
        gap = "time_per_output_token_seconds" if older else "inter_token_latency_seconds"
        self.itl, self.e2e = (
            of(Histogram, gap, buckets=BUCKETS),
            of(Histogram, "e2e_request_latency_seconds", buckets=BUCKETS),
        )
        of(Gauge, "cache_config_info", ["block_size"]).labels("16").set(1)
        for model in models:
            self.finish(model, 0)
            for gauge in (self.running, self.waiting, self.cache):
                gauge.labels(model, "0")

    def finish(
        self, model: str, count: int, *, seconds: float = 0.2, tokens: int = 100, reason: str = "stop", engine="0"
    ):
        """Let requests finish."""
        who = (model, engine)
        (self.success.labels(*who, reason) if self.failure is None else self.success.labels(*who)).inc(count)
        self.prompt.labels(*who).inc(10 * count)
        self.tokens.labels(*who).inc(tokens * count)
        for one in (self.ttft, self.itl, self.e2e):
            one.labels(*who)
        for _ in range(count):
            self.ttft.labels(*who).observe(0.04)
            self.itl.labels(*who).observe(0.02)
            self.e2e.labels(*who).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


def family(name: str, kind: str, rows: list[tuple[dict[str, str], float]], suffix: str = "") -> Metric:
    """One metric of an exporter that is not Python: its name as it is, `_total` or not."""
    metric = Metric(name, f"{name}, as its product describes it", kind)
    for labels, value in rows:
        metric.add_sample(name + suffix, labels, value)
    return metric


class Families:
    """A registry of metrics made by hand."""

    def __init__(self, *families: Metric) -> None:
        self.families = families

    def collect(self) -> Iterator[Metric]:
        yield from self.families

    def text(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def dcgm_labels(gpu: int = 0, node: str = "gpu-node-7", **more: str) -> dict[str, str]:
    """The labels of dcgm-exporter 4."""
    return {
        "gpu": str(gpu),
        "UUID": f"GPU-{gpu:08d}-2c1e-1e63-0068-9178c4298abd",
        "pci_bus_id": f"00000000:{gpu:02X}:00.0",
        "device": f"nvidia{gpu}",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": node,
        "DCGM_FI_DRIVER_VERSION": "580.105.08",
        **more,
    }


def dcgm(rows: dict[str, list[tuple[dict[str, str], float]]]) -> bytes:
    """An exposition of dcgm-exporter."""
    return Families(*(family(name, "gauge", values) for name, values in rows.items())).text()


def triton(models: dict[str, dict[str, float]], gpus: dict[str, dict[str, float]] | None = None) -> bytes:
    """An exposition of Triton: counters without `_total`, and GPUs by UUID."""
    names = list(dict.fromkeys(name for values in models.values() for name in values))
    gpu_names = list(dict.fromkeys(name for values in (gpus or {}).values() for name in values))
    of_models = [
        family(name, "unknown", [({"model": m, "version": "1"}, v[name]) for m, v in models.items() if name in v])
        for name in names
    ]
    of_gpus = [
        family(name, "gauge", [({"gpu_uuid": g}, v[name]) for g, v in (gpus or {}).items()]) for name in gpu_names
    ]
    return Families(*of_models, *of_gpus).text()


def nvitop() -> bytes:
    """An exposition of nvitop-exporter 1.7.2: a GPU, a MIG instance of it, the host; NaN is its "N/A"."""
    nan = float("nan")
    gpu = {"hostname": "10.0.0.7", "index": "1", "devicename": "NVIDIA A100-SXM4-40GB", "uuid": "GPU-1"}
    mig = {**gpu, "index": "1:0", "devicename": "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "uuid": "MIG-1"}
    devices = {
        ("gpu_utilization", "Percentage"): (97.0, 11.0),
        ("gpu_memory_used", "MiB"): (1_024.0, 512.0),
        ("gpu_memory_total", "MiB"): (65_536.0, nan),
        ("gpu_power_usage", "W"): (351.0, 351.0),
        ("gpu_temperature", "C"): (64.0, 64.0),
        ("gpu_pcie_rx_throughput", "MiBps"): (3.0, nan),
        ("gpu_nvlink_total_rx_throughput", "MiBps"): (nan, nan),
    }
    host = {
        ("host_cpu_percent", "Percentage"): 12.5,
        ("host_virtual_memory_total", "MiB"): 262_144.0,
        ("host_virtual_memory_used", "MiB"): 16_384.0,
        ("host_load_average_1m", "Percentage"): 3.5,
    }
    registry = CollectorRegistry()
    for (name, unit), (whole, instance) in devices.items():
        gauge = Gauge(name, name, list(gpu), unit=unit, registry=registry)
        gauge.labels(**gpu).set(whole)
        gauge.labels(**mig).set(instance)
    for (name, unit), value in host.items():
        Gauge(name, name, ["hostname"], unit=unit, registry=registry).labels("10.0.0.7").set(value)
    return generate_latest(registry)
