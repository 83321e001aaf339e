"""Checks of the plant: power, fabric and failures of machines, against what others published or measured.

Each is a small function. What a card looks like is `validation`'s to say.

>>> [check.name for check in CHECKS][:2]
['Frontier at rest', 'Frontier at its peak']
"""

import numpy as np
import polars as pl

from aifactory_lab.twin import collectives, cooling, fabric, hardware, power, supply
from aifactory_lab.twin.checks import Check
from aifactory_lab.twin.measurements import find

ACME = "AcmeTrace (CC-BY-4.0), utilization/util_pkl"
SM_ACTIVE, UTILISATION = 3, 1  # columns of util_gpu_seren.csv and util_gpu_kalos_full.csv
RAPS = "ExaDigiT/RAPS 6c142bf, run"
MODEL = "another model of the plant, not a meter"
VIDUR = "microsoft/vidur 7d475133, data/ (MIT): NCCL as measured, 2 KiB to 64 MiB"


def mean_of(name: str, column: int = 1) -> float:
    """Return the mean of a distribution that is given by its quantiles."""
    table = pl.read_csv(find(name))
    values, levels = table[f"x{column}"].to_numpy(), table[f"cdf_pct{column}"].to_numpy() / 100
    return float(np.trapezoid(values, levels))


def _gpu_mean(utilisation: str, column: int = SM_ACTIVE) -> float:
    return float(power.gpu_watts(hardware.gpu("a100-80"), mean_of(utilisation, column) / 100))


def _quantiles(cluster: str, utilisation: str) -> float:
    """Return the mean relative error of power, quantile by quantile, from the same quantile of SM activity."""
    busy = pl.read_csv(find(utilisation))[f"x{SM_ACTIVE}"].to_numpy() / 100
    watts = pl.read_csv(find(f"gpu_power_{cluster}.csv"))["x1"].to_numpy()
    return float(np.abs(power.gpu_watts(hardware.gpu("a100-80"), busy) / watts - 1).mean())


def _node_mean() -> float:
    return float(power.ACME_NODE.watts(8 * mean_of("gpu_power_seren.csv")))


def _warm_water() -> float:
    """Return the PUE of a plant cooled by warm water alone, on a summer's day in Tennessee."""
    plant = cooling.Cooling(water_celsius=32.0, liquid_share=1.0)
    return float(plant.run(20e6, dry_celsius=30.0, wet_celsius=24.0).pue)


def _counts(family: str) -> float:
    """Return how many of the printed counts of switches and cables the rule gives too."""
    rows = fabric.printed(family).items()
    pairs = [zip(fabric.superpod(family, nodes=nodes).counts, row, strict=True) for nodes, row in rows]
    return float(sum(ours == theirs for row in pairs for ours, theirs in row))


def _inside(gpu: str) -> float:
    """Return the mean relative error of an all-reduce among eight GPUs of a node, over all sizes measured."""
    sizes, seconds = collectives.measured(collectives.FILES[gpu], gpus=8, per_node=8)
    ours = collectives.nvlink(gpu, gpus=8).all_reduce(sizes, gpus=8)
    return float(np.abs(ours / seconds - 1).mean())


def _largest(per_node: int) -> tuple[float, float]:
    """Return the milliseconds of the largest all-reduce between two nodes of A100s: measured, and as a ring."""
    sizes, seconds = collectives.measured(collectives.FILES["a100-80"], gpus=2 * per_node, per_node=per_node)
    links = {"inside": collectives.nvlink("a100-80", gpus=per_node), "between": collectives.network("a100-80")}
    ours = collectives.all_reduce(sizes[-1], nodes=2, gpus_per_node=per_node, rails=4, way="ring", **links)
    return float(seconds[-1]) * 1e3, float(ours) * 1e3


def _rate() -> float:
    sizes, seconds = collectives.measured("h100_dgx_send_recv.csv", gpus=2, per_node=1, operation="send_recv")
    return float((sizes / seconds)[-5:].mean() / 1e9)


def _frontier(activity: float) -> float:
    return float(supply.frontier().draw(gpu=activity, cpu=activity).total) / 1e6


CHECKS = (
    Check("Frontier at rest", "MW", RAPS, 7.3065, lambda: _frontier(0.0), 1e-5, note=MODEL),
    Check("Frontier at its peak", "MW", RAPS, 28.2279, lambda: _frontier(1.0), 1e-5, note=MODEL),
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
        "Power of Kalos A100s, quantile by quantile",
        "mean |error|",
        ACME,
        0.0,
        lambda: _quantiles("kalos", "util_gpu_kalos_full.csv"),
        0.3,
        needs=("gpu_power_kalos.csv", "util_gpu_kalos_full.csv"),
        note="right in the mean, wrong in shape: the line from idle to TDP is too straight for single GPUs",
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
    Check("Counts of SuperPOD B200, of 36", "counts", fabric.source("b200"), 36, lambda: _counts("b200"), 0),
    Check("Counts of SuperPOD B300, of 30", "counts", fabric.source("b300"), 30, lambda: _counts("b300"), 0),
    Check(
        "Counts of SuperPOD B300 XDR, of 30",
        "counts",
        fabric.source("b300-xdr"),
        30,
        lambda: _counts("b300-xdr"),
        0.1,
        note="rows of 288 and 576 nodes print 18 and 36 spines; 16 and 32 carry all of their cables",
    ),
    Check(
        "All-reduce of 8 H100s: mean error",
        "share",
        VIDUR,
        0.0,
        lambda: _inside("h100-sxm"),
        0.06,
        needs=("h100_dgx_all_reduce.csv",),
        seen=True,
    ),
    Check(
        "All-reduce of 8 A100s: mean error",
        "share",
        VIDUR,
        0.0,
        lambda: _inside("a100-80"),
        0.13,
        needs=("a100_dgx_all_reduce.csv",),
        seen=True,
    ),
    Check(
        "Rate between nodes of H100s",
        "GB/s",
        VIDUR,
        _rate,
        lambda: collectives.network("h100-sxm").bytes_s / 1e9,
        0.05,
        needs=("h100_dgx_send_recv.csv",),
        seen=True,
    ),
    Check(
        "64 MiB all-reduce of 16 A100s in two nodes",
        "ms",
        VIDUR,
        lambda: _largest(8)[0],
        lambda: _largest(8)[1],
        0.25,
        needs=("a100_dgx_all_reduce.csv",),
        note="a ring over four network cards a node, fitted on 2 and on 2×4 GPUs; the hierarchical way would be half",
    ),
    Check(
        "PUE of warm water alone",
        "1",
        "Frontier's 1.03: from memory, not looked up",
        1.03,
        _warm_water,
        0.02,
        seen=True,
        note="plausible at best: its guesses were made knowing this number; the cooling model is NOT VALIDATED",
    ),
    Check(
        "Mean temperature of a Kalos A100",
        "°C",
        ACME,
        lambda: mean_of("gpu_temp_kalos.csv"),
        lambda: float(cooling.gpu_celsius(mean_of("gpu_power_kalos.csv"))),
        0.1,
        needs=("gpu_temp_kalos.csv", "gpu_power_kalos.csv"),
        note="by air, fitted on the other cluster, Seren",
    ),
)
