"""The boards as web pages of their own: voila on the notebooks of `notebooks/dashboards/`.

One kernel runs per open page and ends with it: the page says good-bye when it closes, and a kernel whose page died
without a word is culled a minute after its board fell silent. All kernels of a user share one sampler. A page leads to
a kernel, and a kernel runs anything: on this machine only its own names are heard, elsewhere Jupyter's token is asked
for. This module starts voila and knows nothing of boards.

>>> "mission_control" in boards()
True
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from aifactory_lab.access import tokens
from aifactory_lab.errors import FactoryError

HOST = "127.0.0.1"
PORT = 8866
CULL_SECONDS = 60
IDENTITY = "voila.voila_identity_provider.VoilaIdentityProvider"  # a token only; the other one offers to set a password
JUPYTER_VARIABLE = "JUPYTER_TOKEN"  # where Jupyter's identity provider looks


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


def command(
    board: str = "mission_control", *, port: int = PORT, host: str = HOST, browser: bool = True, guarded: bool = False
) -> list[str]:
    """Return the command line that serves a board.

    Parameters
    ----------
    guarded
        Whether the token of ``$JUPYTER_TOKEN`` is asked for.

    Raises
    ------
    FactoryError
        If there is no such board; the message lists those there are.
    """
    if board not in boards():
        msg = f"no board {board[:100]!r}; there are: {', '.join(boards())}"
        raise FactoryError(msg, mend="aifactory dash mission_control")
    return [
        *(sys.executable, "-m", "voila", str(folder() / f"{board}.ipynb")),
        f"--port={port}",
        f"--Voila.ip={host}",
        *([] if browser else ["--no-browser"]),
        # A board that nobody looks at falls silent; only then does a kernel count as idle.
        f"--MappingKernelManager.cull_idle_timeout={CULL_SECONDS}",
        f"--MappingKernelManager.cull_interval={CULL_SECONDS // 4}",
        "--MappingKernelManager.cull_connected=True",
        "--VoilaConfiguration.file_allowlist=[]",  # nothing but the page itself
        # voila lets a page that rebinds its own name to 127.0.0.1 come in; Jupyter's check of the Host header does not
        f"--Voila.tornado_settings={{'allow_remote_access': {not tokens.local(host)}}}",
        *(["--Voila.auto_token=True", f"--Voila.identity_provider_class={IDENTITY}"] if guarded else []),
    ]


def serve(board: str = "mission_control", *, port: int = PORT, host: str = HOST, browser: bool = True) -> int:
    """Serve a board until interrupted; return voila's exit code.

    On any address but this machine's own a token is asked for: that of ``$AIFACTORY_TOKEN`` or
    ``$AIFACTORY_TOKEN_FILE``, else a new one, which the terminal shows once.

    Raises
    ------
    FactoryError
        If there is no such board, the token is not sound, or there is no terminal to show a new one on.
    """
    token = tokens.wanted(host)
    words = command(board, port=port, host=host, browser=browser, guarded=bool(token))
    tokens.show(token)
    environment = {**os.environ, **({JUPYTER_VARIABLE: token.value} if token else {})}
    try:
        return subprocess.run(words, check=False, env=environment).returncode  # noqa: S603 - our own command line
    except KeyboardInterrupt:
        return 0
