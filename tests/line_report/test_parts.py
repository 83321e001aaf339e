"""What the report says of a run: changes by the ledger, the bottleneck by arithmetic, numbers that a person can say."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab import device
from aifactory_lab.line import LineRun
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line_report import bottleneck, changes, glossary, numbers, provenance, record
from aifactory_lab.line_report.closing import WIDTH, fold
from aifactory_lab.line_report.facts import Fact, assumed_price, energy, objectives, said_energy
from aifactory_lab.measure import PRICE_VARIABLE, Meter, StationReport
from aifactory_lab.roofline import Roofline
from aifactory_lab.workspace import Workspace

MACHINE = Roofline(disk_read=1e9, disk_write=1e9, memory=1e10)


def station(name: str, seconds: float, **more) -> StationReport:
    values = {"unit": "rows", "made": 1000, "cpu_seconds": seconds, "peak_memory_bytes": 1, "device": "cpu"}
    return StationReport(name, seconds=seconds, device_reason="test", **{**values, **more})


def run_of(*reports: StationReport, workspace: Workspace | None = None) -> LineRun:
    return LineRun(workspace, {}, reports, MACHINE, device.current(needs=()))


def visit(workspace: Workspace, name: str, auc: float, heat: int) -> StationReport:
    def build(folder: Path) -> StationReport:
        (folder / "bar.txt").write_text(str(heat))
        with Meter(name, unit="rows") as meter:
            meter.count(100, auc=auc)
            time.sleep(0.001)
        return meter.report

    return workspace.station(name, build, params={"heat": heat}).report


def test_the_first_run_says_so_and_the_second_what_was_reused_and_what_changed(tmp_path):
    workspace = Workspace(tmp_path)
    first = run_of(visit(workspace, "etl", 0.0, 1), visit(workspace, "train", 0.7, 1), workspace=workspace)
    assert "first run of this workspace" in changes.summary(changes.since(first))
    second = run_of(visit(workspace, "etl", 0.0, 1), visit(workspace, "train", 0.75, 2), workspace=workspace)
    etl, train = changes.since(second)
    assert (etl.reused, train.reused) == (True, False)
    assert train.words == "made again: inputs, settings or code have changed; AUC 0.700 → 0.750"
    assert "1 of 2 stations were reused; made again: train" in changes.summary([etl, train])
    assert re.fullmatch(r".+ \(before: .+\)", changes.rates(train))
    third = run_of(visit(workspace, "etl", 0.0, 1), visit(workspace, "train", 0.75, 2), workspace=workspace)
    assert "nothing was computed again" in changes.summary(changes.since(third))


def test_the_bottleneck_is_the_slowest_station_and_amdahls_law_its_worth():
    found = bottleneck.of(run_of(station("etl", 20.0), station("train", 60.0), station("score", 20.0)))
    assert (found.station, found.share, found.speedup) == ("train", 0.6, 1.43)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=8))
def test_halving_a_part_never_more_than_doubles(parts):
    whole = sum(parts)
    for part in parts:
        assert 1.0 <= bottleneck.halved(part, whole) <= 2.0
        assert bottleneck.halved(part, whole) == pytest.approx(whole / (whole - part + part / 2), abs=0.006)


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (station("etl", 10.0, floor_seconds=8.0), "etl moves bytes, at 80% of what its links carry"),
        (station("etl", 10.0, floor_seconds=0.1), "etl computes: to move its bytes takes 0.1 s, 1.0% of its time"),
        (station("tune", 10.0), "no floor is known"),
        (station("tune", 10.0, cpu_seconds=2.0), "had a processor for 20% of the time only"),
        (
            station("pretrain", 10.0, details={"peak_flops": 1e9, "flops_per_token": 4e6}),
            "its products alone would take 4.0 s",
        ),
    ],
)
def test_what_limits_a_station_is_told_from_its_floor_or_peak(report, words):
    assert words in " ".join(bottleneck.of(run_of(report)).words)


def test_energy_is_the_sum_or_unknown_with_the_reason(monkeypatch):
    known = energy("decisions", [station("etl", 1.0, joules=3.0), station("train", 1.0, joules=4.5)])
    assert (known.value, said_energy([known])) == (7.5, "All stations together took 8 J of energy.")
    unknown = energy("tokens", [station("etl", 1.0, joules=3.0), station("train", 1.0, energy_note="no counter")])
    assert unknown.value is None
    assert said_energy([known, unknown]) == "Energy is unknown: no counter."
    monkeypatch.setenv(PRICE_VARIABLE, "0.25")
    assert "$0.25 an hour" in assumed_price()


def test_objectives_count_what_was_met_and_name_the_first_miss():
    met = Verdict("decisions", "p99 latency", 50.0, 16.5, "ms")
    missed = replace(met, found=60.0)
    assert objectives("decisions", ()) is None
    both = objectives("decisions", (met, missed))
    assert (both.shown, both.met, both.tile.mood) == ("1 of 2", False, "bad")
    assert "missed by 10 ms" in both.beside
    assert objectives("decisions", (met,)).tile.mood == "good"


@given(st.floats(1e-12, 1e9))
def test_money_keeps_two_digits(dollars):
    told = float(numbers.money(dollars).removeprefix("$").replace(",", ""))
    assert told == pytest.approx(dollars, rel=0.06)


@given(st.floats(1e-6, 1e6))
def test_times_have_their_unit(seconds):
    number, unit = numbers.seconds(seconds).split(" ")
    assert float(number) * {"ms": 1e-3, "s": 1.0, "min": 60.0}[unit] == pytest.approx(seconds, rel=0.06, abs=0.6)


def test_a_fact_is_said_as_a_person_says_it():
    quality = Fact("decisions.auc", 0.7251, "AUC", "AUC", "a coin 0.5", 0.7, 0.75)
    assert (quality.shown, quality.leads) == ("0.725", True)
    assert quality.tile.beside == "95 % interval 0.700 to 0.750; a coin 0.5"
    price = Fact("tokens.dollars_per_million", None, "$", "for a million", why="the price of a GPU is not known here")
    assert (price.shown, price.tile.beside) == ("unknown", "the price of a GPU is not known here")


@given(st.text(alphabet="ab \u00b7", max_size=300))
def test_the_terminals_lines_fit_80_columns(text):
    assert all(len(line) <= WIDTH for line in fold("Tokens", text))


def test_provenance_names_the_machine_but_not_whose_it_is(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/aifactory", "run", "--workspace", "my runs"])
    told = provenance.of(run_of(station("etl", 1.0), workspace=Workspace("/tmp")))
    assert told["command"] == "aifactory run --workspace 'my runs'"
    assert "cores" in told["machine"]
    assert told["versions"]["python"]
    assert re.fullmatch(r"([0-9a-f]{12}(, with changes)?)?", told["commit"])


def test_the_record_is_json_that_every_reader_takes():
    plain = record._plain({"a": float("nan"), "b": (1.5, float("inf")), 3: "x"})
    assert json.loads(json.dumps(plain, allow_nan=False)) == {"a": None, "b": [1.5, None], "3": "x"}


def test_the_glossary_is_in_order_and_each_term_has_a_line():
    terms = [row[0] for row in glossary.table().rows]
    assert terms == sorted(terms, key=str.lower)
    assert all(len(meaning) <= 120 and meaning.endswith(".") for _, meaning in glossary.table().rows)
