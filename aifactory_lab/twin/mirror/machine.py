"""One call that measures this machine: a server of a small model, a short sweep of loads, telemetry, a fit.

Before anything was measured there is only a data sheet: bandwidth and arithmetic, which here are measured too, for few
processors have one. `unfitted` is the twin that knows no more, to see what fitting is worth.

>>> machine = Machine("two cores", memory_bytes=8e9, memory_bandwidth_bytes_s=2e10, flops_dense={"fp16": 1e11})
>>> from aifactory_lab.twin import models
>>> bare = unfitted(models.model("llama-3-8b"), machine, precision="fp16")
>>> round(float(bare.steady(isl=10, osl=2, concurrency=1).tpot), 2)  # 15 GB over 20 GB/s
0.75
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aifactory_lab import device, roofline
from aifactory_lab.errors import require
from aifactory_lab.serve import llm, load
from aifactory_lab.serve.load.token_report import TokenReport
from aifactory_lab.telemetry.hosts.source import HostSource
from aifactory_lab.telemetry.nvml.source import NvmlSource
from aifactory_lab.telemetry.sampler import Sampler
from aifactory_lab.telemetry.sources import Source
from aifactory_lab.twin import hardware, models, step_costs
from aifactory_lab.twin.mirror.fitted import Mirror
from aifactory_lab.twin.mirror.fitting import fit
from aifactory_lab.twin.mirror.observations import Observations, observe
from aifactory_lab.twin.mirror.replica import Replica
from aifactory_lab.twin.shape import Model
from aifactory_lab.twin.step_costs import Chip, Parameters
from aifactory_lab.workspace import cache_folder

LEVELS, LENGTHS = (1, 2, 4), (16, 64, 160)
ANSWER, DEPTH, SLOTS, CONTEXT = 24, 6, 8, 256
HEADER = {"num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count"}
HEADER |= {"num_key_value_heads": "attention.head_count_kv", "hidden_size": "embedding_length"}
HEADER |= {"intermediate_size": "feed_forward_length", "vocab_size": "vocab_size"}
Say = Callable[[str], object]


@dataclass(frozen=True)
class Machine:
    """What a data sheet would say of a processor, measured.

    Attributes
    ----------
    name
        What it is called.
    memory_bytes, memory_bandwidth_bytes_s
        Of its memory; the bandwidth is that of copying.
    flops_dense
        Operations per second of the fastest matrix product seen, by format.
    """

    name: str
    memory_bytes: float
    memory_bandwidth_bytes_s: float
    flops_dense: Mapping[str, float]
    nvlink_bytes_s_per_direction: float | None = None
    pcie_bytes_s_per_direction: float | None = None


def this_machine() -> Chip:
    """Return the data sheet of what would serve here: the catalogue's GPU, or this processor with one thread, measured.

    A GPU that the catalogue does not have is measured as far as a matrix product says.
    """
    found = device.current(needs=())
    if found.kind == "gpu":
        wanted = found.gpus[0].name.lower()
        for name in hardware.names("gpu"):
            if name.split("-")[0] in wanted.replace(" ", ""):
                return hardware.gpu(name)
    return _processor()


def _processor() -> Machine:
    import psutil

    require("torch", extra="lm")
    from aifactory_lab.lm import flops

    folder = cache_folder() / "roofline"
    folder.mkdir(parents=True, exist_ok=True)
    peak = flops.measured_peak("float32")
    return Machine(
        name="this processor, one thread",
        memory_bytes=float(psutil.virtual_memory().total),
        memory_bandwidth_bytes_s=roofline.measured(folder).memory,
        flops_dense=dict.fromkeys(("fp32", "fp16", "bf16"), peak),
    )


def unfitted(model: Model, chip: Chip | None = None, *, precision: str = "fp16", slots: int = SLOTS) -> Replica:
    """Return the twin of a machine of which only the data sheet is known: nothing is lost, nothing overlaps badly.

    Parameters
    ----------
    chip
        By default `this_machine`.
    precision
        Format of the weights (`step_costs.WEIGHT_BYTES`).
    """
    ideal = Parameters(1.0, 1.0, 1.0)
    return Replica(step_costs.of(model, chip or this_machine(), precision=precision, parameters=ideal), 0.0, slots)


def of_this_machine(
    model: Any = None,
    *,
    concurrencies: Sequence[int] = LEVELS,
    lengths: Sequence[int] = LENGTHS,
    answer: int = ANSWER,
    seconds: float = 0.8,
    passes: int = 2,
    say: Say | None = print,
) -> Mirror:
    """Start a server here, put a short sweep of loads on it, and fit the twin to what it did: about half a minute.

    Parameters
    ----------
    model
        What to serve (`serve.llm.start`); by default an untrained Llama of 3 million parameters, for speed does not
        depend on what was learned. Needs the extra ``lm``.
    concurrencies, lengths, answer
        Requests at once, tokens of prompts, and of every answer.
    seconds, passes
        Of each load, and how often the sweep is run: what disturbs one pass may not disturb the next.
    say
        Told of every load; None for silence.

    Raises
    ------
    FactoryError
        If the model or the engine cannot be had; TwinError if the sweep is too small to fit.
    """
    with tempfile.TemporaryDirectory(prefix="aifactory-mirror-") as folder:
        source = untrained(Path(folder) / f"untrained-{DEPTH}") if model is None else model
        shape = shape_of(source)
        with llm.start(source, slots=max(SLOTS, *concurrencies), context=CONTEXT) as server:
            seen = sweep(
                server, shape, concurrencies=concurrencies, lengths=lengths, answer=answer,
                seconds=seconds, passes=passes, slots=max(SLOTS, *concurrencies), say=say,
            )  # fmt: skip
    found = fit(seen)
    if say:
        say(repr(found))
    return found


def sweep(
    server: Any,
    model: Model,
    *,
    concurrencies: Sequence[int] = LEVELS,
    lengths: Sequence[int] = LENGTHS,
    answer: int = ANSWER,
    seconds: float = 1.0,
    passes: int = 1,
    slots: int = SLOTS,
    say: Say | None = None,
) -> Observations:
    """Put steady loads on a running server, one by one, with the telemetry beside it; see `of_this_machine`."""
    loads = [(isl, level) for _ in range(passes) for isl in lengths for level in concurrencies]
    reports: list[TokenReport] = []
    sampler = Sampler(_source(), period=0.25)  # our own: one that somebody watches stays as it is
    try:
        for number, (isl, level) in enumerate(loads):
            asked = prompts(model, isl, seed=number)
            reports.append(measure(server, asked, concurrency=level, seconds=seconds, max_tokens=answer))
            if say:
                say(f"{number + 1:>3} of {len(loads)}: {level} at once, {isl} tokens in: {reports[-1]}")
        history = sampler.ring.history()
    finally:
        sampler.close()
    return observe(reports, history, model=model, slots=slots)


def measure(server: Any, asked: Sequence[Sequence[int]], **options: Any) -> TokenReport:
    """Run one load test whose prompts come from no cache."""
    return load.tokens(server, asked, extra={"cache_prompt": False}, warmup=1, **options)


def prompts(model: Model, tokens: int, *, count: int = 64, seed: int = 0) -> list[list[int]]:
    """Return prompts of so many random tokens: no two begin alike, so that no cache helps."""
    random = np.random.default_rng(seed)
    found: list[list[int]] = random.integers(3, model.vocabulary, size=(count, tokens)).tolist()
    return found


def untrained(folder: Path | str, *, depth: int = DEPTH) -> Path:
    """Write an untrained Llama of the token line's dial, with a tokenizer, and return its folder.

    Tokens that are no text by themselves (halves of characters) get an embedding of 0, so that it never chooses them:
    a server keeps them back, and the times of what it keeps back cannot be seen.
    """
    torch = require("torch", extra="lm")
    from aifactory_lab.lm import checkpoint, model, tokenizer

    words = tokenizer.train([Path(__file__).read_text()] * 2, vocabulary=512)
    made = model.Llama(model.shape(depth, words.vocabulary, context=CONTEXT), seed=0)
    mute = [token for token in range(words.vocabulary) if not _told(words.decode([token]))]
    with torch.no_grad():
        made.model.embed_tokens.weight[mute] = 0.0
    checkpoint.save(Path(folder), made, words, {"name": f"untrained-{depth}"})
    return Path(folder)


def _told(text: str) -> bool:
    return bool(text) and "\ufffd" not in text


def shape_of(source: Any) -> Model:
    """Return the shape of something that can be served: a checkpoint's folder or a .gguf file, or what has one."""
    from aifactory_lab.serve.llm import gguf_header, sources

    path = sources.find(source).model
    if not path.endswith(".gguf"):
        return models.read(path)
    config = {name: gguf_header.read(path, f".{ending}") for name, ending in HEADER.items()}
    return models.from_config(config, name=Path(path).stem)


def _source() -> Source:
    return NvmlSource() if device.current(needs=()).kind == "gpu" else HostSource()
