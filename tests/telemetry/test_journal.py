"""What stations do is told to listeners and files, and survives writers that are killed in a line."""

import json
import subprocess
import sys
import threading
from dataclasses import asdict

from aifactory_lab.measure import Meter, progress
from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.journal import Event
from aifactory_lab.workspace import Workspace


def test_a_meter_tells_its_beginning_progress_and_end(tmp_path):
    with journal.into(tmp_path / "events.jsonl"), Meter("etl", unit="rows") as meter:
        progress(40)
        meter.progress(2)  # within half a second of the last: counted, not told
        meter.count(42)
    events, _ = journal.read(tmp_path / "events.jsonl")
    assert [(event.kind, event.made) for event in events] == [("begin", 0), ("progress", 40), ("end", 42)]
    assert len({event.run for event in events}) == 1
    assert events[-1].seconds == meter.report.seconds


def test_a_journal_that_cannot_be_written_costs_no_work(tmp_path):
    with journal.into(tmp_path / "no" / "such" / "folder.jsonl"), Meter("etl", unit="rows") as meter:
        meter.count(42)
    assert meter.report.made == 42


def test_a_failed_block_is_told_as_failed():
    events = []
    end = journal.listen(events.append)
    try:
        with Meter("broken", unit="rows"):
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    end()
    assert [event.kind for event in events] == ["begin", "failed"]


def test_progress_goes_to_the_innermost_meter_and_to_none_outside():
    progress(1)
    events = []
    end = journal.listen(events.append)
    with Meter("outer"), Meter("inner"):
        progress(5)
    end()
    assert [event.station for event in events if event.kind == "progress"] == ["inner"]


def test_who_stops_listening_hears_nothing_more():
    events = []
    end = journal.listen(events.append)
    end()
    end()
    journal.publish(Event("begin", "etl", "1.1"))
    assert events == []


def test_a_workspace_writes_its_stations_down_and_says_what_it_reused(tmp_path):
    def build(folder):
        with Meter("smelt", unit="bars") as meter:
            (folder / "bar").write_text("steel")
            meter.count(3)
        return meter.report

    workspace = Workspace(tmp_path)
    workspace.station("smelt", build)
    workspace.station("smelt", build)
    events, _ = journal.read(tmp_path / journal.FILE)
    assert [(event.kind, event.made) for event in events] == [("begin", 0), ("end", 3), ("reused", 3)]


def test_reading_goes_on_where_it_stopped_and_waits_for_whole_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    assert journal.read(path) == ([], 0)
    journal.append(path, Event("begin", "etl", "1.1"))
    first, position = journal.read(path)
    assert len(first) == 1
    whole = json.dumps(asdict(Event("end", "etl", "1.1")))
    with path.open("a") as stream:
        stream.write(whole[:20])
    assert journal.read(path, position) == ([], position)
    with path.open("a") as stream:
        stream.write(whole[20:] + "\n")
    assert [event.kind for event in journal.read(path, position)[0]] == ["end"]


def test_a_line_torn_by_a_kill_costs_that_line_only(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind": "begin", "stat')
    journal.append(path, Event("begin", "train", "1.2"))
    path.write_bytes(path.read_bytes() + b'[1, 2]\n{"kind": 3}\n\xff\xfe\n')
    journal.append(path, Event("end", "train", "1.2"))
    assert [event.kind for event in journal.read(path)[0]] == ["begin", "end"]


def test_a_file_begun_anew_is_read_from_its_start(tmp_path):
    path = tmp_path / "events.jsonl"
    for _ in range(5):
        journal.append(path, Event("begin", "etl", "1.1"))
    _, position = journal.read(path)
    path.unlink()
    journal.append(path, Event("end", "etl", "1.1"))
    assert [event.kind for event in journal.read(path, position)[0]] == ["end"]


WRITER = """
import sys
from pathlib import Path
from aifactory_lab.telemetry.journal import Event, append
for number in range(200):
    append(Path(sys.argv[1]), Event("progress", "etl", f"{sys.argv[2]}.1", made=number))
"""


def test_processes_do_not_tear_each_others_lines(tmp_path):
    path = tmp_path / "events.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n)]) for n in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    events, _ = journal.read(path)
    assert len(events) == 600
    for number in range(3):
        assert [event.made for event in events if event.run == f"{number}.1"] == list(range(200))


def test_meters_in_threads_are_told_apart():
    events = []
    end = journal.listen(events.append)

    def work(name):
        with Meter(name):
            progress(1)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    end()
    assert {(event.station, event.made) for event in events if event.kind == "progress"} == {("a", 1), ("b", 1)}
