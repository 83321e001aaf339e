"""The token line on a slice of the standard library: made once, found again, whole after a kill."""

import os
import signal
import sys

import polars as pl
import pytest

from aifactory_lab import line, line_report, lm
from aifactory_lab.errors import FactoryError
from aifactory_lab.line import tokens
from tests.survival import killing

NAMES = [station.name for station in tokens.STATIONS]
SMALL = {"settings": tokens.Settings(depth=1, tokens=40_000, tune_steps=4, seconds=0.5)}


@pytest.fixture(scope="module")
def documents() -> pl.DataFrame:
    """Every third document: enough for a vocabulary and for held-out questions."""
    return lm.corpus.standard_library().gather_every(3)


@pytest.fixture(scope="module")
def finished(documents, tmp_path_factory) -> tokens.Run:
    return tokens.run(tmp_path_factory.mktemp("run"), documents=documents, **SMALL, say=None)


def test_every_station_made_something_and_says_what_it_cost(finished):
    assert [r.station for r in finished.reports] == NAMES
    for report in finished.reports:
        assert report.made > 0
        assert report.seconds > 0
        assert report.cpu_seconds > 0
        assert report.device_reason


def test_what_stations_hand_on_fits_together(finished, documents):
    curated = finished.curated
    assert curated.documents.height + curated.dropped.height == documents.height
    assert finished.pretrained.checkpoint.tokenizer.sha256 == finished.tokenizer.sha256
    assert finished.tuned.adapter.base_sha256 == finished.pretrained.checkpoint.sha256
    assert finished.served["concurrency"].to_list() == list(finished.settings.users)
    assert finished.served["errors"].sum() == 0
    assert finished.served["tokens_per_second"].min() > 0


def test_base_and_adapter_are_versions_and_the_base_is_champion(finished):
    registry = finished.registry
    assert registry.champion_version() == finished.versions["pretrain"]
    kinds = dict(registry.versions().select("version", "kind").iter_rows())
    assert kinds == {finished.versions["pretrain"]: "checkpoint", finished.versions["tune"]: "adapter"}


def test_a_second_run_reuses_every_station_and_registers_nothing(finished):
    said: list[str] = []
    again = tokens.run(finished.workspace.root, documents=finished.material.documents, **SMALL, say=said.append)
    assert all(report.reused for report in again.reports)
    assert again.versions == finished.versions
    assert again.registry.versions().height == 2
    assert any("reused" in text for text in said)


def test_an_adapter_that_was_promoted_stays_champion(finished):
    registry = finished.registry
    registry.promote(finished.versions["tune"])
    tokens.run(finished.workspace.root, documents=finished.material.documents, **SMALL, say=None)
    assert registry.champion_version() == finished.versions["tune"]
    registry.promote(finished.versions["pretrain"])


def test_another_size_keeps_the_corpus_and_trains_anew(finished):
    other = tokens.run(
        finished.workspace.root,
        documents=finished.material.documents,
        depth=1,
        tokens=20_000,
        until="pretrain",
        say=None,
    )
    assert [report.reused for report in other.reports] == [True, True, True, False]
    assert other.versions["pretrain"] not in finished.versions.values()


def test_report_page_tells_the_run(finished):
    html = line_report.write(finished).read_text()
    for words in ("The token line", "Corpus and curation", "Pre-training", "Fine-tuning", "bits per byte", "llama.cpp"):
        assert words in html
    assert [row[0] for row in line_report.stations(finished).rows] == NAMES


def test_both_lines_share_one_page(finished, tmp_path):
    early = line.run(finished.workspace.root, until="ingest", say=None)
    rows = line_report.stations(early, finished).rows
    assert [row[0].removesuffix(" *") for row in rows] == ["ingest", *NAMES]
    assert "bytes ÷ measured bandwidth" in line_report.caption(early, finished)


def test_unknown_stations_are_named(tmp_path, documents):
    with pytest.raises(FactoryError, match="no station 'etl'; the stations are: corpus, curate, tokenize"):
        tokens.run(tmp_path, documents=documents, until="etl")


KILLED = """
import sys
from aifactory_lab import lm
from aifactory_lab.line import tokens
tokens.run(sys.argv[1], documents=lm.corpus.standard_library().gather_every(3), until="pretrain",
           settings=tokens.Settings(depth=1, tokens=40_000), say=lambda text: print(text, flush=True))
"""


@pytest.mark.timeout(900)
def test_kill_9_of_all_that_runs_loses_only_the_station_and_changes_no_byte(finished, tmp_path):
    with killing.start([sys.executable, "-c", KILLED, str(tmp_path)], tmp_path / "private") as process:
        while "pretrain: step" not in process.stdout.readline():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert killing.gone(tmp_path / "private") == []
    assert not list(tmp_path.glob("pretrain-*")), "half a training is not a model"
    documents, settings = finished.material.documents, tokens.Settings(depth=1, tokens=40_000)
    run = tokens.run(tmp_path, documents=documents, settings=settings, until="pretrain", say=None)
    assert [report.reused for report in run.reports] == [True, True, True, False]
    assert run.pretrained.checkpoint.sha256 == finished.pretrained.checkpoint.sha256
    assert run.registry.versions().height == 1
    assert not list(tmp_path.glob(".scratch-*")), "the states have done their work"
