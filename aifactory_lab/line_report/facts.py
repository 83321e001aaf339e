"""What came out of a run, as a few facts: a number with what stands beside it, or the reason why it is not known.

The page, the terminal and `report.json` all say these and no others, so that they cannot disagree. This module does not
know the lines.

>>> made = Fact("tokens.per_second", 1552.0, "tokens/s", "tokens served", "to 8 users at once")
>>> made.shown, Fact("energy", None, "J", "energy", why="no counter").shown
('1.55 k/s', 'unknown')
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line_report.numbers import money, rate
from aifactory_lab.measure import PRICE_VARIABLE, StationReport, dollars_per_core_hour
from aifactory_lab.report import Tile

ENERGY = ".energy"  # the end of the name of a line's energy
LEADING = ("per_second", "dollars_per_million", "auc", "bits_per_byte", "objectives")


@dataclass(frozen=True)
class Fact:
    """One number of a run.

    Attributes
    ----------
    name
        For machines: ``"decisions.auc"``.
    value, unit
        The number, `None` if it is not known (`why` says so), and its unit.
    what
        What it is, in plain words.
    beside
        Its peer, its limit, or what it assumes.
    low, high
        Its 95 % interval, where there is one.
    met
        Whether it kept its limit, where it has one.
    """

    name: str
    value: float | None
    unit: str
    what: str
    beside: str = ""
    low: float | None = None
    high: float | None = None
    met: bool | None = None
    why: str = ""

    @property
    def shown(self) -> str:
        """The number as a person says it."""
        if self.value is None:
            return "unknown"
        if self.unit == "$":
            return money(self.value)
        if self.unit.startswith("of "):
            return f"{self.value:.0f} {self.unit}"
        if self.unit.endswith("/s"):
            return f"{rate(self.value)}/s"
        return f"{self.value:.3f}" if self.low is not None else f"{self.value:,.2f} {self.unit}".rstrip()

    @property
    def leads(self) -> bool:
        """Whether it belongs to the few that a terminal shows."""
        return self.name.partition(".")[2] in LEADING

    @property
    def interval(self) -> str:
        """The 95 % interval in words, or nothing."""
        return "" if self.low is None or self.high is None else f"95 % interval {self.low:.3f} to {self.high:.3f}"

    @property
    def tile(self) -> Tile:
        """The fact as a tile."""
        beside = "; ".join(part for part in (self.interval, self.beside, self.why) if part)
        return Tile(self.shown, self.what, beside, {True: "good", False: "bad"}.get(self.met, ""))  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def assumed_price() -> str:
    """Say what the prices assume."""
    return f"Prices assume ${dollars_per_core_hour():g} an hour for a core, which {PRICE_VARIABLE} changes."


def said_energy(facts: Sequence[Fact]) -> str:
    """Say the energy of all lines, or why it is unknown."""
    found = [fact for fact in facts if fact.name.endswith(ENERGY)]
    unknown = next((fact for fact in found if fact.value is None), None)
    if unknown is not None:
        return f"Energy is unknown: {unknown.why}."
    return f"All stations together took {sum(fact.value or 0.0 for fact in found):,.0f} J of energy."


def energy(name: str, reports: Sequence[StationReport]) -> Fact:
    """Return the joules of all stations; unknown, with the reason, as soon as one of them is."""
    known = [report.joules for report in reports]
    why = next((report.energy_note for report in reports if report.joules is None), "")
    total = None if None in known else float(sum(joules or 0.0 for joules in known))
    return Fact(f"{name}{ENERGY}", total, "J", "energy of all stations", why=why)


def objectives(name: str, verdicts: Sequence[Verdict]) -> Fact | None:
    """Return how many objectives of an endpoint were met, the worst miss beside it; `None` if none was set."""
    if not verdicts:
        return None
    missed = [verdict for verdict in verdicts if not verdict.met]
    told = str(missed[0] if missed else verdicts[0]).partition(": ")[2]
    kept = len(verdicts) - len(missed)
    return Fact(
        f"{name}.objectives", kept, f"of {len(verdicts)}", "objectives of the endpoint met", told, met=not missed
    )
