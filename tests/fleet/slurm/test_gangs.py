"""Jobs on several nodes, behind each other, and many of a kind, on a real Slurm."""

import json

from tests.fleet import work
from tests.fleet.slurm.conftest import PATIENT, running, until, waiting


def test_a_gang_waits_for_all_of_its_gpus_and_a_short_job_slips_past(fleet):
    held = [
        fleet.submit(work.stay, 8, gpus=2, project=name, hours=0.1, priority="interactive")
        for name in ("vision", "vision", "nlp")
    ]
    running(*held)
    gang = fleet.submit(work.stay, 1, gpus=4, nodes=2, project="nlp", hours=0.1)
    sentence = waiting(gang, "Resources")
    assert "it needs 4 GPUs on 2 nodes, and 2 of 8 are free" in sentence
    short = fleet.submit(work.stay, 0.5, gpus=2, project="nlp", priority="interactive", hours=0.02)
    ended = short.result(PATIENT)[2]
    assert gang.result(PATIENT)[1] > ended
    nodes = {one["node"]: one["devices"] for one in gang.attempts}
    assert set(map(len, nodes.values())) == {2}
    assert len(nodes) == 2
    path = fleet.engine.folder / f"{gang.id}_attempts.jsonl"
    assert {json.loads(line)["rank"] for line in path.read_text().splitlines()} == {0, 1}


def test_a_map_is_one_array_and_a_job_after_it_waits_for_all(fleet):
    jobs = fleet.map(work.stay, [3.0] * 4, at_most=2, gpus=1, project="vision", priority="interactive")
    assert len({job.id.partition("_")[0] for job in jobs}) == 1
    last = fleet.submit(work.add, 1, project="vision", after=jobs)
    assert "at_most= lets run" in waiting(jobs[-1], "JobArrayTaskLimit")
    assert f"{jobs[-1].id} (pending)" in waiting(last, "Dependency")
    assert last.result(PATIENT) == 2
    spans = [job.result(PATIENT) for job in jobs]
    for _, start, _ in spans:
        assert sum(began <= start < stop for _, began, stop in spans) <= 2


def test_a_large_map_uses_the_quota_and_borrows_for_the_rest(fleet, slurm_says):
    jobs = fleet.map(work.stay, [60] * 9, gpus=1, project="vision")
    until(lambda: sum(job.state == "RUNNING" for job in jobs) == 8, "eight of nine do not run")
    lanes = slurm_says(f"squeue -h -r -o %q -j {','.join({job.id.partition('_')[0] for job in jobs})}").split()
    assert (lanes.count("vision-quota"), lanes.count("spare")) == (4, 5)


def test_what_ended_long_ago_is_waited_for_no_more(fleet, slurm_says):
    done = fleet.submit(work.add, 1, project="vision")
    done.result(PATIENT)
    until(lambda: not slurm_says("squeue -h").strip(), "the job does not leave")
    fleet.engine.cancel(done.id)
    assert done.state == "COMPLETED"
    slurm_says("scontrol reconfigure")
    after = fleet.submit(work.add, 2, project="vision", after=[done])
    assert after.result(PATIENT) == 3
