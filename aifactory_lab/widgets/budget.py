"""A budget of arithmetic that is dragged: the best model for it, its loss, how far to believe that, and its price.

What cannot be is said in place. This module reckons nothing: `laws` does, `figures.laws` draws it.

>>> from aifactory_lab.laws import chinchilla, runs
>>> board = BudgetBoard(chinchilla.fit(runs.read(runs.kept("pretraining")), replicates=20))
>>> board.form.fields["flops"].value = 1e14
>>> board.forecast.words.partition(":")[0]
'69.5 times beyond runs whose tokens span a factor of 16.1'
>>> board.close()
"""

from functools import cache, cached_property

import ipywidgets as ipw
import polars as pl

from aifactory_lab import figures
from aifactory_lab.errors import FactoryError
from aifactory_lab.laws import backtest, chinchilla
from aifactory_lab.laws import plan as plans
from aifactory_lab.laws import runs as tables
from aifactory_lab.laws.chinchilla import Fit, Forecast
from aifactory_lab.laws.law import Law, Optimum
from aifactory_lab.report import TextTable
from aifactory_lab.twin_report import Kpi, number
from aifactory_lab.twin_report.kpis import span
from aifactory_lab.widgets import studiotiles
from aifactory_lab.widgets.budgetform import BudgetForm
from aifactory_lab.widgets.gathered import Gathered
from aifactory_lab.widgets.spoken import said, warned
from aifactory_lab.widgets.studioplot import Plot

VOCABULARY = 1024  # of the sweep that came with this package
LEFT = ipw.Layout(flex="1 1 300px", min_width="0", padding="0 14px 0 0")
RIGHT = ipw.Layout(flex="999 1 600px", min_width="min(100%, 320px)")


class BudgetBoard(ipw.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """A form, iso-FLOP curves, and what the budget buys.

    Parameters
    ----------
    fit
        The law of a sweep; by default that of the runs.
    runs
        Runs to draw beside the curves, those that the fit never saw among them; by default the fit's, and where there
        is no fit either, those that came with this package.
    vocabulary
        Of the sweep's models.

    Attributes
    ----------
    optimum
        The best use of the budget.
    forecast
        Its loss with an interval; None under a published law, of which only the constants are known.
    plan
        The training on the plant; None, with the reason in `message`, where it cannot be.

    Raises
    ------
    TwinError
        If the runs determine no law, or the fit has no replicates.
    """

    optimum: Optimum
    forecast: Forecast | None
    plan: plans.Plan | None

    def __init__(
        self, fit: Fit | None = None, runs: pl.DataFrame | None = None, *, vocabulary: int = VOCABULARY
    ) -> None:
        self.fit = fit or (_kept() if runs is None else chinchilla.fit(runs))
        self.runs = self.fit.runs if runs is None else tables.frame(runs)
        self.vocabulary = vocabulary
        work = self.fit.runs["flops"].to_numpy()
        self.form = BudgetForm((float(work.min()), float(work.max())))
        self.form.layout = LEFT
        self.tiles, self.words, self.plot = ipw.HTML(), ipw.HTML(), Plot()
        self.message, self.price = ipw.HTML(), ipw.HTML()
        self.show()
        self.form.changed = Gathered(self.show)
        right = ipw.VBox([self.tiles, self.words, self.plot, self.message, self.price], layout=RIGHT)
        super().__init__([ipw.HBox([self.form, right], layout=ipw.Layout(flex_flow="row wrap"))])

    @property
    def law(self) -> Law:
        """The law that is chosen."""
        return self.form.published or self.fit.law

    @cached_property
    def tested(self) -> str:
        """What the smaller runs would have said of the larger ones: `laws.backtest`."""
        try:
            return backtest.words(backtest.errors(self.fit.runs))
        except FactoryError as error:
            return error.what

    def show(self) -> None:
        """Ask what the form says, and show it."""
        measured, flops = self.form.published is None, self.form.flops
        best = self.optimum = self.law.optimum(flops)
        self.forecast = self.fit.predict(float(best.parameters), float(best.tokens)) if measured else None
        drawn = self.runs if measured else None
        self.plot.show(figures.laws.isoflop(self.law, self.form.stay(), drawn, chosen=flops))
        self.tiles.value = studiotiles.tiles(self._bought())
        self.words.value = self._believed()
        self._price()

    def __repr__(self) -> str:
        return f"BudgetBoard({self.form.flops:.3g} FLOP under {self.law})"

    def _price(self) -> None:
        """Plan the training on the plant; where it cannot be, say why in its place."""
        law, vocabulary = (self.fit, self.vocabulary) if self.forecast else (self.law, plans.VOCABULARY)
        try:
            plant, loss = self.form.plant(), float(self.optimum.loss)
            self.plan = plans.plan(loss, plant, law=law, mfu=self.form.mfu, vocabulary=vocabulary)
        except FactoryError as error:
            self.plan, self.price.value, self.message.value = None, "", warned(error)
            return
        title = (
            f"<b>Trained on {plant.gpus:,} GPUs in {plant.chassis}</b>, if MFU is {self.form.mfu:.0%}: large models' is"
        )
        self.message.value, self.price.value = "", title + studiotiles.table(_priced(self.plan))

    def _bought(self) -> list[Kpi]:
        """Return the budget and what is best bought for it."""
        best, forecast, source = self.optimum, self.forecast, str(self.law)
        expected = f"{forecast.share:.0%}: {forecast.low:.3f} – {forecast.high:.3f}" if forecast else ""
        return [
            Kpi(f"{self.form.flops:.3g}", "FLOP", "", "what is asked for"),
            Kpi(number(float(best.parameters)), "parameters", "", source),
            Kpi(number(float(best.tokens)), "tokens", "", source),
            Kpi(f"{float(best.loss):.3f}", "nats per token", expected, source),
        ]

    def _believed(self) -> str:
        """Say how far the law may be believed at this budget."""
        if self.forecast is None:
            return said(f"{self.law}: of its own text, vocabulary and recipe, whose nats are not the sweep's", "plain")
        law = f"{self.law}, {self.fit.rms:.1%} off its runs; here {self.forecast.words}"
        if self.forecast.beyond <= 1:
            return said(law)
        return said(law, "bad") + said(self.tested, "plain")


def _priced(plan: plans.Plan) -> TextTable:
    """Return a plan as text, with a range where it has one."""
    rows = [
        [figure, number(usual), span(low, high) if low < high else "", unit]
        for figure, low, usual, high, unit in plan.table().iter_rows()
    ]
    return TextTable(["a model of whole layers", "usual", "range", "unit"], rows, ["unit"])


@cache
def _kept() -> Fit:
    """Return the law of the runs that came with this package: two CPU-seconds, once."""
    return chinchilla.fit(tables.read(tables.kept("pretraining")))
