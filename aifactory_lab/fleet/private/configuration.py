"""The configuration files of a private Slurm, from the templates beside this module.

They are written aside and renamed, and anew at every start: a host name, a port or a socket may have changed. Why a
setting is as it is stands in the templates. This module starts nothing.

>>> "NoInAddrAny" in (TEMPLATES / "slurm.conf.j2").read_text()
True
"""

import secrets
import socket
from pathlib import Path
from typing import Any

from aifactory_lab.aside import write_aside, write_text
from aifactory_lab.fleet import folders
from aifactory_lab.fleet.private import programs
from aifactory_lab.fleet.private.layout import Layout
from aifactory_lab.fleet.private.places import Places

TEMPLATES = Path(__file__).parent / "templates"
CLUSTER, PARTITION = "lab", "gpu"
SHARDS_PER_GPU = 4
KEY_BYTES = 1024


def write(places: Places, layout: Layout, ports: dict[str, int], run: Path) -> None:
    """Write every file that the daemons read."""
    told = {
        "cluster": CLUSTER,
        "partition": PARTITION,
        "host": socket.gethostname().partition(".")[0],  # slurmdbd ends at once under any longer name
        "user": programs.user(),
        "ports": ports,
        "layout": layout,
        "run": run,
        "munge": run / "munge.sock",
        "mariadb": run / "mariadb.sock",
        "state": places.state,
        "database": places.database,
        "shards": SHARDS_PER_GPU * layout.gpus_per_node,
        "devices": layout.files(run),
        "first_job": places.first_job,
    }
    if not places.first_job.exists():
        write_text(places.first_job, "FirstJobId=1\n")
    for path in (places.conf, places.gres, places.dbd, places.cnf):
        _render(path, told)
    for name in layout.names:
        folders.made(run / name)
    if layout.pretend:
        _pretend(layout.files(run))


def make_key(path: Path) -> None:
    """Make the secret by which the daemons trust each other, once."""
    if not path.exists():
        with write_aside(path) as aside:
            aside.touch(mode=0o600)
            aside.write_bytes(secrets.token_bytes(KEY_BYTES))


def _render(path: Path, told: dict[str, Any]) -> None:
    import jinja2  # 0.1 s, which those who only look need not wait

    text = (TEMPLATES / f"{path.name}.j2").read_text()
    filled = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text)  # noqa: S701 - no HTML
    with write_aside(path) as aside:
        aside.touch(mode=0o600)
        aside.write_text(filled.render(told) + "\n")


def _pretend(files: list[Path]) -> None:
    """Link the pretend GPUs to a character device: for a plain file Slurm sets no CUDA_VISIBLE_DEVICES."""
    for file in files:
        if not file.is_symlink():
            file.symlink_to("/dev/null")
