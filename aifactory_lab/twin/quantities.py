"""Quantities as people write them, in SI: ``"80 GiB"`` is 85,899,345,920 bytes, ``"400 Gb/s"`` is 50e9 bytes a second.

A unit belongs to one dimension, so that bits are never read as bytes, nor watts as kilograms. What a quantity is of is
not known here.

>>> read("80 GiB", "bytes"), read("80 GB", "bytes"), read("400 Gb/s", "bytes_s")
(85899345920.0, 80000000000.0, 50000000000.0)
"""

import math
import re

from aifactory_lab.errors import TwinError

DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
UNITS: dict[str, dict[str, float]] = {
    "bytes": {f"{prefix}B": factor for prefix, factor in (DECIMAL | BINARY).items()},
    "bytes_s": {f"{prefix}B/s": factor for prefix, factor in DECIMAL.items()}
    | {f"{prefix}b/s": factor / 8 for prefix, factor in DECIMAL.items()},
    "flops": {f"{prefix}{unit}": factor for prefix, factor in DECIMAL.items() for unit in ("FLOPS", "OPS")},
    "watts": {f"{prefix}W": factor for prefix, factor in DECIMAL.items()},
    "kg": {"kg": 1.0, "t": 1000.0},
    "metres": {"m": 1.0, "mm": 1e-3, "U": 0.04445},  # a rack unit is 1.75 inches: EIA-310
    "kelvin": {"K": 1.0},
    "number": {"": 1.0},
}
FORM = re.compile(r"\s*([+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)\s*(\S*)\s*")
QUALIFIERS = {"sparse", "sparsity", "bidirectional", "bidir", "duplex"}


def read(text: str, dimension: str) -> float:
    """Return a quantity in SI.

    Parameters
    ----------
    text
        A number and its unit.
    dimension
        One of `UNITS`.

    Raises
    ------
    TwinError
        If it is no quantity, its unit belongs to another dimension, or it says that it is one of a data sheet's
        doubled figures (``sparse``, ``bidirectional``).
    """
    doubled = QUALIFIERS & set(re.findall(r"[a-z]+", str(text).lower()))
    if doubled:
        msg = f"{text!r} is a doubled figure ({doubled.pop()}): here all are dense, and per direction"
        raise TwinError(msg, mend="give half of it, without the word")
    match, units = FORM.fullmatch(str(text)), UNITS[dimension]
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit) or "a number without a unit"
        msg = f"{text!r} is not in a unit of {dimension}; there are: {known}"
        raise TwinError(msg, mend=f'"80 {next(iter(units))}"')
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value):
        msg = f"{text!r} is not a finite quantity"
        raise TwinError(msg, mend=f'"80 {next(iter(units))}"')
    return value


def dimension(field: str) -> str:
    """Return the dimension that a field's name ends in: ``"tdp_watts"`` is in watts.

    Examples
    --------
    >>> dimension("nvlink_bytes_s_per_direction"), dimension("flops_dense.fp8"), dimension("gpus")
    ('bytes_s', 'flops', 'number')
    """
    words = field.partition(".")[0].split("_")
    for end in range(len(words)):
        for name in ("bytes_s", "bytes", "flops", "watts", "kg", "metres", "kelvin"):
            if words[end : end + name.count("_") + 1] == name.split("_"):
                return name
    return "number"
