"""One training on several processes, a GPU each: what torchrun started, and what they must agree on.

Started by torchrun, a process knows its rank from the environment; started otherwise it is alone. PyTorch's
DistributedDataParallel averages the gradients, over NCCL on GPUs and gloo on CPUs. This module does not know the model.

>>> with joined("cpu") as ranks:
...     ranks.rank, ranks.ranks, ranks.mean(torch.tensor([1.0, 2.0])).tolist()
(0, 1, [1.0, 2.0])
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Ranks:
    """Which of how many processes this is, and the device that it computes on."""

    rank: int
    ranks: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether it is the one that speaks and writes."""
        return self.rank == 0

    def share(self, objective: nn.Module) -> nn.Module:
        """Return the module with its gradients averaged over all processes as they arise."""
        if self.ranks == 1:
            return objective
        return DistributedDataParallel(objective, device_ids=[self.device] if self.device.type == "cuda" else None)

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean over all processes."""
        if self.ranks > 1:
            distributed.all_reduce(values)
        return values / self.ranks

    def agree(self, value: Any) -> Any:
        """Return what the first process has, on all of them."""
        if self.ranks == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def wait(self) -> None:
        """Wait until every process is here."""
        if self.ranks > 1:
            distributed.barrier()


@contextmanager
def joined(kind: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, if any, while the block runs.

    Parameters
    ----------
    kind
        ``"cpu"`` or ``"cuda"``.
    """
    ranks, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    device = torch.device(kind, local) if kind == "cuda" else torch.device(kind)
    if ranks == 1:
        yield Ranks(0, 1, device)
        return
    if kind == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if kind == "cuda" else "gloo")
    try:
        yield Ranks(distributed.get_rank(), ranks, device)
    finally:
        distributed.destroy_process_group()
