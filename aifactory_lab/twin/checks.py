"""One line of the validation card: a published or measured number, and the small function that recomputes it.

A check says where its target stands, how far off one may be, and whether the model has seen the number. What is checked
is for the lists to say (`plant_checks` and its like), which `validation` puts together.

>>> check = Check("radix", unit="ports", source="QM9700 data sheet", target=64, ours=lambda: 64.0, tolerance=0)
>>> check.outcome().passed
True
"""

from collections.abc import Callable
from dataclasses import dataclass

from aifactory_lab.twin import measurements


@dataclass(frozen=True)
class Check:
    """A number to be met.

    Attributes
    ----------
    name, unit, source
        What it is, its unit, and where the target was published or measured.
    target
        The number, or what reads it from measurements.
    ours
        What computes it.
    tolerance
        Largest relative error that passes; 0 where the number must be the same.
    needs
        Names of `measurements` that must be here.
    seen
        Whether the model was fitted on it: then passing shows that the form fits, not that it predicts.
    note
        What a reader should know beside it.
    """

    name: str
    unit: str
    source: str
    target: float | Callable[[], float]
    ours: Callable[[], float]
    tolerance: float
    needs: tuple[str, ...] = ()
    seen: bool = False
    note: str = ""

    def outcome(self) -> "Outcome":
        """Compute it; where its data is not here, say so in its stead."""
        missing = [name for name in self.needs if measurements.local(name) is None]
        if missing:
            return Outcome(
                self, None, None, f"not computed, {', '.join(missing)} not here: aifactory twin measurements"
            )
        target = self.target if isinstance(self.target, int | float) else self.target()
        return Outcome(self, float(target), float(self.ours()), self.note)


@dataclass(frozen=True)
class Outcome:
    """What came of a check: both numbers, or None with the reason in the note."""

    check: Check
    target: float | None
    ours: float | None
    note: str

    @property
    def error(self) -> float | None:
        """Relative error of ours, signed; None if not computed."""
        if self.target is None or self.ours is None:
            return None
        return (self.ours - self.target) / abs(self.target) if self.target else self.ours - self.target

    @property
    def passed(self) -> bool | None:
        """Whether the error is within the tolerance; None if not computed."""
        return None if self.error is None else abs(self.error) <= self.check.tolerance
