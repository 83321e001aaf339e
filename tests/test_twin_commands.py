"""The twin's commands: what they print is what the twin says, and a mistake is answered with the line that mends it."""

import re

import pytest
from typer.testing import CliRunner

from aifactory_lab.cli import app
from aifactory_lab.twin import validation

SMALL = ["--gpus", "72", "--requests", "20", "--model", "llama-3-70b"]


def run(*words, code=0):
    result = CliRunner().invoke(app, ["twin", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_the_card_says_what_fails_and_tells_it_by_its_exit_code():
    found = validation.card(["Frontier at rest", "GPUs of Frontier"])
    assert found["passed"].all()
    said = run("card", "--only", "Frontier at rest", "--only", "GPUs of Frontier")
    assert "2 of 2 within their tolerance" in said
    assert "cooling is not validated" in said
    assert re.search(r"GPUs of Frontier\s+GPUs\s+37888\s+37888", said)


def test_a_check_that_fails_is_not_hidden(monkeypatch):
    card = validation.card(["Frontier at rest"])
    monkeypatch.setattr(validation, "card", lambda _: card.with_columns(passed=False))
    assert re.search(r"Frontier at rest .* NO", run("card", code=1))


def test_checks_without_their_data_are_counted_as_not_computed(monkeypatch, tmp_path):
    monkeypatch.setenv("AIFACTORY_DATA", str(tmp_path))
    assert "1 not computed" in run("card", "--only", "Mean power of a Kalos A100")


def test_a_design_says_every_figure_with_its_range_and_what_it_rests_on():
    said = run("design", *SMALL)
    assert re.search(r"time to first token +[\d.]+ +[\d.]+ +[\d.]+ +ms", said)
    assert "NOT VALIDATED" in said
    assert "a replica: as few as hold" in said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "gpt-17"], "no model 'gpt-17'"),
        (["--chassis", "toaster"], "no chassis 'toaster'"),
        (["--requests", "-3"], "requests_per_second=-3.0"),
        (["--cap", "1"], "gpu_cap_watts=1.0"),
        (["--weather", "soon"], "date='soon'"),
        (["--weather", "20,2"], "humidity"),
    ],
)
def test_a_design_that_cannot_be_is_refused_with_what_mends_it(words, told):
    said = run("design", *words, code=2)
    assert told in said
    assert "mend:" in said


def test_weather_water_and_caps_reach_the_plant():
    steady, hot = (run("design", *SMALL, "--weather", word) for word in ("10,0.5", "35,0.6"))
    assert steady != hot
    assert "power cap" in run("design", *SMALL, "--requests", "400", "--cap", "300")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("flood@14+2", "no incident 'flood'"),
        ("cdu@noon", "'cdu@noon' is no incident"),
        ("gpu@1:wich=3", "has no wich"),
        ("grid@18", "a grid cap needs the watts"),
        ("cdu", "is no incident"),
    ],
)
def test_an_incident_that_cannot_be_is_refused(word, told):
    said = run("day", *SMALL, "--incident", word, code=2)
    assert told in said
    assert "mend:" in said


def test_a_day_tells_its_totals_and_what_became_of_each_incident():
    words = ["day", "--gpus", "16", "--chassis", "dgx-h100", "--model", "llama-3-70b", "--requests", "2"]
    said = run(*words, "--hours", "0.5", "--incident", "node@0.2+0.2:which=1")
    assert re.search(r"requests that came +[\d,]+", said)
    assert "node lost (1) from 00:12" in said


def test_some_replicas_speak_for_all_of_them_with_an_interval():
    words = ["day", "--gpus", "256", "--chassis", "dgx-h100", "--model", "llama-3-8b", "--requests", "8"]
    said = run(*words, "--hours", "0.2", "--share", "0.1")
    assert re.search(r"of 256 replicas +value +95% interval", said)
    assert re.search(r"tokens per second +[\d.,k ]+ +[\d.,k ]+ – [\d.,k ]+", said)


def test_the_report_and_the_hall_are_files(tmp_path):
    said = run("design", *SMALL, "--out", str(tmp_path / "design.html"))
    assert "Report: " in said
    assert "72 GPUs for llama-3-70b" in (tmp_path / "design.html").read_text()
    run("usd", str(tmp_path / "hall"), "--gpus", "72")
    assert [file.suffix for file in (tmp_path / "hall").rglob("*.usd*")]
