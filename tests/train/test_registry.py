"""Versions, champion, lineage; damage and kills."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aifactory_lab import train
from aifactory_lab.errors import ModelError, WorkspaceError
from aifactory_lab.train.card import model_card
from aifactory_lab.workspace import file_hash


@pytest.fixture(scope="module")
def results(features, tmp_path_factory):
    """Two trained models."""
    out = tmp_path_factory.mktemp("models")
    quick = {"device": "cpu", "threads": 1}
    boosted = train.fit(features, out=out / "a", rounds=25, lineage={"recipe": "test"}, **quick)
    return boosted, train.fit(features, "logistic_regression", out=out / "b", **quick)


@pytest.fixture(scope="module")
def stocked(results, tmp_path_factory):
    """A registry with two versions; the first is champion."""
    registry = train.Registry(tmp_path_factory.mktemp("registry"), name="late")
    registry.promote(registry.register(results[0]))
    registry.register(results[1])
    return registry


@pytest.fixture
def registry(stocked, tmp_path):
    """A copy of it elsewhere: a workspace may be moved."""
    shutil.copytree(stocked.root, tmp_path / "moved")
    return train.Registry(tmp_path / "moved", name="late")


def test_versions_carry_scores_and_data_hash(registry, results):
    frame = registry.versions()
    assert frame["version"].to_list() == [2, 1]
    assert frame["alias"].to_list() == [None, "champion"]
    assert frame["estimator"].to_list() == ["logistic_regression", "xgboost"]
    assert frame["auc"].to_list() == [result.scores["auc"].value for result in reversed(results)]
    assert frame["features_sha256"][0] == results[1].bundle.lineage["features_sha256"]
    assert frame["registered"].dtype.time_zone == "UTC"


def test_promote_and_roll_back(registry):
    assert registry.champion().estimator == "xgboost"
    assert registry.promote(2).estimator == "logistic_regression"
    assert registry.champion_version() == 2
    assert registry.rollback() == 1
    assert registry.champion().estimator == "xgboost"
    with pytest.raises(ModelError, match="no champion before version 1"):
        registry.rollback()


def test_the_champion_lies_under_the_moved_root(registry):
    assert registry.champion().folder.is_relative_to(registry.root)


def test_lineage_leads_back_to_the_data(registry, results):
    lineage = registry.lineage(1)
    assert lineage["features_sha256"] == results[0].bundle.lineage["features_sha256"]
    assert lineage["recipe"] == "test"
    assert lineage["version"] == 1


def test_the_model_card_says_scores_threshold_features_and_origin(registry, results):
    card = registry.model_card(1)
    assert card.startswith("# late, version 1")
    assert str(results[0].scores["auc"]) in card
    assert f"**{results[0].bundle.threshold:.3f}**" in card
    assert "| hour | 5 … 23 | 0.0% | scheduled hour, local |" in card
    assert results[0].bundle.lineage["features_sha256"] in card


def test_the_card_of_a_model_with_a_leak_warns(features, tmp_path):
    quick = {"device": "cpu", "threads": 1, "rounds": 10}
    leaky = train.fit(features, groups=("schedule", "leak"), out=tmp_path, **quick).bundle
    assert "**dep_delay among them: known only after the decision, so do not use it**" in model_card(leaky)


def test_a_damaged_model_is_refused_and_the_champion_stays(registry):
    (folder,) = [Path(registry.bundle(2).folder)]
    (folder / "model.skops").write_bytes(b"something else")
    with pytest.raises(ModelError, match="is damaged or was changed"):
        registry.promote(2)
    assert registry.champion_version() == 1


def test_a_changed_manifest_is_refused(registry):
    path = registry.champion().folder / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 0.99}))
    with pytest.raises(ModelError, match="version 1 of late was changed after it was registered"):
        registry.champion()


def test_a_pickle_in_place_of_a_model_is_never_loaded(results, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    for result in results:
        folder = tmp_path / result.bundle.estimator
        shutil.copytree(result.bundle.folder, folder)
        path = folder / result.bundle.file.name
        path.write_bytes(pickle.dumps(Trap()))
        manifest = json.loads((folder / "bundle.json").read_text())
        manifest["sha256"] = file_hash(path)  # the forger knows our format
        (folder / "bundle.json").write_text(json.dumps(manifest))
        with pytest.raises(ModelError, match=r"is not an XGBoost model|is not a skops file"):
            train.Bundle.load(folder).model()
    assert not (tmp_path / "sprung").exists()


def test_unknown_versions_and_an_empty_registry(registry):
    with pytest.raises(ModelError, match="no version 9; there are: 1, 2"):
        registry.promote(9)
    other = train.Registry(registry.root, name="other")
    assert other.versions().is_empty()
    with pytest.raises(ModelError, match="other has no champion"):
        other.champion()


def test_a_database_that_is_none_is_an_error(tmp_path):
    (tmp_path / "mlflow.db").write_text("not a database")
    with pytest.raises(WorkspaceError, match="is not a SQLite database"):
        train.Registry(tmp_path).versions()


REGISTER = """
import sys
from aifactory_lab import train
train.Registry(sys.argv[1], name="late").register(train.Result.load(sys.argv[2]))
"""


def test_kill_nine_while_registering_leaves_no_half_version(registry, results, tmp_path):
    """Killed at the moment its artifacts appear: before the version's row is written."""
    artifacts = registry.root / "mlflow-artifacts"
    before = set(artifacts.iterdir())
    slow = tmp_path / "slow"
    shutil.copytree(results[0].folder, slow)
    (slow / "bundle" / "zz_padding").write_bytes(os.urandom(64 << 20))  # makes the copy last
    doomed = subprocess.Popen([sys.executable, "-c", REGISTER, str(registry.root), str(slow)], cwd=tmp_path)
    while set(artifacts.iterdir()) == before:
        assert doomed.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    again = train.Registry(registry.root, name="late")
    assert again.versions()["version"].to_list() == [2, 1]
    assert again.champion().estimator == "xgboost"
    assert again.register(results[0]) == 3
    assert not (tmp_path / "mlruns").exists()


def test_nothing_is_said_or_written_elsewhere(results, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", REGISTER, str(tmp_path / "root"), str(results[1].folder)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout + done.stderr == ""
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_the_gui_command_names_the_database(registry):
    assert registry.ui_command.endswith(f"mlflow ui --backend-store-uri sqlite:///{registry.root}/mlflow.db")
