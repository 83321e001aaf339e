"""The programs that a private Slurm is made of, and Debian's packages that bring them.

An ordinary user's path often lacks the folders of daemons, so they are looked for there too. This module runs a
program of Slurm with that plant's configuration; it does not know what it asks.

>>> sorted(PACKAGES)
['mariadb-server', 'munge', 'slurm-wlm', 'slurmdbd']
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aifactory_lab.errors import FleetError

PACKAGES = {
    "slurm-wlm": ("slurmctld", "slurmd", "scontrol", "sinfo", "sbatch", "squeue"),
    "slurmdbd": ("slurmdbd",),
    "munge": ("munged",),
    "mariadb-server": ("mariadbd", "mariadb-install-db"),
}
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])
SECONDS = 60.0  # that a question to a scheduler of ours may take on a busy machine


def missing() -> list[str]:
    """Return the packages of which a program is missing."""
    return [package for package, names in PACKAGES.items() if not all(shutil.which(name, path=PATH) for name in names)]


def needed() -> None:
    """Go on if every program is here.

    Raises
    ------
    FleetError
        With the packages that are missing and the line that installs them.
    """
    if wanting := missing():
        msg = f"a private Slurm needs Debian's packages {', '.join(wanting)}, which are not installed"
        sudo = "" if os.geteuid() == 0 else "sudo "
        install = f"{sudo}apt-get install -y --no-install-recommends {' '.join(wanting)}"
        raise FleetError(msg, mend=f"make system-deps  # or: {install}")


def user() -> str:
    """Return the name of who runs this, as the system knows it: the environment may still name who logged in.

    Raises
    ------
    FleetError
        If the system knows none, as in a container that was started with a bare number.
    """
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError as error:
        msg = f"user id {os.geteuid()} has no name on this machine, and Slurm asks for one"
        raise FleetError(msg, mend="run it as a user whom `getent passwd` knows") from error


def program(name: str) -> str:
    """Return the full path of a program.

    Raises
    ------
    FleetError
        If it is not installed.
    """
    if path := shutil.which(name, path=PATH):
        return path
    msg = f"{name} is not installed"
    raise FleetError(msg, mend="make system-deps")


def environment(conf: Path, database: Path) -> dict[str, str]:
    """Return what daemons see: nothing of the environment that starts them, which may hold secrets."""
    kept = {name: os.environ[name] for name in ("HOME", "USER", "LOGNAME", "LANG", "TZ") if name in os.environ}
    return {**kept, "PATH": PATH, "SLURM_CONF": str(conf), "MYSQL_UNIX_PORT": str(database)}


def ask(command: list[str], told: Mapping[str, str]) -> tuple[bool, str]:
    """Run one of Slurm's commands; return whether it went well, and what it wrote."""
    full = [program(command[0]), *command[1:]]
    try:
        done = subprocess.run(full, env=dict(told), capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return False, f"{command[0]} did not answer within {SECONDS:g} s"
    return done.returncode == 0, (done.stdout if done.returncode == 0 else done.stderr + done.stdout).strip()
