"""A training run planned: its arithmetic, its days, and what failures and checkpoints take of them.

Arithmetic is 6 operations per parameter and token (Kaplan et al. 2020, arXiv 2001.08361), time is arithmetic ÷ (GPUs ×
peak × MFU). Failures come at random at a constant rate; the share of time that is left for training is exact for that
(Daly 2006, "A higher order estimate of the optimum checkpoint interval"), and the interval is Young's (1974). How a
model is cut among GPUs, and what MFU that gives, is not known here: MFU is a measurement that goes in.

>>> run = plan("llama-3-405b", "h100-sxm", gpus=16_384, tokens=15.6e12, mfu=0.41)
>>> f"{run.flops:.2g} operations in {run.days:.0f} days, {run.failures:.0f} failures"
'3.8e+25 operations in 73 days, 565 failures'
"""

from dataclasses import dataclass
from math import expm1, inf, sqrt

from aifactory_lab.errors import TwinError
from aifactory_lab.twin.inference import known
from aifactory_lab.twin.shape import Model
from aifactory_lab.twin.step_costs import Chip

HOUR, DAY = 3600.0, 86_400.0
# Llama 3, 54 days on 16,384 H100 (Grattafiori et al. 2024, arXiv 2407.21783, section 3.3.4): interruptions that nobody
# planned, and those of them that GPUs, their memory, and the network's switches and cables caused.
LLAMA_FAILURES, LLAMA_DAYS, LLAMA_GPUS = 419, 54, 16_384
LLAMA_CAUSES = {"GPU": 148, "HBM3": 72, "network": 35}
GPU_MTBF_HOURS = LLAMA_DAYS * 24 * LLAMA_GPUS / LLAMA_FAILURES
# Of mixed-precision Adam: weights in 16 bits, and in 32 a copy of them and two moments (Rajbhandari et al. 2020, ZeRO).
CHECKPOINT_BYTES = 14.0


@dataclass(frozen=True)
class Run:
    """A planned run.

    Attributes
    ----------
    flops
        Floating-point operations of the training.
    compute_days, days
        Days that they take, and with checkpoints, restarts and repeated work.
    gpu_hours
        GPUs × hours.
    interval_seconds
        Seconds of training between checkpoints.
    effective
        Share of the time that goes into the training, 0 to 1.
    mtbf_hours, failures
        Hours between two failures of any of the GPUs, and failures to expect.
    """

    flops: float
    compute_days: float
    days: float
    gpu_hours: float
    interval_seconds: float
    effective: float
    mtbf_hours: float
    failures: float


def training_flops(model: Model, tokens: float, *, context: int = 0) -> float:
    """Return the operations of training on so many tokens; of a mixture only the parameters that a token meets count.

    Parameters
    ----------
    context
        Tokens of a sequence; if given, attention's two products count too, 12 × layers × width × context a token, as in
        PaLM's definition of MFU (Chowdhery et al. 2022, arXiv 2204.02311, appendix B) and in `lm.flops`.
    """
    _check("tokens", tokens)
    return tokens * (6.0 * model.active_parameters + 3.0 * model.attention_flops * context)


def mfu(model: Model, gpu: Chip, *, tokens_per_second_per_gpu: float, context: int = 0) -> float:
    """Return the model FLOPs utilisation of a rate, 0 to 1, against the GPU's dense 16-bit peak."""
    return training_flops(model, tokens_per_second_per_gpu, context=context) / gpu.flops_dense["bf16"]


def job_mtbf_hours(gpus: float, *, gpu_mtbf_hours: float = GPU_MTBF_HOURS) -> float:
    """Return the hours between two failures of a job that any of its GPUs stops.

    Parameters
    ----------
    gpu_mtbf_hours
        Hours between two failures that are put down to one GPU, whatever failed; by default Llama 3's.
    """
    _check("gpus", gpus)
    _check("gpu_mtbf_hours", gpu_mtbf_hours)
    return gpu_mtbf_hours / gpus


def checkpoint_seconds(model: Model, *, storage_bytes_s: float) -> float:
    """Return the seconds that writing a checkpoint takes, at the storage's bandwidth in bytes per second."""
    _check("storage_bytes_s", storage_bytes_s)
    return CHECKPOINT_BYTES * model.parameters / storage_bytes_s


def young_seconds(*, checkpoint_seconds: float, mtbf_seconds: float) -> float:
    """Return Young's interval between checkpoints, √(2 × checkpoint × MTBF), in seconds.

    J. W. Young (1974), "A first order approximation to the optimum checkpoint interval", Comm. ACM 17 (9).

    Examples
    --------
    >>> f"{young_seconds(checkpoint_seconds=30, mtbf_seconds=3.09 * 3600) / 60:.1f} min"
    '13.6 min'
    """
    _check("checkpoint_seconds", checkpoint_seconds)
    _check("mtbf_seconds", mtbf_seconds)
    return sqrt(2 * checkpoint_seconds * mtbf_seconds)


def effective_share(
    *, interval_seconds: float, checkpoint_seconds: float, restart_seconds: float, mtbf_seconds: float
) -> float:
    """Return the share of time that goes into the training, 0 to 1.

    A segment of work with its checkpoint is repeated until no failure falls into it; each failure costs a restart, into
    which failures may fall too. Daly (2006), equation 20: T = M e^(R/M) (e^((τ+C)/M) - 1) a segment.
    """
    _check("interval_seconds", interval_seconds)
    _check("mtbf_seconds", mtbf_seconds)
    for name, value in (("checkpoint_seconds", checkpoint_seconds), ("restart_seconds", restart_seconds)):
        _check(name, value, least=0.0)
    if mtbf_seconds == inf:
        return interval_seconds / (interval_seconds + checkpoint_seconds)
    try:
        grown = expm1((interval_seconds + checkpoint_seconds) / mtbf_seconds)
        restarts = expm1(restart_seconds / mtbf_seconds) + 1
    except OverflowError:
        return 0.0  # no segment is ever finished
    return interval_seconds / (mtbf_seconds * restarts * grown)


def plan(
    model: Model | str,
    gpu: Chip | str,
    *,
    gpus: int,
    tokens: float,
    mfu: float,
    checkpoint_seconds: float = 30.0,
    restart_seconds: float = 300.0,
    gpu_mtbf_hours: float = GPU_MTBF_HOURS,
    interval_seconds: float | None = None,
) -> Run:
    """Plan a run.

    Parameters
    ----------
    gpus, tokens
        GPUs of the job, and tokens of the training.
    mfu
        Share of the dense 16-bit peak that goes into the model's arithmetic: Llama-3-405B's was 0.38 to 0.43.
    checkpoint_seconds, restart_seconds
        Seconds that training stands still for a checkpoint, and from a failure to the next step.
    gpu_mtbf_hours
        See `job_mtbf_hours`.
    interval_seconds
        Seconds between checkpoints; by default Young's.

    Raises
    ------
    TwinError
        If a figure is not positive, or `mfu` is above 1.
    """
    model, gpu = known(model, gpu)
    _check("mfu", mfu)
    if mfu > 1:
        msg = f"mfu={mfu!r} is a share of the peak, which cannot be above 1"
        raise TwinError(msg, mend="mfu=0.4")
    mtbf = job_mtbf_hours(gpus, gpu_mtbf_hours=gpu_mtbf_hours) * HOUR
    interval = interval_seconds or young_seconds(checkpoint_seconds=checkpoint_seconds, mtbf_seconds=mtbf)
    stops = {"checkpoint_seconds": checkpoint_seconds, "restart_seconds": restart_seconds}
    effective = effective_share(interval_seconds=interval, mtbf_seconds=mtbf, **stops)
    flops = training_flops(model, tokens)
    compute = flops / (gpus * gpu.flops_dense["bf16"] * mfu)
    seconds = compute / effective if effective else inf
    return Run(
        flops, compute / DAY, seconds / DAY, gpus * seconds / HOUR, interval, effective, mtbf / HOUR, seconds / mtbf
    )


def _check(name: str, value: float, *, least: float | None = None) -> None:
    wrong = not value > 0 if least is None else not value >= least
    if wrong:
        msg = f"{name}={value!r} must be {'positive' if least is None else f'{least:g} or more'}"
        raise TwinError(msg, mend=f"{name}=1")
