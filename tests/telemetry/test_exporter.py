"""The plant's own endpoint: the names others expect, nothing that is not known, and no thread left behind."""

import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as strictly
from prometheus_client.parser import text_string_to_metric_families

from aifactory_lab import telemetry
from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.journal import Event
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.production import Production
from aifactory_lab.telemetry.prometheus import exporter as room
from aifactory_lab.telemetry.prometheus.exporter import export
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import Sampler, watch
from tests.telemetry import factory
from tests.telemetry.factory import GPUS, HOST, LLM, MIG, STATIONS, Plant
from tests.telemetry.scripted import Scripted, wait_for

MIB = 2**20


@pytest.fixture
def plant():
    """A plant at work and its endpoint."""
    source = Plant()
    with watch(source) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        yield source, sampler, exporter


def scrape(exporter, **headers: str) -> dict[str, list]:
    """Every series that is told, by name; none is told twice."""
    answer = httpx.get(exporter.url, headers=headers).raise_for_status()
    series: dict[str, list] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            series.setdefault(sample.name, []).append(sample)
    for name, samples in series.items():
        keys = [tuple(sorted(sample.labels.items())) for sample in samples]
        assert len(keys) == len(set(keys)), name
    return series


def value(series: dict[str, list], name: str, **labels: str) -> float:
    """The one series of that name whose labels agree."""
    found = [sample for sample in series.get(name, []) if labels.items() <= sample.labels.items()]
    assert len(found) == 1, f"{len(found)} series {name} {labels}"
    return found[0].value


def test_gpus_speak_as_dcgm_exporter_does(plant):
    series, gpu = scrape(plant[2]), {"gpu": "1", "Hostname": "n1", "kind": ""}
    del gpu["kind"]
    whole = [s for s in series["DCGM_FI_DEV_FB_USED"] if s.labels["gpu"] == "1" and "GPU_I_ID" not in s.labels]
    assert whole[0].labels == {
        "gpu": "1",
        "UUID": "GPU-1",
        "device": "nvidia1",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "n1",
        "site": "lab",
        "rack": "rack 1",
        "origin": "simulated",
    }
    assert whole[0].value == pytest.approx(20e9 / MIB)
    free = [s.value for s in series["DCGM_FI_DEV_FB_FREE"] if s.labels["gpu"] == "0"]
    assert free == pytest.approx([60e9 / MIB])
    assert value(series, "DCGM_FI_DEV_POWER_USAGE", **gpu) == 350.0
    assert value(series, "DCGM_FI_DEV_XID_ERRORS", **gpu) == 79
    assert value(series, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", **gpu) == 0x24
    assert 0 < value(series, "DCGM_FI_PROF_SM_ACTIVE", **gpu) < 1
    joules = plant[1].latest.reading(GPUS[1].id, "energy").value
    assert value(series, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", **gpu) == pytest.approx(1_000 * joules, abs=350e3)


def test_a_mig_instance_tells_only_what_is_its_own(plant):
    series = scrape(plant[2])
    instance = {"GPU_I_ID": "0", "GPU_I_PROFILE": "1g.10gb", "gpu": "1", "UUID": "GPU-1"}
    assert value(series, "DCGM_FI_DEV_FB_USED", **instance) == pytest.approx(5e9 / MIB)
    assert value(series, "DCGM_FI_PROF_GR_ENGINE_ACTIVE", **instance) == pytest.approx(0.4)
    told = {name for name, samples in series.items() if any("GPU_I_ID" in s.labels for s in samples)}
    assert told == {
        "aifactory_entity_up",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        *(f"DCGM_FI_DEV_FB_{part}" for part in ("USED", "FREE", "TOTAL")),
    }
    assert sum(sample.value for sample in series["DCGM_FI_DEV_POWER_USAGE"]) == 2 * 350.0


def test_hosts_stations_and_services_have_their_names(plant):
    series = scrape(plant[2])
    assert value(series, "node_memory_MemTotal_bytes", Hostname="n1") == 80e9
    assert value(series, "node_memory_MemAvailable_bytes", Hostname="n1") == 60e9
    assert value(series, "aifactory_host_busy_ratio", Hostname="n1") == pytest.approx(0.1)
    made = series["aifactory_station_made_total"]
    assert [sample.labels for sample in made] == [
        {"station": name, "unit": unit, "origin": "simulated"} for name, unit in factory.UNITS.items()
    ]
    assert value(series, "aifactory_station_seconds_total", station="etl") > 0
    assert value(series, "aifactory_station_active", station="etl") > 0
    p95 = value(series, "aifactory_service_latency_seconds", endpoint=LLM.uid, quantile="0.95")
    assert p95 == plant[1].latest.reading(LLM.id, "latency_p95").value
    assert len(series["aifactory_service_tokens_per_second"]) == 1  # the predictor makes none, and tells none


def test_the_cost_of_watching_is_told(plant):
    _, sampler, exporter = plant
    wait_for(lambda: sampler.cost.samples > 3)
    series = scrape(exporter)
    assert 0 < value(series, "aifactory_sampler_seconds", source="plant") < 1
    assert value(series, "aifactory_sampler_samples_total", source="plant") >= 4
    assert value(series, "aifactory_sampler_dropped_total", source="plant") >= 0


@pytest.mark.parametrize("state", [State.LOST, State.STALE])
def test_what_is_lost_or_stale_is_down_and_tells_nothing_else(plant, state):
    source, sampler, exporter = plant
    for entity in (GPUS[0], HOST, STATIONS[0], LLM):
        source.states[entity.id] = state
    seen = sampler.cost.samples
    wait_for(lambda: sampler.cost.samples > seen + 1)
    series = scrape(exporter)
    up = [(sample.labels["kind"], sample.value) for sample in series["aifactory_entity_up"]]
    assert sorted(kind for kind, value in up if value == 0) == ["gpu", "host", "service", "station"]
    for name, labels in (("UUID", "GPU-0"), ("endpoint", LLM.uid), ("station", "etl")):
        told = {metric for metric, samples in series.items() if any(s.labels.get(name) == labels for s in samples)}
        assert told == {"aifactory_entity_up"}
    assert not [name for name in series if name.startswith(("node_", "aifactory_host_"))]
    assert value(series, "DCGM_FI_DEV_POWER_USAGE", UUID="GPU-1") == 350.0


def test_a_source_that_fell_silent_is_down():
    source = Scripted("silent", entities=1)
    with watch(source, period=0.05) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        assert value(scrape(exporter), "aifactory_entity_up") == 1
        released = threading.Event()
        source.before = lambda: released.wait(20)
        try:
            wait_for(lambda: value(scrape(exporter), "aifactory_entity_up") == 0)
            assert "DCGM_FI_DEV_GPU_UTIL" not in scrape(exporter)
        finally:
            released.set()


def test_a_value_that_is_unsupported_is_absent(plant):
    source, sampler, exporter = plant
    source.states[GPUS[0].id] = {"power": State.UNSUPPORTED, "memory_used": State.UNSUPPORTED}
    seen = sampler.cost.samples
    wait_for(lambda: sampler.cost.samples > seen + 1)
    series = scrape(exporter)
    for name in ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_FB_USED"):
        assert not [sample for sample in series[name] if sample.labels["UUID"] == "GPU-0"]
    assert value(series, "DCGM_FI_DEV_FB_TOTAL", UUID="GPU-0") == pytest.approx(80e9 / MIB)


def test_what_was_measured_carries_no_origin():
    with watch(Plant(origin="measured")) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        assert not [s for samples in scrape(exporter).values() for s in samples if "origin" in s.labels]


def test_another_notebook_reads_the_whole_plant_back():
    still = 1_000_000.0
    source = Plant(clock=lambda: still)
    source.start = still - 60.0
    sampler = Sampler(source)
    sampler.first()
    source.states[GPUS[0].id] = State.LOST
    seen = sampler.cost.samples
    wait_for(lambda: sampler.cost.samples > seen + 1)
    sampler.close()  # its last snapshot stays, and would soon be stale
    last = source.sample()
    sampler._latest = type(last)(time.time() + 3600, last.layout, last.values, last.states)
    with export(port=0, samplers=[sampler]) as exporter, PrometheusSource(exporter.url, period=20.0) as reader:
        back = reader.sample()
        facts = reader.facts()
    assert back.layout.origin == "simulated"
    assert set(back.layout.rows) == set(last.layout.rows)
    for entity in last.layout.entities:
        for metric in last.layout.metrics:
            told, read = last.reading(entity.id, metric), back.reading(entity.id, metric)
            if told.state == State.VALUE:
                assert read.value == pytest.approx(told.value, rel=1e-9), (entity.id, metric)
            elif entity.id == GPUS[0].id:
                assert read.state == (State.LOST if metric in telemetry.metrics.GPU else State.UNSUPPORTED)
            else:
                assert read.state == State.UNSUPPORTED, (entity.id, metric)
    kinds = {entity.id: (entity.kind, entity.uid) for entity in back.layout.entities}
    assert kinds[LLM.id] == ("service", LLM.uid)
    assert kinds[MIG.id][0] == "mig"
    assert facts[STATIONS[0].id].details["unit"] == "rows"


def test_the_gpus_of_this_machine_are_told(make_driver):
    driver = make_driver(4)
    driver.split(3, instances=2)
    driver.gpu(1).update(power_mw=351_000, busy=97, memory_used=21 << 30)
    with watch(NvmlSource()) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        series = scrape(exporter)
        driver.lose(0)
        wait_for(lambda: value(scrape(exporter), "aifactory_entity_up", gpu="0") == 0)
        assert "0" not in {sample.labels["gpu"] for sample in scrape(exporter)["DCGM_FI_DEV_POWER_USAGE"]}
    gpu = {"gpu": "1", "UUID": sampler.layout.entities[1].uid}
    assert value(series, "DCGM_FI_DEV_POWER_USAGE", **gpu) == pytest.approx(351.0)
    assert value(series, "DCGM_FI_DEV_GPU_UTIL", **gpu) == 97
    assert value(series, "DCGM_FI_DEV_FB_USED", **gpu) == pytest.approx(21 << 10)
    assert value(series, "DCGM_FI_DEV_ENFORCED_POWER_LIMIT", **gpu) == 700
    instances = [s.labels for s in series["DCGM_FI_DEV_FB_TOTAL"] if s.labels["gpu"] == "3" and "GPU_I_ID" in s.labels]
    assert [(labels["GPU_I_ID"], labels["UUID"]) for labels in instances] == [
        (place, sampler.layout.entities[3].uid) for place in ("0", "1")
    ]


def test_an_entity_that_two_samplers_read_is_told_once():
    with watch(Plant("a")) as one, watch(Plant("b")) as two, export(port=0, samplers=[one, two]) as exporter:
        one.first()
        two.first()
        series = scrape(exporter)  # which asserts that nothing is told twice
    assert len(series["DCGM_FI_DEV_POWER_USAGE"]) == 2
    assert {sample.labels["source"] for sample in series["aifactory_sampler_seconds"]} == {"a", "b"}


def test_by_default_all_that_run_are_told_as_they_come_and_go():
    with export(port=0) as exporter:
        assert "DCGM_FI_DEV_GPU_UTIL" not in scrape(exporter)
        with watch(Plant()) as sampler:
            sampler.first()
            assert "DCGM_FI_DEV_GPU_UTIL" in scrape(exporter)
        assert "DCGM_FI_DEV_GPU_UTIL" not in scrape(exporter)


def test_the_stations_of_this_process_are_told_with_their_unit():
    journal.publish(Event("begin", "export-test", run="1.1", unit="bolts"))
    journal.publish(Event("end", "export-test", run="1.1", unit="bolts", made=12, seconds=2.0, joules=30.0))
    with watch(Production()) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        series = scrape(exporter)
    who = {"station": "export-test"}
    assert value(series, "aifactory_station_made_total", unit="bolts", **who) == 12
    assert value(series, "aifactory_station_joules_total", **who) == 30


def test_openmetrics_is_told_where_it_is_asked_for(plant):
    answer = httpx.get(plant[2].url, headers={"accept": "application/openmetrics-text;version=1.0.0"})
    names = {family.name for family in strictly(answer.text)}  # the parser takes nothing that is not quite right
    assert {"aifactory_station_made", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "node_load1"} <= names


def test_many_may_scrape_at_once(plant):
    with ThreadPoolExecutor(8) as pool:
        sizes = {len(series) for series in pool.map(lambda _: scrape(plant[2]), range(24))}
    assert len(sizes) == 1


def threads() -> list[str]:
    return [
        thread.name for thread in threading.enumerate() if thread.name.startswith(("aifactory-exp", "aifactory-scr"))
    ]


def test_no_thread_is_left_not_even_with_a_client_that_says_nothing():
    exporter = export(port=0, samplers=[])
    assert httpx.get(exporter.url).status_code == 200
    port = int(exporter.url.rpartition(":")[2].partition("/")[0])
    with socket.create_connection(("127.0.0.1", port)) as silent:
        wait_for(lambda: "aifactory-scrape" in threads())
        exporter.close()
        exporter.close()
        assert threads() == []
        assert silent.recv(1) == b""
    assert repr(exporter) == f"Exporter({exporter.url!r}, closed)"
    with pytest.raises(httpx.ConnectError):
        httpx.get(exporter.url)


def test_a_port_that_is_taken_is_said_and_how_to_go_on():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            TelemetryError, match=f"127.0.0.1:{port} cannot be bound: Address already in use"
        ) as refused:
            export(port=port)
    assert refused.value.mend == "telemetry.export(port=0)  # any free port"
    with pytest.raises(TelemetryError, match="cannot be bound"):
        export(port=70_000)
    assert threads() == []


def test_a_cell_that_is_run_again_leaves_one_exporter():
    first = export(port=0, samplers=[])
    port = int(first.url.rpartition(":")[2].partition("/")[0])
    with export(port=port, samplers=[]) as second:
        assert second.url == first.url
        assert threads() == ["aifactory-exporter"]
        first.close()
        assert httpx.get(second.url).status_code == 200
    assert threads() == []
    assert room._EXPORTERS == {}


@pytest.mark.prometheus
def test_promtool_finds_nothing_wrong_but_what_is_not_ours(plant):
    promtool = shutil.which("promtool")
    assert promtool, "no promtool: make system-deps"
    text = httpx.get(plant[2].url).content
    assert text.count(b"modelName=") > 20
    text = text.replace(b"modelName=", b"model_name=")  # dcgm-exporter's label has a capital in the middle
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    said = (done.stdout + done.stderr).decode().splitlines()
    capitals = "metric names should be written in 'snake_case' not 'camelCase'"  # and so have node_exporter's names
    assert said == [f"node_memory_{name}_bytes {capitals}" for name in ("MemAvailable", "MemTotal")]


def test_a_thousand_gpus_are_told():
    source = Scripted("many", entities=1_024)
    with watch(source, period=1.0) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        series = scrape(exporter)
    assert np.sum([sample.value for sample in series["DCGM_FI_DEV_GPU_UTIL"]]) == 1_024 * 42.0
