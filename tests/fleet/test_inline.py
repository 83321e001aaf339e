"""The engine without a queue: what holds for the others where it makes sense, and errors at once."""

from datetime import UTC, datetime, timedelta

import pytest

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, engines, frames
from aifactory_lab.fleet.calls import ResumableCall
from aifactory_lab.fleet.dispatch import moment
from tests.fleet import work


@pytest.fixture
def fleet(tmp_path):
    return Fleet("inline", folder=tmp_path)


def test_a_job_runs_at_once_and_leaves_its_files(fleet):
    job = fleet.submit(work.say, "here", gpus=2, project="vision", name="words")
    assert (job.result(), job.state, job.logs()) == ("here", "COMPLETED", "here\n")
    assert list(job.logs(follow=True)) == ["here"]
    again = fleet.attach(job.id)
    assert (again.result(), again.order.gpus, repr(again)) == ("here", 2, f"Job({job.id!r}, 'words')")


def test_errors_are_results(fleet):
    job = fleet.submit(work.boom, "five")
    with pytest.raises(FleetError, match="ValueError: five is wrong"):
        job.result()
    assert "five is wrong" in job.logs()
    assert fleet.wait([job]) == ["FAILED"]


def test_frames_tell_what_ran(fleet):
    for project in ("vision", "nlp"):
        fleet.map(work.add, [1, 2], project=project)
    told = fleet.jobs()
    assert dict(told.schema) == frames.JOBS
    assert (len(told), set(told["state"]), set(told["kind"])) == (4, {"COMPLETED"}, {"map"})
    used = fleet.usage("1h")
    assert dict(used.schema) == frames.USAGE
    assert used["jobs"].to_list() == [2, 2]
    assert fleet.jobs(since=datetime.now(UTC) + timedelta(hours=1)).is_empty()
    assert fleet.nodes().is_empty()
    assert fleet.projects().is_empty()


def test_a_call_that_can_resume_hands_over_what_is_left(tmp_path):
    call = ResumableCall(work.Steps(str(tmp_path / "steps"), 3, 0.0), (), {})
    assert call() == 3
    assert call.checkpoint().function() == 3
    assert (tmp_path / "steps").read_text() == "0\n1\n2\n"


@pytest.mark.parametrize(
    ("engine", "says"), [("kubernetes", "unknown engine 'kubernetes'; it must be one of auto, slurm")]
)
def test_an_unknown_engine_is_named(engine, says):
    with pytest.raises(FleetError, match=says):
        engines.choose(engine)


@pytest.mark.parametrize("wrong", ["", "7", "d", "seven days", "1w", "1e999d"])
def test_a_span_that_is_none_is_named(wrong):
    with pytest.raises(FleetError, match="is not a span of time"):
        moment(wrong)


def test_spans_and_moments():
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert moment("90m", now) == now - timedelta(minutes=90)
    assert moment(timedelta(days=1), now) == datetime(2026, 1, 1, tzinfo=UTC)
    assert moment(now) == now


def test_two_nodes_are_too_many(fleet):
    with pytest.raises(FleetError, match="one node, not 2"):
        fleet.submit(work.add, 1, nodes=2)
    with pytest.raises(FleetError, match="at_most must be 1 or more"):
        fleet.map(work.add, [1], at_most=0)
