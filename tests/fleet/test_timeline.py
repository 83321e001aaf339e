"""When which job ran: spans from frames seen one after another, across preemption and silence."""

from datetime import UTC, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.fleet import frames
from aifactory_lab.fleet.timeline import KEEP_SECONDS, MOST_SPANS, Timeline, spans
from tests.fleet.scripted import job


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def jobs(*rows):
    return frames.frame(frames.JOBS, rows)


def run(number, started, state="RUNNING", ended=None, **more):
    times = {"started": at(started) if started else None, "ended": at(ended) if ended else None}
    return job(number, state) | times | more


def told(seen):
    return [(span.job, span.start, span.end, span.state) for span in seen.spans()]


def test_a_preempted_job_has_a_span_for_each_attempt_with_the_wait_between():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0, devices=["n1:0"], borrowed=True)), now=110.0)
    seen.observe(jobs(run(1, 100.0, "REQUEUED")), now=130.0)
    seen.observe(jobs(run(1, None, "REQUEUED")), now=150.0)
    seen.observe(jobs(run(1, 160.0, devices=["n2:3"])), now=162.0)
    seen.observe(jobs(run(1, 160.0, "COMPLETED", 200.0)), now=210.0)
    assert told(seen) == [("1", 100.0, 130.0, "REQUEUED"), ("1", 160.0, 200.0, "COMPLETED")]
    first, second = seen.spans()
    assert (first.devices, first.borrowed) == (("n1:0",), True)
    assert second.devices == ("n2:3",), "what a job had is kept when it has ended"


def test_a_requeue_between_two_looks_ends_the_first_span_where_the_second_begins():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0)), now=110.0)
    seen.observe(jobs(run(1, 160.0)), now=170.0)
    assert told(seen) == [("1", 100.0, 160.0, "REQUEUED"), ("1", 160.0, None, "RUNNING")]


def test_a_job_that_waits_again_and_has_lost_its_start_has_an_end():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0)), now=110.0)
    seen.observe(jobs(run(1, None, "REQUEUED")), now=130.0)
    assert told(seen) == [("1", 100.0, 130.0, "REQUEUED")]


def test_a_preemption_that_is_seen_late_ends_where_the_next_job_on_its_gpu_begins():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0, devices=["n1:0", "n1:1"]), run(3, 100.0, devices=["n2:0"])), now=110.0)
    taker = run(2, 125.0, devices=["n1:1"])
    seen.observe(jobs(run(1, None, "REQUEUED"), run(3, None, "REQUEUED"), taker), now=130.0)
    assert told(seen) == [
        ("1", 100.0, 125.0, "REQUEUED"),
        ("3", 100.0, 130.0, "REQUEUED"),
        ("2", 125.0, None, "RUNNING"),
    ]


def test_two_tellings_of_one_start_are_one_span():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0)), now=110.0)
    seen.observe(jobs(run(1, 101.4)), now=112.0)
    assert told(seen) == [("1", 100.0, None, "RUNNING")]


def test_a_job_that_the_scheduler_forgot_has_an_end():
    seen = Timeline()
    seen.observe(jobs(run(1, 100.0)), now=110.0)
    seen.observe(jobs(), now=120.0)
    assert told(seen) == [("1", 100.0, 120.0, "REQUEUED")]


def test_what_never_started_has_no_span_and_what_is_old_is_forgotten():
    seen = Timeline()
    seen.observe(jobs(run(1, None, "PENDING"), run(2, 100.0, "COMPLETED", 200.0)), now=210.0)
    assert told(seen) == [("2", 100.0, 200.0, "COMPLETED")]
    seen.observe(jobs(), now=210.0 + KEEP_SECONDS)
    assert told(seen) == []


def test_only_the_newest_are_drawn():
    rows = [run(n, 1000.0 + n, "COMPLETED", 5000.0) for n in range(MOST_SPANS + 50)]
    drawn = spans(jobs(*rows), now=6000.0)
    assert len(drawn) == MOST_SPANS
    assert drawn[-1].job == str(MOST_SPANS + 49)


@given(st.lists(st.sampled_from(["RUNNING", "REQUEUED", "again"]), max_size=20))
def test_spans_of_a_job_never_overlap_and_only_the_last_is_open(story):
    seen, started, now = Timeline(), 100.0, 105.0
    for word in story:
        now += 10.0
        started = now - 4.0 if word == "again" else started
        seen.observe(jobs(run(1, started, "RUNNING" if word == "again" else word)), now=now)
    found = seen.spans()
    for one, after in pairwise(found):
        assert one.end is not None
        assert one.start <= one.end <= after.start
