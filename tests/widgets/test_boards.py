"""The other boards: what they find by themselves, what they say when there is nothing, what they keep account of."""

import threading

import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.telemetry import Layout, Snapshot, Source, journal
from aifactory_lab.telemetry.sharing import announced
from aifactory_lab.widgets import FactoryFloor, GpuBoard, MissionControl, ThroughputBoard
from tests.widgets import plant
from tests.widgets.conftest import until


class Served(Source):
    """The scripted endpoints, on this machine."""

    key, period = "served", 0.05

    def __init__(self) -> None:
        self.second = 0

    def open(self) -> Layout:
        return plant.service_layout()

    def sample(self) -> Snapshot:
        self.second += 1
        return plant.service_snapshot(self.layout, float(self.second))


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """A workspace and an announcement folder of our own: nobody else's stations and endpoints."""
    monkeypatch.setenv("AIFACTORY_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setattr(announced, "_folder", lambda _folder: tmp_path)


@pytest.mark.parametrize("board", [GpuBoard, ThroughputBoard, FactoryFloor, MissionControl])
def test_a_board_finds_what_there_is_and_leaves_no_thread(board):
    before = threading.active_count()
    made = board()
    made.comm.say(k="hello")
    assert made.comm.messages("extras")
    assert repr(made) == repr(made)
    made.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("board", [GpuBoard, ThroughputBoard, FactoryFloor, MissionControl])
def test_unknown_keywords_are_refused(board):
    with pytest.raises(FactoryError, match=f"{board.__name__} knows no keyword wheels; there are: "):
        board(wheels=4)


def test_mission_control_says_what_is_not_here():
    board = MissionControl()
    board.comm.say(k="hello")
    (extras,) = board.comm.messages("extras")
    roles = {layout["role"] for layout in board.comm.messages("layout")}
    assert {"station", "host", "service"} <= roles
    absent = {one["role"] for one in extras["absent"]}
    assert ("gpu" in absent) != ("gpu" in roles)
    assert [one["station"] for one in extras["floor"]["flow"]][:2] == ["ingest", "etl"]
    assert extras["alerts"] == []
    board.close()


def test_mission_control_rings_and_counts_joules(scripted):
    source = scripted()
    board = MissionControl(source, host=False)
    board.comm.say(k="hello")
    until(lambda: any((m.get("output") or {}).get("joules") for m in board.comm.messages("tick")))
    source.fault = "fell off the bus"
    until(lambda: any(m.get("alerts") for m in board.comm.messages("tick")))
    alerts = next(m["alerts"] for m in reversed(board.comm.messages("tick")) if m.get("alerts"))
    assert {alert["severity"] for alert in alerts} == {"critical"}
    outputs = [m["output"] for m in board.comm.messages("tick") if m.get("output")]
    assert max(one["watts"] or 0 for one in outputs) > 8 * 140
    assert max(one["joules"] or 0 for one in outputs) > 0
    board.close()


def test_bands_come_once_and_again_when_a_station_begins():
    board = FactoryFloor()
    board.comm.say(k="hello")
    run = journal.new_run()
    journal.publish(journal.Event("begin", "etl", run=run, unit="rows"))
    until(
        lambda: any(
            b["station"] == "etl" and b["stop"] is None for m in board.comm.messages("tick") for b in m.get("bands", [])
        )
    )
    journal.publish(journal.Event("end", "etl", run=run, unit="rows", made=10, seconds=0.5))
    until(
        lambda: any(
            b["station"] == "etl" and b["stop"] for m in board.comm.messages("tick") for b in m.get("bands", [])
        )
    )
    board.close()


def test_throughput_of_sources_and_of_what_does_not_answer():
    board = ThroughputBoard([Served(), "http://127.0.0.1:9/metrics"], slo_ms=50, roofline={"rows_rate": 1e5})
    assert repr(board) == "ThroughputBoard(2 endpoints)"
    board.comm.say(k="hello")
    until(lambda: len({m["feed"] for m in board.comm.messages("tick")}) == 2, seconds=20)
    assert board.options == {"slo_ms": 50, "roofline": {"rows_rate": 1e5}}
    notes = [note for m in board.comm.messages("tick") if m["feed"] == 1 for note in m.get("notes", [])]
    assert any("127.0.0.1:9" in note for note in notes)
    board.close()


def test_an_address_that_is_none_is_told_and_the_others_go_on():
    board = ThroughputBoard([Served(), "gopher://old"])
    board.comm.say(k="hello")
    (extras,) = board.comm.messages("extras")
    assert "gopher" in extras["absent"][0]["reason"]
    until(lambda: board.comm.messages("tick"))
    board.close()


def test_snapshots_are_figures_that_stay():
    board = ThroughputBoard(Served())
    until(lambda: len(board.feeds[0].sampler.ring) > 3)
    names = {trace.name for trace in board.snapshot().data}
    assert names == {"predictions", "tokens"}
    board.close()
    floor = FactoryFloor()
    assert floor.snapshot().layout.title.text == "The factory floor"
    floor.close()
    mission = MissionControl(host=False)
    assert mission.snapshot().layout.title.text == "The plant"
    mission.close()
