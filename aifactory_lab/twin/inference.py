"""A language model in service, in closed form: the latency and the tokens per second of a steady load.

A load keeps `concurrency` requests in a replica, each of `isl` prompt tokens and `osl` answer tokens. As many as fit
the memory are decoded together; between two of a request's tokens comes a share of the others' prefills, which a bare
roofline leaves out. All sizes may be arrays, a million configurations at once. Beside each figure is the band that
held-out measurements kept. Bursts, traces and percentiles are `serving`'s to say.

>>> found = predict("llama-3-70b", "h100-sxm", tp=4, isl=1024, osl=1024, concurrency=[8, 64], precision="fp8")
>>> found.tokens_per_second[1] > 4 * found.tokens_per_second[0]
np.True_
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from aifactory_lab import decoding
from aifactory_lab.errors import TwinError
from aifactory_lab.twin import hardware, models, step_costs
from aifactory_lab.twin.shape import Model
from aifactory_lab.twin.step_costs import Chip, Costs, Numbers, Parameters

FITTED = Path(__file__).with_name("data") / "inference.json"


@dataclass(frozen=True)
class Prediction:
    """What a load would see; every array has the shape of the sizes, and NaN where the model does not fit.

    Attributes
    ----------
    ttft, tpot, e2e
        Seconds to the first token, from token to token, and to the last, on average. The first is as a benchmark's
        client sees it whose places all start at once and ask ten times each (`Parameters.wave`).
    tokens_per_second, requests_per_second
        Of one replica: written tokens, and answers.
    batch
        Sequences decoded together: the concurrency, or what the memory holds.
    tp
        GPUs of a replica.
    bound
        Share of a decoding step that the memory's bandwidth or the arithmetic explains; the rest is overhead.
    tpot_band, ttft_band
        Factors between which eight of ten held-out measurements lay: measured ÷ predicted, 10th and 90th percentile.
    """

    ttft: Numbers
    tpot: Numbers
    e2e: Numbers
    tokens_per_second: Numbers
    requests_per_second: Numbers
    batch: Numbers
    tp: Numbers
    bound: Numbers
    tpot_band: tuple[float, float]
    ttft_band: tuple[float, float]

    @property
    def tokens_per_second_per_gpu(self) -> Numbers:
        """Written tokens per second and GPU."""
        return self.tokens_per_second / self.tp

    @property
    def tpot_range(self) -> tuple[Numbers, Numbers]:
        """Seconds from token to token: where eight of ten measurements are to be expected."""
        low, high = self.tpot_band
        return self.tpot * low, self.tpot * high


@dataclass(frozen=True)
class Fitted:
    """The parameters that came with this package: what they are, from what, and how well they hold.

    Attributes
    ----------
    parameters
        The efficiencies.
    bands
        By ``"dense"`` and ``"moe"``, then by figure: 10th and 90th percentile of measured ÷ predicted, held out.
    provenance
        Of the measurements: file, checksum, filter, rows, date, and the command that fits again.
    held_out
        Errors by group of measurements that the fit never saw.
    left_out
        Errors on each model, and each system, of a fit that saw all but it (`calibration.left_out`).
    """

    parameters: Parameters
    bands: dict[str, dict[str, tuple[float, float]]]
    provenance: dict[str, Any]
    held_out: list[dict[str, Any]]
    left_out: list[dict[str, Any]]


def read(path: Path | str) -> Fitted:
    """Return fitted parameters from a file that `calibration.refit` wrote.

    Raises
    ------
    TwinError
        If it is not such a file.
    """
    try:
        found = decoding.table(Path(path).read_bytes())
        bands = {
            kind: {figure: (low, high) for figure, (low, high) in one.items()} for kind, one in found["bands"].items()
        }
        return Fitted(
            Parameters(**found["parameters"]), bands, found["provenance"], found["held_out"], found["left_out"]
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} does not hold fitted parameters: {error!r}"
        raise TwinError(msg, mend="twin.calibration.refit()") from error


@cache
def fitted() -> Fitted:
    """Return the parameters that came with this package, from `data/inference.json`."""
    return read(FITTED)


def predict(
    model: Model | str,
    gpu: Chip | str,
    *,
    tp: ArrayLike = 1,
    isl: ArrayLike = 1024,
    osl: ArrayLike = 1024,
    concurrency: ArrayLike = 1,
    precision: str = "bf16",
    engine: str = "vllm",
    parameters: Parameters | None = None,
    clock: ArrayLike = 1.0,
) -> Prediction:
    """Predict a steady load on one replica; sizes are numbers or arrays that broadcast.

    Parameters
    ----------
    model, gpu
        A model or its name (`models.names`), a GPU or its name (`hardware.gpu`).
    tp
        GPUs that share the model.
    isl, osl
        Tokens of a prompt and of an answer.
    concurrency
        Requests in the replica at any time.
    precision, engine
        See `step_costs.of`.
    parameters
        Other efficiencies than the fitted ones.
    clock
        Share of the boost clock, above 0; see `step_costs.of`.

    Raises
    ------
    TwinError
        If a size is not positive, a name is not known, or the model fits none of the configurations.
    """
    model, gpu = known(model, gpu)
    sizes = {"isl": isl, "osl": osl, "concurrency": concurrency}
    prompt, answer, asked = (_positive(value, name) for name, value in sizes.items())
    used = parameters or fitted().parameters
    speed = _positive(clock, "clock")
    costs = step_costs.of(model, gpu, tp=tp, precision=precision, engine=engine, parameters=used, clock=speed)
    size = np.asarray(tp, np.float64)
    admitted = costs.admitted(prompt + answer / 2)
    if not (admitted >= 1).any():
        raise does_not_fit(model, gpu, costs, precision, tokens=float(prompt.min() + answer.min()))
    batch = np.where(admitted >= 1, np.minimum(asked, admitted), np.nan)
    return _load(model, costs, size, batch, (prompt, answer, asked), used.first_token_seconds)


def _load(
    model: Model, costs: Costs, size: Numbers, batch: Numbers, load: tuple[Numbers, Numbers, Numbers], first: float
) -> Prediction:
    """Sum up a request's stay: the wait to be admitted, its prefill, its steps, the others' prefills between them."""
    prompt, answer, asked = load
    context = prompt + answer / 2
    step, prefill = costs.step(batch, context), costs.prefill(prompt)
    others = (batch - 1) * prefill
    tpot = step + costs.share * others / answer
    served = prefill + step + first + costs.wave * others
    rate = batch / (served + answer * tpot)
    ttft = served + (asked - batch) / rate
    bound = np.maximum(costs.reading(batch, context), batch * costs.compute_seconds) / step
    bands = fitted().bands["moe" if model.experts else "dense"]
    arrays = np.broadcast_arrays(ttft, tpot, ttft + (answer - 1) * tpot, rate * answer, rate, batch, size, bound)
    first_token, gap, whole, tokens, requests, together, gpus, explained = (one.astype(np.float64) for one in arrays)
    return Prediction(
        first_token, gap, whole, tokens, requests, together, gpus, explained, bands["tpot"], bands["ttft"]
    )  # fmt: skip


def known(model: Model | str, gpu: Chip | str) -> tuple[Model, Chip]:
    """Return the model and the GPU of these names."""
    found = models.model(model) if isinstance(model, str) else model
    return found, hardware.gpu(gpu) if isinstance(gpu, str) else gpu


def does_not_fit(model: Model, gpu: Chip, costs: Costs, precision: str, *, tokens: float) -> TwinError:
    """Return the error that says how much too large a model is for a GPU."""
    weights, room = float(np.min(costs.weight_bytes)), step_costs.USABLE * gpu.memory_bytes
    msg = (
        f"{model.name} in {precision} takes {weights / 1e9:.1f} GB of each {gpu.name}, of whose memory"
        f" {room / 1e9:.1f} GB are usable: no request of {tokens:g} tokens fits beside it"
    )
    return TwinError(msg, mend='a larger tp=, precision="fp8", or a GPU with more memory')


def _positive(value: ArrayLike, name: str) -> NDArray[np.float64]:
    found = np.asarray(value, np.float64)
    if not found.size or not (np.isfinite(found) & (found > 0)).all():
        msg = f"{name}={value!r} must be positive"
        raise TwinError(msg, mend=f"{name}=1024")
    return found
