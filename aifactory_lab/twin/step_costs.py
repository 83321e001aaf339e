"""What a step of a language model costs on GPUs: bytes over bandwidth, arithmetic over peak, and what is lost between.

A roofline (Williams et al. 2009) with a few efficiencies, which `calibration` fits to measurements; they are effective
figures of whole engines, not physics of a chip. A tensor-parallel group shares the matrices, and keys and values as far
as there are heads to share. Requests, queues and percentiles are not known here.

>>> from aifactory_lab.twin import hardware, models
>>> ideal = Parameters(memory=1, compute=1, attention=1)
>>> costs = of(models.model("llama-3-8b"), hardware.gpu("h100-sxm"), precision="fp8", parameters=ideal)
>>> f"{costs.step(batch=1, context=0) * 1e3:.2f} ms a token"  # 6.98 GB of blocks, 1.05 GB of output layer, 3.35 TB/s
'2.40 ms a token'
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import chip
from aifactory_lab.twin.chip import Chip, Numbers
from aifactory_lab.twin.efficiencies import Parameters
from aifactory_lab.twin.shape import Model

__all__ = ["ENGINES", "MEMORY_CLOCK", "USABLE", "WEIGHT_BYTES", "Chip", "Costs", "Numbers", "Parameters", "of"]

# Bytes of a weight: FP4 shares an 8-bit scale among 16 values (NVFP4), INT4 a 16-bit scale among 64, INT8 one among 32.
WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp16": 2.0, "int8": 1.0625, "fp8": 1.0, "fp4": 0.5625, "int4": 0.53125}
ENGINES = ("vllm", "sglang", "trtllm")
OUTPUT_BYTES = 2.0  # the embedding and the output layer stay in 16 bits, and so do activations between GPUs
USABLE = 0.9  # of a GPU's memory: vLLM's --gpu-memory-utilization, by default
# Share of the boost clock below which multiprocessors ask for too little to keep the memory busy. An assumption: memory
# has a clock of its own, and Splitwise (arXiv 2311.18677) saw steps that it bounds stand a cap of half the TDP.
MEMORY_CLOCK = 0.6


@dataclass(frozen=True)
class Costs:
    """Costs of one replica; each figure may be an array over sizes of the tensor-parallel group.

    Attributes
    ----------
    always_seconds, experts_seconds, expert_share
        To read the matrices that every step reads, and all experts; the share of experts that one token meets.
    context_seconds, window_seconds, window
        To read a token's keys and values in layers that keep all, and in layers that keep a window of so many tokens.
    compute_seconds, link_seconds
        Arithmetic and all-reduces of one token in decoding.
    overhead_seconds, sequence_seconds
        Lost in each step, and in each step per sequence: the host's time, and what passes between matrix products.
    prefill_seconds, attention_seconds
        Of one token of a prompt, and of one token of it with one token before it.
    share, wave
        Share of other requests' prefill that falls between two tokens, and that is waited for before the first.
    weight_bytes, free_bytes, kv_bytes, window_bytes
        Per GPU: weights, room for keys and values, a further token's, and a token's in a window.
    """

    always_seconds: Numbers
    experts_seconds: Numbers
    expert_share: float
    context_seconds: Numbers
    window_seconds: Numbers
    window: int
    compute_seconds: Numbers
    link_seconds: Numbers
    overhead_seconds: Numbers
    sequence_seconds: Numbers
    prefill_seconds: Numbers
    attention_seconds: Numbers
    share: float
    wave: float
    weight_bytes: Numbers
    free_bytes: Numbers
    kv_bytes: Numbers
    window_bytes: Numbers

    def reading(self, batch: ArrayLike, context: ArrayLike) -> Numbers:
        """Return the seconds that a step's bytes take; `context` is the tokens behind each of `batch` sequences."""
        batch, context = np.asarray(batch, np.float64), np.asarray(context, np.float64)
        each = self.context_seconds * context
        if self.window:
            each = each + self.window_seconds * np.minimum(context, self.window)
        found: Numbers = self.weights(batch) + batch * each
        return found

    def weights(self, batch: ArrayLike) -> Numbers:
        """Return the seconds to read a step's matrices: of the experts those that any of the tokens is sent to."""
        if not self.expert_share:
            return self.always_seconds
        met: Numbers = 1 - (1 - self.expert_share) ** np.asarray(batch, np.float64)
        return self.always_seconds + self.experts_seconds * met

    def step(self, batch: ArrayLike, context: ArrayLike) -> Numbers:
        """Return the seconds of a decoding step: `batch` sequences of `context` tokens each get one more."""
        batch = np.asarray(batch, np.float64)
        roofline = np.maximum(self.reading(batch, context), batch * self.compute_seconds)
        found: Numbers = roofline + batch * (self.link_seconds + self.sequence_seconds) + self.overhead_seconds
        return found

    def prefill(self, tokens: ArrayLike, cached: ArrayLike = 0.0) -> Numbers:
        """Return the seconds to read a prompt of so many new tokens after so many whose keys and values are there."""
        tokens = np.asarray(tokens, np.float64)
        seen = np.asarray(cached, np.float64) + tokens / 2
        found: Numbers = tokens * (self.prefill_seconds + self.attention_seconds * seen)
        return found

    def admitted(self, context: ArrayLike) -> Numbers:
        """Return how many sequences of so many tokens the memory holds; 0 or less if none."""
        context = np.asarray(context, np.float64)
        each = self.kv_bytes * context + self.window_bytes * np.minimum(context, self.window)
        found: Numbers = np.floor(self.free_bytes / np.maximum(each, 1e-300))
        return found


def of(
    model: Model,
    gpu: Chip,
    *,
    tp: ArrayLike = 1,
    precision: str = "bf16",
    engine: str = "vllm",
    parameters: Parameters,
    kv_value_bytes: float | None = None,
    clock: ArrayLike = 1.0,
) -> Costs:
    """Return what a model costs on a tensor-parallel group of GPUs.

    Parameters
    ----------
    model, gpu
        What is served, and on which chip.
    tp
        GPUs of a group, one number or several.
    precision
        Format of the weights: ``"fp32"``, ``"bf16"``, ``"fp16"``, ``"fp8"``, ``"fp4"``, ``"int8"`` or ``"int4"`` (the
        last two are widened before they are multiplied). In a mixture of experts, four bits are the experts' only.
    engine
        ``"vllm"``, ``"sglang"`` or ``"trtllm"``.
    parameters
        How much of the data sheet is reached.
    kv_value_bytes
        Bytes of a key's or a value's number; by default 2, and 1 where TensorRT-LLM has weights of 8 bits or fewer.
    clock
        Share of the boost clock, above 0: arithmetic slows with it, memory only below `MEMORY_CLOCK`, links and what is
        lost between not at all.

    Raises
    ------
    TwinError
        If a format or an engine is not known, the GPU lacks a figure, or `tp` is not a positive whole number.

    Notes
    -----
    An all-reduce moves 2 (n - 1) / n of its bytes over each GPU's link, two a layer (Shoeybi et al. 2019, Megatron-LM,
    arXiv 1909.08053). A token of a prompt costs 2 operations a parameter, and attention's two products with all tokens
    before it. What passes between the products (`Model.whole_values`, `Model.shared_values`) is read and written in 16
    bits. Latent attention's keys and values stand on every GPU of the group.
    """
    size, speed = _sizes(tp), np.asarray(clock, np.float64)
    stored, rate = _stored(model, precision), chip.rate(gpu, precision)
    value = _value_bytes(precision, engine) if kv_value_bytes is None else kv_value_bytes
    memory = gpu.memory_bandwidth_bytes_s * np.minimum(1.0, speed / MEMORY_CLOCK)
    bandwidth, peak = memory * parameters.memory, rate * parameters.compute * speed
    (link, lost), parts = _hops(model, gpu, size, parameters), np.minimum(size, 1 if model.kv_rank else model.kv_heads)
    kv, window = (
        layers * model.kv_values * value / parts for layers in (model.layers - model.window_layers, model.window_layers)
    )
    weights = (stored["always"] + 2 * stored["output"] + stored["experts"]) / size
    between = (model.whole_values + model.shared_values / size) * OUTPUT_BYTES / (memory * parameters.elementwise)
    prefill = 2 * (model.active_parameters - model.embedding) / size / peak
    return Costs(
        always_seconds=(stored["always"] + stored["output"]) / size / bandwidth,
        experts_seconds=stored["experts"] / size / bandwidth,
        expert_share=model.experts_per_token / model.experts if model.experts else 0.0,
        context_seconds=kv / bandwidth,
        window_seconds=window / bandwidth,
        window=model.window,
        compute_seconds=2 * model.active_parameters / size / peak,
        link_seconds=link,
        overhead_seconds=lost,
        sequence_seconds=between + parameters.sequence(engine),
        prefill_seconds=prefill + link + between,
        attention_seconds=model.attention_flops / size / (chip.rate(gpu, "bf16") * parameters.attention * speed),
        share=parameters.between(engine),
        wave=parameters.before(engine),
        weight_bytes=weights,
        free_bytes=USABLE * gpu.memory_bytes - weights,
        kv_bytes=kv,
        window_bytes=window,
    )


def _sizes(tp: ArrayLike) -> Numbers:
    size = np.asarray(tp, np.float64)
    if not size.size or not (np.isfinite(size) & (size >= 1) & (size == np.floor(size))).all():
        msg = f"tp={tp!r}: a tensor-parallel group has a positive whole number of GPUs"
        raise TwinError(msg, mend="tp=8")
    return size


def _stored(model: Model, precision: str) -> dict[str, float]:
    """Return the bytes of the blocks' matrices outside of the experts, of all experts, and of the output layer."""
    if precision not in WEIGHT_BYTES:
        msg = f"no weights in {precision!r}; there are: {', '.join(WEIGHT_BYTES)}"
        raise TwinError(msg, mend='precision="fp8"')
    each = WEIGHT_BYTES[precision]
    others = model.native_bytes if model.experts and each < 1 else each
    experts = model.moe_layers * model.experts * model.expert
    return {"always": model.always * others, "experts": experts * each, "output": model.embedding * OUTPUT_BYTES}


def _value_bytes(precision: str, engine: str) -> float:
    if engine not in ENGINES:
        msg = f"no engine {engine!r}; there are: {', '.join(ENGINES)}"
        raise TwinError(msg, mend='engine="vllm"')
    return 1.0 if engine == "trtllm" and WEIGHT_BYTES[precision] <= 1 else 2.0


def _hops(model: Model, gpu: Chip, size: Numbers, parameters: Parameters) -> tuple[Numbers, Numbers]:
    """Return the seconds that a token's all-reduces take on the links, two a layer, and those lost in each step."""
    speed, longer = chip.links(gpu, size)
    moved = 2 * model.layers * 2 * (size - 1) / size * model.hidden * OUTPUT_BYTES
    lost = model.layers * parameters.layer_seconds + model.moe_layers * parameters.expert_layer_seconds
    return moved / speed, lost + np.where(size > 1, 2 * model.layers * parameters.hop_seconds * longer, 0.0)
