"""The catalogue of hardware by name: ours, or ours with yours beside it.

The figures stand in `data/hardware.toml`, each with its unit and source. A file of your own adds parts, or replaces
some of ours, in the same form. What parts do together is not known here.

>>> h100 = gpu("h100-sxm")
>>> h100.flops_dense["fp8"], h100.nvlink_bytes_s_per_direction, h100.statuses["tdp_watts"]
(1978000000000000.0, 450000000000.0, 'source')
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import catalogue
from aifactory_lab.twin.parts import Cdu, Gpu, Link, Node, Part, Ports, Rack, Unit

FILE = Path(__file__).with_name("data") / "hardware.toml"
Kind = TypeVar("Kind", bound=Part)


@dataclass(frozen=True)
class Catalogue:
    """Parts by kind and name."""

    parts: catalogue.Parts

    def find(self, kind: str, name: str) -> Part:
        """Return a part: of the kind ``"gpu"``, ``"node"``, ``"rack"``, ``"unit"``, ``"link"``, ``"nic"``, ….

        Raises
        ------
        TwinError
            If there is none of the name.
        """
        found = self.parts.get(kind, {}).get(name.lower())
        if found is None:
            msg = f"no {kind} {name!r} in the catalogue; there are: {', '.join(self.names(kind)) or 'none'}"
            raise TwinError(
                msg, mend='twin.hardware.read("mine.toml")  # a file in the form of twin/data/hardware.toml'
            )
        return found

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names of a kind, aliases left out."""
        return tuple(dict.fromkeys(part.name for part in self.parts.get(kind, {}).values()))

    def gpu(self, name: str) -> Gpu:
        """Return a GPU."""
        return _as(Gpu, self.find("gpu", name))

    def table(self) -> pl.DataFrame:
        """Return every figure in one table: kind, name, field, value in SI, source, status."""
        return pl.DataFrame(
            list(self._rows()), orient="row", schema=("kind", "name", "field", "value", "source", "status")
        )

    def _rows(self) -> Iterator[tuple[str, str, str, float, str, str]]:
        for kind in self.parts:
            for part in (self.find(kind, name) for name in self.names(kind)):
                for field, source in part.sources.items():
                    yield kind, part.name, field, value(part, field), source, part.statuses[field]


def value(part: Part, field: str) -> float:
    """Return a part's figure by its name in the file: ``"tdp_watts"``, ``"flops_dense.fp8"``."""
    group, _, form = field.partition(".")
    found = getattr(part, catalogue.GROUPS.get(group, group))
    return float(found[form] if form else found)


def read(path: Path | str) -> Catalogue:
    """Return our catalogue with the parts of a file beside it; those of the same name replace ours.

    Raises
    ------
    TwinError
        If the file, or a figure in it, cannot be; it names the figure and its value.
    """
    try:
        told = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} is not a catalogue: {error}"
        raise TwinError(msg, mend="a TOML file with [sources] and, say, [gpu.mine]") from error
    told["sources"] = _told()["sources"] | catalogue.tabled(told.get("sources", {}), f"{path}: sources")
    mine = catalogue.catalogue(told, where=str(path))
    return Catalogue({kind: ours().parts[kind] | parts for kind, parts in mine.items()})


@cache
def ours() -> Catalogue:
    """Return the catalogue that came with this package."""
    return Catalogue(catalogue.catalogue(_told(), where=FILE.name))


@cache
def _told() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text())


def gpu(name: str) -> Gpu:
    """Return a GPU of our catalogue.

    Raises
    ------
    TwinError
        If there is none of the name; so do all below.
    """
    return ours().gpu(name)


def node(name: str) -> Node:
    """Return a node: ``"dgx-h100"``, …."""
    return _as(Node, ours().find("node", name))


def rack(name: str) -> Rack:
    """Return a rack that is one NVLink domain: ``"gb200-nvl72"``, …."""
    return _as(Rack, ours().find("rack", name))


def unit(name: str) -> Unit:
    """Return a scalable unit: ``"superpod-b200"``, …."""
    return _as(Unit, ours().find("unit", name))


def link(name: str) -> Link:
    """Return a generation of links: ``"nvlink-5"``, ``"pcie-6"``, …."""
    return _as(Link, ours().find("link", name))


def nic(name: str) -> Ports:
    """Return a network card: ``"connectx-8"``, …."""
    return _as(Ports, ours().find("nic", name))


def switch(name: str) -> Ports:
    """Return a switch: ``"quantum-2"``, …."""
    return _as(Ports, ours().find("switch", name))


def cdu(name: str) -> Cdu:
    """Return a coolant distribution unit: ``"frontier"``, …."""
    return _as(Cdu, ours().find("cdu", name))


def names(kind: str = "gpu") -> tuple[str, ...]:
    """Return the names of a kind of part."""
    return ours().names(kind)


def _as(kind: type[Kind], part: Part) -> Kind:
    assert isinstance(part, kind)  # the reader makes each kind of its own class
    return part
