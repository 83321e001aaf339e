"""Caps and budgets of a real Slurm, and the sentences about them."""

import getpass

import pytest

from aifactory_lab.errors import FleetError
from tests.fleet import work
from tests.fleet.slurm.conftest import PATIENT, running, waiting


def test_a_user_keeps_to_the_cap_for_each_user(fleet, slurm_says):
    slurm_says("sacctmgr -i modify qos vision-quota set MaxTRESPU=gres/gpu=1")
    try:
        first, second = (fleet.submit(work.stay, 60, gpus=1, project="vision", priority="interactive") for _ in "ab")
        running(first)
        sentence = waiting(second, "QOSMaxGRESPerUser")
        assert f"{getpass.getuser()} holds 1 of the 1 that one user may have" in sentence
    finally:
        slurm_says("sacctmgr -i modify qos vision-quota set MaxTRESPU=gres/gpu=-1")


def test_a_project_whose_budget_is_used_up_waits_until_it_is_raised(fleet, slurm_says):
    slurm_says("sacctmgr -i modify account nlp set GrpTRESMins=gres/gpu=1")
    try:
        job = fleet.submit(work.stay, 0.1, gpus=2, project="nlp", hours=2)
        sentence = waiting(job, "AssocGrpGRESMinutes")
        assert "budget of GPU-minutes" in sentence
        assert "sacctmgr modify account nlp set GrpTRESMins=gres/gpu=" in sentence
    finally:
        slurm_says("sacctmgr -i modify account nlp set GrpTRESMins=gres/gpu=-1")
    assert job.wait(PATIENT) == "COMPLETED"


def test_held_jobs_say_who_holds_them(fleet, slurm_says):
    full = fleet.submit(work.stay, 60, gpus=4, nodes=2, project="nlp", priority="interactive")
    running(full)
    job = fleet.submit(work.add, 1, gpus=4, nodes=2, project="nlp", priority="interactive")
    slurm_says(f"scontrol hold {job.id}")
    assert f"`scontrol release {job.id}`" in waiting(job, "JobHeld")


@pytest.mark.parametrize(
    ("options", "says", "mend"),
    [
        ({"gpus": 16, "nodes": 4}, "16 GPUs are asked for; this Slurm has 8", "gpus=8"),
        ({"gpus": 4}, "4 GPUs on one node are asked for; no node has more than 2", "gpus=4, nodes=2"),
        ({"nodes": 5}, "5 nodes are asked for; 4 are large enough", "nodes=4"),
        ({"cpus": 9}, "9 CPUs on one node are asked for; no node has more than 8", "cpus=8"),
        ({"project": "speech"}, "there is no project 'speech'; yours are: nlp", "project="),
        ({"gpus": 6, "nodes": 3, "priority": "inference"}, "vision has 4", 'priority="train"'),
        ({"after": ["99999"]}, "there is no job '99999'", "fleet.jobs()"),
    ],
    ids=["too many GPUs", "too wide", "too many nodes", "too many CPUs", "project", "over the quota", "after"],
)
def test_what_can_never_start_is_refused(fleet, options, says, mend):
    with pytest.raises(FleetError) as caught:
        fleet.submit(work.add, 1, **{"project": "vision", **options})
    assert says in caught.value.what
    assert mend in caught.value.mend
