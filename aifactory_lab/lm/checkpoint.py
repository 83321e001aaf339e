"""A model on disk as Hugging Face keeps it, with a card that says where it comes from and proves that it is whole.

`config.json`, `model.safetensors`, `generation_config.json` and the tokenizer's two files are what transformers and
vLLM load unchanged. `card.json` beside them holds the metrics, the lineage and the sha256 of each file; it is written
last, so a torn folder is never believed. There is no pickle here. This module does not train.

>>> import tempfile
>>> from aifactory_lab.lm import model, tokenizer
>>> words = tokenizer.train(["a b c"])
>>> saved = save(tempfile.mkdtemp(), model.Llama(model.shape(1, words.vocabulary)), words, {"metrics": {"loss": 5.5}})
>>> load(saved.folder).card["metrics"]
{'loss': 5.5}
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aifactory_lab import decoding
from aifactory_lab.aside import passing, write_aside, write_text
from aifactory_lab.errors import ModelError
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.shapes import Shape
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.workspace import file_hash

FORMAT = 1
CARD, CONFIG, WEIGHTS, GENERATION = "card.json", "config.json", "model.safetensors", "generation_config.json"
PARTS = ("*config.json", "[!.]*.safetensors", "tokenizer.json", "chat_template.jinja", "special_tokens_map.json")
DTYPES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
AGAIN = "train again, or take an earlier version from the registry"


@dataclass(frozen=True)
class Checkpoint:
    """A model, the tokenizer that it was trained with, and what is known of both.

    Attributes
    ----------
    model
        Ready to compute, on the CPU, in the dtype of the file.
    tokenizer
        The one whose ids it knows.
    card
        Metrics, lineage, and the sha256 of every file.
    folder
        Where it lies.
    """

    model: Llama
    tokenizer: Tokenizer
    card: dict[str, Any]
    folder: Path

    @property
    def sha256(self) -> str:
        """Hash of the weights: the identity of the model."""
        return str(self.card["sha256"][WEIGHTS])


def save(folder: Path | str, model: Llama, tokenizer: Tokenizer, card: Mapping[str, Any]) -> Checkpoint:
    """Write a checkpoint; what is half written is never believed.

    Parameters
    ----------
    folder
        Made if it is not there; a checkpoint in it is replaced.
    model, tokenizer
        Of the same vocabulary.
    card
        Plain JSON values: metrics, lineage, whatever a reader should know.

    Raises
    ------
    ModelError
        If the model does not know every token of the tokenizer.
    """
    folder = Path(folder)
    if tokenizer.vocabulary > model.shape.vocabulary:
        msg = f"the model knows {model.shape.vocabulary:,} tokens, the tokenizer makes {tokenizer.vocabulary:,}"
        raise ModelError(msg, mend="Llama(shape(depth, vocabulary=tokenizer.vocabulary))")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD).unlink(missing_ok=True)
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.end, "pad_token_id": tokenizer.end}
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    _write_weights(weights, folder / WEIGHTS)
    config = model.shape.config() | ends | {"dtype": DTYPES[next(iter(weights.values())).dtype]}
    write_text(folder / CONFIG, json.dumps(config, indent=1))
    write_text(folder / GENERATION, json.dumps(ends, indent=1))
    tokenizer.save(folder, context=model.shape.context)
    return Checkpoint(model, tokenizer, seal(folder, card), folder)


def load(folder: Path | str) -> Checkpoint:
    """Read a checkpoint of ours after proving that it is whole.

    Raises
    ------
    ModelError
        If it is not ours, is of another architecture, or a file is missing or was changed.
    """
    folder = Path(folder)
    card = verify(folder)
    if missing := {CONFIG, WEIGHTS} - set(card["sha256"]):
        msg = f"{folder} is not a checkpoint of ours: {CARD} does not prove {' and '.join(sorted(missing))}"
        raise ModelError(msg, mend=AGAIN)
    weights = _read_weights(folder / WEIGHTS)
    model = Llama(_shape(folder / CONFIG, weights))
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        msg = f"{folder / WEIGHTS} does not fit its {CONFIG}: {error}"
        raise ModelError(msg) from error
    return Checkpoint(model.to(next(iter(weights.values())).dtype), Tokenizer.load(folder), card, folder)


def _shape(path: Path, weights: Mapping[str, Tensor]) -> Shape:
    """Read a config; one that makes a model larger than the weights beside it is refused before there is one."""
    try:
        shape = Shape.of(decoding.table(path.read_bytes()))
    except ValueError as error:
        msg = f"{path} is not a model's config: {error}"
        raise ModelError(msg, mend=AGAIN) from error
    held = sum(weight.numel() for weight in weights.values())
    if shape.matrices > held or not held:
        msg = f"{path} asks for {shape.matrices:,} values, {WEIGHTS} holds {held:,}"
        raise ModelError(msg, mend=AGAIN)
    return shape


def seal(folder: Path | str, card: Mapping[str, Any]) -> dict[str, Any]:
    """Write the card of a folder whose files are all there, with their sha256; return the card.

    `save` ends with it; it also makes a checkpoint of one that another library wrote. What else lies in the folder,
    a log perhaps, is not sealed.
    """
    folder = Path(folder)
    (folder / CARD).unlink(missing_ok=True)
    files = sorted(path for pattern in PARTS for path in folder.glob(pattern))
    sealed = {**card, "format": FORMAT, "sha256": {path.name: file_hash(path) for path in files}}
    write_text(folder / CARD, json.dumps(sealed, indent=1))
    return sealed


def verify(folder: Path | str) -> dict[str, Any]:
    """Return the card of a checkpoint folder whose files are as they were when it was sealed.

    Raises
    ------
    ModelError
        If there is no card, or a file is missing or was changed.
    """
    folder = Path(folder)
    card = _card(folder)
    for name, expected in card["sha256"].items():
        path = folder / name
        found = file_hash(path) if path.is_file() else "no file"
        if found != expected:
            msg = f"{path} is damaged or was changed: its sha256 should be {expected[:12]}…, found {found[:12]}…"
            raise ModelError(msg, mend=AGAIN)
    return card


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.exists():
        if (folder / CONFIG).exists():
            msg = f"{folder} is a Hugging Face model, but not a checkpoint of ours (or it is half written): no {CARD}"
            raise ModelError(msg, mend=f"transformers.AutoModelForCausalLM.from_pretrained({str(folder)!r})")
        msg = f"{folder} is not a checkpoint: no {CARD} in it"
        raise ModelError(msg, mend="lm.pretrain.run(shards, tokenizer, folder) makes one")
    try:
        card = decoding.table(path.read_bytes(), nans=True)
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ModelError(msg, mend=AGAIN) from error
    if card.get("format") != FORMAT or not _proofs(card.get("sha256")):
        msg = f"{folder} is not a checkpoint of ours: {CARD} is not of format {FORMAT}"
        raise ModelError(msg, mend=AGAIN)
    return card


def _proofs(sums: Any) -> bool:
    """Tell whether these are hashes of files of one folder."""
    return isinstance(sums, dict) and all(
        Path(name).name == name and len(name) < 256 and isinstance(sum_, str) for name, sum_ in sums.items()
    )


def _write_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    # safetensors writes a file of its own beside the one it is to write, under a name that nobody would sweep away.
    with write_aside(path) as aside, passing(path.parent, f"{path.name}.made") as scratch:
        save_file(dict(weights), scratch / path.name, metadata={"format": "pt"})  # transformers asks for this mark
        (scratch / path.name).replace(aside)


def _read_weights(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except SafetensorError as error:
        msg = f"{path} cannot be read: {error}"
        raise ModelError(msg, mend=AGAIN) from error
