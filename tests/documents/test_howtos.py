"""Every how-to of CONTRIBUTING is followed, word for word, in a copy of the place that it names."""

import os
import re
import shutil
import time
from pathlib import Path

import nbformat
import numpy as np
import polars as pl
import pytest

from aifactory_lab import blueprints, dash, datasets, etl, telemetry
from aifactory_lab.blueprints import shipped
from aifactory_lab.datasets import entries, places
from aifactory_lab.etl import recipes
from aifactory_lab.telemetry.readings import Entity, Layout, Snapshot
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.train import estimators
from aifactory_lab.twin import hardware
from aifactory_lab.twin.design import Service, evaluate
from aifactory_lab.twin.plant import Plant
from tests import refresh_notebooks, test_notebooks
from tests.documents.texts import ROOT, Document, markdown
from tests.train import test_estimators
from tests.twin import test_hardware


def contributing() -> Document:
    return next(document for document in markdown() if document.name == "CONTRIBUTING.md")


def code(section: str, language: str = "python") -> str:
    return next(block.text for block in contributing().blocks(language) if block.section == section)


def test_every_how_to_is_followed_here():
    sections = re.findall(r"^### (.*)$", contributing().text, re.MULTILINE)
    tests = Path(__file__).read_text()
    assert len(sections) >= 8
    assert [name for name in sections if f'"""{name}' not in tests] == []


def test_dataset(tmp_path, monkeypatch):
    """A dataset: an entry and a folder, and it is in the catalogue, loaded, with a card."""
    home = tmp_path / "datasets"
    shutil.copytree(ROOT / "datasets" / "flights", home / "tides", ignore=shutil.ignore_patterns("*.parquet"))
    pl.DataFrame({"hour": [0, 1], "metres": [0.4, 0.7]}).write_parquet(home / "tides" / "levels.parquet")
    monkeypatch.setattr(places, "HOMES", (home, *places.HOMES))
    monkeypatch.setattr(entries, "ENTRIES", dict(entries.ENTRIES))
    exec(code("A dataset"), vars(entries) | {"ENTRIES": entries.ENTRIES})
    assert datasets.load("tides")["levels"].collect().height == 2
    row = datasets.catalogue().row(by_predicate=pl.col("name") == "tides", named=True)
    assert (row["rows"], row["where"]) == (2, "vendored")
    assert datasets.card("tides").section("Licence")


def test_recipe(tmp_path, monkeypatch):
    """A recipe: named in RECIPES, it makes features as any other."""
    monkeypatch.setattr(recipes, "RECIPES", dict(recipes.RECIPES))
    exec(code("A recipe"), vars(recipes) | {"RECIPES": recipes.RECIPES})
    assert "gusts" in recipes.names()
    etl.run(recipes.named("gusts"), datasets.load("flights"), out=tmp_path / "features", engine="cpu", progress=False)
    made = pl.read_parquet(tmp_path / "features" / "features.parquet")
    assert made.columns == ["when", "rain", "split", "wind_speed", "humid"]
    assert set(made["split"]) == {"train", "test"}


def test_estimator(monkeypatch):
    """An estimator: a row of TABLE, and it passes the test of all classifiers."""
    monkeypatch.setattr(estimators, "TABLE", dict(estimators.TABLE))
    exec(code("An estimator"), vars(estimators) | {"TABLE": estimators.TABLE})
    random = np.random.default_rng(0)
    features = random.normal(size=(600, 5)).astype(np.float32)
    label = (features[:, 0] + features[:, 1] > 0).astype(np.int8)
    assert "lasso" in estimators.names("classify")
    test_estimators.test_every_classifier_learns_rows_with_missing_values("lasso", (features, label))
    assert estimators.gpu_call("lasso")[1]["penalty"] == "l1"


def test_telemetry_source():
    """A telemetry source: a class, and a sampler reads it."""
    names = {"Source": Source, "Layout": Layout, "Entity": Entity, "Snapshot": Snapshot, "os": os, "time": time}
    exec(code("A telemetry source"), names)
    sampler = telemetry.watch(names["Load"]())
    try:
        assert 0 <= sampler.first(timeout=60).reading("here", "busy").value <= 100
    finally:
        sampler.close()


def test_gpu_and_chassis(tmp_path, monkeypatch):
    """A GPU, or a chassis: a section of the file, it keeps the file's rules, and a plant is built of it."""
    text = code("A GPU, or a chassis", "toml")
    copy = tmp_path / "hardware.toml"
    copy.write_text(f"{hardware.FILE.read_text()}\n{text}")
    monkeypatch.setattr(hardware, "FILE", copy)
    for kept in (hardware._told, hardware.ours):
        kept.cache_clear()
    try:
        test_hardware.test_every_figure_has_a_source_and_a_status()
        plant = Plant(gpus=16, chassis="box-z100")
        assert evaluate(plant, Service(model="llama-3-70b", requests_per_second=1)).could_tokens_per_second > 0
    finally:
        monkeypatch.undo()
        for kept in (hardware._told, hardware.ours):
            kept.cache_clear()
    mine = tmp_path / "mine.toml"
    mine.write_text(text)
    assert Plant(gpus=8, chassis="box-z100", catalogue=hardware.read(mine)).gpus == 8


def test_blueprint(tmp_path, monkeypatch):
    """A blueprint: a file beside the others, found by its name and read; a mistake is answered with its line."""
    text = (shipped.FOLDER / "quick.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("name: quick\n", "name: mine\n"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert blueprints.names() == ["mine"]
    assert blueprints.read(blueprints.path("mine")).name == "mine"
    with pytest.raises(Exception, match="3"):
        blueprints.parse(text.replace("version: 1", "version: one"))


def test_board(tmp_path, monkeypatch):
    """A board: a notebook of one cell, and it is served under its name."""
    notebook = nbformat.read(ROOT / "notebooks" / "dashboards" / "gpus.ipynb", as_version=4)
    notebook.metadata["shows"], notebook.cells[0].source = "this machine alone", "1 + 1"
    nbformat.write(notebook, tmp_path / "mine.ipynb")
    monkeypatch.setattr(dash, "folder", lambda: tmp_path)
    assert dash.boards() == ["mine"]
    assert dash.shows("mine") == "this machine alone"
    assert any("mine.ipynb" in str(word) for word in dash.command("mine", browser=False))


def test_lesson(tmp_path):
    """A lesson: a copy under the next number, from which the learner's is derived; it keeps the lessons' shape."""
    authored = tmp_path / "99_next.ipynb"
    shutil.copy(ROOT / "notebooks" / "solutions" / "09_design_a_plant.ipynb", authored)
    learners = refresh_notebooks.lesson_of(nbformat.read(authored, as_version=4))
    nbformat.write(learners, tmp_path / "lesson.ipynb")
    test_notebooks.test_lesson_has_the_shape_of_a_lesson(tmp_path / "lesson.ipynb")
    test_notebooks.test_cells_are_thin(tmp_path / "lesson.ipynb")
    assert len(learners.cells) < len(nbformat.read(authored, as_version=4).cells)
