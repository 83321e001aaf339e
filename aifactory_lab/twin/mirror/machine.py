"""What is here before anything was fitted: a processor's data sheet, and a small model to serve.

The data sheet's bandwidth and arithmetic are measured where it is no GPU of the catalogue, for few processors have one.
`unfitted` is the twin that knows no more, to see what fitting is worth. Loads and fits are not known here.

>>> machine = Machine("two cores", memory_bytes=8e9, memory_bandwidth_bytes_s=2e10, flops_dense={"fp16": 1e11})
>>> from aifactory_lab.twin import models
>>> bare = unfitted(models.model("llama-3-8b"), machine, precision="fp16")
>>> round(float(bare.steady(isl=10, osl=2, concurrency=1).tpot), 2)  # 15 GB over 20 GB/s
0.75
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aifactory_lab import device, roofline
from aifactory_lab.errors import require
from aifactory_lab.links import Links
from aifactory_lab.twin import hardware, measured_links, models, step_costs
from aifactory_lab.twin.mirror.replica import Replica
from aifactory_lab.twin.shape import Model
from aifactory_lab.twin.step_costs import Chip, Parameters
from aifactory_lab.workspace import cache_folder

DEPTH, SLOTS, CONTEXT = 6, 8, 256
HEADER = {"num_hidden_layers": "block_count", "num_attention_heads": "attention.head_count"}
HEADER |= {"num_key_value_heads": "attention.head_count_kv", "hidden_size": "embedding_length"}
HEADER |= {"intermediate_size": "feed_forward_length", "vocab_size": "vocab_size"}


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


def this_machine(*, links: Links | None = None) -> Chip:
    """Return the data sheet of what would serve here: the catalogue's GPU, or this processor with one thread, measured.

    A GPU that the catalogue does not have is measured as far as a matrix product says.

    Parameters
    ----------
    links
        Measured here (`links.measure`): a GPU's links then carry no more than that, and the processor's memory is
        theirs. By default a GPU has its data sheet's, and the memory is measured.
    """
    found = device.current(needs=())
    if found.kind == "gpu":
        wanted = found.gpus[0].name.lower()
        for name in hardware.names("gpu"):
            if name.split("-")[0] in wanted.replace(" ", ""):
                gpu = hardware.gpu(name)
                return gpu if links is None else measured_links.bounded(gpu, links)
    return _processor(links)


def _processor(links: Links | None) -> Machine:
    import psutil

    require("torch", extra="lm")
    from aifactory_lab.lm import flops

    copy = links.rate("memory_copy") if links else None
    peak = flops.measured_peak("float32")
    return Machine(
        name="this processor, one thread",
        memory_bytes=float(psutil.virtual_memory().total),
        memory_bandwidth_bytes_s=copy or _copy(),
        flops_dense=dict.fromkeys(("fp32", "fp16", "bf16"), peak),
    )


def _copy() -> float:
    folder = cache_folder() / "roofline"
    folder.mkdir(parents=True, exist_ok=True)
    return roofline.measured(folder).memory


def unfitted(model: Model, chip: Chip | None = None, *, precision: str = "fp16", slots: int = SLOTS) -> Replica:
    """Return the twin of a machine of which only the data sheet is known: nothing is lost, nothing overlaps badly.

    Parameters
    ----------
    model
        The shape of what it serves.
    chip
        By default `this_machine`.
    precision
        Format of the weights (`step_costs.WEIGHT_BYTES`).
    slots
        Sequences that the server decodes together at most.
    """
    ideal = Parameters(1.0, 1.0, 1.0)
    return Replica(step_costs.of(model, chip or this_machine(), precision=precision, parameters=ideal), 0.0, slots)


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
