"""Projects of a private Slurm: an account with a quota each, and what they may lend each other."""

import getpass
from pathlib import Path

from aifactory_lab.fleet.private import programs
from aifactory_lab.fleet.private.places import Places


def make(places: Places, run: Path, name: str, quota: int) -> None:
    """Make a project, or give it another quota."""
    told = programs.environment(places.conf, run / "mariadb.sock")
    user = getpass.getuser()
    for line in (
        "add qos spare set Priority=0 PreemptMode=requeue GraceTime=10",
        f"add qos {name}-quota set Priority=100 GrpTRES=gres/gpu={quota} Preempt=spare",
        f"modify qos {name}-quota set GrpTRES=gres/gpu={quota}",
        f"add account {name} Fairshare={max(1, quota)}",
        f"add user {user} account={name}",
        f"modify user {user} where account={name} set qos={name}-quota,spare defaultqos={name}-quota",
    ):
        programs.ask(["sacctmgr", "-i", *line.split()], told)
