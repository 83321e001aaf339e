"""The plant's benchmark works: its parts measure what they say, in seconds; what they found is not asserted."""

import json
import os
import re
import shutil

import pytest

from aifactory_lab.telemetry.packets import Packer
from aifactory_lab.telemetry.readings import Snapshot
from tests.benchmarks.__main__ import ORDER
from tests.benchmarks.harness import Case, run
from tests.benchmarks.plant import boards, day, environment, meters, sampling
from tests.benchmarks.plant.driven import Driven, Script, Viewer
from tests.benchmarks.plant.kernel import LiveFigure
from tests.benchmarks.plant.page import HOOK, cpu_seconds

needs_compiler = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("cc")), reason="no C compiler here")


@pytest.fixture(autouse=True)
def no_peers(monkeypatch):
    """A test installs nothing: the peers are not there."""
    monkeypatch.setattr(environment, "versions", dict)


def test_make_bench_knows_the_plant():
    assert "plant" in ORDER


@needs_compiler
def test_ours_read_the_same_gpus_alone_and_as_a_whole_tick(tmp_path):
    with sampling.stand_in(tmp_path, 3):
        found = [run(case)["result"] for case in sampling.contestants(3, seconds=0, least=2)]
    assert [one["busy"] for one in found] == [0 + 1 + 2] * 2
    assert [one["samples"] for one in found] == [2, 2]
    assert found[0]["readings"] > 15


def test_contestants_that_read_different_gpus_are_not_compared():
    with pytest.raises(AssertionError, match="different GPUs"):
        sampling._agree({"one": [{"busy": 1.0}], "other": [{"busy": 2.0}]})


@needs_compiler
def test_without_the_peers_rows_say_so(monkeypatch):
    ours = {"readings": 21, "samples": 3, "cpu_ms": 1.0, "mean_cpu_ms": 1.0, "wall_ms": 1.0, "busy": 28.0}
    monkeypatch.setattr(sampling, "run", lambda _: {"result": ours})
    rows = sampling.rows_of(8, quick=True)
    assert [row["contestant"] for row in rows[:2]] == [case.name for case in sampling.cases()[:2]]
    assert all(row["contestant"].endswith("not installed") for row in rows[2:])
    assert len(rows) == 7
    assert sampling.said(rows) == ["The peers are not installed: make bench-peers."]


@needs_compiler
def test_a_minute_of_a_day_is_lived_and_recorded(tmp_path):
    with sampling.stand_in(tmp_path, 2):
        done = run(Case("day", day.TARGET, {"hours": 1 / 60, "recorded": True}))
    result = done["result"]
    assert result["recorded"] == 60
    assert result["packed"] >= 60 * 2 * 5
    assert result["file"] > 0


def test_what_measuring_costs_is_measured():
    found = meters.costs(1)
    assert meters.PLAIN not in found
    assert all(wall > 0 for name, (wall, _) in found.items() if name != meters.METERED)


def test_a_script_drives_our_board_and_the_figure_alike():
    with Driven(Script(10)) as sampler:
        viewer, figure = Viewer(sampler), LiveFigure(10)
        sampler.subscribe(figure.see)
        snapshots = [sampler.tick() for _ in range(3)]
    assert viewer.packed == 3 * viewer.feed.packer.bytes_per_tick
    assert list(figure.widget.data[0].x) == [snapshot.time for snapshot in snapshots]
    assert figure.widget.data[-1].z.shape == (4, 4)
    assert figure.widget.data[-1].z[0, 3] == pytest.approx(snapshots[-1].column("busy")[3])


def test_the_page_reads_the_time_of_a_sample_off_the_message():
    script = Script(8, clock=lambda: 1_780_000_000.25)
    message, _ = Packer(script.layout).tick(Snapshot.blank(script.layout, time=1_780_000_000.25), feed=0)
    pattern = re.search(r"const found = /(.*?)/\.exec", HOOK.read_text())[1]
    assert float(re.search(pattern, json.dumps({"content": message}))[1]) == 1_780_000_000.25


def test_boards_are_summed_up_and_told_against_the_aims():
    turn = {"down": 4_800.0, "up": 40.0, "frames": 1.0, "kernel": 0.0015, "browser": 0.03, "share": 1.0}
    turn |= {
        "heap": 2e7,
        "loaded": 1e7,
        "s_to_first": 4.0,
        "ages": {"drawn": [4.0, 6.0], "shown": [8.0, 9.0], "arrived": []},
    }
    rows = [boards.row(name, boards.AIMED_GPUS, [turn, turn]) for name in boards.CONTESTANTS]
    assert (rows[0]["updates"], rows[0]["ms to drawn"], rows[0]["kernel CPU ms"]) == (4, 5.0, 1.5)
    assert "MISSED" not in boards.said(rows)[0]
    assert "bytes down 1.0" in boards.said(rows)[1]


def test_another_process_tells_its_cpu_time():
    assert cpu_seconds(os.getpid()) > 0
    assert cpu_seconds(2**22 + 1) == 0.0
