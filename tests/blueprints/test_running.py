"""Blueprints run: a stranger's table to predictions per second, both lines after a kill, objectives judged."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from aifactory_lab import blueprints, line
from aifactory_lab.blueprints import BlueprintError
from aifactory_lab.cli import app
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.workspace import Workspace

TRIPS = """\
version: 1
name: trips
decisions:
  title: Will a trip be late?
  data: {files: trips.csv}
  table:
    label: {column: delay, above: 15}
    time: {column: start, format: "%Y-%m-%d %H:%M"}
    numbers: [km, seats]
    categories: [driver]
  model:
    parameters: {rounds: 20, max_depth: 3}
  endpoint: {concurrency: 4, seconds: 0.5}
  slo: {p99_ms: 60_000}
"""


def trips(folder: Path, rows: int = 3_000) -> Path:
    """A table in which long trips of one driver are late more often."""
    chance = random.Random(1)
    lines = ["start,driver,km,seats,delay"]
    for number in range(rows):
        driver, km = chance.choice("abcd"), chance.uniform(1, 50)
        delay = chance.gauss(km / 4 + (12 if driver == "c" else 0), 5)
        start = f"2024-{1 + number * 12 // rows:02}-{1 + number % 28:02} 08:{number % 60:02}"
        lines.append(f"{start},{driver},{km:.1f},4,{delay:.1f}")
    (folder / "trips.csv").write_text("\n".join(lines) + "\n")
    (folder / "trips.yaml").write_text(TRIPS)
    return folder / "trips.yaml"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A stranger's folder, its workspace, and what the command line said of it."""
    folder = tmp_path_factory.mktemp("own")
    asked = ["run", str(trips(folder)), "--workspace", str(folder / "ws")]
    return folder, CliRunner().invoke(app, asked)


def test_a_table_of_ones_own_becomes_predictions_by_fewer_than_fifteen_lines(own):
    folder, result = own
    assert result.exit_code == 0, result.output
    assert len(TRIPS.splitlines()) < 15
    assert "decisions: p99 latency" in result.output
    assert "SLO:    met: all 2 objectives" in result.output
    run = blueprints.run(blueprints.read(folder / "trips.yaml"), folder / "ws", say=None)
    assert all(report.reused for report in run.lines[0].reports)
    assert run.lines[0].result.scores["auc"].value > 0.85
    assert run.lines[0].registry.name == "trips"
    assert "Will a trip be late?" in run.report.read_text()


def test_a_missed_objective_is_said_and_trains_nothing_again(own):
    folder, _ = own
    hard = folder / "hard.yaml"
    hard.write_text(TRIPS.replace("{p99_ms: 60_000}", "{p99_ms: 0.001, goodput: 1_000_000}"))
    result = CliRunner().invoke(app, ["run", str(hard), "--workspace", str(folder / "ws")])
    assert result.exit_code == 3, result.output
    assert "SLO:    missed: decisions: p99 latency" in result.output
    done = blueprints.run(blueprints.read(hard), folder / "ws", say=None)
    assert not done.met
    assert [verdict.met for verdict in done.slo] == [False, True, False]
    ledger = [(visit["station"], visit["reused"]) for visit in Workspace(folder / "ws").ledger()]
    assert [name for name, reused in ledger if not reused].count("train") == 1
    assert [name for name, reused in ledger if not reused].count("serve") == 2


@pytest.mark.parametrize(
    ("before", "after", "line_", "said"),
    [
        ("categories: [driver]", "categories: [drivr]", 10, "no column 'drivr' in trips.csv; did you mean 'driver'?"),
        (
            "numbers: [km, seats]",
            "numbers: [km, weight]",
            9,
            "no column 'weight' in trips.csv; there are: start, driver",
        ),
        ("column: delay", "column: late", 7, "no column 'late' in trips.csv"),
        ("files: trips.csv", "files: trip.csv", 5, "nothing readable"),
        ("    numbers", "    of: trips\n    numbers", 9, "no table 'trips'; there are: rows"),
    ],
)
def test_what_the_data_does_not_have_is_said_with_the_line_that_names_it(own, before, after, line_, said):
    folder, _ = own
    wrong = folder / "wrong.yaml"
    wrong.write_text(TRIPS.replace(before, after))
    with pytest.raises(BlueprintError) as caught:
        blueprints.check(wrong)
    assert [problem.spot.line for problem in caught.value.problems] == [line_]
    assert said in caught.value.problems[0].what
    result = CliRunner().invoke(app, ["run", str(wrong), "--check"])
    assert result.exit_code == 2
    assert f"wrong.yaml:{line_}: " in result.output.replace("\n", "")


def test_all_that_the_data_does_not_have_is_said_at_once(own):
    folder, _ = own
    text = (
        TRIPS.replace("[driver]", "[drivr, car]")
        + "tokens:\n  corpus: {files: none/*.md}\n  tuning: {file: none.jsonl}\n"
    )
    (folder / "wrong.yaml").write_text(text)
    with pytest.raises(BlueprintError) as caught:
        blueprints.check(folder / "wrong.yaml")
    assert [problem.spot.line for problem in caught.value.problems] == [10, 10, 16, 17]


def test_endpoints_that_are_to_be_kept_answer_until_the_block_ends(own):
    folder, _ = own
    (folder / "kept.yaml").write_text(TRIPS.replace("seconds: 0.5", "seconds: 0.5, engine: onnx, keep: true"))
    run = blueprints.run(blueprints.read(folder / "kept.yaml"), folder / "ws", say=None)
    with blueprints.serving(run) as (server,):
        row = {"km": 49.0, "seats": 4, "driver_rate": 0.5, "hour_of_day": 8, "weekday": 1}
        assert {choice["engine"] for choice in httpx.get(f"{server.url}/model").json()["engines"]} == {"onnx"}
        assert 0 < httpx.post(f"{server.url}/predict", json=row).json()["probability"] < 1
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


@pytest.mark.timeout(1_200)
def test_a_kill_in_the_middle_of_both_lines_loses_one_station(tmp_path):
    command = [sys.executable, "-m", "aifactory_lab.cli", "run", "quick", "--workspace", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    )
    seen: list[str] = []
    while "curate …" not in "".join(seen[-1:]):
        seen.append(process.stdout.readline())
        assert seen[-1], "".join(seen)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    done = blueprints.run(blueprints.read(blueprints.path("quick")), tmp_path, say=None)
    decided, spoken = done.lines
    assert [report.reused for report in decided.reports] == [True] * 6
    assert [report.reused for report in spoken.reports] == [True] + [False] * 5
    assert decided.registry.versions().height == 1
    assert {verdict.line for verdict in done.slo} == {"decisions", "tokens"}
    assert len(done.slo) == 4
    assert ("met: all 4" in done.verdict) == done.met  # whether it is fast enough here is not this test's business
    assert spoken.served["concurrency"].to_list() == [1, 4]
    assert done.report.exists()


@pytest.mark.parametrize(
    ("found", "at_most", "met", "words"),
    [
        (40.0, True, True, "p99 40 ms, wanted at most 50 ms: met, 10 ms (20 %) to spare"),
        (50.0, True, True, "p99 50 ms, wanted at most 50 ms: met"),
        (64.0, True, False, "p99 64 ms, wanted at most 50 ms: missed by 14 ms (28 %)"),
        (64.0, False, True, "p99 64 ms, wanted at least 50 ms: met, 14 ms (28 %) to spare"),
        (20.0, False, False, "p99 20 ms, wanted at least 50 ms: missed by 30 ms (60 %)"),
        (float("nan"), True, False, "p99: missed, for no request was answered (at most 50 ms)"),
    ],
)
def test_a_verdict_says_by_how_much(found, at_most, met, words):
    verdict = Verdict("decisions", "p99", 50.0, found, "ms", at_most)
    assert verdict.met == met
    assert str(verdict) == f"decisions: {words}"


def test_tokens_are_judged_at_the_users_that_were_asked_for():
    rows = {"concurrency": [1, 8], "ttft_p99": [80.0, 300.0], "itl_p99": [5.0, 20.0], "errors": [0, 2]}
    served = line.tokens.pl.DataFrame({**rows, "goodput": [2.0, 9.0], "tokens_per_second": [100.0, 600.0]})
    wanted = line.tokens.Settings(users=(1, 8), ttft_ms=100, itl_ms=10, goodput=5, tokens_per_second=500)
    most = line.tokens.judged(served, wanted)
    assert [verdict.met for verdict in most] == [False, False, True, True, False]
    one = line.tokens.judged(served, replace(wanted, judged_at=1))
    assert [verdict.met for verdict in one] == [True, True, False, False, True]
    assert line.tokens.judged(served, line.tokens.Settings(users=(1, 8))) == ()
