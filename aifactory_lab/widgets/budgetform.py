"""The questions of the budget's board: under which law, how many operations, on which plant.

A sweep's law and a published one have a slider each, over the budgets that they can say something of: a page whose
slider gets other ends answers with the nearest of them. This module checks nothing: the twin does, in its own words.

>>> form = BudgetForm(sweep=(1e10, 1e13))
>>> form.flops, form.stay(), form.plant().gpus
(1000000000000.0, [10000000000.0, 1000000000000.0, 100000000000000.0, 1e+16], 1024)
>>> form.close()
"""

import math
from collections.abc import Callable
from typing import Any

import ipywidgets as ipw

from aifactory_lab.laws import plan
from aifactory_lab.laws.law import EPOCH, HOFFMANN, Law
from aifactory_lab.twin import hardware
from aifactory_lab.twin.plant import Plant
from aifactory_lab.widgets.studioform import STYLE, WIDE, group

SWEEP = "fitted to the sweep"
PUBLISHED = {"Epoch AI 2024": EPOCH, "Hoffmann et al. 2022": HOFFMANN}
# Decades of a slider: where it begins, stands first, ends. A published law's go from about Hoffmann's smallest runs
# past Chinchilla's budget to above today's largest trainings; a sweep's to a thousand times beyond it.
DECADES = (18, 24, 27)
FURTHER = 3
BETWEEN = 2  # decades between the curves that stay
POWERS = {"base": 2, "min": 3, "max": 17, "step": 1 / 32, "readout_format": ",.0f"}


class BudgetForm(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """The controls; `fields` has them by name.

    Parameters
    ----------
    sweep
        Least and most operations of a training of the sweep.

    Attributes
    ----------
    changed
        Called whenever one of them changes.
    """

    def __init__(self, sweep: tuple[float, float]) -> None:
        least, most = (math.log10(value) for value in sweep)
        self._sweep = math.floor(least), math.ceil(most) - 1, math.ceil(most) + FURTHER
        self.changed: Callable[[], None] | None = None
        self.fields = _fields()
        self.budgets = {"flops": _slider(*self._sweep), "published_flops": _slider(*DECADES)}
        self.fields |= self.budgets
        self._turn()
        self.fields["law"].observe(self._turn, "value")
        for field in self.fields.values():
            field.observe(self._on_change, "value")
        asked = {"The budget": ("law", *self.budgets), "The plant": ("chassis", "gpus", "mfu")}
        super().__init__([group(title, [self.fields[name] for name in names]) for title, names in asked.items()])

    @property
    def published(self) -> Law | None:
        """The published law that is chosen, None for the sweep's."""
        return PUBLISHED.get(self.fields["law"].value)

    @property
    def flops(self) -> float:
        """The budget, in floating-point operations."""
        return float(self.budgets[self._asked].value)

    @property
    def mfu(self) -> float:
        """Share of the GPUs' peak that goes into the model's arithmetic."""
        return float(self.fields["mfu"].value) / 100

    def stay(self) -> list[float]:
        """Return budgets over the whole slider, whose curves stay while it moves."""
        begin, _, end = self._decades
        return [10.0**power for power in range(begin, end + 1, BETWEEN)]

    def plant(self) -> Plant:
        """Return the plant, its GPUs rounded up to whole chassis.

        Raises
        ------
        TwinError
            If it cannot be.
        """
        return Plant.about(round(self.fields["gpus"].value), self.fields["chassis"].value)

    @property
    def _decades(self) -> tuple[int, int, int]:
        return self._sweep if self.published is None else DECADES

    @property
    def _asked(self) -> str:
        return "flops" if self.published is None else "published_flops"

    def _turn(self, _: object = None) -> None:
        """Show the slider of the chosen law."""
        for name, slider in self.budgets.items():
            slider.layout.display = None if name == self._asked else "none"

    def _on_change(self, _: object) -> None:
        if self.changed is not None:
            self.changed()


def _fields() -> dict[str, Any]:
    wide = {"style": STYLE, "layout": WIDE}
    names = [*hardware.names("node"), *hardware.names("rack")]
    return {
        "law": ipw.Dropdown(options=[SWEEP, *PUBLISHED], value=SWEEP, description="law", **wide),
        "chassis": ipw.Dropdown(options=names, value="dgx-h100", description="chassis", **wide),
        "gpus": ipw.FloatLogSlider(value=1024, description="GPUs", **POWERS, **wide),
        "mfu": ipw.IntSlider(round(100 * plan.MFU), 5, 70, description="MFU, %", **wide),
    }


def _slider(begin: int, first: int, end: int) -> ipw.FloatLogSlider:
    layout = ipw.Layout(width=WIDE.width, min_width=WIDE.min_width)  # its own: one of them is hidden
    asked = {"value": 10.0**first, "min": begin, "max": end, "step": 0.05, "description": "FLOP"}
    return ipw.FloatLogSlider(**asked, style=STYLE, layout=layout)
