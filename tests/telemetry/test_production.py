"""The stations as a source: who works, how fast, how much so far, where the line is held up."""

import os
import subprocess
import sys
import time

import pytest

from aifactory_lab.measure import Meter, progress
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.flow import FLOW
from aifactory_lab.telemetry.journal import Event
from aifactory_lab.telemetry.production import Production
from aifactory_lab.telemetry.readings import Entity, Layout, State
from aifactory_lab.telemetry.sampler import watch
from aifactory_lab.telemetry.sources import Snapshot, Source

ME = str(os.getpid())


@pytest.fixture
def production():
    with Production() as source:
        yield source


def visit(station: str, *, seconds: float, made: int = 100, number: int = 1, **values) -> None:
    run, now = f"{ME}.{station}{number}", time.time()
    journal.publish(Event("begin", station, run, "rows", time=now - seconds))
    journal.publish(Event("end", station, run, "rows", made=made, seconds=seconds, time=now, **values))


def reading(source: Production, station: str, metric: str) -> str:
    return str(source.sample().reading(f"factory/{station}", metric))


def test_before_anything_ran_every_station_is_there_and_unsupported_not_zero(production):
    snapshot = production.sample()
    assert [entity.id for entity in snapshot.layout.entities] == [f"factory/{name}" for name in FLOW]
    assert (snapshot.states == State.UNSUPPORTED).all()


def test_a_running_station_is_active_with_its_live_rate(production):
    with Meter("etl", unit="rows"):
        progress(1000)
        time.sleep(0.05)
        snapshot = production.sample()
        assert snapshot.reading("factory/etl", "active").value == 1
        assert snapshot.reading("factory/etl", "made").value == 1000
        assert 0 < snapshot.reading("factory/etl", "rate").value <= 1000 / 0.05
    assert reading(production, "etl", "active") == "0"
    assert reading(production, "etl", "rate") == "0 /s"


def test_a_station_that_has_counted_nothing_yet_has_no_rate(production):
    with Meter("train", unit="rows"):
        assert reading(production, "train", "rate") == "unsupported"
        assert reading(production, "train", "made") == "unsupported"


def test_counts_add_up_over_visits_and_joules_only_when_all_are_known(production):
    visit("etl", seconds=2.0, joules=50.0)
    visit("etl", seconds=3.0, joules=25.0, number=2)
    assert reading(production, "etl", "made") == "200"
    assert reading(production, "etl", "seconds") == "5 s"
    assert reading(production, "etl", "joules") == "75 J"
    visit("etl", seconds=1.0, number=3)
    assert reading(production, "etl", "joules") == "unsupported"


def test_a_visit_of_a_process_that_died_is_not_shown_as_working(tmp_path):
    code = """
import os, sys, time
from pathlib import Path
from aifactory_lab.telemetry.journal import Event, append, new_run
append(Path(sys.argv[1]), Event("begin", "train", new_run(), "rows"))
print("begun", flush=True)
time.sleep(60)
"""
    path = tmp_path / journal.FILE
    child = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert child.stdout.readline() == b"begun\n"
    with Production(files=[path]) as source:
        assert reading(source, "train", "active") == "1"
        child.kill()
        child.wait()
        child.stdout.close()
        assert reading(source, "train", "active") == "0"
        assert source.last("train").failed


def test_a_run_of_another_process_is_followed(tmp_path):
    path = tmp_path / journal.FILE
    with Production(files=[path]) as source:
        assert reading(source, "etl", "made") == "unsupported"
        journal.append(path, Event("end", "etl", f"{ME}.9", "rows", made=7, seconds=1.0))
        assert reading(source, "etl", "made") == "7"


def test_a_station_that_is_not_in_the_flow_stands_after_the_one_before_it(production):
    visit("train", seconds=4.0)
    visit("prune", seconds=2.0)
    visit("serve", seconds=1.0)
    stations = [entity.path[-1] for entity in production.sample().layout.entities]
    assert stations[stations.index("prune") - 1] == "train"


def test_a_station_that_came_before_everything_lines_up_behind(production):
    visit("paint", seconds=9.0)
    assert production.sample().layout.entities[-1].id == "factory/paint"
    assert production.flow()["flow"][-1]["line"] == "others"


def test_the_bottleneck_is_where_the_last_lot_took_longest(production):
    assert production.bottleneck() is None
    visit("etl", seconds=6.0)
    visit("train", seconds=2.0)
    assert production.bottleneck() == {"station": "etl", "reason": "6.0 of the line's 8.0 s (75%)"}


def test_each_line_has_a_bottleneck_of_its_own_and_the_one_that_worked_last_tells_it(production):
    visit("etl", seconds=60.0)
    visit("train", seconds=20.0)
    visit("tokenize", seconds=1.0)
    visit("pretrain", seconds=9.0)
    assert production.bottleneck() == {"station": "pretrain", "reason": "9.0 of the line's 10.0 s (90%)"}
    with Meter("score"):
        assert production.bottleneck()["station"] == "etl"
    lines = {one["station"]: one["line"] for one in production.flow()["flow"]}
    assert (lines["etl"], lines["serve"], lines["tune"], lines["serve_tokens"]) == (*["decisions"] * 2, *["tokens"] * 2)


def test_bands_are_the_visits_with_their_times(production):
    visit("etl", seconds=2.0, joules=50.0)
    journal.publish(Event("reused", "score", f"{ME}.5", "rows", made=5, seconds=1.0))
    with Meter("train"):
        bands = production.bands()
    assert [band["station"] for band in bands] == ["etl", "train"]
    assert bands[0]["stop"] - bands[0]["start"] == pytest.approx(2.0)
    assert bands[0]["joules"] == 50.0
    assert bands[1]["stop"] is None
    assert [band["station"] for band in production.bands(since=time.time() + 9)] == []


def test_the_floor_tells_the_last_visit_in_words(production):
    visit("etl", seconds=2.0, made=5000)
    journal.publish(Event("reused", "score", f"{ME}.5", "predictions", made=10, seconds=1.0))
    told = {station["station"]: station["last"] for station in production.flow()["flow"]}
    assert told["etl"] == "5,000 rows in 2.0 s, 2.5 k/s"
    assert told["score"] == "10 predictions in 1.0 s, 10 /s (reused)"
    assert told["tune"] == ""


class Endpoint(Source):
    """A service with a queue."""

    key = "endpoint of a test"

    def __init__(self, **values: float) -> None:
        self.values = values

    def open(self) -> Layout:
        names = ("requests_rate", "predictions_rate", "tokens_rate", "waiting")
        return Layout((Entity(("endpoint",), "service"),), names, "simulated")

    def sample(self) -> Snapshot:
        return Snapshot.blank(self.layout, time=time.time()).put("endpoint", **self.values)


def test_the_serve_station_is_what_its_endpoints_say():
    with watch(Endpoint(requests_rate=10.0, predictions_rate=320.0, waiting=12.0), period=0.01) as sampler:
        sampler.first()
        with Production(services=[sampler]) as source:
            assert reading(source, "serve", "rate") == "320 /s"
            assert reading(source, "serve", "waiting") == "12"
            assert source.bottleneck() == {"station": "serve", "reason": "12 wait for an answer"}


def test_an_endpoint_of_tokens_is_the_token_line_s():
    with watch(Endpoint(requests_rate=2.0, tokens_rate=900.0, waiting=3.0), period=0.01) as sampler:
        sampler.first()
        with Production(services=[sampler]) as source:
            assert reading(source, "serve_tokens", "rate") == "900 /s"
            assert reading(source, "serve", "rate") == "unsupported"
            assert source.bottleneck() == {"station": "serve_tokens", "reason": "3 wait for an answer"}
