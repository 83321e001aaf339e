"""The fleet as a source: one thread asks for all who look, and it finds a fleet that comes later."""

import os
import re
import subprocess
import sys
import time

import httpx
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.fleet import Fleet, folders
from aifactory_lab.fleet import source as room
from aifactory_lab.fleet.idleness import Gpus, Idleness, Processes, Reading, measured
from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.telemetry.alerts import Alerts
from aifactory_lab.telemetry.prometheus.exporter import export
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.sampler import watch
from tests.fleet.scripted import busy_plant, job
from tests.telemetry.conftest import make_driver  # noqa: F401 - a fixture


def test_readings_are_of_the_whole_and_of_each_project(tmp_path):
    with FleetSource(busy_plant(tmp_path)) as source:
        snapshot = source.sample()
        whole, nlp, vision = sorted(source.layout.entities, key=lambda one: (one.kind, one.path))
        assert (whole.kind, nlp.path[-1], vision.path[-1]) == ("fleet", "nlp", "vision")
        told = [str(snapshot.reading(whole.id, name)) for name in source.layout.metrics]
        assert told == ["8", "1,004", "3", "501", "unsupported"]
        assert str(snapshot.reading(vision.id, "gpus_idle")) == "unsupported", "jobs run elsewhere: nobody can tell"
        assert str(snapshot.reading(vision.id, "gpus_used")) == "6"
        assert source.words()["totals"]["waiting"] == 501
        assert source.facts()[whole.id].details["name"] == "slurm"


def test_gpu_hours_and_reasons_are_asked_for_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "REST", 0.0)
    engine = busy_plant(tmp_path)
    with FleetSource(engine) as source:
        for _ in range(3):
            source.sample()
        assert engine.asked.count("jobs") == 3
        assert engine.asked.count("usage") == 1
        assert engine.asked.count("explain 100") == 1
        engine.rows["jobs"] = [one for one in engine.rows["jobs"] if one["id"] != "100"]
        source.sample()
        assert engine.asked.count("explain 101") == 2, "another one is first: ask anew"


def test_a_scheduler_that_answers_slowly_is_left_to_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "REST", 1e9)
    engine = busy_plant(tmp_path)
    with FleetSource(engine) as source:
        first = source.sample()
        assert source.sample() is first, "nothing new: time stands still"
        assert engine.asked.count("jobs") == 1


def test_silence_is_an_error_with_what_helps_and_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "REST", 0.0)
    engine = busy_plant(tmp_path)
    with FleetSource(engine) as source:
        source.sample()
        engine.silent = "slurmctld does not answer"
        with pytest.raises(TelemetryError, match="slurmctld does not answer\n  mend: aifactory fleet up"):
            source.sample()
        assert source.words()["totals"]["running"] == 3, "the last picture stays"
        engine.silent = ""
        source.sample()


def test_no_fleet_is_no_error_and_starts_none(tmp_path, monkeypatch):
    monkeypatch.setenv(folders.VARIABLE, str(tmp_path / "nobody's"))
    with FleetSource() as source:
        assert source.key == "fleet"
        assert source.sample().values.shape == (0, 5)
        assert source.words() == {}
    assert not (tmp_path / "nobody's").exists(), "looking leaves nothing behind"


def test_two_boards_of_one_engine_share_a_key_and_two_engines_do_not(tmp_path):
    one, again = (FleetSource(Fleet("inline", folder=tmp_path / "a")) for _ in range(2))
    other = FleetSource(Fleet("inline", folder=tmp_path / "b"))
    assert one.key == again.key != other.key


def idle(*percents, patience=10.0):
    """What is pointed at, look after look, five seconds apart."""
    now = iter(range(100, 1000, 5))
    readings = iter(percents)
    watch = Idleness(lambda jobs, _: {"7": Reading(next(readings), "GPU")} if jobs else {}, patience)
    rows = [job(7, "RUNNING", devices=["n1:0"])]
    return [[one.since for one in watch.observe(rows, next(now))] for _ in percents]


def test_a_gpu_is_idle_only_after_a_while_and_not_any_more_once_it_works():
    assert idle(0.0, 0.0, 0.0, 0.0) == [[], [], [100], [100]]
    assert idle(0.0, 0.0, 50.0, 0.0, 0.0) == [[], [], [], [], []]


CODE = "import time, sys; end = time.time() + 60\nwhile time.time() < end: {}"


@pytest.fixture
def started(tmp_path):
    """Start a process that belongs to a job as submitit's do: its folder is on the command line."""
    running = []

    def start(job_id: str, work: str) -> None:
        process = subprocess.Popen([sys.executable, "-c", CODE.format(work), str(tmp_path)])
        running.append(process)
        line = f'{{"node": "n1", "devices": ["0"], "pid": {process.pid}, "rank": 0, "time": {time.time() + 0.1}}}\n'
        folders.attempts_file(tmp_path, job_id).write_text(line)

    yield start
    for process in running:
        process.kill()
        process.wait()


def test_a_job_whose_processes_sleep_is_told_from_one_that_computes(tmp_path, started):
    started("1", "time.sleep(0.2)")
    started("2", "pass")
    folders.attempts_file(tmp_path, "3").write_text('{"node": "n9", "devices": ["0"], "pid": 1, "rank": 0, "time": 0}')
    rows = [job(n, "RUNNING") for n in (1, 2, 3)] + [job(4, "RUNNING", gpus=0)]
    look = Processes(tmp_path)
    time.sleep(1.0)  # what starting costs is over
    assert look(rows, time.time()) == {}, "one look tells nothing"
    time.sleep(1.0)
    readings = look(rows, time.time())
    assert set(readings) == {"1", "2"}, "a job on another machine, or one without GPUs, is not judged"
    assert readings["1"].percent < readings["2"].percent
    assert readings["2"].percent > 5.0


def test_a_pid_that_another_process_has_now_is_not_the_job(tmp_path):
    line = f'{{"node": "n1", "devices": [], "pid": {os.getpid()}, "rank": 0, "time": {time.time()}}}'
    folders.attempts_file(tmp_path, "1").write_text(line)
    look = Processes(tmp_path)
    rows = [job(1, "RUNNING")]
    assert look(rows, 1.0) == look(rows, 2.0) == {}


def test_real_gpus_are_asked_of_their_driver(tmp_path, make_driver, started):  # noqa: F811
    driver = make_driver(2)
    driver.all["busy"] = [0, 87]
    started("1", "pass")
    started("2", "time.sleep(0.2)")
    file = folders.attempts_file(tmp_path, "2")
    file.write_text(file.read_text().replace('["0"]', '["1"]'))
    look = measured(tmp_path, pretend=False)
    assert isinstance(look, Gpus)
    readings = look([job(1, "RUNNING"), job(2, "RUNNING")], time.time())
    look.close()
    assert {name: reading.percent for name, reading in readings.items()} == {"1": 0.0, "2": 87.0}
    assert isinstance(measured(tmp_path, pretend=True), Processes), "a pretend GPU has nothing to measure"


def test_gpus_held_for_nothing_are_an_alert_of_their_project_that_passes(tmp_path, monkeypatch):
    busy = {"1": Reading(80.0, "GPU"), "3": Reading(0.0, "GPU")}
    monkeypatch.setattr(Processes, "__call__", lambda *_: dict(busy))
    monkeypatch.setattr(room, "REST", 0.0)
    alerts = Alerts()
    with FleetSource(busy_plant(tmp_path), patience=0.0) as source:
        alerts.observe("fleet", source.sample())
        assert [(alert.entity.split("/")[-1], alert.severity) for alert in alerts.active] == [("nlp", "warning")]
        assert "holds GPUs that do nothing: 2" in alerts.active[0].text
        busy["3"] = Reading(55.0, "GPU")
        alerts.observe("fleet", source.sample())
        assert alerts.active == []


def test_a_fleet_is_told_to_prometheus_and_read_back(tmp_path):
    engine = busy_plant(tmp_path)
    with watch(FleetSource(engine)) as sampler, export(port=0, samplers=[sampler]) as exporter:
        sampler.first()
        text = httpx.get(exporter.url).raise_for_status().text
        with PrometheusSource(exporter.url) as there:
            snapshot = there.sample()
    assert re.search(r'aifactory_project_gpus_used\{[^}]*project="vision"[^}]*\} 6', text)
    found = {entity.path[-1]: entity for entity in snapshot.layout.entities}
    assert {(entity.kind, name) for name, entity in found.items()} == {
        *(("fleet", "the fleet"), ("project", "nlp"), ("project", "vision")),
    }
    assert str(snapshot.reading(found["the fleet"].id, "jobs_waiting")) == "501"
