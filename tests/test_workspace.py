"""The run folder: finished is finished, and nothing else is believed."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.aside import folder_aside, write_aside
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.measure import Meter
from aifactory_lab.workspace import LEDGER, MANIFEST, VARIABLE, Workspace, content_key, default_root, files_hash


def builder(text: str = "steel", calls: list | None = None):
    def build(folder: Path):
        with Meter("smelt", unit="bars") as meter:
            (folder / "bar.txt").write_text(text)
            (folder / "inner").mkdir()
            (folder / "inner" / "core.txt").write_text(text * 2)
            meter.count(1)
        if calls is not None:
            calls.append(folder)
        return meter.report

    return build


def test_second_visit_reuses(tmp_path):
    calls: list = []
    workspace = Workspace(tmp_path)
    first = workspace.station("smelt", builder(calls=calls))
    second = Workspace(tmp_path).station("smelt", builder(calls=calls))
    assert (first.reused, second.reused, len(calls)) == (False, True, 1)
    assert second.path("bar.txt").read_text() == "steel"
    assert second.report.seconds == first.report.seconds
    assert [line["reused"] for line in workspace.ledger()] == [False, True]


def test_missing_file_is_named(tmp_path):
    artefact = Workspace(tmp_path).station("smelt", builder())
    with pytest.raises(WorkspaceError, match=r"has no 'gold.txt'; it holds bar.txt"):
        artefact.path("gold.txt")


def test_changed_params_and_inputs_build_again(tmp_path):
    ore = tmp_path / "ore.bin"
    ore.write_bytes(b"iron")
    workspace = Workspace(tmp_path / "ws")
    keys = {workspace.station("smelt", builder(), inputs=[ore], params={"heat": heat}).key for heat in (1, 2)}
    ore.write_bytes(b"tin!")
    keys.add(workspace.station("smelt", builder(), inputs=[ore], params={"heat": 1}).key)
    assert len(keys) == 3


@pytest.mark.parametrize("damage", ["content", "truncate", "delete", "manifest", "garbage"])
def test_damaged_artefact_is_moved_aside_and_built_again(tmp_path, damage):
    workspace = Workspace(tmp_path)
    artefact = workspace.station("smelt", builder())
    bar, manifest = artefact.folder / "bar.txt", artefact.folder / MANIFEST
    {
        "content": lambda: bar.write_text("stool"),
        "truncate": lambda: bar.write_text(""),
        "delete": bar.unlink,
        "manifest": manifest.unlink,
        "garbage": lambda: manifest.write_text('{"files": 3'),
    }[damage]()
    again = workspace.station("smelt", builder())
    assert not again.reused
    assert again.path("bar.txt").read_text() == "steel"
    assert len(list(tmp_path.glob("smelt-*.damaged-*"))) == 1  # kept for whoever wants to look


def test_failure_leaves_nothing(tmp_path):
    def build(folder: Path):
        (folder / "half.txt").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WorkspaceError, match="No space left"):
        Workspace(tmp_path).station("smelt", build)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import sys, time
from pathlib import Path
from aifactory_lab.workspace import Workspace
def build(folder):
    (folder / "half.txt").write_text("half")
    print("building", flush=True)
    time.sleep(60)
Workspace(sys.argv[1]).station("smelt", build)
"""


def test_kill_9_in_the_middle_is_not_believed(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "building\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not list(tmp_path.glob("smelt-*"))
    assert len(list(tmp_path.glob(".smelt-*.partial-*"))) == 1
    assert not Workspace(tmp_path).station("smelt", builder()).reused


def test_fragments_of_the_dead_are_swept_and_those_of_the_living_are_left(tmp_path):
    dead, alive = tmp_path / ".steel.bin.partial-1-999999999", tmp_path / f".steel.bin.partial-1-{os.getpid()}"
    dead.write_text("half")
    alive.write_text("half")
    with write_aside(tmp_path / "steel.bin") as aside:
        aside.write_text("whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == [alive.name, "steel.bin"]
    (tmp_path / ".smelt-1.partial-1-999999999").mkdir()
    Workspace(tmp_path)
    assert not (tmp_path / ".smelt-1.partial-1-999999999").exists()


def test_threads_may_write_the_same_file(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    def write(number: int) -> None:
        with write_aside(tmp_path / "steel.bin") as aside:
            aside.write_text(str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(64)))
    assert len(set((tmp_path / "steel.bin").read_text())) <= 2
    assert [p.name for p in tmp_path.iterdir()] == ["steel.bin"]


def test_ledger_survives_a_torn_line(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.station("smelt", builder())
    with (tmp_path / LEDGER).open("a") as stream:
        stream.write('{"station": "torn')
    workspace.station("smelt", builder())
    assert [line["station"] for line in workspace.ledger()] == ["smelt", "smelt"]


def test_two_processes_may_build_the_same(tmp_path):
    code = (
        "import sys; sys.path.insert(0, '.'); from tests.test_workspace import builder;"
        "from aifactory_lab.workspace import Workspace; Workspace(sys.argv[1]).station('smelt', builder())"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    assert [run.wait() for run in runs] == [0, 0, 0]
    assert len(list(tmp_path.glob("smelt-*"))) == 1
    assert len(Workspace(tmp_path).ledger()) == 3


def test_default_root_is_asked_checkout_or_here(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "asked"))
    assert Workspace().root == tmp_path / "asked"
    monkeypatch.delenv(VARIABLE)
    assert default_root() == Path(__file__).parents[1] / "workspace"


def test_unwritable_place_is_said(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(WorkspaceError, match="cannot be made"):
        Workspace(blocked / "ws")


@settings(max_examples=30)
@given(st.dictionaries(st.text(min_size=1), st.integers()), st.lists(st.text()))
def test_key_depends_on_content_not_on_order_of_names(params, inputs):
    shuffled = dict(reversed(list(params.items())))
    assert content_key("a", inputs, params) == content_key("a", inputs, shuffled)
    assert content_key("a", inputs, params) != content_key("b", inputs, params)


def test_write_aside_keeps_the_old_file_on_failure(tmp_path):
    target = tmp_path / "model.bin"
    target.write_text("old")

    def fail() -> None:
        with write_aside(target) as aside:
            aside.write_text("new, half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.bin"]


def test_files_hash_sees_names_and_content(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_text("1")
    b.write_text("2")
    before = files_hash([tmp_path])
    assert before == files_hash([b, a])
    os.utime(a, (time.time(), 0))
    assert before == files_hash([tmp_path])
    a.rename(tmp_path / "c")
    assert before != files_hash([tmp_path])


def test_manifest_lists_every_file(tmp_path):
    artefact = Workspace(tmp_path).station("smelt", builder())
    manifest = json.loads((artefact.folder / MANIFEST).read_text())
    assert sorted(manifest["files"]) == ["bar.txt", "inner/core.txt"]


def test_folder_aside_replaces_whole_or_not_at_all(tmp_path):
    target = tmp_path / "model"
    for text in ("old", "new"):
        with folder_aside(target) as aside:
            (aside / text).write_text(text)
    assert [path.name for path in target.iterdir()] == ["new"]
    with pytest.raises(FileNotFoundError), folder_aside(target) as aside:
        shutil.copytree(target / "none", aside / "half")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "new"]
