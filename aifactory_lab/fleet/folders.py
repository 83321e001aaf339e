"""Where the fleet keeps its things: one folder of the user's, seen by every node that runs their jobs.

``jobs/<engine>/`` holds what submitit writes (pickles, results, logs) and beside each job its order and its attempts;
``workstation/`` the scheduler of this machine; ``slurm/`` the private Slurm. Pickles are code, so nothing is read from
a folder into which others could have put one. This module writes no job files itself.

>>> root("/tmp/plant").name
'plant'
"""

import os
import stat
from pathlib import Path

from aifactory_lab.errors import FleetError

VARIABLE = "AIFACTORY_FLEET"
DEFAULT = "~/.aifactory/fleet"


def root(folder: Path | str | None = None) -> Path:
    """Return the fleet's folder: as given, else ``$AIFACTORY_FLEET``, else ``~/.aifactory/fleet``."""
    return Path(folder or os.environ.get(VARIABLE) or DEFAULT).expanduser().absolute()


def made(path: Path) -> Path:
    """Make a folder that only its owner may look into, or take the one that is there.

    Raises
    ------
    FleetError
        If it belongs to somebody else, or others can write there.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.stat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        msg = f"{path} is not yours alone (user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}): pickles are code"
        raise FleetError(msg, mend=f"chmod 700 {path}  # or export {VARIABLE}=/a/folder/of/your/own")
    return path


def trusted(pickle: Path) -> Path:
    """Return a file that may be unpickled: this user's own, in a folder where nobody else can write.

    Raises
    ------
    FleetError
        If others could have put it there.
    """
    made(pickle.parent)
    found = pickle.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        msg = f"{pickle} is not a file of yours (user {found.st_uid}), and a pickle is code: it is not read"
        raise FleetError(msg, mend=f"rm {pickle}  # then send the job again")
    return pickle


def order_file(jobs: Path, job_id: str) -> Path:
    """Return where a job's order is kept."""
    return jobs / f"{job_id}_order.json"


def attempts_file(jobs: Path, job_id: str) -> Path:
    """Return where a job writes down each of its starts, one JSON line each."""
    return jobs / f"{job_id}_attempts.jsonl"
