"""What Slurm's commands answer, read from what a real one answered."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.fleet import frames
from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm import commands, history, listing, rows, standing
from tests.fleet.slurm import answers


def test_the_queue_is_read_with_any_name():
    told = {job.id: job for job in rows.queue(answers.QUEUE)}
    assert list(told) == ["32", "30_0", "30_1", "31", "29"]
    assert told["29"].name == "a|b"
    assert told["29"].ended is None  # Slurm says when it would end at the latest
    assert (told["31"].gpus, told["31"].hosts, told["31"].limit, told["31"].reason) == (4, ("n1", "n2"), None, "")
    assert (told["30_0"].pending, told["30_0"].limit, told["30_0"].started) == (True, 86400.0, None)
    assert told["29"].started == datetime(2026, 11, 25, 9, 22, 59, tzinfo=UTC)
    assert rows.queue("slurm_load_jobs error: Unable to contact slurm controller\n") == []


def test_nodes_and_their_gpus_are_read():
    told = {node.name: node for node in rows.nodes(answers.NODES)}
    assert [told[name].used for name in ("n1", "n3", "n4")] == [2, 1, 0]
    assert {node.gpus for node in told.values()} == {2}
    assert (told["n1"].state, told["n4"].state, told["n1"].cpus, told["n1"].cpus_used) == ("mixed", "drained", 8, 1)
    assert rows.devices(answers.DEVICES) == {"29": ["n3:0"], "31": ["n1:0", "n1:1", "n2:0", "n2:1"]}


@pytest.mark.parametrize(
    ("said", "state"),
    [("DOWN*", "down"), ("IDLE*+NOT_RESPONDING", "down"), ("ALLOCATED+DRAIN", "drained"), ("ALLOCATED", "allocated")],
)
def test_a_node_stands_as_it_is_said(said, state):
    assert rows.nodes(f"NodeName=n1 CPUAlloc=0 CPUTot=8 State={said} Gres=(null)")[0].state == state


def test_gpus_are_counted_where_slurm_does_not_count_them_as_tres():
    line = next(line for line in answers.QUEUE.splitlines() if line.startswith("31 ")).replace(",gres/gpu=4", "")
    assert rows.queue(line)[0].gpus == 4
    typed = (
        "NodeName=dgx Gres=gpu:h100:8(S:0-1),gpu:a100:2 GresUsed=gpu:h100:3(IDX:0-2),gpu:a100:0 CPUTot=8 State=MIXED"
    )
    node = rows.nodes(typed)[0]
    assert (node.gpus, node.used) == (10, 3)


def test_the_books_are_read():
    told = rows.books(answers.BOOKS)
    assert (told["vision-quota"].gpus, told["vision-quota"].gpus_each) == (4, 3)
    assert told["vision-quota"].preempts == ("spare",)
    assert (told["spare"].gpus, told["spare"].grace) == (None, 15)
    assert rows.accounts(answers.ACCOUNTS)["vision"]["root"] == ("spare", "vision-quota")
    assert rows.shares(answers.SHARES) == {
        ("root", "root"): 1.0,
        ("nlp", "root"): 0.666667,
        ("vision", "root"): 0.333333,
    }


def test_every_attempt_counts_in_the_hours():
    told = rows.past(answers.PAST)
    assert [run.id for run in told] == ["13_0", "18", "21", "21", "31"]
    used = {row["project"]: row for row in history.hours(told).rows(named=True)}
    assert used["vision"]["gpu_hours"] == pytest.approx((8 + 2 + 30 + 20) / 3600)
    assert (used["vision"]["jobs"], used["nlp"]["jobs"]) == (3, 1)
    assert used["nlp"]["gpu_hours"] == pytest.approx(4 * 36 / 3600)
    assert used["nlp"]["cpu_hours"] == pytest.approx(2 * 36 / 3600)
    assert next(iter(used)) == "nlp"


@pytest.mark.parametrize(
    ("state", "restarts", "outcome", "stands"),
    [
        ("PENDING", 0, None, "PENDING"),
        ("PENDING", 2, None, "REQUEUED"),
        ("REQUEUED", 0, None, "REQUEUED"),
        ("RUNNING", 0, None, "RUNNING"),
        ("COMPLETING", 0, "error", "RUNNING"),
        ("COMPLETING", 0, "success", "COMPLETED"),
        ("COMPLETED", 0, None, "COMPLETED"),
        ("CANCELLED", 0, None, "CANCELLED"),
        ("TIMEOUT", 0, None, "TIMEOUT"),
        ("NODE_FAIL", 0, None, "FAILED"),
        ("OUT_OF_MEMORY", 0, None, "FAILED"),
    ],
)
def test_a_job_stands_as_the_fleet_says(state, restarts, outcome, stands):
    run = rows.queue(answers.QUEUE.splitlines()[-1].replace("RUNNING", state).replace("|1  |a", f"|{restarts}  |a"))[0]
    assert standing.now(run, outcome) == stands


def test_the_books_end_what_the_controller_forgot():
    told = history.by_job(rows.past(answers.PAST))
    ends = {job: standing.after(runs) for job, runs in told.items()}
    assert ends == {"13_0": "COMPLETED", "18": "CANCELLED", "21": "COMPLETED", "31": "FAILED"}


def test_a_job_that_the_controller_forgot_is_a_row_by_the_books_and_its_own_notes():
    runs = history.by_job(rows.past(answers.PAST))["21"]
    starts = [{"rank": 0, "node": "n3", "devices": ["1"]}, {"rank": 0, "node": "n4", "devices": ["0"]}]
    row = listing.row(runs[-1], "COMPLETED", None, starts, attempts=listing.counted(runs))
    told = frames.frame(frames.JOBS, [row]).row(0, named=True)
    assert (told["devices"], told["attempts"], told["borrowed"], told["hours"]) == (["n4:0"], 2, False, 0.05)
    assert (told["ended"] - told["started"]).total_seconds() == 20
    assert (told["kind"], told["priority"], told["reason"]) == (None, None, None)


def test_a_job_that_waits_has_no_devices_and_no_start():
    run = replace(rows.queue(answers.QUEUE)[0], started=datetime(2026, 11, 25, 10, tzinfo=UTC))  # what Slurm expects
    row = listing.row(run, "PENDING", Order(name="wait", priority="inference"), [], attempts=listing.count(run))
    assert (row["started"], row["devices"], row["attempts"]) == (None, [], 0)
    assert (row["priority"], row["kind"], row["reason"]) == ("inference", "function", "QOSGrpGRES")


@given(st.integers(0, 400), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59))
def test_spans_are_read_as_slurm_writes_them(days, hours, minutes, seconds):
    whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    head = f"{days}-{hours:02}:" if days else f"{hours}:" if hours else ""
    assert commands.seconds(f"{head}{minutes:02}:{seconds:02}") == whole


@given(st.lists(st.integers(0, 120), min_size=1, max_size=12, unique=True))
def test_lists_of_nodes_are_read_as_slurm_writes_them(numbers):
    numbers.sort()
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][-1] == number - 1:
            spans[-1].append(number)
        else:
            spans.append([number])
    text = ",".join(f"{span[0]:03}" + (f"-{span[-1]:03}" if len(span) > 1 else "") for span in spans)
    assert commands.hosts(f"gpu[{text}],login") == [*(f"gpu{number:03}" for number in numbers), "login"]
