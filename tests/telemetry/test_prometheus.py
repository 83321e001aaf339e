"""Endpoints of every product on loopback: the right readings, and the right words when something is wrong."""

import gzip
import socket
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
import xgboost
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text

from aifactory_lab.errors import TelemetryError
from aifactory_lab.serve import load
from aifactory_lab.serve.meters import SECONDS as SECONDS_OF_METERS
from aifactory_lab.serve.server import start
from aifactory_lab.telemetry.history import History
from aifactory_lab.telemetry.metrics import GPU, SERVICE
from aifactory_lab.telemetry.prometheus import source as prometheus
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.readings import Snapshot, State
from aifactory_lab.telemetry.sampler import watch
from aifactory_lab.train.bundle import Bundle, Feature
from tests.telemetry.pages import Families, LanguageModel, Page, dcgm, dcgm_labels, family, nvitop, serving, triton
from tests.telemetry.scripted import wait_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
SECONDS = 10.0  # between two looks, by the tests' clock


@pytest.fixture
def page():
    with serving(Page()) as page:
        yield page


@pytest.fixture
def look(page, monkeypatch):
    """Look at what the page says, ten seconds after the last look; readings are sound whatever it says."""
    now = SimpleNamespace(seconds=1_000.0)
    fake = SimpleNamespace(monotonic=lambda: now.seconds, time=lambda: 1.7e9 + now.seconds)
    monkeypatch.setattr(prometheus, "time", fake)
    with ExitStack() as sources:

        def look(body: bytes | None = None, *, after: float = SECONDS, **options) -> Snapshot:
            if body is not None:
                page.body = body
            if not hasattr(look, "source"):
                look.source = sources.enter_context(PrometheusSource(page.url, **{"period": SECONDS} | options))
            now.seconds += after
            return sound(look.source.sample())

        yield look


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def exposition_of(*families) -> bytes:
    return Families(*families).text()


def sound(snapshot: Snapshot) -> Snapshot:
    """A value is a number, and what is no value is NaN: never a silent zero, never a NaN that claims to be one."""
    assert ((snapshot.states == State.VALUE) == np.isfinite(snapshot.values)).all()
    assert snapshot.values.shape == snapshot.states.shape == snapshot.layout.shape
    return snapshot


def only(snapshot: Snapshot) -> str:
    assert len(snapshot.layout.entities) == 1
    return snapshot.layout.entities[0].id


def values(snapshot: Snapshot, entity: str) -> dict[str, float]:
    """What an entity has values of."""
    row = snapshot.values[snapshot.layout.row(entity)]
    return {name: float(value) for name, value in zip(snapshot.layout.metrics, row, strict=True) if np.isfinite(value)}


def alone(snapshot: Snapshot) -> dict[str, float]:
    """What the only entity has values of."""
    return values(snapshot, only(snapshot))


def state(snapshot: Snapshot, entity: str, metric: str) -> State:
    return snapshot.reading(entity, metric).state


# services


def test_vllm_rates_and_quantiles(look):
    model = LanguageModel("llama")
    look(model.text())
    model.running.labels("llama", "0").set(7)
    model.waiting.labels("llama", "0").set(3)
    model.cache.labels("llama", "0").set(0.25)
    model.finish("llama", 30, seconds=0.04)
    model.finish("llama", 10, seconds=0.4)
    snapshot = look(model.text(), slo_ms=50.0)
    found = values(snapshot, only(snapshot))
    assert found.pop("ttft_p99") == pytest.approx(0.04975)
    assert (found["running"], found["waiting"]) == (7, 3)
    assert found["cache_used"] == 25.0
    assert found["requests_rate"] == pytest.approx(40 / SECONDS)
    assert found["prompt_tokens_rate"] == pytest.approx(400 / SECONDS)
    assert found["tokens_rate"] == pytest.approx(4_000 / SECONDS)
    assert 0.025 <= found["latency_p50"] <= 0.05 < 0.3 <= found["latency_p95"] <= 0.5
    assert 0.01 <= found["itl_p50"] <= 0.025
    assert found["goodput"] == pytest.approx(30 / SECONDS)
    assert found["good_share"] == pytest.approx(75.0)
    assert snapshot.layout.entities[0].name == "vLLM llama"
    assert state(snapshot, only(snapshot), "rows_rate") == State.UNSUPPORTED


def test_the_first_look_has_no_rates_and_an_idle_service_has_rates_of_zero(look):
    model = LanguageModel("llama")
    first = look(model.text(), after=0.0)
    who = only(first)
    for metric in ("requests_rate", "tokens_rate", "ttft_p95", "goodput", "good_share"):
        assert state(first, who, metric) == State.STALE
    idle = look()
    assert values(idle, who)["requests_rate"] == values(idle, who)["goodput"] == 0.0
    for metric in ("latency_p50", "ttft_p95", "itl_p99", "good_share", "errors_rate"):
        assert state(idle, who, metric) == State.UNSUPPORTED


def test_older_vllm_goes_by_its_older_names(look):
    model = LanguageModel("llama", older=True)
    look(model.text())
    model.cache.labels("llama", "0").set(0.5)
    model.finish("llama", 5)
    snapshot = look(model.text().replace(b"_tokens_total", b"_tokens"))  # counters without `_total`
    found = values(snapshot, only(snapshot))
    assert found["cache_used"] == 50.0
    assert found["tokens_rate"] == pytest.approx(500 / SECONDS)
    assert 0.01 <= found["itl_p95"] <= 0.025


def test_vllm_counts_failures_where_it_tells_them_and_adds_up_its_engines(look):
    model = LanguageModel("llama")
    model.finish("llama", 0, reason="error")
    model.finish("llama", 0, engine="1")
    look(model.text())
    model.finish("llama", 20)
    model.finish("llama", 5, reason="error")
    model.finish("llama", 15, engine="1")
    for engine, used in (("0", 0.2), ("1", 0.6)):
        model.running.labels("llama", engine).set(2)
        model.cache.labels("llama", engine).set(used)
    snapshot = look(model.text())
    found = values(snapshot, only(snapshot))
    assert found["requests_rate"] == pytest.approx(40 / SECONDS)
    assert found["errors_rate"] == pytest.approx(5 / SECONDS)
    assert found["running"] == 4
    assert found["cache_used"] == pytest.approx(40.0)


def test_several_models_are_several_services(look):
    model = LanguageModel("llama", "qwen/7b")
    look(model.text())
    model.finish("qwen/7b", 10)
    snapshot = look(model.text())
    names = [entity.path[-1] for entity in snapshot.layout.entities]
    assert names == ["llama", "qwen/7b"]
    rates = [values(snapshot, entity.id)["requests_rate"] for entity in snapshot.layout.entities]
    assert rates == pytest.approx([0.0, 10 / SECONDS])


def test_nim_is_vllm_without_the_prefix(look):
    model = LanguageModel("meta/llama-3.1-8b", prefix="", older=True, reasons=False)
    model.failure.labels("meta/llama-3.1-8b", "0")
    look(model.text())
    model.finish("meta/llama-3.1-8b", 12)
    model.failure.labels("meta/llama-3.1-8b", "0").inc(3)
    snapshot = look(model.text())
    found = values(snapshot, only(snapshot))
    assert snapshot.layout.entities[0].name == "NIM meta/llama-3.1-8b"
    assert found["requests_rate"] == pytest.approx(15 / SECONDS)
    assert found["errors_rate"] == pytest.approx(3 / SECONDS)
    assert found["tokens_rate"] == pytest.approx(1_200 / SECONDS)


def test_triton_tells_services_and_gpus(look):
    def told(done: float) -> bytes:
        counts = {
            "nv_inference_request_success": done,
            "nv_inference_request_failure": done / 10,
            "nv_inference_count": 8 * done,
            "nv_inference_request_duration_us": 5_000 * done,
            "nv_inference_pending_request_count": 4.0,
        }
        gpu = {
            "nv_gpu_utilization": 0.83,
            "nv_gpu_power_usage": 312.5,
            "nv_gpu_power_limit": 700.0,
            "nv_gpu_memory_used_bytes": 40e9,
            "nv_gpu_memory_total_bytes": 85e9,
            "nv_energy_consumption": 1.5e6,
        }
        return triton({"resnet": counts}, {"GPU-f2c4a5d1-3b9e": gpu})

    look(told(100.0))
    snapshot = look(told(300.0))
    gpu, service = (
        snapshot.layout.entities if snapshot.layout.entities[0].kind == "gpu" else snapshot.layout.entities[::-1]
    )
    found = values(snapshot, service.id)
    assert found["requests_rate"] == pytest.approx(220 / SECONDS)
    assert found["errors_rate"] == pytest.approx(20 / SECONDS)
    assert found["predictions_rate"] == pytest.approx(1_600 / SECONDS)
    assert found["waiting"] == 4
    assert state(snapshot, service.id, "latency_p95") == State.UNSUPPORTED
    assert look.source.facts()[service.id].details["mean latency"] == "5 ms"
    assert values(snapshot, gpu.id) == pytest.approx(
        {"busy": 83.0, "power": 312.5, "power_limit": 700.0, "memory_used": 40e9, "memory_total": 85e9, "energy": 1.5e6}
    )


def test_triton_summaries_give_quantiles(look):
    rows = [
        ({"model": "m", "version": v, "quantile": q}, us)
        for v, us in (("1", 900.0), ("2", 1_500.0))
        for q in ("0.5", "0.95", "0.999")
    ]
    body = triton({"m": {"nv_inference_request_success": 1.0}}) + exposition_of(
        family(
            "nv_inference_request_summary_us",
            "unknown",
            [*rows, ({"model": "m", "version": "1", "quantile": "0.99"}, float("nan"))],
        )
    )
    found = alone(look(body))
    assert found["latency_p95"] == pytest.approx(0.0015)
    assert "latency_p99" not in found


def test_a_restart_is_no_negative_rate(look):
    model = LanguageModel("llama")
    model.finish("llama", 1_000)
    look(model.text())
    model = LanguageModel("llama")
    model.finish("llama", 6)
    found = alone(look(model.text()))
    assert found["requests_rate"] == pytest.approx(6 / SECONDS)
    assert found["latency_p50"] == pytest.approx(0.175)


def test_quantiles_are_of_the_last_half_minute(look):
    model = LanguageModel("llama")
    look(model.text())
    model.finish("llama", 100, seconds=5.0)
    slow = look(model.text())
    for _ in range(3):
        model.finish("llama", 10, seconds=0.02)
        quick = look(model.text())
    assert values(slow, only(slow))["latency_p50"] > 2.5
    assert values(quick, only(quick))["latency_p50"] < 0.025


def test_after_a_long_silence_the_next_look_is_a_first_look(look):
    model = LanguageModel("llama")
    look(model.text())
    model.finish("llama", 10_000)
    snapshot = look(model.text(), after=600.0)
    assert state(snapshot, only(snapshot), "requests_rate") == State.STALE


# GPUs


def test_dcgm_gpus_have_our_units_and_places(look):
    def rows(value: float) -> list:
        return [(dcgm_labels(gpu), value + gpu) for gpu in (10, 9, 0)]

    body = dcgm(
        {
            "DCGM_FI_DEV_GPU_UTIL": rows(50.0),
            "DCGM_FI_DEV_FB_USED": rows(1_024.0),
            "DCGM_FI_DEV_FB_FREE": rows(2_048.0),
            "DCGM_FI_DEV_FB_RESERVED": rows(100.0),
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION": rows(7e9),
            "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": [(labels, 0.5) for labels, _ in rows(0)],
            "DCGM_FI_PROF_PCIE_RX_BYTES": rows(33e6),
            "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": rows(1.0),
            "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": rows(2.0),
            "DCGM_FI_DEV_XID_ERRORS": rows(0.0),
            "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS": rows(4.0),
        }
    )
    snapshot = look(body, site="Ulm", rack="r3")
    assert [entity.path for entity in snapshot.layout.entities] == [
        ("Ulm", "r3", "gpu-node-7", f"gpu {gpu}") for gpu in (0, 9, 10)
    ]
    assert snapshot.layout.metrics == GPU
    gpu = snapshot.layout.entities[0]
    assert (gpu.kind, gpu.name, gpu.uid[:12]) == ("gpu", "NVIDIA H100 80GB HBM3", "GPU-00000000")
    assert values(snapshot, gpu.id) == pytest.approx(
        {
            "busy": 50.0,
            "memory_used": 1_024 * 2**20,
            "memory_total": 3_172 * 2**20,
            "energy": 7e6,
            "tensor_active": 50.0,
            "pcie_rx": 33e6,
            "remapped_rows": 3.0,
            "xid": 0.0,
            "throttle": 4.0,
        }
    )
    assert state(snapshot, gpu.id, "power") == State.UNSUPPORTED


def test_what_dcgm_repeats_for_every_mig_instance_is_the_gpus_and_counted_once(look):
    instances = [dcgm_labels(0, GPU_I_ID=str(i), GPU_I_PROFILE="1g.10gb") for i in (7, 8)]
    body = dcgm(
        {
            "DCGM_FI_DEV_POWER_USAGE": [(labels, 412.0) for labels in instances],
            "DCGM_FI_DEV_GPU_TEMP": [(labels, 61.0) for labels in instances],
            "DCGM_FI_DEV_FB_USED": [(labels, 512.0 * n) for n, labels in enumerate(instances, 1)],
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE": [(labels, 0.25 * n) for n, labels in enumerate(instances, 1)],
        }
    )
    snapshot = look(body)
    gpu, first, second = snapshot.layout.entities
    assert [entity.kind for entity in snapshot.layout.entities] == ["gpu", "mig", "mig"]
    assert first.path == (*gpu.path, "mig 7")
    assert (first.name, gpu.name) == ("1g.10gb", "NVIDIA H100 80GB HBM3")
    assert first.uid == f"{gpu.uid}/7"
    assert values(snapshot, gpu.id) == {"power": 412.0, "temperature": 61.0}
    assert values(snapshot, second.id) == {"memory_used": 2.0**30, "busy": 50.0}
    assert np.nansum(snapshot.column("power")) == 412.0


def test_pods_that_share_a_gpu_are_one_gpu(look):
    shared = [(dcgm_labels(0, pod=pod, namespace="tenants"), 96.8) for pod in ("infer-a", "infer-b")]
    snapshot = look(dcgm({"DCGM_FI_DEV_GPU_UTIL": shared}))
    assert values(snapshot, only(snapshot)) == {"busy": 96.8}


@pytest.mark.parametrize("blank", [9223372036854775794, 2147483632, 140737488355328.0, float("nan"), 4294967295])
def test_marks_for_no_value_are_no_values(look, blank):
    body = dcgm(
        {
            "DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), blank), (dcgm_labels(1), 5.0)],
            "DCGM_FI_DEV_GPU_TEMP": [(dcgm_labels(0), 40.0)],
        }
    )
    snapshot = look(body)
    first = snapshot.layout.entities[0].id
    assert state(snapshot, first, "busy") == State.UNSUPPORTED
    assert any("DCGM_FI_DEV_GPU_UTIL left out" in note for note in snapshot.notes) == np.isfinite(blank)


def test_nvitop_tells_gpus_instances_and_the_host(look):
    snapshot = look(nvitop())
    by_kind = {entity.kind: entity for entity in snapshot.layout.entities}
    assert set(by_kind) == {"gpu", "mig", "host"}
    assert by_kind["mig"].path == (*by_kind["gpu"].path, "mig 0")
    assert values(snapshot, by_kind["gpu"].id) == pytest.approx(
        {
            "busy": 97.0,
            "memory_used": 2.0**30,
            "memory_total": 2.0**36,
            "power": 351.0,
            "temperature": 64.0,
            "pcie_rx": 3 * 2.0**20,
        }
    )
    assert values(snapshot, by_kind["mig"].id) == pytest.approx({"busy": 11.0, "memory_used": 2.0**29})
    assert values(snapshot, by_kind["host"].id) == pytest.approx(
        {"busy": 12.5, "memory_used": 2.0**34, "memory_total": 2.0**38, "load": 3.5}
    )


def test_node_exporter_tells_the_host(look):
    names = {"node_memory_MemTotal_bytes": 64e9, "node_memory_MemAvailable_bytes": 48e9, "node_load1": 1.25}
    snapshot = look(exposition_of(*(family(name, "gauge", [({}, value)]) for name, value in names.items())))
    assert snapshot.layout.entities[0].kind == "host"
    assert values(snapshot, only(snapshot)) == {"memory_total": 64e9, "memory_used": 16e9, "load": 1.25}


# the text


def test_openmetrics_is_read_by_its_content_type(look, page):
    model = LanguageModel("llama")
    page.kind = OPENMETRICS
    look(openmetrics_text(model.registry))
    model.finish("llama", 10)
    model.ttft.labels("llama", "0").observe(0.04, {"trace_id": "}{ 7"})  # an exemplar
    found = alone(look(openmetrics_text(model.registry)))
    assert found["tokens_rate"] == pytest.approx(1_000 / SECONDS)
    assert 0.025 <= found["ttft_p50"] <= 0.05
    strict = openmetrics_text(model.registry).replace(b"# EOF", b"vllm:num_requests_running{oops 1\n# EOF")
    snapshot = look(strict)  # the strict parser refuses it whole, the lenient one a line
    assert alone(snapshot)["running"] == 0
    assert "1 malformed lines left out" in snapshot.notes[0]


def test_one_malformed_line_does_not_lose_the_rest(look):
    body = dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(gpu), 10.0 + gpu) for gpu in range(4)]})
    lines = body.split(b"\n")
    lines[3] = lines[3].replace(b'gpu="1"', b'gpu="1')
    lines[4] = lines[4].replace(b"12.0", b"twelve")
    snapshot = look(b"\n".join(lines))
    assert snapshot.column("busy").tolist() == [10.0, 13.0]
    assert "2 malformed lines left out, the first: 'DCGM_FI_DEV_GPU_UTIL{" in snapshot.notes[0]


# faults

FAULTS = {
    "404": ({"status": 404, "body": b"not here\n"}, "answered 404 Not Found; try: another path"),
    "401": ({"status": 401}, "answered 401: it wants credentials"),
    "500": ({"status": 500}, "answered 500"),
    "web page": ({"body": b"<html><body>hi</body></html>\n", "kind": "text/html"}, "answered with a web page"),
    "web page in disguise": ({"body": b"<!doctype html>\n<p>hello\n"}, "not metrics: '<!doctype html>'"),
    "json": ({"body": b'{"status": "ok"}', "kind": "application/json"}, 'not metrics: \'{"status"'),
    "binary": ({"body": bytes(range(256)) + b"\n"}, "answered with something that is not metrics"),
    "cut off by the network": ({"body": b"DCGM_FI_DEV_GPU_UTIL 1\n", "length": 5_000}, "broke off in the middle"),
    "cut off in a line": (
        {"body": b'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5\nDCGM_FI_DEV_GPU_UTIL{gpu="1"} 2'},
        "last line is cut off",
    ),
    "no end mark": ({"body": b'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5\n', "kind": OPENMETRICS}, "end mark '# EOF' is missing"),
    "huge": ({"body": b'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5\n' * 600_000}, "more than 16 MiB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_loses_everything_in_words_and_the_next_look_may_find_it_again(look, page, fault):
    answer, words = FAULTS[fault]
    good = dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), 55.0)]})
    before = look(good)
    whole = dict(vars(page))
    for name, value in answer.items():
        setattr(page, name, value)
    lost = look()
    assert lost.layout is before.layout
    assert (lost.states == State.LOST).all()
    assert words in lost.notes[0]
    assert page.url in lost.notes[0]
    vars(page).update(whole)
    assert alone(look(good)) == {"busy": 55.0}


def test_an_endpoint_that_never_ends_is_given_up_in_time(page):
    page.body, page.pause = [b"# tick\n"] * 10_000, 0.01
    with PrometheusSource(page.url, period=0.5) as source:
        snapshot = sound(source.sample())
    assert "did not finish its answer within 0.4 s" in snapshot.notes[0]


def test_an_endpoint_that_does_not_answer_is_lost(page):
    page.body, page.length, page.pause = b"", 10, 3.0
    with PrometheusSource(page.url, period=0.2) as source:
        assert "did not answer within 0.16 s" in sound(source.sample()).notes[0]


def test_a_packed_answer_is_unpacked_and_bounded(look, page):
    send = b'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 5\n'
    assert alone(look(send)) == {"busy": 5.0}
    assert "gzip" in page.asked[-1][1]["accept-encoding"]
    page.packed = True
    assert alone(look(gzip.compress(send))) == {"busy": 5.0}
    assert "more than 16 MiB" in look(gzip.compress(send * 600_000)).notes[0]


def test_metrics_of_something_else_are_unsupported_not_lost(look):
    snapshot = look(b'process_cpu_seconds_total 12.5\npython_info{version="3.11"} 1\n')
    assert (snapshot.states == State.UNSUPPORTED).all()
    assert "answers, but tells nothing known here" in snapshot.notes[0]


@pytest.mark.parametrize(
    "url", ["localhost:9400", "ftp://host/metrics", "file:///etc/passwd", "http://", "http://h:no", ""]
)
def test_a_url_of_another_kind_is_refused_with_one_that_works(url):
    with pytest.raises(TelemetryError, match="is not a URL of http or https") as refused:
        PrometheusSource(url)
    assert refused.value.mend == "PrometheusSource('http://localhost:9400/metrics')"


@pytest.mark.parametrize("options", [{"period": 0.0}, {"period": float("nan")}, {"slo_ms": -1.0}])
def test_settings_that_cannot_be_are_refused(options):
    with pytest.raises(TelemetryError, match="must be a number above 0"):
        PrometheusSource("http://localhost", **options)


def test_credentials_are_used_and_never_shown(page):
    page.body = LanguageModel("llama").text()
    url = page.url.replace("http://", "http://ann:s3cret@") + "?token=t0ken&match=up"
    with PrometheusSource(url) as source:
        snapshot = sound(source.sample())
        page.status = 404
        lost = source.sample()
        facts = source.facts()
    shown = f"{source!r} {source.key} {source.layout} {source.endpoint!r} {snapshot.notes} {lost.notes} {facts}"
    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert "match=up" in shown
    path, headers = page.asked[-1]
    assert headers["authorization"] == "Basic YW5uOnMzY3JldA=="
    assert path == "/metrics?token=t0ken&match=up"
    with pytest.raises(TelemetryError) as refused:
        PrometheusSource("ftp://ann:s3cret@host")
    assert "s3cret" not in str(refused.value)


def test_proxies_of_the_environment_are_not_asked(page, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    page.body = dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), 55.0)]})
    with PrometheusSource(page.url) as source:
        assert alone(source.sample()) == {"busy": 55.0}


# who comes and goes


def test_an_endpoint_is_lost_until_it_comes_up_and_again_when_it_goes(free_port):
    page, url = Page(), f"http://127.0.0.1:{free_port}"
    page.body = dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), 55.0)]})
    with watch(PrometheusSource(url), period=0.05) as sampler:
        first = sampler.first()
        assert first.layout.metrics == SERVICE
        assert first.layout.entities[0].kind == "service"
        assert (first.states == State.LOST).all()
        assert "cannot be reached" in first.notes[0]
        with serving(page, free_port):
            wait_for(lambda: "busy" in sampler.layout.columns and np.nansum(sampler.latest.column("busy")) == 55.0)
            assert page.asked[0][0] == "/metrics"
        wait_for(lambda: bool((sampler.latest.states == State.LOST).all()))
        assert sampler.layout.metrics == GPU


def test_gpus_that_come_and_go_make_a_new_layout(look):
    def told(*gpus: int) -> bytes:
        return dcgm({"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(gpu), 1.0) for gpu in gpus]})

    two = look(told(0, 1))
    assert look(told(1, 0)).layout is two.layout
    one = look(told(1))
    assert [entity.path[-1] for entity in one.layout.entities] == ["gpu 1"]
    assert "no longer told of: " in one.notes[0]
    assert look(told(1)).notes == ()
    assert len(look(told(0, 1, 2)).layout.entities) == 3


# our own service


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A real model behind the real server, in a process of its own."""
    generator = np.random.default_rng(7)
    rows = generator.normal(size=(4_000, 6)).astype(np.float32)
    names = [f"f{i}" for i in range(6)]
    late = (rows[:, 0] + rows[:, 1] > 0.5).astype(np.int8)
    options = {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}
    booster = xgboost.train(options, xgboost.DMatrix(rows, late, nthread=1), 60)
    features = tuple(Feature(name, -5.0, 5.0, 0.0) for name in names)
    folder = tmp_path_factory.mktemp("model") / "first"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIFACTORY_CACHE", str(tmp_path_factory.mktemp("cache")))
        Bundle("xgboost", "xgboost", features, "late", 0.3, metrics={"auc": 0.9}).save(folder, booster)
        with start(folder) as server:
            yield server, [dict(zip(names, map(float, row), strict=True)) for row in rows[:2_000]]


def counted(history: History, who: str, metric: str) -> float:
    """What a rate adds up to; a look that was lost is spanned by the next."""
    times, rates = history.series(who, metric)
    known = np.isfinite(rates)
    return float(np.sum(rates[known][1:] * np.diff(times[known])))


def bucket(seconds: float) -> int:
    return int(np.searchsorted(SECONDS_OF_METERS, seconds))


def test_our_own_service_under_load_agrees_with_the_load_test(service):
    server, rows = service
    with watch(PrometheusSource(server.url, slo_ms=50.0, period=0.5)) as sampler:
        who = only(sampler.first())
        wait_for(lambda: sampler.cost.samples > 1)
        report = load.test(server.url, rows, concurrency=4, seconds=6.0, rows_per_request=20, slo_ms=50.0)
        answered = sampler.cost.samples
        wait_for(lambda: sampler.cost.samples > answered + 1)
        latest, history = sound(sampler.latest), sampler.ring.history()
    shares = {50: report.p50_ms, 95: report.p95_ms}
    assert counted(history, who, "requests_rate") == pytest.approx(report.sent, rel=0.05)
    assert counted(history, who, "predictions_rate") == pytest.approx(20 * report.sent, rel=0.05)
    for share, found_by_clients in shares.items():  # the same bucket, or the one beside it: clients see the way too
        told = latest.reading(who, f"latency_p{share}").value
        assert bucket(told) <= bucket(found_by_clients / 1e3)
        assert bucket(told) >= bucket(found_by_clients / 1e3) - 3
    assert latest.reading(who, "good_share").value >= 100 * report.goodput / report.throughput - 5
    assert np.nanmax(history.series(who, "running")[1]) <= 4
    assert sampler.facts[who].details["product"] == "aifactory"
    assert "xgboost" in sampler.facts[who].details["model"]


def test_what_our_own_service_refuses_is_an_error_and_never_good(service):
    server, _ = service
    with watch(PrometheusSource(server.url, slo_ms=60_000.0, period=0.5)) as sampler:
        who = only(sampler.first())
        wait_for(lambda: sampler.cost.samples > 1)
        for _ in range(20):
            httpx.post(f"{server.url}/predict", content=b"no json", headers={"content-type": "application/json"})
        seen = sampler.cost.samples
        wait_for(lambda: sampler.cost.samples > seen + 1)
        history = sampler.ring.history()
    assert counted(history, who, "errors_rate") == pytest.approx(20, rel=0.1)
    assert np.nanmax(history.series(who, "goodput")[1]) == 0.0
