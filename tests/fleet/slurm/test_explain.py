"""The sentences about jobs that wait, for each of Slurm's reasons; the usual ones are also provoked on a real Slurm."""

from dataclasses import replace

import pytest

from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm import explain, rows
from aifactory_lab.fleet.slurm.snapshot import Snapshot
from tests.fleet.slurm import answers


def look(extra: list[rows.Run] | None = None) -> Snapshot:
    books = rows.books(answers.BOOKS), rows.accounts(answers.ACCOUNTS), rows.shares(answers.SHARES)
    return Snapshot([*rows.queue(answers.QUEUE), *(extra or [])], rows.nodes(answers.NODES), *books)


def told(reason: str, *, job: str = "32", order: Order | None = None, extra=None, **changes) -> str:
    sight = look(extra)
    return explain.waits(replace(sight.by_id[job], reason=reason, **changes), order, sight)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("QOSGrpGRES", "4 of nlp's quota of 4 GPUs are in use by job 31 (root), and it needs 1"),
        ("Resources", "it needs 1 GPU on 1 node, and 1 of 8 are free"),
        ("Priority", "others come first"),
        ("DependencyNeverSatisfied", "it never will start"),
        ("Dependency", "it starts when job another has succeeded"),
        ("AssocGrpGRESMinutes", "`sacctmgr modify account nlp set GrpTRESMins=gres/gpu=…`"),
        ("QOSGrpGRESMinutes", "budget of GPU-minutes"),
        ("BeginTime", "its time has not come yet"),
        ("ReqNodeNotAvail, UnavailableNodes:n4", "n4 is drained; `sinfo -R` says why"),
        ("JobHeldUser", "its owner holds it back; `scontrol release 32`"),
        ("JobHeldAdmin", "an administrator holds it back"),
        ("JobArrayTaskLimit", "as many of its map run (0) as at_most= lets run"),
        ("InvalidAccount", "root may no longer send jobs to project nlp"),
        ("QOSMaxJobsPerUserLimit", "a limit of nlp or its QOS nlp-quota is reached (QOSMaxJobsPerUserLimit)"),
        ("AssocMaxJobsLimit", "a limit of nlp"),
        ("SomethingNew", "Slurm says SomethingNew; it needs 1 GPU, and 1 are free"),
        ("", "Slurm has not looked at it yet"),
    ],
)
def test_every_reason_is_put_in_words(reason, says):
    sentence = told(reason)
    assert sentence.startswith("job 32 (wait) waits: ")
    assert says in sentence
    assert "\n" not in sentence


def test_who_may_borrow_is_told_so():
    fits = Order(name="wait", gpus=1, project="nlp", priority="interactive")
    assert '1 beyond the quota are free: priority="train" may borrow' in told("QOSGrpGRES", order=fits)
    wide = replace(fits, gpus=2)
    assert "priority=" not in told("QOSGrpGRES", order=wide, gpus=2)


def test_who_borrows_is_named_with_when_it_comes_back():
    lent = [replace(look().by_id["29"], id=f"4{index}", gpus=2) for index in range(3)]
    sentence = told("Resources", extra=lent)
    assert "vision borrows 3 GPUs, and it gives them back within about 20 s of a claim within the quota" in sentence
    borrower = told("Resources", job="30_0", extra=lent, qos="spare", project="nlp")
    assert "it borrows, so it waits for GPUs that nobody claims; vision borrows 3 GPUs" in borrower


def test_who_is_first_and_who_used_more_is_told():
    sentence = told("Priority", job="30_0")
    assert "job 32 (root) of higher priority comes first" in sentence
    assert "vision has used more of its share than others (fair-share factor 0.33, the best has 1.00)" in sentence


def test_a_job_after_another_and_one_put_back_say_so():
    order = Order(name="wait", after=("29", "7"))
    assert "it starts when job 29 (running) and 7 has succeeded" in told("Dependency", order=order)
    again = told("BeginTime", restarts=1, started=look().by_id["31"].started)
    assert "waits again: it was put back into the queue a moment ago" in again
    assert again.endswith("; Slurm expects it to start at 09:22:59 UTC")


def test_a_job_that_runs_says_where_and_whether_it_borrows():
    sight = look()
    assert explain.runs(sight.by_id["31"], sight, ["n1:0"]) == "job 31 (wrap) runs on n1:0 since 09:22:59 UTC"
    within = explain.runs(sight.by_id["29"], sight, [])
    assert "it is in the spare lane, though vision is within its quota" in within
