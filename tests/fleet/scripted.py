"""An engine whose answers a test writes down: frames as the real ones return them, for what looks at a fleet."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import frames

NOW = datetime.now(UTC).replace(microsecond=0)  # boards show the last minutes


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def job(number: int, state: str, project: str = "vision", **more) -> dict:
    known = {
        "id": str(number),
        "name": f"train-{number}",
        "kind": "function",
        "project": project,
        "user": "ada",
        "priority": "train",
        "state": state,
        "reason": "",
        "gpus": 1,
        "nodes": 1,
        "borrowed": False,
        "devices": [],
        "submitted": ago(30 - number / 100),
        "hours": 1.0,
        "attempts": 1,
    }
    if state not in ("PENDING", "REQUEUED"):
        known["started"] = ago(20 - number / 10)
    if state in frames.ENDED:
        known["ended"] = ago(5 - number / 100)
    return known | more


class Scripted:
    """Answers what it was given; it can go silent."""

    name, reason, limits, pretend = "slurm", "for this test", "", True

    def __init__(self, folder: Path, jobs=(), nodes=(), projects=(), usage=()) -> None:
        self.folder, self.silent, self.asked = folder, "", []
        self.rows = {"jobs": list(jobs), "nodes": list(nodes), "projects": list(projects), "usage": list(usage)}

    def _frame(self, name: str):
        self.asked.append(name)
        if self.silent:
            raise FleetError(self.silent, mend="aifactory fleet up")
        return frames.frame(getattr(frames, name.upper()), self.rows[name])

    def jobs(self, since=None):
        del since
        return self._frame("jobs").sort("submitted", descending=True)

    def nodes(self):
        return self._frame("nodes")

    def projects(self):
        return self._frame("projects")

    def usage(self, since):
        del since
        return self._frame("usage")

    def explain(self, job_id: str) -> str:
        self.asked.append(f"explain {job_id}")
        return f"job {job_id} waits: vision uses all of its 4 GPUs, and nlp borrows 2"


def busy_plant(folder: Path) -> Scripted:
    """Two nodes of four GPUs: vision borrows two beyond its four, nlp has two, a gang waits and 500 jobs behind it."""
    running = [
        job(1, "RUNNING", gpus=4, nodes=2, kind="gang", name="pretrain", devices=["n1:0", "n1:1", "n2:0", "n2:1"]),
        job(2, "RUNNING", gpus=2, borrowed=True, devices=["n1:2", "n1:3"]),
        job(3, "RUNNING", "nlp", gpus=2, priority="interactive", devices=["n2:2", "n2:3"]),
    ]
    ended = [job(4, "COMPLETED", devices=["n1:2"]), job(5, "FAILED", "nlp", reason="exit 1", devices=["n2:3"])]
    wait = [job(100, "REQUEUED", reason="BeginTime", gpus=4, nodes=2, attempts=2, submitted=ago(40))]
    wait += [job(101 + n, "PENDING", "nlp", reason="QOSGrpGRES", gpus=2) for n in range(500)]
    return Scripted(
        folder,
        jobs=[*running, *ended, *wait],
        nodes=[
            {"node": "n1", "state": "allocated", "gpus": 4, "used": 4, "cpus": 8, "cpus_used": 3, "jobs": ["1", "2"]},
            {"node": "n2", "state": "allocated", "gpus": 4, "used": 4, "cpus": 8, "cpus_used": 3, "jobs": ["1", "3"]},
        ],
        projects=[
            {"project": "vision", "quota": 4, "used": 6, "borrowed": 2, "waiting": 4, "running": 2, "pending": 1},
            {"project": "nlp", "quota": 4, "used": 2, "borrowed": 0, "waiting": 1000, "running": 1, "pending": 500},
        ],
        usage=[
            {"project": "vision", "user": "ada", "jobs": 9, "gpu_hours": 12.345678, "cpu_hours": 20.0},
            {"project": "nlp", "user": "bob", "jobs": 4, "gpu_hours": 3.25, "cpu_hours": 5.0},
            {"project": "nlp", "user": "eve", "jobs": 1, "gpu_hours": 0.25, "cpu_hours": 5.0},
        ],
    )
