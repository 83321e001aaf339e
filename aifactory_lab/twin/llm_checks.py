"""Checks of language models: their size, their service on GPUs that the fit never saw, their training.

Each is a small function. What a card looks like is `validation`'s to say. An error of a service is the mean over all
rows of what was left out of the fit, against 0: no figure of one row can hide behind another's.

>>> [check.name for check in CHECKS][:2]
['Parameters of Llama-3-405B', 'Active parameters of gpt-oss-120b']
"""

from collections.abc import Callable
from functools import cache

import polars as pl

from aifactory_lab.twin import calibration, hardware, inference, models, training
from aifactory_lab.twin.checks import Check

SILICON = "AIConfigurator 0.12, silicon_sample.csv: measured by InferenceX and NVIDIA, 2025-10 to 2026-04"
LLAMA = "Grattafiori et al. 2024, The Llama 3 Herd of Models, arXiv 2407.21783"
DENSE = ("llama-3-8b", "llama-3-70b", "qwen3-32b")
MIXTURES = ("gpt-oss-120b", "qwen3-235b-a22b", "deepseek-v3", "minimax-m2")


@cache
def predicted() -> pl.DataFrame:
    """Return the measured rows that can be compared, with what the fitted parameters say of each."""
    kept = calibration.rows().filter(pl.col("why") == "")
    return calibration.predicted(kept, inference.fitted().parameters)


def service_error(system: str, names: tuple[str, ...]) -> float:
    """Return the mean absolute error of TPOT over the rows of a system and of models."""
    rows = predicted().filter(pl.col("system") == system, pl.col("model").is_in(names))
    return float(rows.select(pl.col("error").abs().mean()).item())


def first_token_error(system: str, model: str) -> float:
    """Return the median absolute error of TTFT over InferenceX's rows of a system and a model."""
    of = (pl.col("system") == system) & (pl.col("model") == model) & (pl.col("client") == "inferencex")
    return float(predicted().filter(of).select(pl.col("ttft_error").abs().median()).item())


def stranger_error(system: str, model: str) -> float:
    """Return the mean absolute error of TPOT on a GPU and a model of a fit that saw neither."""
    rows = calibration.rows().filter(pl.col("why") == "")
    seen = rows.filter(pl.col("system") == calibration.FIT_ON, pl.col("model") != model)
    unseen = rows.filter(pl.col("system") == system, pl.col("model") == model)
    error = calibration.predicted(unseen, calibration.fit(seen)).select(pl.col("error").abs().mean())
    return float(error.item())


def full_memory(figure: str) -> tuple[float, float]:
    """Return TPOT or TTFT where two H100s hold 28 of 64 requests of Llama-3-70B: measured and ours, in milliseconds."""
    of = {"system": "h100_sxm", "model": "llama-3-70b", "tp_size": 2, "isl": 8192, "osl": 1024, "batch_size": 64}
    row = predicted().filter(**of).row(0, named=True)
    return float(row[f"silicon_{figure}_ms"]), float(row[figure]) * 1e3


def _service(title: str, system: str, names: tuple[str, ...], tolerance: float, note: str = "") -> Check:
    error: Callable[[], float] = lambda: service_error(system, names)  # noqa: E731 - one line a check
    seen = system == calibration.FIT_ON
    needs = (calibration.FILE,)
    return Check(
        title, "mean |error| of TPOT", SILICON, 0, error, tolerance, needs=needs, seen=seen, note=note
    )  # fmt: skip


def _first_token(system: str, tolerance: float) -> Check:
    title = f"First token of Llama-3-70B on {system.partition('_')[0].upper()}"
    error: Callable[[], float] = lambda: first_token_error(system, "llama-3-70b")  # noqa: E731 - one line a check
    note = "InferenceX's client; TTFT of clients that start otherwise is off by more"
    needs = (calibration.FILE,)
    return Check(title, "median |error| of TTFT", SILICON, 0, error, tolerance, needs=needs, note=note)


def _llama(**changes: float) -> training.Run:
    settings = {"gpus": 16_384, "tokens": 15.6e12, "mfu": 0.41} | changes
    return training.plan("llama-3-405b", "h100-sxm", **settings)  # type: ignore[arg-type]


def _sustained_mfu() -> float:
    """Return the utilisation that 400 TFLOP/s per GPU are."""
    return 400e12 / hardware.gpu("h100-sxm").flops_dense["bf16"]


CHECKS = (
    Check(
        "Parameters of Llama-3-405B",
        "parameters",
        "its checkpoint on Hugging Face",
        405_853_388_800,
        lambda: models.model("llama-3-405b").parameters,
        0,
    ),
    Check(
        "Active parameters of gpt-oss-120b",
        "parameters",
        "its model card: 5.1 of 117 billion",
        5.13e9,
        lambda: models.model("gpt-oss-120b").active_parameters,
        0.01,
    ),
    Check(
        "Active parameters of DeepSeek-V3",
        "parameters",
        "arXiv 2412.19437: 37 of 671 billion",
        37e9,
        lambda: models.model("deepseek-v3").active_parameters,
        0.02,
    ),
    _service("Dense models on H100", "h100_sxm", DENSE, 0.10),
    _service("Dense models on B200", "b200_sxm", DENSE, 0.086, "a GPU that the fit never saw"),
    _service("Llama-3-70B on H200", "h200_sxm", ("llama-3-70b",), 0.09, "a GPU that the fit never saw"),
    _service("Dense models on H200", "h200_sxm", DENSE, 0.12, "with Llama-3-8B, which only SGLang served there"),
    _service("MiniMax-M2.5 on B200", "b200_sxm", ("minimax-m2",), 0.15, "a mixture of experts; a GPU never seen"),
    _service("Mixtures of experts on H200", "h200_sxm", MIXTURES, 0.25, "mixtures are the model's weak side"),
    _service("Mixtures of experts on B200", "b200_sxm", MIXTURES, 0.25, "mixtures are the model's weak side"),
    Check(
        "Llama-3-70B on B200, neither of them seen",
        "mean |error| of TPOT",
        SILICON,
        0,
        lambda: stranger_error("b200_sxm", "llama-3-70b"),
        0.10,
        needs=(calibration.FILE,),
        note="fitted anew without the model; no row of the model, none of the GPU",
    ),
    _first_token("h200_sxm", 0.15),
    _first_token("b200_sxm", 0.2),
    Check(
        "A full memory: TPOT of Llama-3-70B on two H100s",
        "ms",
        SILICON,
        lambda: full_memory("tpot")[0],
        lambda: full_memory("tpot")[1],
        0.12,
        needs=(calibration.FILE,),
        seen=True,
        note="64 requests of 8,192 tokens: more than fit, so TPOT no longer rises and they wait",
    ),
    Check(
        "A full memory: the wait for it",
        "ms",
        SILICON,
        lambda: full_memory("ttft")[0],
        lambda: full_memory("ttft")[1],
        0.15,
        needs=(calibration.FILE,),
        note="the same row's TTFT; only rows that do not wait for memory were fitted on TTFT",
    ),
    Check("Arithmetic of Llama-3-405B", "FLOP", LLAMA, 3.8e25, lambda: _llama().flops, 0.01),
    Check("MFU of 400 TFLOP/s on H100", "1", f"{LLAMA}, table 4", 0.41, _sustained_mfu, 0.02),
    Check(
        "GPU hours of Llama-3.1-405B",
        "GPU hours",
        "its model card",
        30.84e6,
        lambda: _llama().gpu_hours,
        0.10,
        note="the card counts every stage of training, we the pre-training at an MFU of 0.41",
    ),
    Check(
        "Failures of Llama-3 in 54 days",
        "failures",
        f"{LLAMA}, section 3.3.4",
        training.LLAMA_FAILURES,
        lambda: training.LLAMA_DAYS * 24 / training.job_mtbf_hours(training.LLAMA_GPUS),
        0.01,
        seen=True,
    ),
    Check(
        "Effective time of Llama-3's training",
        "1",
        f"{LLAMA}: above 0.90",
        0.90,
        lambda: _llama().effective,
        0.03,
        note="with checkpoints of 30 s and restarts of 5 min, which are assumed",
    ),
)
