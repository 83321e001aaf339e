"""Environments of the benchmarks' peers: made when first needed, and left out with the reason where they cannot be.

Apart from the user's environment, for peers pin what it holds in other versions, or change how JupyterLab looks. What
a peer is for, its benchmark says.

>>> Environment(".venv-peers", ["nvitop"]).python.as_posix().endswith(".venv-peers/bin/python")
True
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = "import importlib.metadata as m, json; print(json.dumps({d.name.lower(): d.version for d in m.distributions()}))"


class Environment:
    """A virtual environment under the checkout.

    Parameters
    ----------
    folder
        Its name.
    peers
        What is installed in it: requirements.
    before
        Words for pip, which it is given first: what uv would not find.
    """

    def __init__(self, folder: str, peers: Sequence[str], *, before: Sequence[str] = ()) -> None:
        self.folder, self.peers, self.before = ROOT / folder, list(peers), list(before)
        self.stamp = self.folder / ".stamp"
        self._versions: dict[str, str] | None = None

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """Return the path of a program in it."""
        return self.folder / "bin" / name

    def versions(self) -> dict[str, str]:
        """Return the versions of what it holds, by lower-case name; empty if it cannot be made. Asked once."""
        if self._versions is None:
            self._versions = self._list() if self.stamp.exists() or self.make() else {}
        return self._versions

    def make(self) -> bool:
        """Make it; tell whether that worked. What is left of a failed try is removed."""
        for command in self._steps():
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"the peers are not installed: {done.stderr.strip()[-300:]}", file=sys.stderr)
                shutil.rmtree(self.folder, ignore_errors=True)
                return False
        self.stamp.touch()
        return True

    def _list(self) -> dict[str, str]:
        done = subprocess.run([self.python, "-c", LIST], capture_output=True, text=True, check=True)
        return {name.replace("_", "-"): version for name, version in json.loads(done.stdout).items()}

    def _steps(self) -> list[list[str]]:
        """Return the commands: by uv where this environment has it, else by pip."""
        uv = Path(sys.executable).with_name("uv")
        pip = [str(self.python), "-m", "pip", "install"]
        tool = [str(uv), "pip", "install", "--python", str(self.python)] if uv.exists() else pip
        first = [[*pip, "--quiet", *self.before]] if self.before else []
        return [[sys.executable, "-m", "venv", str(self.folder)], *first, [*tool, "--quiet", *self.peers]]
