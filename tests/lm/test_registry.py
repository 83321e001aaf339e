"""Checkpoints and adapters as versions: champion, base, lineage; damage and kills."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint, registry
from aifactory_lab.train.registry import Registry as Bundles


@pytest.fixture(scope="module")
def stocked(base, tuned, tmp_path_factory):
    """A base, champion; an adapter over it."""
    kept = registry.Registry(tmp_path_factory.mktemp("registry"), name="words")
    kept.promote(kept.register(base, metrics={"bits_per_byte": 3.7}, lineage={"corpus": "stdlib"}))
    kept.register(tuned.folder)
    return kept


@pytest.fixture
def kept(stocked, tmp_path):
    """A copy of it elsewhere: a workspace may be moved."""
    shutil.copytree(stocked.root, tmp_path / "moved")
    return registry.Registry(tmp_path / "moved", name="words")


def test_versions_of_both_kinds(kept, tuned, base):
    frame = kept.versions()
    assert frame["version"].to_list() == [2, 1]
    assert frame["kind"].to_list() == ["adapter", "checkpoint"]
    assert frame["base"].to_list() == [1, None]
    assert frame["alias"].to_list() == [None, "champion"]
    assert frame["title"].to_list() == ["tiny, tuned", "tiny"]
    assert frame["bits_per_byte"].to_list() == [pytest.approx(tuned.scores["bits_per_byte"].after.value), 3.7]
    assert frame["overlap"].to_list() == [pytest.approx(tuned.scores["overlap"].after.value), None]
    assert frame["weights_sha256"].to_list() == [tuned.adapter.sha256, checkpoint.load(base).sha256]


def test_a_version_holds_what_was_registered(kept, tuned, base):
    assert checkpoint.load(kept.folder(1)).sha256 == checkpoint.load(base).sha256
    held = kept.open(2)
    assert (held.kind, held.base_sha256) == ("adapter", checkpoint.load(base).sha256)
    assert kept.base(2) == 1
    assert kept.base(1) is None
    assert held.folder.is_relative_to(kept.root)
    assert not (held.folder / "training.jsonl").exists()
    assert (held.folder / "answers.parquet").exists()


def test_promote_and_roll_back(kept):
    assert kept.champion().kind == "checkpoint"
    assert kept.promote(2).kind == "adapter"
    assert kept.champion_version() == 2
    assert kept.rollback() == 1
    with pytest.raises(ModelError, match="no champion before version 1"):
        kept.rollback()


def test_lineage_names_the_base_and_what_was_learned_from(kept, tuned):
    lineage = kept.lineage(2)
    assert lineage["base"] == {"version": 1, "name": "tiny", "sha256": tuned.adapter.base_sha256}
    assert lineage["pairs"] == 85
    assert lineage["pairs_sha256"] == tuned.adapter.card["lineage"]["pairs_sha256"]
    assert kept.lineage(1)["corpus"] == "stdlib"


def test_the_model_card_says_gain_forgetting_and_origin(kept, tuned):
    card = kept.model_card(2)
    assert card.startswith("# words, version 2\n")
    assert "A LoRA adapter of rank 16 over `tiny`" in card
    assert f"| {tuned.scores['loss'].before} | {tuned.scores['loss'].after} |" in card
    worse = tuned.scores["bits_per_byte"].change.value
    assert f"{worse:.3f} bits per byte worse than the base." in card
    assert tuned.adapter.sha256 in card
    assert "## How good it is" not in kept.model_card(1)


def test_an_adapter_without_its_base_is_refused(tuned, base, tmp_path):
    empty = registry.Registry(tmp_path, name="words")
    with pytest.raises(ModelError, match=r"the base of .* is no version of words"):
        empty.register(tuned.folder)
    assert empty.versions().is_empty()
    empty.register(base)
    assert empty.register(tuned.folder) == 2


def test_damage_is_found_and_the_champion_stays(kept, tuned):
    path = kept.folder(2) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="is damaged or was changed"):
        kept.promote(2)
    assert kept.champion_version() == 1
    (kept.folder(1) / "extra.bin").write_bytes(b"more")
    with pytest.raises(ModelError, match="version 1 of words was changed after it was registered"):
        kept.champion()


def test_unknown_versions_and_folders(kept, tmp_path):
    with pytest.raises(ModelError, match="no version 9; there are: 1, 2"):
        kept.folder(9)
    with pytest.raises(ModelError, match="is not a checkpoint"):
        kept.register(tmp_path)


def test_it_shares_the_file_with_other_models(kept):
    bundles = Bundles(kept.root, name="flights")
    assert bundles.uri == kept.uri
    assert bundles.versions().is_empty()
    assert kept.versions().height == 2


REGISTER = """
import sys
from aifactory_lab.lm import registry
registry.Registry(sys.argv[1], name="words").register(sys.argv[2])
"""


def test_kill_nine_while_registering_leaves_no_half_version(kept, base, tmp_path):
    """Killed at the moment its artifacts appear: before the version's row is written."""
    artifacts = kept.root / "mlflow-artifacts"
    before = set(artifacts.iterdir())
    slow = shutil.copytree(base, tmp_path / "slow")
    (slow / "padding.parquet").write_bytes(os.urandom(64 << 20))  # makes the copy last
    doomed = subprocess.Popen([sys.executable, "-c", REGISTER, str(kept.root), str(slow)], cwd=tmp_path)
    while set(artifacts.iterdir()) == before:
        assert doomed.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    again = registry.Registry(kept.root, name="words")
    assert again.versions()["version"].to_list() == [2, 1]
    assert again.champion().kind == "checkpoint"
    assert again.register(base) == 3
