"""A machine's links as they were measured: a table, words, and the rates that others reckon with.

>>> from aifactory_lab.links.link import Link
>>> copy = Part((Link("memory_copy", "memory, copy by 1 thread", (2e10,)),))
>>> here = Links("laptop", "/data", {"copy": copy})
>>> here.rate("memory_copy"), here.rate("gpu0_from_host"), here.device_to_device
(20000000000.0, None, None)
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.links.link import Link

COLUMNS: dict[str, Any] = {"name": pl.String, "what": pl.String}
COLUMNS |= dict.fromkeys(("gb_s", "low", "high", "published_gb_s", "share"), pl.Float64)
COLUMNS |= {"source": pl.String, "reason": pl.String}


@dataclass(frozen=True)
class Part:
    """Links that were measured together, what a reader should know of them, and when it was (UTC, ISO 8601)."""

    links: tuple[Link, ...] = ()
    notes: tuple[str, ...] = ()
    date: str = ""


@dataclass(frozen=True)
class Links:
    """The links of a machine.

    Attributes
    ----------
    machine, folder
        Where, and whose disk.
    parts
        What was measured, in the order of the table: see `measurement.PARTS`.
    """

    machine: str
    folder: str
    parts: Mapping[str, Part]

    @property
    def links(self) -> tuple[Link, ...]:
        """One for each link and direction."""
        return tuple(link for part in self.parts.values() for link in part.links)

    @property
    def date(self) -> str:
        """When the oldest part was measured."""
        return min((part.date for part in self.parts.values()), default="")

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know: that no GPU was measured, and why."""
        return tuple(note for part in self.parts.values() for note in part.notes)

    def find(self, name: str) -> Link:
        """Return a link by its name.

        Raises
        ------
        DataError
            If there is none of the name.
        """
        for link in self.links:
            if link.name == name:
                return link
        msg = f"no link {name!r}; there are: {', '.join(link.name for link in self.links)}"
        raise DataError(msg, mend='links.measure(folder).find("memory_copy")')

    def rate(self, name: str) -> float | None:
        """Return a link's median in bytes per second; None if it is not there or was not measured."""
        return next((link.bytes_s for link in self.links if link.name == name), None)

    @property
    def host_to_device(self) -> float | None:
        """Bytes per second from pinned memory to the GPU that takes them fastest; None without a GPU."""
        return self._fastest(r"gpu\d+_from_host")

    @property
    def device_to_host(self) -> float | None:
        """Bytes per second to pinned memory from the GPU that gives them fastest; None without a GPU."""
        return self._fastest(r"gpu\d+_to_host")

    @property
    def device_to_device(self) -> float | None:
        """Bytes per second between the two GPUs that are joined best; None without two."""
        return self._fastest(r"gpu\d+_to_gpu\d+")

    @property
    def ring(self) -> float | None:
        """Bytes per second between the two GPUs that are joined worst: no ring goes faster; None without two."""
        return min(self._rates(r"gpu\d+_to_gpu\d+"), default=None)

    @property
    def gpus(self) -> int:
        """GPUs whose links are here."""
        return len({match[1] for link in self.links if (match := re.match(r"gpu(\d+)_", link.name))})

    def _fastest(self, pattern: str) -> float | None:
        return max(self._rates(pattern), default=None)

    def _rates(self, pattern: str) -> list[float]:
        rates = (link.bytes_s for link in self.links if re.fullmatch(pattern, link.name))
        return [rate for rate in rates if rate is not None]

    def table(self) -> pl.DataFrame:
        """Return one row a link: ``name``, ``what``, ``gb_s`` with its slowest and fastest pass, what was published.

        Rates are in GB/s of 10**9 bytes; ``share`` is measured ÷ published; ``reason`` says why a figure is missing.
        """
        return pl.DataFrame([link.row() for link in self.links], schema=COLUMNS)

    def rows(self) -> list[dict[str, str]]:
        """Return the table as people read it: rates with their spread in one cell, sources and reasons left out."""
        return [link.told() for link in self.links]

    def reasons(self) -> list[str]:
        """Return why figures are missing or not what they seem, once for all links that share the reason."""
        shared: dict[str, list[str]] = {}
        for link in self.links:
            shared.setdefault(link.reason, []).append(link.name)
        return [*(f"{', '.join(names)}: {reason}" for reason, names in shared.items() if reason), *self.notes]

    def words(self) -> str:
        """Return a line a link, and the reasons."""
        return "\n".join([*map(str, self.links), *self.reasons()])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the links that `to_dict` described."""
        parts = {
            name: Part(tuple(map(Link.from_dict, part["links"])), tuple(map(str, part["notes"])), str(part["date"]))
            for name, part in values["parts"].items()
        }
        return cls(values["machine"], values["folder"], parts)
