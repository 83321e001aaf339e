"""A machine that has never heard of us: a clone, a new HOME, no caches, none of our variables.

What describes the network (proxies, certificates, where pip looks) is the machine's own and stays.

>>> sorted(set(surroundings(Path("/tmp/new"), {"AIFACTORY_DATA": "x", "HTTPS_PROXY": "y", "PATH": "/bin"})) - {"LANG"})
['BROWSER', 'HOME', 'HTTPS_PROXY', 'PATH']
"""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
NETWORK = re.compile(
    r"(?:https?|no|all)_proxy|pip_.*|uv_(?:index|default_index|find_links).*|ssl_cert.*|requests_ca_bundle",
    re.IGNORECASE,
)
# Root may start Jupyter only if he says so, and a browser is not there: both as a user would write it for himself.
JUPYTER = "c.ServerApp.allow_root = True\nc.ServerApp.open_browser = False\nc.ExtensionApp.open_browser = False\n"


@dataclass(frozen=True)
class Machine:
    """Where the newcomer works: his clone, and the environment that his commands see."""

    clone: Path
    environment: Mapping[str, str]

    @property
    def python(self) -> str:
        return str(self.clone / ".venv" / "bin" / "python")


def fresh(folder: Path) -> Machine:
    """Clone this checkout's last commit into an empty folder, beside a new HOME."""
    folder.mkdir(parents=True, exist_ok=True)
    clone, home = folder / "aifactory_lab", folder / "home"
    if not clone.exists():
        subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (home / ".jupyter").mkdir(parents=True, exist_ok=True)
    for name in ("jupyter_server_config.py", "jupyter_lab_config.py", "voila.py"):
        (home / ".jupyter" / name).write_text(JUPYTER)
    return Machine(clone, surroundings(home, os.environ))


def surroundings(home: Path, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a new login: the machine's own ways to the network, and nothing of ours."""
    kept = {name: value for name, value in ours.items() if NETWORK.fullmatch(name)}
    path = ":".join(part for part in ours["PATH"].split(":") if ".venv" not in part)
    return kept | {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", "BROWSER": "true"}


def own_files(machine: Machine) -> None:
    """Write the files of his own that the documents speak of: `my/*.parquet`, `my/*.md`, `night.ipynb`."""
    subprocess.run([machine.python, "-c", OWN], cwd=machine.clone, env=dict(machine.environment), check=True)


OWN = """
import pathlib, nbformat, polars
mine = pathlib.Path("my"); mine.mkdir(exist_ok=True)
for year in (2024, 2025):
    days = [f"{year}-01-0{day}" for day in range(1, 9)]
    polars.DataFrame({"when": days, "late": [0, 1] * 4}).write_parquet(mine / f"{year}.parquet")
for number in range(40):
    text = " ".join(f"Paragraph {line} of note {number} says how trains, ships and planes wait." for line in range(60))
    (mine / f"{number}.md").write_text(f"# Note {number}\\n\\n{text}\\n")
cell = nbformat.v4.new_code_cell
cells = [cell("depth = 4", metadata={"tags": ["parameters"]}), cell("assert depth")]
nbformat.write(nbformat.v4.new_notebook(cells=cells), "night.ipynb")
"""
