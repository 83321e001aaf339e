"""Whether a thing can run here, from what this machine really has: packages, a GPU, a file, a champion.

Each answer is a state in words with the line that mends it. Packages are held against what this project asks for,
and none is imported. This module does not know the things.

>>> packages().ready
True
>>> download(47_673_370).words
'downloads 47.7 MB at first use, if the network is reached'
"""

import sysconfig
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from aifactory_lab import device, doctor
from aifactory_lab.catalog.entry import State

LM = "PyTorch, transformers and llama.cpp (extra lm)"


def packages(extra: str = "") -> State:
    """Return whether the packages of an extra are installed, in the ranges that are asked for."""
    return _packages(extra, Path(sysconfig.get_path("purelib")).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _packages(extra: str, changed: int) -> State:  # noqa: ARG001 - what was found holds until something is installed
    wrong = [finding for finding in doctor.packages(extra) if finding.state != "ok"]
    if not wrong:
        return State()
    told = "; ".join(f"{finding.what} is {finding.found}" for finding in wrong)
    return State(ready=False, words=told, mend=wrong[0].mend)


def package(module: str, install: str) -> State:
    """Return whether a package lies here that no extra brings."""
    if find_spec(module):
        return State()
    return State(ready=False, words=f"{module} is not installed", mend=install)


def download(size: int) -> State:
    """Return the state of a dataset that is not here yet; it can be had, so it is ready."""
    return State(words=f"downloads {size / 1e6:.1f} MB at first use, if the network is reached")


def gpus() -> State:
    """Return whether there are GPUs to look at; a board that has none says so, and runs."""
    found = device.probe()
    if found.gpus:
        return State(words=f"runs here: {len(found.gpus)} GPUs, the first {found.gpus[0].name}")
    return State(words=f"runs here, and says that there is no GPU: {found.obstacle}")


def first(*states: State) -> State:
    """Return the first state that is not ready, else the first that has something to say."""
    missing = [state for state in states if not state.ready]
    telling = [state for state in states if state != State()]
    return next(iter([*missing, *telling, State()]))
