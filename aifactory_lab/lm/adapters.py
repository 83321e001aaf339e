"""An adapter on disk: a few matrices of low rank that change what one base model says (LoRA, Hu et al. 2021).

A folder as `peft` writes it (`adapter_config.json`, `adapter_model.safetensors`), with our card that names the base by
the hash of its weights: over another base an adapter is noise, so it is refused. llama.cpp and vLLM serve an adapter as
it is; `merge` adds it into the base for those that cannot. This module does not train.

>>> Adapter.load("no/such/adapter")
Traceback (most recent call last):
aifactory_lab.errors.ModelError: no/such/adapter is not an adapter: no adapter_config.json in it
  mend: lm.finetune.run(base, pairs, folder) makes one
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from aifactory_lab import decoding
from aifactory_lab.aside import folder_aside, passing
from aifactory_lab.errors import ModelError, require
from aifactory_lab.lm import checkpoint
from aifactory_lab.lm.pretrained import quiet
from aifactory_lab.workspace import file_hash

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
KIND = "adapter"


@dataclass(frozen=True)
class Adapter:
    """An adapter whose files are as they were when it was finished.

    Attributes
    ----------
    rank, alpha
        Columns of each pair of matrices; their product is multiplied with alpha ÷ rank.
    targets
        The kinds of layers that it changes: ``"q_proj"``, …
    card
        Metrics, lineage, the base, and the sha256 of each file.
    """

    folder: Path
    rank: int
    alpha: float
    targets: tuple[str, ...]
    card: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """Read and verify an adapter's folder.

        Raises
        ------
        ModelError
            If it is no adapter, has no card of ours, or a file was changed.
        """
        folder = Path(folder)
        config = _config(folder)
        if not (folder / checkpoint.CARD).exists():
            msg = f"{folder} is an adapter, but it does not say which weights it was trained over (no card.json)"
            raise ModelError(msg, mend=f"lm.adapters.adopt({str(folder)!r}, base_folder), if you know its base")
        card = checkpoint.verify(folder)
        targets = sorted({name.rpartition(".")[2] for name in config["target_modules"]})  # peft may name each layer's
        return cls(folder, int(config["r"]), float(config["lora_alpha"]), tuple(targets), card)

    @property
    def base_sha256(self) -> str:
        """Hash of the weights that it was trained over."""
        return str(self.card["base"]["sha256"])

    @property
    def sha256(self) -> str:
        """Hash of its own weights."""
        return str(self.card["sha256"][WEIGHTS])

    @property
    def parameters(self) -> int:
        """Numbers that were trained."""
        from safetensors import safe_open

        with safe_open(self.folder / WEIGHTS, "pt") as weights:
            return sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118 (no mapping)

    def __str__(self) -> str:
        size = (self.folder / WEIGHTS).stat().st_size
        base = self.card["base"]
        return (
            f"adapter of rank {self.rank} over {base['name']} ({base['sha256'][:12]}…): {self.parameters:,} parameters"
            f" in {len(self.targets)} kinds of layers, {size / 2**10:,.0f} KiB"
        )


def base_hash(folder: Path | str) -> str:
    """Return the hash of a base's weights: what an adapter belongs to.

    Raises
    ------
    ModelError
        If there are no weights, or those of a checkpoint of ours were changed.
    """
    folder = Path(folder)
    if not (folder / checkpoint.WEIGHTS).is_file():
        msg = f"{folder} is not a model: no {checkpoint.WEIGHTS} in it"
        raise ModelError(msg, mend="lm.pretrained.smollm2().checkpoint(), or the folder of lm.pretrain.run")
    if (folder / checkpoint.CARD).exists():
        return str(checkpoint.verify(folder)["sha256"][checkpoint.WEIGHTS])
    return file_hash(folder / checkpoint.WEIGHTS)


def save(model: Any, folder: Path | str, base: Path | str, card: Mapping[str, Any]) -> Adapter:
    """Write the adapter of a `peft` model; its files appear whole, the card last."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with passing(folder, "adapter") as aside:
        model.save_pretrained(aside)
        for name in (WEIGHTS, CONFIG):
            (aside / name).replace(folder / name)
    return adopt(folder, base, card)


def adopt(folder: Path | str, base: Path | str, card: Mapping[str, Any] | None = None) -> Adapter:
    """Give an adapter's folder a card that ties it to a base; for adapters that others trained, too."""
    _config(Path(folder))
    name = name_of(Path(base))
    about = {"name": name, "sha256": base_hash(base)}
    checkpoint.seal(folder, {**(card or {}), "kind": KIND, "base": about})
    return Adapter.load(folder)


def attach(base: Path | str, adapter: Path | str, *, dtype: Any = "auto") -> Any:
    """Return the base with the adapter over it, as a `peft` model in evaluation mode.

    Parameters
    ----------
    dtype
        A torch dtype; by default that of the base's file.

    Raises
    ------
    ModelError
        If the adapter was trained over other weights.
    """
    found = belongs(base, adapter)
    peft, transformers = require("peft", extra="lm"), require("transformers", extra="lm")
    with quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        return peft.PeftModel.from_pretrained(model, found.folder).eval()


def belongs(base: Path | str, adapter: Path | str) -> Adapter:
    """Return the adapter if it was trained over this base.

    Raises
    ------
    ModelError
        If it was not.
    """
    found, here = Adapter.load(adapter), base_hash(base)
    if found.base_sha256 != here:
        about = found.card["base"]
        msg = (
            f"adapter {found.folder} was trained over {about['name']} (weights {about['sha256'][:12]}…),"
            f" not over {name_of(Path(base))} (weights {here[:12]}…)"
        )
        raise ModelError(msg, mend="give the base that it was trained over; registry.lineage(version) names it")
    return found


def merge(base: Path | str, adapter: Path | str, out: Path | str) -> Path:
    """Add an adapter into its base: one checkpoint that says what both say together.

    The sum is made in float32 and rounded to the dtype of the base's file.

    Returns
    -------
    Path
        The checkpoint folder, as transformers, vLLM and llama.cpp load it; its card names base and adapter.

    Raises
    ------
    ModelError
        If the adapter was trained over other weights.
    """
    import torch

    base, found = Path(base), belongs(base, adapter)
    both = attach(base, adapter, dtype=torch.float32)
    dtype = getattr(torch, json.loads((base / checkpoint.CONFIG).read_text()).get("dtype", "float32"))
    with quiet(), folder_aside(out) as aside:
        both.merge_and_unload().to(dtype).save_pretrained(aside)
        for path in base.glob("*"):
            if path.name.startswith(("tokenizer", "chat_template", "special_tokens", "generation_config")):
                shutil.copyfile(path, aside / path.name)
        lineage = {"base": dict(found.card["base"]), "adapter": {"sha256": found.sha256, "rank": found.rank}}
        card = {"title": f"{name_of(base)}, tuned", "metrics": found.card.get("metrics", {}), "lineage": lineage}
        checkpoint.seal(aside, card)
    return Path(out)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.exists():
        msg = f"{folder} is not an adapter: no {CONFIG} in it"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, folder) makes one")
    try:
        config = decoding.table(path.read_bytes())
        sizes = decoding.fit(dict[str, float], {name: config.get(name) for name in ("r", "lora_alpha")})
    except ValueError as error:
        msg = f"{path} is no adapter's: {error}"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, folder) makes one") from error
    over = config.get("target_modules")
    named = isinstance(over, list) and all(isinstance(name, str) for name in over) and sizes["r"] >= 1
    if config.get("peft_type") != "LORA" or not named:
        kind, over = config.get("peft_type"), config.get("target_modules")
        msg = f"{folder} is an adapter of another kind: {kind!r} over {over!r}"
        raise ModelError(msg, mend="only LoRA over named layers is served here")
    return config


def name_of(base: Path) -> str:
    """Return what a base calls itself."""
    path = base / checkpoint.CARD
    card = json.loads(path.read_text()) if path.exists() else {}
    return str(card.get("name") or card.get("title") or base.name)
