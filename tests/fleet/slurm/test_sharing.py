"""Quota, lending and reclaim on a real Slurm: what a project may claim, what it borrows, what becomes of the rest."""

from collections import Counter

import polars as pl

from tests.fleet import work
from tests.fleet.slurm.conftest import PATIENT, running, until, waiting


def project(fleet, name: str) -> dict:
    return fleet.projects().row(by_predicate=pl.col("project") == name, named=True)


def test_a_project_gets_its_quota_and_no_more_within_it(fleet):
    jobs = [fleet.submit(work.stay, 60, gpus=1, project="vision", priority="interactive") for _ in range(6)]
    sentence = waiting(jobs[5], "QOSGrpGRES")
    assert Counter(job.state for job in jobs) == {"RUNNING": 4, "PENDING": 2}
    assert "4 of vision's quota of 4 GPUs are in use" in sentence
    assert 'priority="train" may borrow' in sentence
    told = project(fleet, "vision")
    assert (told["quota"], told["used"], told["borrowed"], told["waiting"]) == (4, 4, 0, 2)
    held = fleet.jobs().filter(pl.col("state") == "RUNNING")["devices"].explode().to_list()
    assert len(set(held)) == 4


def test_what_is_idle_is_lent_and_comes_back_and_nothing_is_lost(fleet, slurm_says, tmp_path):
    inside = fleet.map(work.stay, [20.0] * 4, gpus=1, project="vision")
    steps = tmp_path / "steps"
    training = fleet.submit(work.Steps(str(steps), 120), gpus=1, project="vision", name="training")
    lent = [training, *fleet.map(work.stay, [6.0] * 3, gpus=1, project="vision")]
    running(*inside, *lent)
    until(steps.exists, "the training does not begin")
    assert project(fleet, "vision")["used"] == 8
    assert project(fleet, "vision")["borrowed"] == 4
    assert "it borrows" in lent[1].explain()

    claimed = fleet.submit(work.stay, 1.0, gpus=4, nodes=2, project="nlp", priority="interactive")
    assert claimed.result(PATIENT)[0] == ["0", "1"]
    assert all(len(job.attempts) == 1 for job in inside)  # nobody takes back what is within the quota
    until(lambda: training.state == "REQUEUED", "the training is not put back")
    assert "waits again" in training.explain()

    everything = [*inside, *lent, claimed]
    assert set(fleet.wait(everything, PATIENT)) == {"COMPLETED"}
    assert steps.read_text().split() == [str(step) for step in range(120)]
    assert len(training.attempts) == 2
    told = fleet.jobs().filter(pl.col("id") == training.id).row(0, named=True)
    assert (told["state"], told["attempts"], told["borrowed"]) == ("COMPLETED", 2, False)
    books = until(lambda: slurm_says(f"sacct -D -X -n -P -o State -j {training.id}").split(), "no books")
    assert len(books) == 2  # each attempt is in the books, so each counts in the hours


def test_a_training_goes_back_into_a_quota_that_has_room_again(fleet, slurm_says):
    lane = "squeue -h -a -t all -o %q -j {}"
    held, other = (fleet.submit(work.stay, 600, gpus=4, nodes=2, project=name) for name in ("vision", "nlp"))
    running(held, other)  # so that nothing is left to borrow: the borrower still waits when it is held
    borrower = fleet.submit(work.stay, 0.1, gpus=2, project="vision")
    slurm_says(f"scontrol hold {borrower.id}")
    assert slurm_says(lane.format(borrower.id)).strip() == "spare"
    held.cancel()
    held.wait(PATIENT)

    def moved() -> bool:
        fleet.submit(work.add, 1, gpus=1, project="vision").result(PATIENT)  # who sends makes room for who waits
        return slurm_says(lane.format(borrower.id)).strip() == "vision-quota"

    until(moved, "the borrower stays where it borrowed")


def test_fair_share_puts_who_used_less_first(fleet, slurm_says):
    full = fleet.submit(work.stay, 100, gpus=8, nodes=4, project="vision")
    running(full)
    slurm_says("scontrol reconfigure")  # computes the shares now, not at the next whole minute
    sent = [fleet.submit(work.add, 1, gpus=8, nodes=4, project=name) for name in ("vision", "nlp")]

    def factors() -> dict[str, int]:
        lines = slurm_says(f"sprio -h -o %i|%F -j {','.join(job.id for job in sent)}").split()
        return {line.split("|")[0].strip(): int(line.split("|")[1]) for line in lines}

    told = until(lambda: (now := factors()) and len(set(now.values())) == 2 and now, "the shares do not differ")
    assert told[sent[1].id] > told[sent[0].id]
    until(lambda: project(fleet, "nlp")["share"] > project(fleet, "vision")["share"], "the shares are told otherwise")
    assert waiting(sent[0], "")
