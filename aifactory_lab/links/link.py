"""One link of a machine: what it was measured to carry, what it should, and why either is not known.

It does not know how anything was measured.

>>> disk = Link("disk_read", "reading the disk", (2e9, 1e9, 3e9), promised_bytes_s=4e9, source="its data sheet")
>>> disk.bytes_s, disk.low, disk.high, disk.share
(2000000000.0, 1000000000.0, 3000000000.0, 0.5)
"""

from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Self

from aifactory_lab.links.published import Promise


@dataclass(frozen=True)
class Link:
    """A link in one direction.

    Attributes
    ----------
    name
        Its name in tables and files: ``"disk_read"``, ``"memory_copy"``, ``"gpu0_from_host"``, ….
    what
        What was done, over which hardware, in words.
    passes
        Bytes per second of each pass; empty where nothing could be measured.
    promised_bytes_s, source
        What it should carry at best, and who says so; None where nobody does.
    reason
        Why it was not measured, or why nobody promises anything, or what the number is not.
    """

    name: str
    what: str
    passes: tuple[float, ...] = ()
    promised_bytes_s: float | None = None
    source: str = ""
    reason: str = ""

    @property
    def bytes_s(self) -> float | None:
        """Median over the passes, in bytes per second; None where nothing was measured."""
        return median(self.passes) if self.passes else None

    @property
    def low(self) -> float | None:
        """Slowest pass."""
        return min(self.passes, default=None)

    @property
    def high(self) -> float | None:
        """Fastest pass."""
        return max(self.passes, default=None)

    @property
    def share(self) -> float | None:
        """Measured ÷ promised; None where one of them is not known."""
        if self.bytes_s is None or not self.promised_bytes_s:
            return None
        return self.bytes_s / self.promised_bytes_s

    def against(self, promise: Promise | None, reason: str = "") -> Self:
        """Return the same link with its promise, or with why there is none, and what else a reader should know."""
        said = "; ".join(word for word in (self.reason, reason) if word)
        if promise is None:
            return replace(self, reason=said)
        what = f"{self.what}, {promise.words}"
        return replace(self, what=what, promised_bytes_s=promise.bytes_s, source=promise.source, reason=said)

    def row(self) -> dict[str, str | float | None]:
        """Return it as a row of a table, in GB/s (10**9 bytes)."""
        numbers = {"gb_s": self.bytes_s, "low": self.low, "high": self.high, "published_gb_s": self.promised_bytes_s}
        told = {name: None if value is None else value / 1e9 for name, value in numbers.items()}
        head: dict[str, str | float | None] = {"name": self.name, "what": self.what}
        return head | told | {"share": self.share, "source": self.source, "reason": self.reason}

    def told(self) -> dict[str, str]:
        """Return it as a row for people."""
        spread = "not measured"
        if self.bytes_s is not None and self.low is not None and self.high is not None:
            spread = f"{self.bytes_s / 1e9:.3g} ({self.low / 1e9:.3g} to {self.high / 1e9:.3g})"
        promised = f"{self.promised_bytes_s / 1e9:.4g}" if self.promised_bytes_s else "unknown"
        share = "" if self.share is None else f"{self.share:.0%}"
        return {"link": self.what, "GB/s": spread, "published GB/s": promised, "share": share, "by": self.source}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return the link that `to_dict` described."""
        promised = values["promised_bytes_s"]
        texts = {name: str(values[name]) for name in ("name", "what", "source", "reason")}
        rates = tuple(map(float, values["passes"]))
        return cls(passes=rates, promised_bytes_s=None if promised is None else float(promised), **texts)

    def __str__(self) -> str:
        told = self.told()
        found = f"{self.what}: {told['GB/s']}" + (" GB/s" if self.passes else "")
        return found + (f", {told['share']} of the published {told['published GB/s']} GB/s" if told["share"] else "")
