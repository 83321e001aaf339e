"""How long collectives take: a start-up time and a bandwidth (the alpha-beta model of Hockney, 1994), fitted to NCCL.

Inside a node NVLink's figures were fitted to Vidur's measurements (Microsoft, MIT) of H100 and A100; beyond one there
are two ways, hierarchical and a single ring. Who shares the network meanwhile is not known here.

>>> inside = nvlink("h100-sxm", gpus=8)
>>> f"{inside.all_reduce(64 << 20, gpus=8) * 1e6:.0f} µs"
'371 µs'
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from aifactory_lab.aside import write_text
from aifactory_lab.errors import TwinError
from aifactory_lab.links import Links
from aifactory_lab.twin import hardware
from aifactory_lab.twin.measurements import find
from aifactory_lab.twin.parts import Gpu
from aifactory_lab.workspace import file_hash

Numbers = NDArray[np.float64]
FITTED = Path(__file__).with_name("data") / "collectives.json"
FILES = {"h100-sxm": "h100_dgx_all_reduce.csv", "a100-80": "a100_dgx_all_reduce.csv"}
# What was measured between two nodes with one GPU each, and the bytes on a link for each byte held (2 (n - 1)/n = 1).
NETWORK = {"h100-sxm": ("h100_dgx_send_recv.csv", "send_recv"), "a100-80": ("a100_dgx_all_reduce.csv", "all_reduce")}
SIZES = (2, 4, 8)
ROBUST = 0.1  # relative errors beyond a tenth count linearly


@dataclass(frozen=True)
class AlphaBeta:
    """A network between equals: seconds to start, and bytes per second of each member, one way."""

    alpha_seconds: float
    bytes_s: float

    def __post_init__(self) -> None:
        if not (self.alpha_seconds >= 0 and self.bytes_s > 0):
            msg = f"a network of alpha_seconds={self.alpha_seconds!r}, bytes_s={self.bytes_s!r} cannot be"
            raise TwinError(msg, mend="AlphaBeta(30e-6, 348e9)")

    def send(self, size: ArrayLike) -> Numbers:
        """Return the seconds to send so many bytes to another."""
        return np.asarray(self.alpha_seconds + np.asarray(size, np.float64) / self.bytes_s, np.float64)

    def all_reduce(self, size: ArrayLike, *, gpus: int) -> Numbers:
        """Return the seconds of a ring all-reduce: alpha + 2 (n - 1)/n × bytes ÷ beta."""
        return self._ring(size, gpus, rounds=2)

    def all_gather(self, size: ArrayLike, *, gpus: int) -> Numbers:
        """Return the seconds until all have all `size` bytes; a reduce-scatter of so many takes as long."""
        return self._ring(size, gpus, rounds=1)

    def all_to_all(self, size: ArrayLike, *, gpus: int) -> Numbers:
        """Return the seconds until each has sent its `size` bytes, an equal part to everyone."""
        return self._ring(size, gpus, rounds=1)

    def _ring(self, size: ArrayLike, gpus: int, *, rounds: int) -> Numbers:
        _members(gpus)
        each = rounds * (gpus - 1) / gpus * np.asarray(size, np.float64) / self.bytes_s
        return np.asarray(self.alpha_seconds * (gpus > 1) + each, np.float64)


def nvlink(gpu: Gpu | str, *, gpus: int, links: Links | None = None) -> AlphaBeta:
    """Return NVLink between so many GPUs of a node.

    H100 and A100 are fitted. Others take H100's start-up time, and as much of their NVLink's rate as H100 reaches of
    its own: an assumption, and a bold one, for A100's rate would so come out half too high.

    Parameters
    ----------
    links
        Measured on such a node (`links.measure`): nothing goes faster than its worst pair.

    Raises
    ------
    TwinError
        If the GPU has no NVLink.
    """
    chip = hardware.gpu(gpu) if isinstance(gpu, str) else gpu
    if not chip.nvlink_bytes_s_per_direction:
        msg = f"{chip.name} has no NVLink"
        raise TwinError(msg, mend='collectives.nvlink("h100-sxm", gpus=8)')
    _members(gpus)
    size = str(next((size for size in SIZES if size >= gpus), SIZES[-1]))
    known, most = fitted()["nvlink"], (links.ring if links else None) or float("inf")
    if chip.name in known:
        return AlphaBeta(known[chip.name][size]["alpha_seconds"], min(most, known[chip.name][size]["bytes_s"]))
    like = known["h100-sxm"][size]
    own = hardware.gpu("h100-sxm").nvlink_bytes_s_per_direction or 1.0
    return AlphaBeta(like["alpha_seconds"], min(most, like["bytes_s"] * chip.nvlink_bytes_s_per_direction / own))


def network(gpu: str = "h100-sxm") -> AlphaBeta:
    """Return the network between two GPUs of different nodes, as measured: H100 on 400 Gb/s, A100 on a slower one.

    Raises
    ------
    TwinError
        If nobody measured that.
    """
    known = fitted()["network"]
    if gpu not in known:
        msg = f"nobody measured the network between nodes of {gpu!r}; there are: {', '.join(known)}"
        raise TwinError(msg, mend="collectives.AlphaBeta(20e-6, 0.7 * nic_bytes_s_per_gpu)")
    return AlphaBeta(known[gpu]["alpha_seconds"], known[gpu]["bytes_s"])


def hop_seconds() -> float:
    """Return the seconds that a step of a ring between nodes takes beside its bytes; there are 2 (n - 1) steps."""
    return float(fitted()["hop_seconds"])


def all_reduce(
    size: ArrayLike,
    *,
    nodes: int,
    gpus_per_node: int,
    inside: AlphaBeta,
    between: AlphaBeta,
    rails: int | None = None,
    way: str = "hierarchical",
) -> Numbers:
    """Return the seconds of an all-reduce among nodes.

    Parameters
    ----------
    size
        Bytes that each GPU holds.
    inside, between
        NVLink of a node; the network of one rail.
    rails
        Network cards that a node has for its GPUs; one a GPU by default.
    way
        ``"hierarchical"``: reduce-scatter on NVLink, an all-reduce on each rail of its part, all-gather on NVLink.
        ``"ring"``: one ring through all GPUs, as wide as the rails; it is what two nodes of A100s were measured to do.

    Raises
    ------
    TwinError
        If a count is not a positive whole number, or there is no such way.
    """
    lanes = min(rails or gpus_per_node, gpus_per_node)
    for count in (nodes, gpus_per_node, lanes):
        _members(count)
    if way not in {"hierarchical", "ring"}:
        msg = f"no way {way!r}; there are: hierarchical, ring"
        raise TwinError(msg, mend='way="ring"')
    held = np.asarray(size, np.float64)
    if nodes == 1:
        return inside.all_reduce(held, gpus=gpus_per_node)
    if way == "ring":
        members = nodes * gpus_per_node
        width = AlphaBeta(between.alpha_seconds, min(lanes * between.bytes_s, inside.bytes_s))
        return width.all_reduce(held, gpus=members) + 2 * (members - 1) * hop_seconds()
    rail = between.all_reduce(held / lanes, gpus=nodes) + 2 * (nodes - 1) * hop_seconds()
    return np.asarray(2 * inside.all_gather(held, gpus=gpus_per_node) + rail, np.float64)


def measured(name: str, *, gpus: int, per_node: int, operation: str = "all_reduce") -> tuple[Numbers, Numbers]:
    """Return measured sizes in bytes and median seconds from a file of Vidur's under ``$AIFACTORY_DATA``."""
    table = pl.read_csv(find(name)).filter(pl.col("num_workers") == gpus, pl.col("devices_per_node") == per_node)
    if table.is_empty():
        msg = f"{name} has no rows of {gpus} GPUs, {per_node} a node"
        raise TwinError(msg, mend="gpus=8, per_node=8")
    ordered = table.sort("size")
    return ordered["size"].to_numpy().astype(float), ordered[f"time_stats.{operation}.median"].to_numpy() / 1e3


def fit(sizes: Sequence[float] | Numbers, seconds: Sequence[float] | Numbers, *, share: float) -> AlphaBeta:
    """Fit alpha and beta to measurements: soft-L1 least squares on the logarithm of the seconds.

    Parameters
    ----------
    share
        Bytes that cross a link for each byte held: 2 (n - 1)/n in an all-reduce, 1 in a send.

    Raises
    ------
    TwinError
        If there are fewer than two rows, or one is not positive.
    """
    from scipy.optimize import least_squares

    moved, taken = share * np.asarray(sizes, np.float64), np.asarray(seconds, np.float64)
    if len(taken) < 2 or not ((moved > 0) & (taken > 0)).all():
        msg = f"{len(taken)} rows of {moved!r} bytes and {taken!r} seconds are not two or more, all positive"
        raise TwinError(msg, mend="collectives.fit(sizes, seconds, share=2 * 7 / 8)")

    def errors(logs: Numbers) -> Numbers:
        return np.asarray(np.log(np.exp(logs[0]) + moved / np.exp(logs[1])) - np.log(taken), np.float64)

    # The smallest is nearly all start-up, the largest nearly all bytes: so near, no start leads astray.
    start = np.log([taken.min(), (moved / taken).max()])
    found = least_squares(errors, start, loss="soft_l1", f_scale=ROBUST).x
    return AlphaBeta(float(np.exp(found[0])), float(np.exp(found[1])))


def refit(*, to: Path | str = FITTED, date: str = "") -> dict[str, Any]:
    """Fit all again from the files under ``$AIFACTORY_DATA``, and write the figures with their provenance."""
    links = {gpu: {str(n): _described(fit(*rows, share=2 * (n - 1) / n), rows, n) for n in SIZES
                   for rows in (measured(name, gpus=n, per_node=n),)} for gpu, name in FILES.items()}  # fmt: skip
    between = {}
    for gpu, (name, operation) in NETWORK.items():
        rows = measured(name, gpus=2, per_node=1, operation=operation)
        between[gpu] = _described(fit(*rows, share=1.0), rows, 0)
    ring = fit(*measured(FILES["a100-80"], gpus=8, per_node=4), share=2 * 7 / 8)
    files = {name: file_hash(find(name)) for name in (*FILES.values(), *(name for name, _ in NETWORK.values()))}
    told = {
        "provenance": {
            "files": files,
            "of": "microsoft/vidur 7d475133, data/ (MIT): median seconds by bytes, 2 KiB to 64 MiB",
            "filter": "nvlink: all GPUs in one node; network: two nodes of one GPU; hop: A100, two nodes of four",
            "date": date,
            "refit": "python -c 'from aifactory_lab.twin import collectives; collectives.refit()'",
        },
        "nvlink": links,
        "network": between,
        "hop_seconds": float(f"{ring.alpha_seconds / (2 * 7):.4g}"),
    }
    write_text(Path(to), json.dumps(told, indent=1) + "\n")
    return told


@cache
def fitted() -> dict[str, Any]:
    """Return the figures that came with this package, with provenance and errors, from `data/collectives.json`."""
    found: dict[str, Any] = json.loads(FITTED.read_text())
    return found


def _described(model: AlphaBeta, rows: tuple[Numbers, Numbers], gpus: int) -> dict[str, float]:
    sizes, seconds = rows
    ours = model.all_reduce(sizes, gpus=gpus) if gpus else model.send(sizes)
    error = np.abs(ours / seconds - 1)
    figures = {"alpha_seconds": model.alpha_seconds, "bytes_s": model.bytes_s}
    figures |= {"mean_error": float(error.mean()), "median_error": float(np.median(error))}
    return {name: float(f"{value:.4g}") for name, value in figures.items()} | {"rows": len(sizes)}


def _members(count: int) -> None:
    if count < 1 or count != int(count):
        msg = f"a collective among {count!r} cannot be"
        raise TwinError(msg, mend="a positive whole number of GPUs, nodes and rails")
