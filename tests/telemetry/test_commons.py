"""Many processes, one sampler: real processes, killed, stopped and late; damaged files; folders of others."""

import multiprocessing
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.readings import State
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sharing.commons import Shared
from aifactory_lab.telemetry.sharing.election import Lock, runtime_folder
from tests.telemetry.driver import CALLS
from tests.telemetry.viewer import PERIOD, Scripted, lines, watch

SPAWN = multiprocessing.get_context("spawn")


def until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.01)
    return found


@contextmanager
def viewers(folder, names, **options):
    processes = {name: SPAWN.Process(target=partial(watch, folder, name, **options), daemon=True) for name in names}
    try:
        for process in processes.values():
            process.start()
        yield processes
    finally:
        (folder / "stop").touch()
        for process in processes.values():
            process.join(5)
            process.kill()
            process.join(5)


def seen(folder, name):
    """(time, value) of every sample that a viewer saw."""
    return [tuple(map(float, line.split())) for line in lines(folder / f"seen-{name}")]


def shared(folder, **options):
    return Shared(Scripted(folder, **options), folder / "run")


def has(sampler, state):
    return sampler.latest is not None and (sampler.latest.states == state).any()


def ring_file(folder):
    return next((folder / "run").glob("*.ring"))


def test_of_three_processes_one_reads_and_all_see_the_same(tmp_path):
    with viewers(tmp_path, "abc") as processes:
        until(lambda: all(len(seen(tmp_path, name)) >= 12 for name in "abc"))
        readers, opened = set(lines(tmp_path / "read")), lines(tmp_path / "opened")
        samples = {name: seen(tmp_path, name) for name in "cba"}
        until(lambda: len(seen(tmp_path, "c")) > len(samples["c"]) + 2)
        leader = next(name for name, process in processes.items() if readers == {str(process.pid)})
        told = seen(tmp_path, leader)
    assert len(opened) == 1
    for name in "abc":
        assert len(set(samples[name])) == len(samples[name]), "no sample twice"
        others = [sample for sample in samples[name] if sample[0] >= told[0][0]]
        assert set(others) <= set(told), "identical, to the last bit"
        assert len(others) > 5


def test_when_the_leader_is_killed_another_takes_over(tmp_path):
    with viewers(tmp_path, "abc") as processes:
        until(lambda: all(len(seen(tmp_path, name)) >= 3 for name in "abc"))
        leader = Lock(next((tmp_path / "run").glob("*.lock"))).holder
        dead = next(name for name, process in processes.items() if process.pid == leader)
        os.kill(leader, signal.SIGKILL)
        until(lambda: len(set(lines(tmp_path / "read"))) == 2)
        before = {name: len(seen(tmp_path, name)) for name in processes}
        living = [name for name in processes if name != dead]
        until(lambda: all(len(seen(tmp_path, name)) >= before[name] + 5 for name in living))
        assert len(lines(tmp_path / "opened")) == 2
        values = [value for name in living for _, value in seen(tmp_path, name)]
        assert not np.isnan(values).any(), "nobody saw anything lost"


def test_a_stopped_leader_lets_time_stand_still(tmp_path):
    with viewers(tmp_path, "a"):
        until(lambda: seen(tmp_path, "a"))
        with Sampler(shared(tmp_path), period=PERIOD) as sampler:
            leader = sampler.source.leader
            os.kill(leader, signal.SIGSTOP)
            try:
                until(lambda: has(sampler, State.STALE))
                assert not sampler.source.leads
                assert not has(sampler, State.VALUE)
                assert (np.diff(sampler.ring.history().times) > 0).all(), "nothing was made up meanwhile"
            finally:
                os.kill(leader, signal.SIGCONT)
            until(lambda: has(sampler, State.VALUE))
            assert set(lines(tmp_path / "read")) == {str(leader)}


def test_a_forked_child_of_a_dead_leader_does_not_lead(tmp_path):
    with viewers(tmp_path, "a", fork=True) as processes:
        until(lambda: seen(tmp_path, "a"))
        with shared(tmp_path) as source:
            assert not source.leads
            source.sample()
            os.kill(processes["a"].pid, signal.SIGKILL)
            until(lambda: source.sample() and source.leads)


def test_who_comes_late_has_the_minutes_before(tmp_path):
    with shared(tmp_path) as first:
        values = [first.sample().values[0, 0] for _ in range(20)]
        with Sampler(shared(tmp_path), period=0.01) as late:
            until(lambda: late.cost.samples >= 3)
            assert late.ring.history().metric("busy")[:, 0].tolist() == values
    # everybody went; a page that is opened again finds what was
    with Sampler(shared(tmp_path), period=60) as again:
        again.first()
        assert again.ring.history().metric("busy")[:, 0].tolist() == [*values, 21.0]


def test_what_is_older_than_ten_minutes_is_not_told(tmp_path):
    with shared(tmp_path) as first:
        first.sample()
        old = first.source.sample()
        first._ring.append(type(old)(old.time - 3600, old.layout, old.values, old.states))
        first.sample()
        assert (np.diff(first.backlog().times) >= 0).all()


def test_another_layout_replaces_the_file_and_keeps_the_history_of_what_stays(tmp_path):
    with shared(tmp_path) as leader, shared(tmp_path) as follower:
        values = [leader.sample().values[0, 0] for _ in range(5)]
        before = follower.sample().layout
        assert follower.sample() is follower.sample(), "nothing new"
        leader.source.entities = 3
        assert leader.sample().layout.shape == (3, 2)
        found = follower.sample()
        assert found.layout.shape == (3, 2)
        history = leader.backlog()
        assert history.metric("busy")[:5, 0].tolist() == values
        assert np.isnan(history.metric("busy")[:5, 2]).all()
        leader.source.entities = 2
        leader.sample()
        assert follower.sample().layout == before


def test_no_entities_are_a_layout_too(tmp_path):
    with shared(tmp_path, entities=0) as leader, shared(tmp_path, entities=0) as follower:
        leader.sample()
        assert follower.sample().layout.shape == (0, 2)


def test_a_damaged_sample_is_not_believed_and_the_next_is(tmp_path):
    with shared(tmp_path) as leader, shared(tmp_path) as follower:
        leader.sample()
        data = ring_file(tmp_path).read_bytes()
        with ring_file(tmp_path).open("rb+") as stream:
            stream.seek(4096)
            stream.write(bytes(len(data) - 4096))
        leader.sample()
        with ring_file(tmp_path).open("rb+") as stream:
            stream.seek(4096)
            stream.write(bytes(len(data) - 4096))
        with pytest.raises(TelemetryError, match="is damaged"):
            follower.sample()
        told = leader.sample()
        assert follower.sample().values.tolist()[0][0] == told.values[0, 0]
        assert len(leader.backlog()) == 1


@pytest.mark.parametrize("text", [b"", b"nonsense" * 600, b"aifring\x01" + bytes(5000)])
def test_a_file_that_is_no_ring_is_replaced(tmp_path, text):
    with shared(tmp_path) as leader, shared(tmp_path) as follower:
        leader.sample()
        before = follower.sample().layout
        other = tmp_path / "other"
        other.write_bytes(text)
        other.replace(ring_file(tmp_path))
        with pytest.raises(TelemetryError, match=f"process {os.getpid()} reads"):
            follower.sample()
        told = leader.sample()
        assert np.array_equal(follower.sample().values, told.values, equal_nan=True)
        assert follower.sample().layout is before
        assert len(leader.backlog()) > 1, "the leader still had the file that was replaced"
    ring_file(tmp_path).write_bytes(text)
    with shared(tmp_path) as again:
        assert len(again.backlog()) == 0


def test_nothing_from_before_a_boot_is_believed(tmp_path):
    with shared(tmp_path) as leader:
        for _ in range(5):
            leader.sample()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip().encode()
    data = ring_file(tmp_path).read_bytes()
    assert boot in data
    ring_file(tmp_path).write_bytes(data.replace(boot, b"0" * len(boot)))
    with shared(tmp_path) as again:
        assert len(again.backlog()) == 0


def test_a_removed_folder_of_files_is_written_again(tmp_path):
    with shared(tmp_path) as leader:
        leader.sample()
        for path in (tmp_path / "run").iterdir():
            path.unlink()
        with shared(tmp_path) as usurper:
            assert usurper.leads
            assert not leader.leads
            told = usurper.sample()
            assert leader.sample().time == told.time, "the first leader follows"
        assert leader.sample().time > told.time
        assert leader.leads


def test_a_folder_that_is_gone_costs_no_reading_and_no_history(tmp_path, monkeypatch):
    session = tmp_path / "session"
    session.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(session))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Shared(Scripted(tmp_path)) as leader, Shared(Scripted(tmp_path)) as follower:
        values = [leader.sample().values[0, 0] for _ in range(5)]
        follower.sample()
        shutil.rmtree(session)  # as systemd does when the user logs out
        values.append(leader.sample().values[0, 0])
        assert leader.folder == follower.folder.parent.parent / f"aifactory_lab-{os.geteuid()}"
        assert follower.sample().values[0, 0] == values[-1]
        assert follower.folder == leader.folder
        assert leader.backlog().metric("busy")[:, 0].tolist() == values


def test_ten_viewers_cost_the_driver_what_one_does(driver, tmp_path):
    def calls():
        return {name: driver.calls(name) for name in CALLS}

    viewers = [Shared(NvmlSource(), tmp_path / "run") for _ in range(10)]
    leader, *followers = viewers
    driver.gpu(3).update(power_mw=321_000)
    assert leader.sample().column("power")[3] == 321.0
    before = calls()
    assert [viewer.sample().column("power")[3] for viewer in followers] == [321.0] * 9
    assert calls() == before, "nobody but the leader asks the driver"
    leader.sample()
    assert calls() != before
    for viewer in viewers:
        viewer.close()


def test_facts_travel(tmp_path):
    with shared(tmp_path) as leader, shared(tmp_path) as follower:
        assert follower.facts() == {}
        leader.sample()
        told = leader.facts()
        assert follower.facts() == told
        assert follower.facts() == {}, "once"


def test_an_error_of_the_source_is_told_to_all(tmp_path):
    class Broken(Scripted):
        broken = False

        def sample(self):
            if self.broken:
                msg = "the driver is gone"
                raise TelemetryError(msg)
            return super().sample()

    source = Broken(tmp_path)
    with Shared(source, tmp_path / "run") as leader, shared(tmp_path) as follower:
        leader.sample()
        source.broken = True
        with pytest.raises(TelemetryError, match="the driver is gone"):
            leader.sample()
        assert follower.sample().notes == ("the driver is gone",)
        assert (follower.sample().states == State.LOST).all()


def test_who_cannot_open_does_not_lead(tmp_path):
    class Closed(Scripted):
        def open(self):
            msg = "no driver"
            raise TelemetryError(msg)

    with pytest.raises(TelemetryError, match="no driver"):
        _ = Shared(Closed(tmp_path), tmp_path / "run").layout
    with shared(tmp_path) as source:
        assert source.leads


def test_a_leader_that_hangs_before_its_first_sample_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("aifactory_lab.telemetry.sharing.commons.OPEN_SECONDS", 0.1)
    monkeypatch.setattr("aifactory_lab.telemetry.sharing.commons.FIRST_SECONDS", 0.1)
    with shared(tmp_path) as leader, shared(tmp_path) as follower:
        with pytest.raises(TelemetryError, match=f"process {os.getpid()} reads .* has written nothing yet"):
            follower.sample()
        leader.sample()
        assert follower.sample() is not None
        ring_file(tmp_path).unlink()
        with pytest.raises(TelemetryError, match=rf"has not opened it in 0.1 s\n  mend: kill {os.getpid()}"):
            _ = shared(tmp_path).layout


def test_nothing_is_left_after_close(tmp_path):
    def held():
        files = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return [path for path in [*files, *lines(Path("/proc/self/maps"))] if str(tmp_path / "run") in path]

    first, second = shared(tmp_path), shared(tmp_path)
    with first, second:
        first.sample()
        second.sample()
        first.backlog()
        assert held()
    assert held() == []
    with pytest.raises(TelemetryError, match="is closed"):
        first.sample()
    first.close()
    assert sorted(path.suffix for path in (tmp_path / "run").iterdir()) == [".lock", ".ring"]


def test_a_cell_that_runs_again_goes_on(tmp_path):
    from aifactory_lab.telemetry import sampler

    first = sampler.watch(shared(tmp_path), period=0.01)
    until(lambda: len(first.ring) >= 5)
    second = sampler.watch(shared(tmp_path), period=0.01)
    try:
        until(lambda: second.source.leads)
        assert not first.running
        assert len(second.ring) >= 5
    finally:
        second.close()


def test_a_full_disk_is_said_in_words(tmp_path):
    code = (
        "import resource, sys; from pathlib import Path; from tests.telemetry.test_commons import shared\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "shared(Path(sys.argv[1])).layout"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert re.search(r"TelemetryError: cannot make .* with .* MB: File too large", done.stderr)


def foreign(tmp_path):
    if os.geteuid():
        return Path("/usr")
    folder = tmp_path / "foreign"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    return folder


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    with pytest.raises(TelemetryError, match="not a folder of yours"):
        Shared(Scripted(tmp_path), foreign(tmp_path))


def test_a_folder_that_others_can_enter_or_a_link_is_refused(tmp_path):
    wide = tmp_path / "wide"
    wide.mkdir()
    wide.chmod(0o770)
    with pytest.raises(TelemetryError, match=r"lets others in \(mode 770\)\n  mend: chmod 700"):
        Shared(Scripted(tmp_path), wide)
    wide.chmod(0o700)
    (tmp_path / "link").symlink_to(wide)
    with pytest.raises(TelemetryError, match="not a folder of yours"):
        Shared(Scripted(tmp_path), tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(TelemetryError, match="cannot use"):
        Shared(Scripted(tmp_path), tmp_path / "file")


def test_the_usual_folder_is_private(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_folder() == tmp_path / "aifactory_lab"
    assert stat.S_IMODE(runtime_folder().stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert runtime_folder() == tmp_path / f"aifactory_lab-{os.geteuid()}"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(foreign(tmp_path)))
    assert runtime_folder() == tmp_path / f"aifactory_lab-{os.geteuid()}"
