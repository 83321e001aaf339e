"""The whole line on a thin slice of real records: made once, found again, whole after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from aifactory_lab import datasets, line, line_report
from aifactory_lab.cli import app
from aifactory_lab.datasets import RawMaterial
from aifactory_lab.errors import FactoryError
from aifactory_lab.workspace import Workspace

NAMES = [station.name for station in line.STATIONS]


@pytest.fixture(scope="module")
def thin(tmp_path_factory) -> RawMaterial:
    """One aircraft in six, with all its flights, so that its legs still follow each other."""
    folder = tmp_path_factory.mktemp("thin")
    raw = datasets.load("flights")
    kept = raw["flights"].filter(pl.col("tailnum").str.extract(r"(\d)", 1).is_in(["1"]))
    kept.sink_parquet(folder / "flights.parquet")
    return RawMaterial("thin", {**raw.paths, "flights": (folder / "flights.parquet",)})


@pytest.fixture(scope="module")
def finished(thin, tmp_path_factory) -> line.Run:
    return line.run(tmp_path_factory.mktemp("run"), raw=thin, say=None)


def test_every_station_made_something_and_says_what_it_cost(finished):
    assert [r.station for r in finished.reports] == NAMES
    for report in finished.reports:
        assert report.made > 0
        assert report.seconds > 0
        assert report.peak_memory_bytes > 0
        assert report.device_reason
    floors = {r.station: r.floor_seconds for r in finished.reports}
    assert all(floors[name] for name in ("ingest", "etl", "train", "score", "serve"))


def test_the_champion_is_the_model_that_was_trained(finished):
    assert finished.version == finished.registry.champion_version()
    lineage = finished.registry.lineage(finished.version)
    assert lineage["raw_sha256"] == finished.raw.content_hash()
    assert finished.result.scores["auc"].value > 0.65
    scored = pl.read_parquet(finished.artefacts["score"].path("predictions.parquet"))
    assert (
        scored.height
        == pl.scan_parquet(finished.artefacts["etl"].path("features.parquet")).select(pl.len()).collect().item()
    )


def test_a_second_run_reuses_every_station_and_registers_nothing(finished):
    said: list[str] = []
    again = line.run(finished.workspace.root, raw=finished.raw, say=said.append)
    assert all(report.reused for report in again.reports)
    assert again.version == finished.version
    assert again.registry.versions().height == 1
    assert again.result.scores == finished.result.scores
    assert any("reused" in text for text in said)


def test_report_page_tells_the_run(finished, tmp_path):
    path = line_report.write(finished)
    html = path.read_text()
    assert path == finished.workspace.root / "report.html"
    for words in ("The ladder", "Serving", "Lineage", "rows/s", "Prices assume", finished.raw.content_hash()[:12]):
        assert words in html
    table = line_report.stations(finished)
    assert [row[0] for row in table.rows] == NAMES
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert ("joules" in table.columns) == any(report.joules is not None for report in finished.reports)


def test_page_record_and_terminal_say_the_numbers_of_the_ledger(finished):
    path = line_report.write(finished)
    record = json.loads((finished.workspace.root / "report.json").read_text())
    facts = {fact["name"]: fact["value"] for fact in record["facts"]}
    ledger = {visit["station"]: visit for visit in finished.workspace.ledger()}
    assert facts["decisions.per_second"] == ledger["serve"]["details"]["throughput"]
    assert facts["decisions.auc"] == ledger["train"]["details"]["auc"]
    assert facts["decisions.batch_per_second"] == ledger["score"]["made"] / ledger["score"]["seconds"]
    assert [report["station"] for report in record["stations"]] == NAMES
    assert record["provenance"]["records_sha256"] == finished.raw.content_hash()
    said, page = "\n".join(line_report.closing([finished], path)), path.read_text()
    for fact in line_report.facts(finished):
        assert fact.shown in page or fact.value is None
        assert fact.shown in said or not fact.leads
    assert all(len(text) <= 80 for text in said.splitlines() if str(path) not in text)
    assert str(path) in said


def test_until_stops_early_and_unknown_stations_are_named(finished):
    early = line.run(finished.workspace.root, raw=finished.raw, until="etl", say=None)
    assert list(early.artefacts) == ["ingest", "etl"]
    assert early.version is None
    with pytest.raises(FactoryError, match="no station 'paint'; the stations are: ingest, etl"):
        line.run(finished.workspace.root, until="paint")


def test_changed_records_are_refined_again(finished, tmp_path):
    raw = finished.raw
    raw["flights"].head(4000).sink_parquet(tmp_path / "flights.parquet")
    other = RawMaterial("other", {**raw.paths, "flights": (tmp_path / "flights.parquet",)})
    again = line.run(finished.workspace.root, raw=other, until="etl", say=None)
    assert not any(report.reused for report in again.reports)


KILLED = """
import sys
from pathlib import Path
from aifactory_lab import line
from aifactory_lab.datasets import RawMaterial
from aifactory_lab import datasets
raw = datasets.load("flights")
line.run(sys.argv[1], raw=RawMaterial("thin", {**raw.paths, "flights": (Path(sys.argv[2]),)}), until="train",
         say=lambda text: print(text, flush=True))
"""


@pytest.mark.timeout(900)
def test_kill_9_loses_only_the_station_that_ran_and_changes_no_byte(finished, thin, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(thin.paths["flights"][0])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while not list(tmp_path.glob(".scratch-train-*/*.checkpoint")):
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("train-*")), "half a training is not a training"
    run = line.run(tmp_path, raw=thin, until="train", say=None)
    assert [report.reused for report in run.reports] == [True, True, False]
    assert run.reports[-1].details["resumed_from_round"] > 0
    models = [each.artefacts["train"].path("bundle/model.ubj").read_bytes() for each in (finished, run)]
    assert models[0] == models[1]
    assert run.registry.versions().height == 1
    assert not list(tmp_path.glob(".scratch-*")), "checkpoints have done their work"


def test_bad_records_stop_the_line_before_anything_is_made(thin, tmp_path):
    broken = tmp_path / "flights.parquet"
    thin["flights"].drop("dest").sink_parquet(broken)
    raw = RawMaterial("broken", {**thin.paths, "flights": (broken,)})
    with pytest.raises(FactoryError, match="column 'dest'"):
        line.run(tmp_path / "ws", raw=raw, say=None)
    assert not [p for p in (tmp_path / "ws").iterdir() if p.is_dir()]


def test_command_line_says_mistakes_in_one_message(tmp_path):
    result = CliRunner().invoke(app, ["run", "--workspace", str(tmp_path), "--device", "gpu"])
    assert result.exit_code == 2
    assert "a GPU was asked for" in result.output
    assert "Traceback" not in result.output
    assert os.environ.get("AIFACTORY_DEVICE") != "gpu", "a command asks for itself alone"
    result = CliRunner().invoke(app, ["run", "--workspace", str(tmp_path), "--copies", "0"])
    assert result.exit_code == 2


def test_an_install_line_survives_the_terminal():
    result = CliRunner().invoke(app, ["gpu-check"])
    assert result.exit_code == 2
    assert "aifactory-lab[gpu]" in result.output


def test_command_line_prints_the_catalogue():
    output = CliRunner().invoke(app, ["datasets"]).output
    assert "flights" in output
    assert "CC0" in output


def test_numbers_that_a_person_can_say():
    assert [line_report.rate(v) for v in (0.5, 12.3, 4567.0, 1e7, 2.5e9)] == ["0.5", "12.3", "4.57 k", "10 M", "2.5 G"]


def test_workspace_of_the_environment_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("AIFACTORY_WORKSPACE", str(tmp_path / "mine"))
    assert Workspace().root == Path(tmp_path / "mine")
