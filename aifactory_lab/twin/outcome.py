"""What came of a design: every figure with its range and what it rests on, and where the watts go.

How it is reckoned is `design`'s to say.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> found = evaluate(Plant(gpus=1024, chassis="dgx-b200"), Service(requests_per_second=500))
>>> found.slo_kept, found.tokens_per_second
(True, 128000.0)
>>> losses = found.losses()
>>> bool(abs(losses["watts"].sum() - found.watts) < 1)
True
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aifactory_lab.twin.activity import Activity
from aifactory_lab.twin.climate import Climate
from aifactory_lab.twin.cost import Bill
from aifactory_lab.twin.fabric import FatTree
from aifactory_lab.twin.plant import Plant
from aifactory_lab.twin.power import EXPONENT, idle_watts
from aifactory_lab.twin.service import Replicas, Service
from aifactory_lab.twin.site import Site

Numbers = NDArray[np.float64]
Range = tuple[float, float]
# Measured ÷ reckoned power: 0.83 and 1.00 of two clusters of A100s (`plant_checks`), and for eight of ten GPUs that
# served models 0.88 to 1.18 (`power_checks`), which were in sight when the model was chosen.
POWER_BAND = (0.83, 1.2)
SILICON = "roofline fitted on H100; band: 8 of 10 held-out measurements"
POWER = "activity of steps; band: ten GPUs that served, two A100 clusters (in sight)"
COOLING = "NOT VALIDATED: physics and engineering guesses"
SCHEMA = {"figure": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
SCHEMA |= {"unit": pl.String, "rests_on": pl.String}


@dataclass(frozen=True)
class Outcome:
    """A plant, a service and a climate, reckoned through.

    Attributes
    ----------
    plant, service, climate
        What went in.
    replicas
        How the GPUs are shared out.
    concurrency, batch
        Requests in a replica, and of them decoded together.
    ttft, tpot
        Seconds to the first token (infinite where the plant is overloaded), and from token to token.
    ttft_range, tpot_range
        Where eight of ten measurements are to be expected.
    requests_per_second, tokens_per_second
        That are answered and written.
    asked_tokens_per_second
        That were asked; those written where nothing was.
    could_tokens_per_second, good_tokens_per_second
        That it could write, and could within the SLO.
    overloaded, slo_kept
        Whether more is asked than it could, and whether the SLO is kept.
    activity, clock, gpu_watts, gpu_celsius
        Of a serving GPU: shares of its power's way and of its boost clock, watts, and °C in the hottest hour.
    bound
        What binds the clock: ``""``, ``"power cap"`` or ``"temperature"``.
    site
        Draw and cooling, hour by hour.
    share
        Of the GPUs' energy and of the plant, what serving is charged with.
    bill
        USD and kg CO2e a million tokens, at this load all day long.
    notes
        What a reader should know.
    """

    plant: Plant
    service: Service
    climate: Climate
    replicas: Replicas
    concurrency: float
    batch: float
    ttft: float
    tpot: float
    ttft_range: Range
    tpot_range: Range
    requests_per_second: float
    tokens_per_second: float
    asked_tokens_per_second: float
    could_tokens_per_second: float
    good_tokens_per_second: float
    overloaded: bool
    slo_kept: bool
    activity: Activity
    clock: float
    gpu_watts: float
    gpu_celsius: float
    bound: str
    site: Site
    share: float
    bill: Bill
    notes: tuple[str, ...]

    @property
    def fabric(self) -> FatTree:
        """Switches and cables."""
        return self.plant.fabric

    @property
    def watts(self) -> float:
        """From the grid, mean of the hours."""
        return float(self.site.watts.mean())

    @property
    def peak_watts(self) -> float:
        """From the grid in the hour that draws most."""
        return float(self.site.watts.max())

    @property
    def it_watts(self) -> float:
        """Of the racks, mean of the hours."""
        return float(self.site.it_watts.mean())

    @property
    def pue(self) -> float:
        """Power usage effectiveness over all hours: energy ÷ energy."""
        return self.watts / self.it_watts

    @property
    def water_kg_s(self) -> float:
        """Water drawn, mean of the hours."""
        return float(self.site.cooled.water_kg_s.mean())

    @property
    def joules_per_token(self) -> float:
        """From the grid, of what serving is charged with."""
        return self.watts * self.share / self.tokens_per_second

    @property
    def tokens_per_joule(self) -> float:
        """Its inverse."""
        return 1 / self.joules_per_token

    @property
    def tokens_per_second_per_mw(self) -> float:
        """Tokens per second for each megawatt from the grid that serving is charged with."""
        return 1e6 / self.joules_per_token

    @property
    def could_range(self) -> Range:
        """Tokens per second that it could write: as slow and as fast as held-out measurements."""
        low, high = (self.tpot / end for end in reversed(self.tpot_range))
        return self.could_tokens_per_second * low, self.could_tokens_per_second * high

    @property
    def watts_range(self) -> Range:
        """From the grid, by the errors of the GPUs' power alone."""
        return self.watts * POWER_BAND[0], self.watts * POWER_BAND[1]

    def table(self) -> pl.DataFrame:
        """Return all: ``figure``, ``value``, ``low``, ``high`` (null where nobody knows), ``unit``, ``rests_on``."""
        ms = 1e3
        said = "as asked" if not self.overloaded else "all that it could: more is asked"
        rows = [
            ("tokens per second", self.tokens_per_second, None, None, "1/s", said),
            ("tokens per second it could", self.could_tokens_per_second, *self.could_range, "1/s", SILICON),
            ("tokens per second within the SLO", self.good_tokens_per_second, None, None, "1/s", SILICON),
            ("requests per second", self.requests_per_second, None, None, "1/s", said),
            ("time to first token", self.ttft * ms, *(one * ms for one in self.ttft_range), "ms", SILICON),
            ("time per token", self.tpot * ms, *(one * ms for one in self.tpot_range), "ms", SILICON),
            ("replicas", self.replicas.count, None, None, "", f"of {self.replicas.tp} GPU(s): {self.replicas.reason}"),
            ("requests in a replica", self.concurrency, None, None, "", "Little's law, means only"),
            ("GPU activity", float(self.activity.total), None, None, "1", POWER),
            ("clock", self.clock, None, None, "of boost", self.bound or "nothing binds it"),
            ("GPU power", self.gpu_watts, *self._times(self.gpu_watts), "W", POWER),
            ("GPU temperature", self.gpu_celsius, None, None, "°C", COOLING),
            ("power of the racks", self.it_watts / 1e6, *self._times(self.it_watts / 1e6), "MW", POWER),
            ("power from the grid", self.watts / 1e6, *self._times(self.watts / 1e6), "MW", f"{POWER}; {COOLING}"),
            ("PUE", self.pue, None, None, "1", COOLING),
            ("water", self.water_kg_s, None, None, "kg/s", COOLING),
            ("energy of a token", self.joules_per_token, *self._times(self.joules_per_token), "J", POWER),
            ("tokens per joule", self.tokens_per_joule, *self._per_joule(), "1/J", POWER),
            (
                "price of a million tokens",
                *self._bill(self.bill.dollars),
                "USD",
                "twin.cost.assumptions()",
            ),
            ("carbon of a million tokens", *self._bill(self.bill.kg_co2e), "kg CO2e", "twin.cost.assumptions()"),
            ("switches", self.fabric.switches, None, None, "", "the rule of NVIDIA's SuperPOD tables"),
            ("cables", sum(self.fabric.cables), None, None, "", "the rule of NVIDIA's SuperPOD tables"),
        ]
        return pl.DataFrame(rows, schema=SCHEMA, orient="row")

    def losses(self) -> pl.DataFrame:
        """Return where each watt from the grid goes, from the grid inwards, and what is left after it.

        Columns: ``step``, ``watts``, ``left`` (after this step), ``share`` (of all), ``group`` (``"cooling"``,
        ``"supply"``, ``"racks"``, ``"gpus"``). The watts sum up to those from the grid.
        """
        draw, cooled = self.site.draw, self.site.cooled
        rest, way = idle_watts(self.plant.gpu), self.plant.gpu.tdp_watts - idle_watts(self.plant.gpu)
        serving = self.replicas.serving_gpus
        core = serving * way * float(self.activity.core) * self.clock**EXPONENT
        memory = serving * way * float(self.activity.memory)
        others = float(draw.gpus.mean()) - core - memory - serving * rest
        rows = [
            ("chillers", cooled.chiller_watts, "cooling"),
            ("pumps", cooled.pump_watts, "cooling"),
            ("tower's or cooler's fans", cooled.fan_watts, "cooling"),
            ("hall's fan units", cooled.air_watts, "cooling"),
            ("UPS", draw.ups, "supply"),
            ("power supplies", draw.rectifiers, "supply"),
            ("switches", draw.switches, "racks"),
            ("CPUs, memory, cards, fans", draw.hosts, "racks"),
            ("GPUs that train or idle", max(others, 0.0), "gpus"),
            ("GPUs at rest", serving * rest, "gpus"),
            ("GPUs' memory", memory, "gpus"),
            ("GPUs' multiprocessors", core, "gpus"),
        ]
        frame = pl.DataFrame([(step, float(np.mean(one)), group) for step, one, group in rows], orient="row",
                             schema={"step": pl.String, "watts": pl.Float64, "group": pl.String})  # fmt: skip
        left = self.watts - pl.col("watts").cum_sum()
        return frame.select("step", "watts", left.alias("left"), (pl.col("watts") / self.watts).alias("share"), "group")

    def _times(self, value: float) -> Range:
        return value * POWER_BAND[0], value * POWER_BAND[1]

    def _per_joule(self) -> Range:
        return self.tokens_per_joule / POWER_BAND[1], self.tokens_per_joule / POWER_BAND[0]

    @staticmethod
    def _bill(told: tuple[float, float, float]) -> tuple[float, float, float]:
        low, usual, high = told
        return usual, low, high
