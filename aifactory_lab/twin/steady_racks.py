"""What each rack of a design draws and writes under its steady load, and how warm it gets: what a hall is coloured by.

Training takes the last chassis, as in `operations`. How a day goes, and what fails in it, is theirs to say.

>>> from aifactory_lab.twin.design import Service, evaluate
>>> from aifactory_lab.twin.plant import Plant
>>> found = evaluate(Plant(gpus=144, chassis="gb200-nvl72"), Service(requests_per_second=50))
>>> racks(found)["tokens_per_second"].to_list()
[6400.0, 6400.0]
"""

import numpy as np
import polars as pl

from aifactory_lab.twin.outcome import Outcome
from aifactory_lab.twin.power import idle_watts
from aifactory_lab.twin.site import kelvin_per_watt


def racks(outcome: Outcome) -> pl.DataFrame:
    """Return the racks with GPUs: ``rack``, ``state``, ``watts``, ``celsius``, ``tokens_per_second``, ``gpus_up``.

    Watts are what a rack takes at the UPS's output; with the network's switches they sum up to `Outcome.it_watts`. The
    temperature is that of the rack's warmest GPUs in the hottest hour.
    """
    plant, cut = outcome.plant, outcome.replicas
    each = plant.gpus_per_chassis
    training = -(-cut.training_gpus // each)
    serving = plant.chassis_count - training
    used = np.repeat([cut.serving_gpus / serving, cut.training_gpus / max(1, training)], [serving, training])
    busy = np.repeat([outcome.gpu_watts, _training_watts(outcome)], [serving, training])
    chassis = plant.node_power.watts(used * busy + (each - used) * idle_watts(plant.gpu))
    coolant = outcome.gpu_celsius - kelvin_per_watt(plant) * outcome.gpu_watts
    written = np.repeat([outcome.tokens_per_second / serving, 0.0], [serving, training])
    first = np.arange(plant.rack_count) * plant.chassis_per_rack
    return plant.racks().select(
        "rack",
        pl.lit("up").alias("state"),
        pl.Series("watts", np.add.reduceat(chassis, first)),
        pl.Series("celsius", coolant + kelvin_per_watt(plant) * np.maximum.reduceat(busy, first)),
        pl.Series("tokens_per_second", np.add.reduceat(written, first)),
        pl.col("gpus").alias("gpus_up"),
    )


def _training_watts(outcome: Outcome) -> float:
    """Return what a GPU that trains draws: what the others leave of all GPUs' watts."""
    cut = outcome.replicas
    others = cut.serving_gpus * outcome.gpu_watts + cut.idle_gpus * idle_watts(outcome.plant.gpu)
    return (float(outcome.site.draw.gpus.mean()) - others) / cut.training_gpus if cut.training_gpus else 0.0
