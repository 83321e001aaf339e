"""How much arithmetic a token costs, and how much this machine can do: together they give MFU.

Model FLOPs utilisation (Chowdhery et al. 2022, PaLM, arXiv 2204.02311, appendix B) is the arithmetic that a model needs
at the measured token rate ÷ the machine's peak. The peak is not taken from a data sheet: it is the fastest matrix
product seen on this machine, in the same dtype, with the same threads. This module does not know what is trained.

>>> from aifactory_lab.lm.shapes import shape
>>> per_token(shape(depth=4, vocabulary=2048))
7962624
>>> mfu(shape(depth=4, vocabulary=2048), tokens_per_second=10_000, peak=2e11)
0.3981312
"""

import json
import platform
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from aifactory_lab.aside import write_text
from aifactory_lab.errors import ModelError
from aifactory_lab.lm.shapes import Shape
from aifactory_lab.workspace import cache_folder

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FILE = "matmul_peak.json"
SIZES = {"cpu": (512, 1024), "cuda": (4096, 8192)}  # a cache likes one, the cores the other: the better counts
SECONDS = 0.2  # for each size
WORTH = 1.3  # bfloat16 pays when its products are so much faster, for the copies and casts cost a little


def per_token(shape: Shape) -> int:
    """Return the floating-point operations of one token of training, forward and backward.

    6 per parameter of every matrix (2 forward, 4 backward), the output layer included and the look-up of the embedding
    not, and 12 × layers × width × context for attention's two products: PaLM, appendix B; nanochat counts the same. The
    half of attention that the causal mask discards counts as work, as it does there.
    """
    return 6 * shape.matrices + 12 * shape.layers * shape.heads * shape.head * shape.context


def mfu(shape: Shape, *, tokens_per_second: float, peak: float) -> float:
    """Return model FLOPs utilisation, 0 to 1, of a token rate against a peak in FLOP/s."""
    return per_token(shape) * tokens_per_second / peak


def dtype(name: str) -> torch.dtype:
    """Return PyTorch's dtype of that name.

    Raises
    ------
    ModelError
        If a model cannot be trained in it here.

    Examples
    --------
    >>> dtype("bfloat16")
    torch.bfloat16
    """
    if name not in DTYPES:
        msg = f"cannot train in dtype {name!r}; there are: {', '.join(DTYPES)}"
        raise ModelError(msg, mend='lm.pretrain.run(…, dtype="auto")')
    return DTYPES[name]


def fastest(*, threads: int = 1, device: str = "cpu") -> str:
    """Return ``"bfloat16"`` where its matrix products are clearly faster on this machine, else ``"float32"``."""
    half, full = (measured_peak(name, threads=threads, device=device) for name in ("bfloat16", "float32"))
    return "bfloat16" if half > WORTH * full else "float32"


@cache
def measured_peak(dtype_name: str, *, threads: int = 1, device: str = "cpu", folder: Path | None = None) -> float:
    """Return the machine's peak in FLOP/s: the fastest seen, now or in an earlier run.

    It is measured once in a process (under a second), and what is remembered only rises: a neighbour's load makes a
    measurement low, nothing makes it high.

    Parameters
    ----------
    dtype_name
        ``"float32"`` or ``"bfloat16"``.
    threads
        Of the CPU that may take part; a GPU has its own.
    device
        ``"cpu"`` or ``"cuda"``.
    folder
        Where it is remembered; by default `workspace.cache_folder()`.
    """
    kept = (folder or cache_folder()) / FILE
    key = f"{platform.node()} {torch.__version__} {device} {dtype_name} {threads if device == 'cpu' else 1}"
    before, found = _read(kept).get(key, 0.0), measure_peak(dtype_name, threads=threads, device=device)
    if found > before:
        with suppress(OSError):  # a home that cannot be written loses the memory, not the run
            write_text(kept, json.dumps(_read(kept) | {key: found}, indent=1))
    return max(found, before)


def measure_peak(dtype_name: str, *, threads: int = 1, device: str = "cpu") -> float:
    """Measure now: the fastest of many square products, so that a neighbour's load counts little."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return max(_products(size, dtype(dtype_name), device) for size in SIZES[device])
    finally:
        torch.set_num_threads(before)


def _products(size: int, kind: torch.dtype, device: str) -> float:
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        product = left @ right
        if device == "cuda":
            product[0, 0].item()  # waits for the GPU
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _read(kept: Path) -> dict[str, float]:
    try:
        found = json.loads(kept.read_text())
        return {str(key): float(value) for key, value in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # none yet, or torn: measured again
