"""The board of a fleet: live while a cell computes, bounded at any size, and honest about what is not there."""

import threading

import pytest

from aifactory_lab.errors import FactoryError
from aifactory_lab.fleet import Fleet, folders
from aifactory_lab.fleet import source as room
from aifactory_lab.fleet.rendezvous import Rendezvous
from aifactory_lab.fleet.source import FleetSource
from aifactory_lab.telemetry import watch
from aifactory_lab.widgets import FleetBoard, MissionControl
from tests.fleet.scripted import Scripted, busy_plant, job
from tests.widgets.conftest import until
from tests.widgets.page import opened


@pytest.fixture(autouse=True)
def apart(monkeypatch, tmp_path):
    """Folders of our own: nobody else's fleet, and an engine that is asked as often as it likes."""
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv(folders.VARIABLE, str(tmp_path / "fleet"))
    for name in ("SLURM_CONF", "AIFACTORY_SLURM_CONF"):  # another test's
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(room, "REST", 0.0)
    monkeypatch.setattr(FleetSource, "period", 0.2)


def told(board) -> dict:
    """The newest that the page was told of the fleet."""
    return next((m["content"]["jobs"] for m in reversed(board.comm.published) if "jobs" in m["content"]), {})


def packets(board) -> list:
    """All that was sent to a page, in order."""
    return [(one["content"], one["buffers"]) for one in board.comm.published]


def test_jobs_appear_on_the_board_while_the_main_thread_goes_on(tmp_path):
    fleet = Fleet("inline", folder=tmp_path)
    board = FleetBoard(fleet)
    assert repr(board) == "FleetBoard(inline)"
    board.comm.say(k="hello")
    until(lambda: told(board).get("engine", {}).get("name") == "inline")
    assert told(board)["totals"]["ended"] == 0
    fleet.submit(abs, -1, name="first", project="vision")
    until(lambda: told(board)["totals"]["ended"] == 1)
    assert told(board)["queue"]["ended"][0]["name"] == "first"
    board.close()


def test_one_thread_asks_for_all_boards_and_nothing_is_sent_twice(tmp_path):
    engine = busy_plant(tmp_path)
    before = threading.active_count()
    one, two = FleetBoard(engine), FleetBoard(engine, name="another")
    assert threading.active_count() == before + 1
    for board in (one, two):
        board.comm.say(k="hello")
        until(lambda board=board: told(board))
    until(lambda: len(one.comm.messages("tick")) > 8)
    times = sum(bool(m["content"].get("jobs")) for m in one.comm.published)
    assert times == 1, "a fleet that stands still is told of once"
    one.close()
    two.close()
    assert threading.active_count() == before


def test_a_board_takes_a_fleet_an_engine_a_source_or_a_sampler(tmp_path):
    engine = busy_plant(tmp_path)
    for given in (Fleet("inline", folder=tmp_path), engine, FleetSource(engine), watch(FleetSource(engine))):
        board = FleetBoard(given)
        assert repr(board) in ("FleetBoard(inline)", "FleetBoard(slurm)")
        board.close()


def test_what_is_no_fleet_is_refused_and_a_board_without_one_waits_for_it():
    with pytest.raises(FactoryError, match="7 is neither a fleet nor an engine"):
        FleetBoard(7)
    with pytest.raises(FactoryError, match="FleetBoard knows no keyword wheels"):
        FleetBoard(wheels=4)
    board = FleetBoard()
    assert repr(board) == "FleetBoard(this user's fleet)"
    with pytest.raises(FactoryError, match="no fleet on this machine yet"):
        board.snapshot()
    board.close()


def test_a_snapshot_is_the_timeline(tmp_path):
    board = FleetBoard(busy_plant(tmp_path))
    assert {trace.name for trace in board.snapshot().data} == {"vision", "nlp"}
    board.close()


def test_a_scheduler_that_falls_silent_is_said_and_the_picture_stays(tmp_path):
    engine = busy_plant(tmp_path)
    board = FleetBoard(engine)
    board.comm.say(k="hello")
    until(lambda: told(board))
    engine.silent = "slurmctld does not answer"
    until(
        lambda: any(
            "slurmctld does not answer" in str(m.get("notes", m.get("error"))) for m in board.comm.messages("tick")
        )
    )
    assert told(board)["totals"]["running"] == 3
    board.close()


def test_mission_control_has_a_lane_for_the_fleet_once_there_is_one(tmp_path):
    board = MissionControl(host=False)
    board.comm.say(k="hello")
    until(lambda: board.comm.messages("extras"))
    assert told(board) == {}
    (tmp_path / "fleet" / "jobs" / "workstation").mkdir(parents=True)
    until(lambda: told(board), seconds=30)
    assert "sleeps" in told(board)["absent"]["reason"], "to look starts no engine"
    board.close()
    board = MissionControl(host=False, fleet=busy_plant(tmp_path))
    board.comm.say(k="hello")
    until(lambda: told(board).get("totals"))
    board.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(480, "dark"), (1300, "light")])
def test_a_page_shows_who_uses_who_borrows_and_why_jobs_wait(browser, tmp_path, width, scheme):
    board = FleetBoard(busy_plant(tmp_path))
    board.comm.say(k="hello")
    until(lambda: told(board))
    with opened(browser, tmp_path, ["jobs"], title="Fleet", width=width, scheme=scheme) as page:
        page.deliver(packets(board))
        page.painted()
        assert page.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        words = page.text(".af-jobs")
        for part in ("slurm", "pretend GPUs", "for this test", "501", "ask for 1,004 GPUs", "6 of 4", "2 borrowed"):
            assert part in words
        for part in ("501 waiting", "waits again", "vision uses all of its 4 GPUs, and nlp borrows 2", "QOSGrpGRES"):
            assert part in words
        assert "and 441 more jobs" in words
        assert page.tab.locator(".af-cell").count() == 8
        assert page.tab.locator(".af-cell.af-borrowed").count() == 2
        gang = page.tab.locator(".af-run[data-job='1']")
        assert gang.count() == 2, "a block on each of its nodes"
        page.tab.get_by_role("button", name="2 ended").click()
        page.painted()
        assert "failed" in page.text(".af-queue")
        assert "exit 1" in page.text(".af-queue")
        page.tab.locator(".af-cell").first.click()
        page.painted()
        assert page.tab.locator(".af-cell.af-picked").count() == 4, "all GPUs of the gang stand out"
        page.tab.get_by_role("button", name="by job").click()
        page.painted()
        assert page.tab.locator(".af-run").count() == 5
    board.close()


@pytest.mark.browser
def test_a_page_says_limits_pauses_and_draws_a_thousand_gpus_and_none(browser, tmp_path):
    nodes = [
        {"node": f"n{n}", "state": "down" if n == 7 else "idle", "gpus": 8, "used": 0, "jobs": []} for n in range(128)
    ]
    wait = [job(n, "PENDING", project=f"project-with-a-name-of-some-length-{n}", gpus=8) for n in range(500)]
    engine = Scripted(tmp_path, jobs=wait, nodes=nodes)
    engine.limits = "no <b>quota</b> here"
    board = FleetBoard(engine)
    with opened(browser, tmp_path, ["jobs"], title="Fleet", width=900) as page:
        page.deliver([({"k": "extras", "absent": [], "jobs": {}}, [])])
        assert "fleet.Fleet().submit(train, gpus=1)" in page.text(".af-absent:visible")
        board.comm.say(k="hello")
        until(lambda: told(board))
        page.deliver(packets(board))
        page.painted()
        assert page.tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        assert "Limits: no <b>quota</b> here" in page.text(".af-limits")
        assert page.tab.locator(".af-cell").count() == 1024
        assert "down or drained" in page.text(".af-legend:visible >> nth=-1")
        assert page.tab.locator(".af-queue tbody tr").count() == 60
        page.tab.get_by_role("button", name="Pause").click()
        engine.rows["jobs"] = engine.rows["nodes"] = []
        until(lambda: told(board)["totals"]["gpus"] == 0)
        page.deliver(packets(board)[-6:])
        assert "of 1,024 on 128 nodes" in page.text(".af-tiles")
        page.tab.get_by_role("button", name="Resume").click()
        page.painted()
        words = page.text(".af-jobs")
        for part in (
            "no GPUs are counted",
            "This engine counts no nodes.",
            "No job ran in the last 5 min",
            "No job has ended",
        ):
            assert part in words
    board.close()


@pytest.mark.browser
def test_the_dashboard_of_a_gang_that_runs_is_linked(browser, tmp_path):
    Rendezvous(tmp_path / "1_gang" / "0", 0, 1).come()
    Rendezvous(tmp_path / "1_gang" / "0", 0, 1).announce("tcp://127.0.0.1:1", "http://127.0.0.1:8787/status")
    board = FleetBoard(busy_plant(tmp_path))
    board.comm.say(k="hello")
    until(lambda: told(board))
    with opened(browser, tmp_path, ["jobs"], width=1000) as page:
        page.deliver(packets(board))
        page.painted()
        link = page.tab.get_by_role("link", name="Dask dashboard of pretrain")
        assert link.get_attribute("href") == "http://127.0.0.1:8787/status"
    board.close()


@pytest.mark.browser
def test_the_lane_of_mission_control_is_there_only_with_a_fleet(browser, tmp_path):
    board = FleetBoard(busy_plant(tmp_path))
    board.comm.say(k="hello")
    until(lambda: told(board))
    with opened(browser, tmp_path, ["gpus", "jobs", "health"], width=1200) as page:
        page.deliver([({"k": "extras", "absent": [], "jobs": {}}, [])])
        assert page.tab.locator("section[aria-label='jobs and quota']").is_hidden()
        page.deliver(packets(board))
        page.painted()
        assert page.tab.get_by_role("heading", name="Jobs and quota").is_visible()
    board.close()
