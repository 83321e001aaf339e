"""The boards as web pages of their own: voila on the notebooks of `notebooks/dashboards/`.

One kernel runs per open page and ends with it: the page says good-bye when it closes, and a kernel whose page died
without a word is culled a minute after its board fell silent. All kernels of a user share one sampler. This module
starts voila and knows nothing of boards.

>>> "mission_control" in boards()
True
"""

import json
import subprocess
import sys
from pathlib import Path

from aifactory_lab.errors import FactoryError

HOST = "127.0.0.1"
PORT = 8866
CULL_SECONDS = 60


def folder() -> Path:
    """Return where the notebooks of the boards lie: in the checkout, else inside the installed package."""
    checkout = Path(__file__).parents[1] / "notebooks" / "dashboards"
    return checkout if checkout.is_dir() else Path(__file__).parent / "_dashboards"


def boards() -> list[str]:
    """Return the names of the boards."""
    return sorted(path.stem for path in folder().glob("*.ipynb"))


def shows(board: str) -> str:
    """Return what a board shows, as its notebook says in its metadata.

    Examples
    --------
    >>> shows("gpus")
    '1 to 10,000 GPUs as a heat map, with lines, processes and health of those you click'
    """
    return str(json.loads((folder() / f"{board}.ipynb").read_text())["metadata"]["shows"])


def command(board: str = "mission_control", *, port: int = PORT, host: str = HOST, browser: bool = True) -> list[str]:
    """Return the command line that serves a board.

    Raises
    ------
    FactoryError
        If there is no such board; the message lists those there are.
    """
    path = folder() / f"{board}.ipynb"
    if not path.exists():
        msg = f"no board {board!r}; there are: {', '.join(boards())}"
        raise FactoryError(msg, mend="aifactory dash mission_control")
    return [
        *(sys.executable, "-m", "voila", str(path)),
        f"--port={port}",
        f"--Voila.ip={host}",
        *([] if browser else ["--no-browser"]),
        # A board that nobody looks at falls silent; only then does a kernel count as idle.
        f"--MappingKernelManager.cull_idle_timeout={CULL_SECONDS}",
        f"--MappingKernelManager.cull_interval={CULL_SECONDS // 4}",
        "--MappingKernelManager.cull_connected=True",
        "--VoilaConfiguration.file_allowlist=[]",  # nothing but the page itself
    ]


def serve(board: str = "mission_control", *, port: int = PORT, host: str = HOST, browser: bool = True) -> int:
    """Serve a board until interrupted; return voila's exit code."""
    words = command(board, port=port, host=host, browser=browser)
    try:
        return subprocess.run(words, check=False).returncode  # noqa: S603 - our own command line
    except KeyboardInterrupt:
        return 0
