"""Where the fleet keeps its things: one folder of the user's, seen by every node that runs their jobs.

``jobs/<engine>/`` holds what submitit writes (pickles, results, logs) and beside each job its order and its attempts;
``workstation/`` the scheduler of this machine; ``slurm/`` the private Slurm. This module writes no job files itself.

>>> root("/tmp/plant").name
'plant'
"""

import os
from pathlib import Path

VARIABLE = "AIFACTORY_FLEET"
DEFAULT = "~/.aifactory/fleet"


def root(folder: Path | str | None = None) -> Path:
    """Return the fleet's folder: as given, else ``$AIFACTORY_FLEET``, else ``~/.aifactory/fleet``."""
    return Path(folder or os.environ.get(VARIABLE) or DEFAULT).expanduser().absolute()


def made(path: Path) -> Path:
    """Make a folder that only its owner may look into: pickles are code."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def order_file(jobs: Path, job_id: str) -> Path:
    """Return where a job's order is kept."""
    return jobs / f"{job_id}_order.json"


def attempts_file(jobs: Path, job_id: str) -> Path:
    """Return where a job writes down each of its starts, one JSON line each."""
    return jobs / f"{job_id}_attempts.jsonl"
