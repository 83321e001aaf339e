"""The Grafana dashboard: whole, current, and every one of its expressions answered by a real Prometheus."""

import json
import math
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from aifactory_lab.telemetry.prometheus.exporter import dashboard, export
from aifactory_lab.telemetry.prometheus.plant_families import Families, PlantCollector
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import watch
from tests.telemetry import factory
from tests.telemetry.factory import GPUS, LLM, PREDICTOR, Plant

BOARD = json.loads(dashboard().read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = {f"{panel['title']} {target['refId']}": target["expr"] for panel in PANELS for target in panel["targets"]}
VARIABLES = {"$node": ".*", "$gpu": ".*", "$__rate_interval": "10s", "$__range": "30s"}
PATIENCE = 90.0
CONFIG = """
global:
  scrape_interval: 1s
scrape_configs:
  - job_name: plant
    static_configs:
      - targets: ["{target}"]
"""


def substituted(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


# the file by itself


def test_the_dashboard_is_of_a_current_grafana():
    assert BOARD["schemaVersion"] >= 39
    assert {panel["type"] for panel in BOARD["panels"]} == {"row", "timeseries", "stat", "bargauge"}
    assert [row["title"] for row in BOARD["panels"] if row["type"] == "row"] == [
        "Plant", "GPUs", "Hosts", "Stations", "Services", "What watching costs",
    ]  # fmt: skip
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(ids) == len(set(ids))
    names = {variable["name"]: variable for variable in BOARD["templating"]["list"]}
    assert list(names) == ["datasource", "node", "gpu"]
    assert names["datasource"]["type"] == "datasource"


def test_every_panel_asks_the_chosen_datasource_and_none_covers_another():
    cells = set()
    for panel in PANELS:
        assert panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        place = panel["gridPos"]
        own = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in own) < 24
        assert not own & cells
        cells |= own


def test_every_metric_asked_for_is_one_that_the_exporter_tells():
    families = Families()
    families.add(Plant().sample(), {})
    with watch(Plant()) as sampler:
        told = {
            sample.name
            for family in [*families, *PlantCollector(lambda: [sampler]).collect()]
            for sample in family.samples
        }
    asked = {name for text in EXPRESSIONS.values() for name in re.findall(r"\b(?:DCGM_FI|aifactory|node)_\w+", text)}
    assert len(asked) > 45
    assert asked <= told


# a real Prometheus


class Prometheus:
    """A running Prometheus and the plant that it scrapes."""

    def __init__(self, url: str, source: Plant, log: Path) -> None:
        self.url, self.source, self.log = url, source, log

    def ask(self, path: str, **params: str) -> dict:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=params, timeout=20)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def values(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """What an expression gives now, by labels."""
        rows = self.ask("query", query=substituted(expression))["result"]
        return [(row["metric"], float(row["value"][1])) for row in rows]

    def wait(self, condition, what: str) -> None:
        stop = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < stop, f"waited {PATIENCE:g} s in vain for {what}"
            time.sleep(0.25)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory):
    """Prometheus on loopback, scraping the endpoint of a plant at work each second."""
    program, folder = shutil.which("prometheus"), tmp_path_factory.mktemp("prometheus")
    assert program, "no prometheus: make system-deps"
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    source = Plant()
    with watch(source) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        (folder / "prometheus.yml").write_text(CONFIG.format(target=exporter.url.split("/")[2]))
        options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        log = (folder / "log").open("wb")
        process = subprocess.Popen([program, *options, f"--web.listen-address={address}"], stdout=log, stderr=log)
        try:
            running = Prometheus(f"http://{address}", source, folder / "log")
            running.wait(lambda: process.poll() is not None or up(running), f"Prometheus ({folder}/log)")
            assert process.poll() is None, (folder / "log").read_text()
            yield running
        finally:
            process.terminate()
            process.wait(20)
            log.close()


def up(running: Prometheus) -> bool:
    try:
        targets = running.ask("targets")["activeTargets"]
    except (httpx.HTTPError, AssertionError):
        return False
    return [target["health"] for target in targets] == ["up"]


@pytest.mark.prometheus
def test_every_expression_is_answered(prometheus):
    waiting, answers = dict(EXPRESSIONS), {}

    def answered() -> bool:
        for name, expression in list(waiting.items()):
            rows = prometheus.values(expression)
            if rows and all(math.isfinite(value) for _, value in rows):
                answers[name] = rows
                del waiting[name]
        return not waiting

    prometheus.wait(answered, f"an answer to {list(waiting.values())}")
    assert len(answers) == len(EXPRESSIONS) > 60


@pytest.mark.prometheus
def test_the_numbers_mean_what_the_titles_say(prometheus):
    def told(title: str, ref: str = "A") -> dict[str, float]:
        rows = prometheus.values(EXPRESSIONS[f"{title} {ref}"])
        return {labels.get("station", labels.get("gpu", "")): value for labels, value in rows}

    prometheus.wait(lambda: told("Made per second") == pytest.approx(factory.MADE, rel=0.1), "ten seconds of counts")
    always = dict.fromkeys(factory.MADE, 1.0)
    prometheus.wait(lambda: told("Share of the time at work") == pytest.approx(always, rel=0.1), "the same")
    assert told("Power") == {"": len(GPUS) * factory.POWER}
    joules = told("Joules per 1,000 outputs of each station")
    assert joules == pytest.approx({s: 1e3 * factory.JOULES[s] / factory.MADE[s] for s in factory.MADE}, rel=0.01)
    assert told("GPUs whose clocks are held back", "A") == {"": 2.0}  # a power cap
    assert told("GPUs whose clocks are held back", "B") == {"": 0.0}
    assert told("GPUs whose clocks are held back", "C") == {"": 2.0}  # thermal, by software
    tokens = factory.values(LLM, 0.0)["tokens_rate"]
    predictions = factory.values(PREDICTOR, 0.0)["predictions_rate"]
    assert told("GPU joules per 1,000 outputs of the services", "A")[""] == pytest.approx(7e5 / predictions)
    assert told("GPU joules per 1,000 outputs of the services", "B")[""] == pytest.approx(7e5 / tokens)
    assert told("Memory in use, share")["0"] == pytest.approx(0.25)


@pytest.mark.prometheus
def test_the_variables_find_nodes_and_gpus(prometheus):
    found = {}
    for variable in BOARD["templating"]["list"][1:]:
        selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
        found[variable["name"]] = prometheus.ask(f"label/{label}/values", **{"match[]": substituted(selector)})
    assert found == {"node": ["n1"], "gpu": ["0", "1"]}


@pytest.mark.prometheus
def test_prometheus_takes_every_series_without_a_warning(prometheus):
    prometheus.wait(lambda: prometheus.values("scrape_samples_scraped"), "a scrape")
    kinds = {name: rows[0]["type"] for name, rows in prometheus.ask("metadata").items()}
    assert kinds["aifactory_station_made"] == "counter"
    assert kinds["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == "unknown"
    assert kinds["aifactory_service_latency_seconds"] == "summary"
    log = prometheus.log.read_text()
    assert "level=info" in log
    assert [line for line in log.splitlines() if "level=warn" in line or "level=error" in line] == []


@pytest.mark.prometheus
def test_a_gpu_that_is_lost_is_counted_and_tells_nothing(prometheus):
    title, lost = "GPUs that answer, and that are lost", GPUS[0]
    assert prometheus.values(EXPRESSIONS[f"{title} B"])[0][1] == 0
    prometheus.source.states[lost.id] = State.LOST
    try:
        prometheus.wait(lambda: prometheus.values(EXPRESSIONS[f"{title} B"])[0][1] == 1, "the loss")
        assert prometheus.values(EXPRESSIONS[f"{title} A"])[0][1] == 1
        assert [labels["gpu"] for labels, _ in prometheus.values(EXPRESSIONS["Busy A"])] == ["1"]
    finally:
        del prometheus.source.states[lost.id]
