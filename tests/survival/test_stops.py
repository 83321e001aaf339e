"""Stopped, crowded, full, read-only, foreign: what a run says then, and that nothing is lost or left by it."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aifactory_lab.errors import WorkspaceError
from aifactory_lab.line import turns
from aifactory_lab.measure import Meter
from aifactory_lab.workspace import LEDGER, Workspace, scratch
from tests.survival import killing

STOPPED = """
import sys, time
import typer
from aifactory_lab import terminal
from aifactory_lab.serve import processes

CHILD = "import sys, json; print(json.dumps(dict(url='here')), flush=True); sys.stdin.read()"
app = typer.Typer()

@app.command()
def run():
    with terminal.stoppable("finished stations are kept"):
        process, _ = processes.spawn([sys.executable, "-c", CHILD])
        try:
            print("at work", flush=True)
            time.sleep(60)
        finally:
            processes.end(process)
            print("tidied", flush=True)

app()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_run_in_order_and_its_servers_with_it(tmp_path, number):
    with killing.start([sys.executable, "-c", STOPPED], tmp_path) as process:
        assert process.stdout.readline() == "at work\n"
        process.send_signal(number)
        said = process.stdout.read()
    assert process.returncode == 128 + number
    assert "tidied" in said
    assert "aifactory: stopped; finished stations are kept" in said
    assert "Traceback" not in said
    assert killing.left(tmp_path) == []


HOLDS = """
import sys, time
from pathlib import Path
from aifactory_lab.line import turns
with turns.alone(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_run_waits_with_words_and_goes_on_when_the_first_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.05)
    holder = killing.start([sys.executable, "-c", HOLDS, str(tmp_path)], tmp_path)
    assert holder.stdout.readline() == "held\n"
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        holder.kill()  # not before it was waited for

    with turns.alone(tmp_path, say):
        assert holder.wait() == -signal.SIGKILL
    holder.stdout.close()
    assert len(said) == 1
    assert f"process {holder.pid} runs in {tmp_path} at this moment: waiting" in said[0]
    with turns.alone(tmp_path, say):
        assert len(said) == 1, "nobody holds it: nothing is said"


def bars(folder: Path, size: int = 10):
    with Meter("smelt", unit="bars") as meter:
        (folder / "bar.bin").write_bytes(bytes(size))
        meter.count(1)
    return meter.report


FULL = """
import resource, sys
from pathlib import Path
from aifactory_lab.errors import WorkspaceError
from aifactory_lab.workspace import Workspace
from tests.survival.test_stops import bars
workspace = Workspace(sys.argv[1])
workspace.station("small", bars)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    workspace.station("large", lambda folder: bars(folder, 1_000_000))
except WorkspaceError as error:
    print(error)
"""


def test_a_station_that_cannot_write_says_so_and_the_finished_ones_are_kept(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=killing.ROOT, check=True)
    assert "could not write" in done.stdout
    assert "File too large" in done.stdout
    assert f"free space on {tmp_path}, then run again: finished stations are kept" in done.stdout
    assert [path.name.partition("-")[0] for path in tmp_path.iterdir() if path.is_dir()] == ["small"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY, "only the child was limited"


def test_a_workspace_that_cannot_be_written_is_refused_before_anything_is_computed():
    with pytest.raises(WorkspaceError, match="cannot be used") as refused, turns.alone(Path("/proc/self/net"), print):
        pass
    assert refused.value.mend == "aifactory run --workspace A_FOLDER_THAT_CAN_BE_WRITTEN"


def test_a_workspace_of_other_times_with_foreign_files_is_used_and_they_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "smelt-0123456789ab").mkdir()  # an artefact of other code: another key
    (tmp_path / LEDGER).write_text('{"station": "old"}\n\x00\x01 not a line\n[1, 2]\n')
    artefact = Workspace(tmp_path).station("smelt", bars)
    assert not artefact.reused
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "smelt-0123456789ab").is_dir()
    assert [line["station"] for line in Workspace(tmp_path).ledger()] == ["old", "smelt"]


def test_checkpoints_outlive_a_kill_and_go_when_the_artefact_is_whole(tmp_path):
    met: list[Path] = []

    def killed(folder: Path):
        met.append(scratch(folder))
        (met[-1] / "half").write_text("half a model")
        raise KeyboardInterrupt

    def whole(folder: Path):
        met.append(scratch(folder))
        assert (met[-1] / "half").read_text() == "half a model"
        return bars(folder)

    workspace = Workspace(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        workspace.station("smelt", killed)
    assert not workspace.station("smelt", whole).reused
    assert met[0] == met[1]
    assert not met[1].exists()


def test_checkpoints_to_which_nobody_came_back_are_forgotten_after_a_month(tmp_path):
    old, young = tmp_path / ".scratch-train-0123", tmp_path / ".scratch-train-4567"
    for folder in (old, young):
        folder.mkdir()
        (folder / "state").write_text("half")
    past = time.time() - 40 * 86_400
    for path in (old / "state", old):
        os.utime(path, (past, past))
    Workspace(tmp_path)
    assert (old.exists(), young.exists()) == (False, True)


def test_fragments_of_an_earlier_process_of_the_same_number_are_swept(tmp_path):
    """In a container every run has the number of the one before."""
    earlier, mine = (tmp_path / f".train-{n}.partial-1-{os.getpid()}" for n in (1, 2))
    for folder in (earlier, mine):
        folder.mkdir()
    past = time.time() - 7 * 86_400
    os.utime(earlier, (past, past))
    Workspace(tmp_path)
    assert (earlier.exists(), mine.exists()) == (False, True)


def test_a_visit_is_in_the_ledger_as_it_was(tmp_path):
    Workspace(tmp_path).station("smelt", bars)
    line = json.loads((tmp_path / LEDGER).read_text())
    assert (line["station"], line["made"], line["reused"]) == ("smelt", 1, False)
