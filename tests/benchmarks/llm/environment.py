"""The environment of the peers in serving language models, `.venv-peers-llm`: AIPerf and `transformers serve`.

Apart from the user's, for AIPerf pins pandas, psutil, plotly and others (1.2 GB, some minutes). Made when first needed,
and left out with the reason where it cannot be. vLLM is not among them: its CPU build wants 3.5 GB and, as published
(0.32), starts only after packages that it installed are taken out again by hand.
`python -m tests.benchmarks.llm.environment` makes it by hand.
"""

import json
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".venv-peers-llm"
PYTHON, AIPERF, TRANSFORMERS = (FOLDER / "bin" / name for name in ("python", "aiperf", "transformers"))
STAMP = FOLDER / ".stamp"
TORCH = "torch==2.13.0+cpu"  # the other build brings several GB of CUDA
INDEX = "https://download.pytorch.org/whl/cpu"
PEERS = ("aiperf==0.13.0", "transformers[serving]>=5.10,<6")
LIST = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"


@lru_cache
def versions() -> dict[str, str]:
    """Return the versions of what the environment holds, by lower-case name; empty if it cannot be made."""
    if not STAMP.exists() and not make():
        return {}
    done = subprocess.run([PYTHON, "-c", LIST], capture_output=True, text=True, check=True)
    return {name.replace("_", "-"): version for name, version in json.loads(done.stdout).items()}


def make() -> bool:
    """Make the environment; tell whether that worked. What is left of a failed try is removed."""
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet"]
    steps = ([sys.executable, "-m", "venv", str(FOLDER)], [*pip, "--extra-index-url", INDEX, TORCH], [*pip, *PEERS])
    for command in steps:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"the peers are not installed: {done.stderr.strip()[-300:]}", file=sys.stderr)
            shutil.rmtree(FOLDER, ignore_errors=True)
            return False
    STAMP.touch()
    return True


if __name__ == "__main__":
    sys.exit(0 if versions() else 1)
