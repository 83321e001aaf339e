"""Checks of the plant: power, fabric and failures of machines, against what others published or measured.

Each is a small function. What a card looks like is `validation`'s to say.

>>> [check.name for check in CHECKS][:2]
['Frontier at rest', 'Frontier at its peak']
"""

import numpy as np
import polars as pl

from aifactory_lab.twin import hardware, power, supply
from aifactory_lab.twin.checks import Check, data

ACME = "AcmeTrace (CC-BY-4.0), utilization/util_pkl"
SM_ACTIVE, UTILISATION = 3, 1  # columns of util_gpu_seren.csv and util_gpu_kalos_full.csv


def mean_of(name: str, column: int = 1) -> float:
    """Return the mean of a distribution that is given by its quantiles."""
    table = pl.read_csv(data(name))
    values, levels = table[f"x{column}"].to_numpy(), table[f"cdf_pct{column}"].to_numpy() / 100
    return float(np.trapezoid(values, levels))


def _gpu_mean(utilisation: str, column: int = SM_ACTIVE) -> float:
    return float(power.gpu_watts(hardware.gpu("a100-80"), mean_of(utilisation, column) / 100))


def _node_mean() -> float:
    return float(power.ACME_NODE.watts(8 * mean_of("gpu_power_seren.csv")))


def _frontier(activity: float) -> float:
    return float(supply.frontier().draw(gpu=activity, cpu=activity).total) / 1e6


CHECKS = (
    Check("Frontier at rest", "MW", "ExaDigiT/RAPS 6c142bf, run", 7.3065, lambda: _frontier(0.0), 1e-5),
    Check("Frontier at its peak", "MW", "ExaDigiT/RAPS 6c142bf, run", 28.2279, lambda: _frontier(1.0), 1e-5),
    Check("GPUs of Frontier", "GPUs", "ORNL: 9,472 nodes of four MI250X", 37_888, lambda: supply.frontier().gpus, 0),
    Check(
        "Mean power of a Kalos A100",
        "W",
        ACME,
        lambda: mean_of("gpu_power_kalos.csv"),
        lambda: _gpu_mean("util_gpu_kalos_full.csv"),
        0.05,
        needs=("gpu_power_kalos.csv", "util_gpu_kalos_full.csv"),
        note="from SM activity; of the model, only idle power was measured here",
    ),
    Check(
        "Mean power of a Seren A100",
        "W",
        ACME,
        lambda: mean_of("gpu_power_seren.csv"),
        lambda: _gpu_mean("util_gpu_seren.csv"),
        0.25,
        needs=("gpu_power_seren.csv", "util_gpu_seren.csv"),
        note="many small jobs: active multiprocessors that draw less than the line between idle and TDP says",
    ),
    Check(
        "Mean power of a Seren node",
        "W",
        ACME,
        lambda: mean_of("server_power.csv"),
        _node_mean,
        0.05,
        needs=("server_power.csv", "gpu_power_seren.csv"),
        seen=True,
    ),
)
