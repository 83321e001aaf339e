"""Whether a Slurm answers here, which one, and why not if none does.

First comes the one of this machine, in ``$SLURM_CONF`` or ``/etc/slurm/slurm.conf``; then the private one of the
fleet's folder. The private one, when it is taken, is put into ``$SLURM_CONF``, so that Slurm's own commands in a
terminal mean the same. This module sends no jobs.

>>> import tempfile
>>> found = reach(tempfile.mkdtemp())
>>> found.answers or bool(found.reason)
True
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.folders import root
from aifactory_lab.fleet.slurm import commands

VARIABLE = "SLURM_CONF"
OURS = "AIFACTORY_SLURM_CONF"  # what this module put into $SLURM_CONF: a job or a kernel beside it inherits both
USUAL = (Path("/etc/slurm/slurm.conf"), Path("/etc/slurm-llnl/slurm.conf"))
PING_SECONDS = 5.0


@dataclass(frozen=True)
class Reach:
    """What was found.

    Attributes
    ----------
    answers
        Whether a controller answers.
    reason
        Which one, or why none, in words.
    conf
        Its configuration; None where Slurm finds it by itself.
    private
        Whether it is the private one of the fleet's folder.
    """

    answers: bool
    reason: str
    conf: Path | None = None
    private: bool = False


def reach(folder: Path | str | None = None) -> Reach:
    """Find the Slurm that answers, asking its controller."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        return Reach(False, "sbatch and srun are not installed")
    conf = private_conf(folder)
    public = _public()
    said = _ping(public) if public else "no slurm.conf"
    if public and not said:
        return Reach(True, f"the Slurm of {public} answers", public)
    silence = f"{public}: {said}" if public else "neither $SLURM_CONF nor /etc/slurm names one"
    if not conf.exists():
        return Reach(False, f"{silence}; no private one is in {conf.parent}")
    if said := _ping(conf):
        return Reach(False, f"{silence}; the private one in {conf.parent}: {said}", conf, private=True)
    os.environ[VARIABLE] = os.environ[OURS] = str(conf)
    return Reach(True, f"the private Slurm in {conf.parent} answers", conf, private=True)


def private_conf(folder: Path | str | None = None) -> Path:
    """Return where the private Slurm of a fleet's folder keeps its configuration."""
    return root(folder) / "slurm" / "slurm.conf"


def _public() -> Path | None:
    """Return the configuration of this machine's own Slurm, if it has one."""
    named = os.environ.get(VARIABLE)
    if named and named != os.environ.get(OURS):
        return Path(named)
    return next((path for path in USUAL if path.exists()), None)


def _ping(conf: Path) -> str:
    """Return what keeps a controller from answering; empty if nothing does."""
    if not conf.exists():
        return "there is no such file"
    try:
        said = commands.run("scontrol", "ping", conf=conf, patience=PING_SECONDS)
    except FleetError as error:
        return error.what.partition(" ***")[0]  # scontrol frames its alarm in three lines of stars
    return "" if " is UP" in said else " ".join(said.split())
