"""The peers' own environment, `.venv-peers`: made when first needed, and left out with the reason where it cannot be.

Apart from the user's environment, because jupyterlab-nvdashboard would add its panel to their JupyterLab.
`make bench-peers` (or `python -m tests.benchmarks.plant.environment`) makes it by hand.
"""

import json
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".venv-peers"
PYTHON = FOLDER / "bin" / "python"
STAMP = FOLDER / ".stamp"
PEERS = ("nvitop>=1.7.2,<1.8", "gpustat>=1.1.1,<1.2", "jupyterlab-nvdashboard>=0.15,<0.16", "nvidia-ml-py>=13")
LIST = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"


@lru_cache
def versions() -> dict[str, str]:
    """Return the versions of what the peers' environment holds, by lower-case name; empty if it cannot be made."""
    if not STAMP.exists() and not make():
        return {}
    done = subprocess.run([PYTHON, "-c", LIST], capture_output=True, text=True, check=True)
    return {name.replace("_", "-"): version for name, version in json.loads(done.stdout).items()}


def make() -> bool:
    """Make the environment; tell whether that worked. What is left of a failed try is removed."""
    for command in ([sys.executable, "-m", "venv", str(FOLDER)], _install()):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"the peers are not installed: {done.stderr.strip()[-300:]}", file=sys.stderr)
            shutil.rmtree(FOLDER, ignore_errors=True)
            return False
    STAMP.touch()
    return True


def _install() -> list[str]:
    """Return the command that installs: by uv where this environment has it, else by pip."""
    uv = Path(sys.executable).with_name("uv")
    tool = (
        [str(uv), "pip", "install", "--python", str(PYTHON)] if uv.exists() else [str(PYTHON), "-m", "pip", "install"]
    )
    return [*tool, "--quiet", *PEERS]


if __name__ == "__main__":
    sys.exit(0 if versions() else 1)
