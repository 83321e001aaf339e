"""What links carry at best, as published: PCIe by generation and lanes, NVLink by its links, C2C, SATA, DRAM.

The figures stand in `published.toml`, each with its unit and source; here they are only multiplied. All are bytes per
second in one direction, after the line coding. Which links a machine has is not known here.

>>> round(pcie(5, 16).bytes_s / 1e9, 2), pcie(5, 16).words
(63.02, 'PCIe 5 × 16')
>>> nvlink(4, 18).bytes_s == c2c().bytes_s == 450e9
True
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab.errors import DataError

FILE = Path(__file__).with_name("published.toml")
CHANNEL_BYTES = 8  # a DDR channel has 64 data bits: JEDEC, JESD79 (DDR5 splits it in two of 32)


@dataclass(frozen=True)
class Promise:
    """What a link should carry: bytes per second in one direction, in words, and who says so."""

    bytes_s: float
    words: str
    source: str


def pcie(generation: int, lanes: int) -> Promise:
    """Return what so many lanes of a PCIe generation carry after their coding, packet headers not taken off.

    Raises
    ------
    DataError
        If the generation is not in the file; so do all below.
    """
    told = _entry("pcie", str(generation))
    return Promise(
        lanes * raw_lane(generation) * told["payload"] / told["of"], f"PCIe {generation} × {lanes}", _by(told)
    )


def raw_lane(generation: int) -> float:
    """Return the bytes per second of one PCIe lane before its coding: what data sheets multiply by 16."""
    return float(_entry("pcie", str(generation))["gigatransfers_s"]) * 1e9 / 8


def pcie_generation(gigatransfers_s: float) -> int | None:
    """Return the PCIe generation of a lane's rate, as Linux prints it; None if no generation has it.

    Examples
    --------
    >>> pcie_generation(16.0), pcie_generation(12.0)
    (4, None)
    """
    rates = {float(told["gigatransfers_s"]): int(name) for name, told in _file()["pcie"].items()}
    return rates.get(gigatransfers_s)


def nvlink(generation: int, links: int) -> Promise:
    """Return what so many NVLinks of a generation carry together."""
    told = _entry("nvlink", str(generation))
    return Promise(links * told["gigabytes_s"] * 1e9, f"NVLink {generation} × {links}", _by(told))


def c2c() -> Promise:
    """Return what NVLink-C2C carries between a Grace processor and its Hopper."""
    told = _file()["c2c"]
    return Promise(told["gigabytes_s"] * 1e9, "NVLink-C2C", _by(told))


def sata(gigabits_s: float) -> Promise:
    """Return what a SATA link of this rate carries."""
    told = _file()["sata"]
    return Promise(gigabits_s * 1e9 / 8 * told["payload"] / told["of"], f"SATA at {gigabits_s:g} Gb/s", _by(told))


def dram(channels: int, megatransfers_s: float, source: str) -> Promise:
    """Return what memory channels carry together: channels × 8 bytes × transfers per second."""
    words = f"{channels} × {megatransfers_s:g} MT/s"
    return Promise(channels * CHANNEL_BYTES * megatransfers_s * 1e6, words, source)


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def _entry(kind: str, name: str) -> dict[str, Any]:
    known = _file()[kind]
    if name not in known:
        msg = f"{FILE.name} has no {kind} of generation {name}; it has: {', '.join(known)}"
        raise DataError(msg, mend=f"[{kind}.{name}]  # with its figures and source, in {FILE}")
    found: dict[str, Any] = known[name]
    return found


def _by(told: dict[str, Any]) -> str:
    return str(_file()["sources"][told["by"]]["where"])
