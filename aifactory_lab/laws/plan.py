"""From law to plant: the loss that is wanted becomes a model, tokens, GPU-hours, energy, dollars and carbon.

The law says the cheapest size and tokens for a loss, `twin.training` the days, `twin.site` the watts, `twin.cost` the
price. A law holds for its own text, vocabulary and recipe only: Hoffmann's and Epoch's are of MassiveText, whose nats
are not those of another corpus. What the arithmetic's share of the peak (MFU) will be is an input.

>>> from aifactory_lab.twin.plant import Plant
>>> made = plan(2.0, Plant(gpus=4096, chassis="dgx-h100"))
>>> f"{made.flops:.2g} operations, {made.gpu_hours:,.0f} GPU-hours, {made.mwh:,.0f} MWh"
'2.5e+23 operations, 181,529 GPU-hours, 222 MWh'
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, log

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.laws.chinchilla import Fit
from aifactory_lab.laws.law import EPOCH, Law
from aifactory_lab.twin import climate, cost, power, site, training
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.shape import Model

MFU = 0.4  # Llama-3-405B's was 0.38 to 0.43 on up to 16,384 H100 (Grattafiori et al. 2024, arXiv 2407.21783, table 4)
VOCABULARY = 32_000
WIDTHS = range(32, 32_769, 32)  # of the layers
ASPECT = 128  # width for each layer, as in GPT-3 175B (Brown et al. 2020)
HOUR, DAY = 3600.0, 86_400.0


@dataclass(frozen=True, repr=False)
class Plan:
    """A training that comes to a loss, on a plant.

    Attributes
    ----------
    target, loss
        Nats per token: asked for, and what the law says of the model that whole layers allow.
    model, tokens
        What to train, on how many tokens.
    run
        Days, GPU-hours, failures: `twin.training.Run`.
    watts, pue
        Of the plant while it trains, cooling included; and its power usage effectiveness.
    bill
        Of a million tokens trained on: `twin.cost.Bill`.
    words
        How far the law is stretched.
    """

    target: float
    loss: float
    model: Model
    tokens: float
    run: training.Run
    watts: float
    pue: float
    bill: cost.Bill
    words: str

    def __repr__(self) -> str:
        what = f"{self.model.active_parameters:.3g} parameters on {self.tokens:.3g} tokens to a loss of {self.loss:.3f}"
        low, usual, high = self.dollars
        price = f"{usual:,.0f} USD ({low:,.0f} to {high:,.0f})"
        return f"Plan({what}: {self.run.days:.1f} days, {self.gpu_hours:,.0f} GPU-hours, {self.mwh:,.0f} MWh, {price})"

    @property
    def flops(self) -> float:
        """Floating-point operations, 6 a parameter and token."""
        return self.run.flops

    @property
    def gpu_hours(self) -> float:
        """GPUs × hours, failures and checkpoints included."""
        return self.run.gpu_hours

    @property
    def mwh(self) -> float:
        """Megawatt-hours from the grid."""
        return self.watts * self.run.days * 24 / 1e6

    @property
    def dollars(self) -> cost.Range:
        """USD: low, usual, high."""
        return _times(self.bill.dollars, self.tokens / 1e6)

    @property
    def kg_co2e(self) -> cost.Range:
        """Kilograms of CO2 equivalent: low, usual, high."""
        return _times(self.bill.kg_co2e, self.tokens / 1e6)

    def table(self) -> pl.DataFrame:
        """Return the plan: ``figure``, ``low``, ``usual``, ``high``, ``unit``; what has no range is thrice the same."""
        rows: list[tuple[str, cost.Range, str]] = [
            ("loss", _same(self.loss), "nats per token"),
            ("parameters", _same(self.model.active_parameters), ""),
            ("tokens", _same(self.tokens), ""),
            ("operations", _same(self.flops), "FLOP"),
            ("time", _same(self.run.days), "days"),
            ("GPU-hours", _same(self.gpu_hours), "h"),
            ("power", _same(self.watts / 1e6), "MW"),
            ("energy", _same(self.mwh), "MWh"),
            ("price", self.dollars, "USD"),
            ("carbon", self.kg_co2e, "kg CO2e"),
        ]
        told = [(name, *values, unit) for name, values, unit in rows]
        return pl.DataFrame(told, schema=("figure", "low", "usual", "high", "unit"), orient="row")


def plan(
    target: float,
    plant: Plant | None = None,
    *,
    law: Law | Fit = EPOCH,
    mfu: float = MFU,
    vocabulary: int = VOCABULARY,
    air: Climate | None = None,
    activity: float | None = None,
    assume: Mapping[str, float | Sequence[float]] | None = None,
) -> Plan:
    """Return the cheapest training that comes to a loss, and what it takes on a plant.

    Parameters
    ----------
    target
        Nats per token.
    plant
        All of it trains; by default 1,024 B200 in DGX.
    law
        A law, or a fit, whose limits are then said.
    mfu
        Share of the GPUs' dense 16-bit peak that goes into the model's arithmetic.
    vocabulary
        Of the model.
    air
        Outside; by default 20 °C at 60 % humidity.
    activity
        Of the GPUs while they train, 0 to 1; by default `twin.site`'s.
    assume
        See `twin.cost.per_mtoken`. The plant is taken to train all the time: ``utilisation`` is 1.

    Raises
    ------
    TwinError
        If the loss is not above the law's floor, or a figure cannot be.
    """
    plant = plant or Plant()
    fitted = law if isinstance(law, Fit) else None
    known = law.law if isinstance(law, Fit) else law
    best = known.reaching(target)
    model = shape(float(best.parameters), vocabulary=vocabulary)
    tokens = float(best.flops) / (6 * model.active_parameters)
    run = training.plan(model, plant.gpu, gpus=plant.gpus, tokens=tokens, mfu=mfu)
    if not isfinite(run.days):
        msg = f"with {plant.gpus:,} GPUs this training never ends: failures undo its work"
        raise TwinError(msg, mend="fewer GPUs, or a loss that costs less")
    drawn = _drawn(plant, air or climate.steady(20, humidity=0.6), activity)
    bill = cost.per_mtoken(
        tokens_per_second=tokens / (run.days * DAY),
        gpus=plant.gpus,
        it_watts=float(drawn.it_watts),
        pue=float(drawn.pue),
        water_kg_s=float(drawn.cooled.water_kg_s),
        assume={"utilisation": 1.0, **(assume or {})},
    )
    said = float(known.loss(model.active_parameters, tokens))
    words = _words(fitted, model.active_parameters, tokens)
    return Plan(target, said, model, tokens, run, float(drawn.watts), float(drawn.pue), bill, words)


def further(loss: float, by: float, *, law: Law | Fit = EPOCH) -> float:
    """Return how many times more operations it takes to come `by` nats lower than `loss`.

    Examples
    --------
    >>> round(further(2.0, 0.05), 1)
    6.0
    """
    known = law.law if isinstance(law, Fit) else law
    return float(known.reaching(loss - by).flops / known.reaching(loss).flops)


def shape(parameters: float, *, vocabulary: int = VOCABULARY) -> Model:
    """Return a dense Llama whose matrices have about so many parameters: whole layers, a width of whole heads.

    Parameters
    ----------
    parameters
        That a token meets: of the layers and of the output.

    Raises
    ------
    TwinError
        If there is no such model: it is too small for its vocabulary.
    """
    found = [_shape(width, parameters, vocabulary) for width in WIDTHS]
    fitting = [model for model in found if abs(log(model.active_parameters / parameters)) < 0.1]
    if not fitting:
        msg = f"no Llama of {vocabulary:,} tokens has about {parameters:.3g} parameters"
        raise TwinError(msg, mend=f"a smaller vocabulary=, or more than {2 * WIDTHS[0] * vocabulary:.2g} parameters")
    return min(fitting, key=lambda model: abs(log(model.hidden / model.layers / ASPECT)))


def _shape(width: int, parameters: float, vocabulary: int) -> Model:
    gated = -(-8 * width // 3 // 32) * 32
    layer = 4 * width * width + 3 * width * gated
    layers = max(1, round((parameters - vocabulary * width) / layer))
    head = 64 if width % 64 == 0 else 32
    heads = width // head
    return Model(f"{parameters:.3g} parameters", layers, width, vocabulary, heads, heads, head, gated, tied=True)


def _drawn(plant: Plant, air: Climate, activity: float | None) -> site.Site:
    busy = site.Assumed().training_activity if activity is None else activity
    gpus = plant.gpus * power.gpu_watts(plant.gpu, busy)
    dry, wet = (float(values.mean()) for values in (air.dry_celsius, air.wet_celsius))
    return site.site(plant, gpus, dry_celsius=dry, wet_celsius=wet)


def _words(fitted: Fit | None, parameters: float, tokens: float) -> str:
    if fitted is None:
        return "under a published law: for its text, its vocabulary and its recipe"
    return fitted.words(parameters, tokens)


def _same(value: float) -> cost.Range:
    return float(value), float(value), float(value)


def _times(values: cost.Range, factor: float) -> cost.Range:
    low, usual, high = values
    return low * factor, usual * factor, high * factor
