"""Language models by name: their shapes, from a table, from Hugging Face or from the token line.

A shape comes from the table `data/models.toml`, from any Hugging Face ``config.json`` or from the dial of the token
line. What follows from a shape is `shape.Model`'s to say.

>>> llama = model("llama-3-70b")
>>> llama.parameters, llama.kv_bytes_per_token()
(70553706496, 327680.0)
>>> round(model("deepseek-v3").active_parameters / 1e9, 1)
36.6
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from aifactory_lab import decoding
from aifactory_lab.errors import TwinError, require
from aifactory_lab.twin.shape import Model

TABLE = Path(__file__).with_name("data") / "models.toml"
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")


@cache
def table() -> dict[str, dict[str, Any]]:
    """Return the table as it is: each model's config, with `source`, `aliases` and its published `parameters`."""
    return tomllib.loads(TABLE.read_text())


def names() -> tuple[str, ...]:
    """Return the names of the models in the table."""
    return tuple(table())


@cache
def model(name: str) -> Model:
    """Return a model of the table by its name here or on Hugging Face.

    Raises
    ------
    TwinError
        If there is none.

    Examples
    --------
    >>> model("openai/gpt-oss-120b").name
    'gpt-oss-120b'
    """
    for known, config in table().items():
        if name.lower() == known or name in config["aliases"]:
            return from_config(config, name=known)
    msg = f"no model {name!r} in the table; there are: {', '.join(names())}"
    raise TwinError(msg, mend='twin.models.read("folder/config.json")  # any Hugging Face model')


def read(path: Path | str) -> Model:
    """Return the shape of a Hugging Face checkpoint: its folder, or its ``config.json``.

    Raises
    ------
    TwinError
        If the file cannot be read, or what it says is not a decoder's shape.
    """
    path = Path(path)
    file = path / "config.json" if path.is_dir() else path
    try:
        config = decoding.parse(file.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{file} is not a model's config: {error}"
        raise TwinError(msg, mend='twin.models.read("folder/with/config.json")') from error
    if not isinstance(config, dict) or not isinstance(config.get("text_config", {}), dict):
        msg = f"{file} holds a {type(config).__name__}, not a model's config"
        raise TwinError(msg, mend='twin.models.read("folder/with/config.json")')
    return from_config(config.get("text_config", config), name=file.resolve().parent.name)


def dial(depth: int, vocabulary: int = 2048, *, context: int = 256) -> Model:
    """Return the shape of the token line's model of that depth; needs the extra ``lm``."""
    require("torch", extra="lm")
    from aifactory_lab.lm.shapes import shape

    return from_config(shape(depth, vocabulary, context=context).config(), name=f"dial-{depth}")


def from_config(config: Mapping[str, Any], *, name: str) -> Model:
    """Return the shape that a Hugging Face config describes.

    Raises
    ------
    TwinError
        If a value is missing, or is not a positive whole number; the message names it.
    """
    layers, heads = _whole(config, "num_hidden_layers", name), _whole(config, "num_attention_heads", name)
    hidden = _whole(config, "hidden_size", name)
    head = _whole({"head_dim": hidden // heads} | _said(config, "head_dim"), "head_dim", name)
    kv_heads = _whole(
        {"num_key_value_heads": heads} | _said(config, "num_key_value_heads"), "num_key_value_heads", name
    )
    if heads % kv_heads:
        msg = f"the config of {name!r} shares {kv_heads} heads of keys and values among {heads} heads"
        raise TwinError(msg, mend=f"num_key_value_heads must divide {heads}")
    return Model(
        name=name,
        layers=layers,
        hidden=hidden,
        vocabulary=_whole(config, "vocab_size", name),
        heads=heads,
        kv_heads=kv_heads,
        head=head,
        intermediate=_whole(config, "intermediate_size", name),
        source=str(config.get("source", "")),
        context=_count(config, "max_position_embeddings", name),
        tied=bool(config.get("tie_word_embeddings", False)),
        biased=bool(config.get("attention_bias", False)),
        normed_heads=str(config.get("model_type", name)).startswith("qwen3"),
        native_bytes=1.0 if _quantised(config) == "fp8" else 2.0,
        **_mixture(config, layers, name),
        **_latent(config, name),
        **_windows(config, layers, name),
    )


def _whole(config: Mapping[str, Any], key: str, name: str) -> int:
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        found = "has no" if value is None else f"has {value!r} as"
        msg = f"the config of {name!r} {found} {key}, which must be a positive whole number"
        raise TwinError(msg, mend='twin.models.read("folder/config.json")  # of a decoder on Hugging Face')
    return value


def _count(config: Mapping[str, Any], key: str, name: str) -> int:
    """Return a whole number that may be 0, or absent."""
    return _whole(config, key, name) if config.get(key) else 0


def _quantised(config: Mapping[str, Any]) -> str:
    found = config.get("quantization_config")
    return str(found.get("quant_method", "")) if isinstance(found, Mapping) else ""


def _said(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {key: config[key]} if config.get(key) is not None else {}


def _mixture(config: Mapping[str, Any], layers: int, name: str) -> dict[str, int]:
    experts = next((_count(config, key, name) for key in EXPERTS if config.get(key)), 0)
    if not experts:
        return {}
    inside = _count(config, "moe_intermediate_size", name) or _whole(config, "intermediate_size", name)
    chosen = _whole(config, "num_experts_per_tok", name)
    dense = _count(config, "first_k_dense_replace", name)
    if chosen > experts or dense > layers:
        msg = f"the config of {name!r} sends a token to {chosen} of {experts} experts in {layers - dense} layers"
        raise TwinError(msg, mend="num_experts_per_tok ≤ num_experts, first_k_dense_replace ≤ num_hidden_layers")
    shared = _count(config, "n_shared_experts", name)
    return {
        "experts": experts,
        "experts_per_token": chosen,
        "expert_intermediate": inside,
        "shared_experts": shared,
        "dense_layers": dense,
    }


def _latent(config: Mapping[str, Any], name: str) -> dict[str, int]:
    if not config.get("kv_lora_rank"):
        return {}
    keys = {"q_rank": "q_lora_rank", "kv_rank": "kv_lora_rank", "nope": "qk_nope_head_dim"}
    keys |= {"rope": "qk_rope_head_dim", "value": "v_head_dim"}
    return {ours: _count(config, theirs, name) for ours, theirs in keys.items()}


def _windows(config: Mapping[str, Any], layers: int, name: str) -> dict[str, int]:
    window = _count(config, "sliding_window", name)
    if not window or config.get("use_sliding_window") is False:
        return {}
    kinds = config.get("layer_types")
    counted = kinds.count("sliding_attention") if isinstance(kinds, list) else layers
    said = _count(config, "sliding_layers", name) if "sliding_layers" in config else counted
    return {"window": window, "window_layers": said}
