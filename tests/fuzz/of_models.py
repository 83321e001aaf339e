"""Readers of language models on disk: cards, weights, tokenizers, shards, adapters."""

import hashlib
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab.lm import adapters, checkpoint, model, shards, tokenizer
from aifactory_lab.lm.model_card import model_card
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, folder, put


@cache
def _saved() -> Path:
    """Save the smallest checkpoint once."""
    words = tokenizer.train(["a b c"], vocabulary=257)
    shape = model.shape(1, words.vocabulary, context=16)
    checkpoint.save(emptied("saved"), model.Llama(shape), words, {"title": "tiny", "metrics": {"loss": 5.5}})
    return folder() / "saved"


def _copied(name: str, **changed: bytes) -> Path:
    """Copy the checkpoint with some of its files changed."""
    target = emptied(name)
    for path in _saved().iterdir():
        shutil.copyfile(path, target / path.name)
    for file, data in changed.items():
        (target / file).write_bytes(data)
    return target


def card(data: bytes) -> Any:
    """Verify a folder by its card, and write its model card."""
    place = folder() / "carded"
    if not place.exists():
        _copied("carded")
    (place / checkpoint.CARD).write_bytes(data)
    told = checkpoint.verify(place)
    return model_card(told).encode()


def loaded(file: str, data: bytes) -> Any:
    """Load a checkpoint one of whose files was made by a stranger, who sealed it."""
    place = folder() / "sealed"
    if not place.exists():
        _copied("sealed")
    for path in _saved().iterdir():
        shutil.copyfile(path, place / path.name)
    (place / file).write_bytes(data)
    told = json.loads((place / checkpoint.CARD).read_text())
    told["sha256"][file] = hashlib.sha256(data).hexdigest()
    (place / checkpoint.CARD).write_text(json.dumps(told))
    return checkpoint.load(place)


def words(data: bytes) -> Any:
    """Load a tokenizer and use it."""
    found = tokenizer.Tokenizer.load(put(f"words/{tokenizer.FILE}", data).parent)
    assert len(found.lengths) == found.vocabulary
    return found.decode(found.encode("a b"))


def packed(data: bytes) -> Any:
    """Open shards whose files are as they should be."""
    for split in ("train", "valid"):
        put(f"shards/{split}.bin", bytes(2 * 40))
    found = shards.Shards.load(put(f"shards/{shards.MANIFEST}", data).parent)
    return [found.stream(name).sum() for name in found.splits], found.batch("train", 0, batch=1, context=4, seed=0)


def _packed() -> bytes:
    split = {"documents": 1, "tokens": 40, "bytes": 40, "sha256": hashlib.sha256(bytes(80)).hexdigest()}
    whole = {"vocabulary": 257, "end": 256, "tokenizer_sha256": "0" * 64, "splits": {"train": split, "valid": split}}
    return json.dumps(whole | {"format": 1}).encode()


def adapter(data: bytes) -> Any:
    """Load an adapter by its configuration."""
    place = put("adapter/adapter_config.json", data).parent
    sums = {"adapter_config.json": hashlib.sha256(data).hexdigest()}
    told = {"format": 1, "sha256": sums, "base": {"name": "tiny", "sha256": "0" * 64}}
    put("adapter/card.json", json.dumps(told).encode())
    found = adapters.Adapter.load(place)
    return found.rank, found.alpha, ", ".join(found.targets).encode()


def targets() -> tuple[Target, ...]:
    """Return the readers of language models."""
    saved = _saved()
    lora = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
    return (
        Target("card.json", card, ((saved / checkpoint.CARD).read_bytes(),)),
        Target(
            "config.json", lambda data: loaded(checkpoint.CONFIG, data), ((saved / checkpoint.CONFIG).read_bytes(),)
        ),
        Target(
            "safetensors", lambda data: loaded(checkpoint.WEIGHTS, data), ((saved / checkpoint.WEIGHTS).read_bytes(),)
        ),
        Target("tokenizer.json", words, ((saved / tokenizer.FILE).read_bytes(),)),
        Target("shards.json", packed, (_packed(),)),
        Target("adapter_config.json", adapter, (json.dumps(lora).encode(),)),
    )
