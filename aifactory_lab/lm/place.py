"""Where PyTorch computes and on how many threads: on a GPU that it can use, else on the CPU, with the reason.

Language models need PyTorch, not RAPIDS, so a machine with a GPU but without RAPIDS trains and tunes on it all
the same.

>>> chosen("cpu").kind
'cpu'
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from aifactory_lab import device as devices
from aifactory_lab.errors import DeviceError

TOKEN_BYTES = 16  # an id and its target, int64: what crosses to a GPU for each token


def chosen(prefer: str | None = None) -> devices.Device:
    """Return the device.

    Parameters
    ----------
    prefer
        ``"cpu"``, ``"gpu"``, ``"auto"``; by default what `AIFACTORY_DEVICE` says.

    Raises
    ------
    DeviceError
        If a GPU is asked for that is not there, or that this PyTorch cannot use.
    """
    place = devices.current(prefer, needs=("torch",))
    if place.kind == "cpu" or torch.version.cuda is not None:
        return place
    what = f"{place.reason}, but PyTorch {torch.__version__} is built for the CPU"
    if "gpu" in (prefer, os.environ.get(devices.VARIABLE)):
        msg = f"a GPU was asked for: {what}"
        raise DeviceError(msg, mend="pip install torch  # from https://pytorch.org/get-started/locally")
    return devices.Device("cpu", what, place.gpus)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads of the CPU; the number before is given back, after an error too."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
