"""Slurm's commands, asked with named formats and a time limit; what they say when they fail, as a help.

Formats are named by the caller and variables that would change them are set aside, since users set those; times are
told in UTC. JSON is never asked for: its shape changes with every version of Slurm. This module reads no answer.

>>> seconds("1-02:03:04")
93784.0
>>> seconds("UNLIMITED") is None
True
"""

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from aifactory_lab.errors import FleetError

MOST_NUMBERS = 1_000_000
PATIENCE = 30.0  # seconds; a controller that is alive and busy answers within its MessageTimeout, 10 s by default
SILENT = re.compile(r"unable to contact|refused|reset by peer|not responding|timed out|slurmdbd|munge", re.IGNORECASE)
BOOKLESS = re.compile(r"accounting storage is disabled|not running a supported (accounting_storage|priority) plugin")
FORMATS = re.compile(
    r"^(SQUEUE|SINFO|SACCT|SSHARE|SPRIO|SCONTROL|SLURM_TIME_FORMAT|SLURM_BITSTR|SBATCH|SLURM_CLUSTERS)"
)


def run(program: str, *arguments: str, conf: Path | None = None, patience: float = PATIENCE) -> str:
    """Return what one of Slurm's commands says.

    Raises
    ------
    FleetError
        If it is not installed, does not answer in time, or refuses; with its own words.
    """
    if conf and not conf.exists():  # Slurm would look for one on the network, for minutes
        msg = f"there is no configuration of Slurm at {conf}"
        raise FleetError(msg, mend=_mend(conf))
    try:
        done = subprocess.run(  # noqa: S603 - the programs are Slurm's, the arguments ours
            [program, *arguments], env=environment(conf), capture_output=True, text=True, timeout=patience, check=False
        )
    except FileNotFoundError as error:
        msg = f"{program} is not installed"
        raise FleetError(msg, mend="apt-get install slurm-client  # or make system-deps") from error
    except subprocess.TimeoutExpired as error:
        msg = f"Slurm's controller does not answer: {program} waited {patience:g} s"
        raise FleetError(msg, mend=_mend(conf)) from error
    if done.returncode:
        raise _refusal(program, done.stderr.strip() or done.stdout.strip(), conf)
    return done.stdout


def books(program: str, *arguments: str, conf: Path | None = None) -> str:
    """Return what Slurm's books say; nothing on a Slurm that keeps none (no slurmdbd: no quota and no hours).

    Raises
    ------
    FleetError
        As `run`.
    """
    try:
        return run(program, *arguments, conf=conf)
    except FleetError as error:
        if BOOKLESS.search(error.what):
            return ""
        raise


def environment(conf: Path | None) -> dict[str, str]:
    """Return the environment of a command: this Slurm, times in UTC, nobody's own formats."""
    kept = {name: value for name, value in os.environ.items() if not FORMATS.match(name)}
    return {**kept, "TZ": "UTC", **({"SLURM_CONF": str(conf)} if conf else {})}


def seconds(text: str) -> float | None:
    """Return a span as Slurm writes it, ``[days-]hours:minutes:seconds``; None if there is no limit."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?", text.strip())
    if not found:
        return None
    days, hours, minutes, rest = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def moment(text: str) -> datetime | None:
    """Return a time as Slurm writes it; None for ``N/A``, ``NONE``, ``Unknown``.

    >>> moment("2026-01-01T12:00:00").hour
    12
    """
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)
    except ValueError:
        return None


def tres(text: str, name: str) -> int:
    """Return how much of a resource there is in a list like ``cpu=2,node=1,gres/gpu=4``; typed GPUs are in it, too.

    >>> tres("cpu=2,gres/gpu=4,gres/gpu:h100=4", "gres/gpu")
    4
    """
    parts = dict(part.rsplit("=", 1) for part in text.split(",") if "=" in part)
    return int(float(re.sub(r"\D.*$", "", parts.get(name, "0")) or 0))


def hosts(text: str) -> list[str]:
    """Return the nodes of a list like ``n[1-2],m7``.

    >>> hosts("n[1-2],m7")
    ['n1', 'n2', 'm7']
    """
    found: list[str] = []
    for prefix, group in re.findall(r"([^,\[\]]+)(?:\[([^\]]+)\])?", text):
        for span in group.split(",") if group else [""]:
            first, _, last = span.partition("-")
            numbers = spanned(first, last) if span else range(0)
            found += [f"{prefix}{number:0{len(first)}}" for number in numbers] or [prefix]
    return found


def spanned(first: str, last: str) -> range:
    """Return the numbers of a span like ``1-4``; `ValueError` for more than any plant has."""
    numbers = range(int(first), int(last or first) + 1)
    if len(numbers) > MOST_NUMBERS:
        msg = f"{first}-{last} are {len(numbers):,} nodes or devices"
        raise ValueError(msg)
    return numbers


def _refusal(program: str, said: str, conf: Path | None) -> FleetError:
    said = " ".join(re.sub(rf"^(sbatch|{program}): (error: )?", "", line) for line in said.splitlines())
    if SILENT.search(said):
        return FleetError(f"Slurm does not answer {program}: {said}", mend=_mend(conf))
    return FleetError(f"{program} refuses: {said}", mend=f"man {program}")


def _mend(conf: Path | None) -> str:
    private = "aifactory fleet up  # repairs the private Slurm"
    return private if conf else "scontrol ping  # then ask who runs this Slurm"
