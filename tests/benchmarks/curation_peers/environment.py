"""The peers' own environment, `.venv-peers/curation`: datasketch and datatrove, made when first needed.

Apart from the user's environment, for they bring half a gigabyte that nothing here needs. Left out, with the reason,
where it cannot be made. `python -m tests.benchmarks.curation_peers.environment` makes it by hand.
"""

import shutil
import subprocess
import sys
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / ".venv-peers" / "curation"
PYTHON = FOLDER / "bin" / "python"
STAMP = FOLDER / ".stamp"
PEERS = ("datasketch>=2,<3", "datatrove[processing]>=0.10,<0.11", f"polars=={version('polars')}")


@lru_cache
def ready() -> bool:
    """Tell whether the environment is there, or could be made."""
    return STAMP.exists() or make()


def make() -> bool:
    """Make the environment; tell whether that worked. What is left of a failed try is removed."""
    uv = Path(sys.executable).with_name("uv")
    tool = (
        [str(uv), "pip", "install", "--python", str(PYTHON)] if uv.exists() else [str(PYTHON), "-m", "pip", "install"]
    )
    for command in ([sys.executable, "-m", "venv", str(FOLDER)], [*tool, "--quiet", *PEERS]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"the peers are not installed: {done.stderr.strip()[-300:]}", file=sys.stderr)
            shutil.rmtree(FOLDER, ignore_errors=True)
            return False
    STAMP.touch()
    return True


if __name__ == "__main__":
    sys.exit(not ready())
