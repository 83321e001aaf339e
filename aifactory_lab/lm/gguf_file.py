"""A checkpoint as one GGUF file: what llama.cpp and all that is built on it serve.

The format's own library, `gguf`, writes the file; this module says which names, which order of values and which
tokenizer llama.cpp expects of a Llama (llama.cpp's convert_hf_to_gguf.py and convert_lora_to_gguf.py do the same for a
hundred architectures). It reads folders as Hugging Face keeps them, so not only our own, and does not know servers.

>>> import tempfile
>>> from aifactory_lab.lm import checkpoint, model, tokenizer
>>> words, folder = tokenizer.train(["a b c"]), Path(tempfile.mkdtemp())
>>> _ = checkpoint.save(folder, model.Llama(model.shape(1, words.vocabulary)), words, {})
>>> write(folder, folder / "model.gguf", kind="q8_0").stat().st_size < (folder / "model.safetensors").stat().st_size / 2
True
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from aifactory_lab.aside import write_aside
from aifactory_lab.errors import ModelError, require

ARCHITECTURE = "llama"
KINDS = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "q8_0": "MOSTLY_Q8_0"}
QUANTISED_ROW = 32  # values that share one scale in Q8_0
# What llama.cpp calls the rules by which a byte-level BPE splits text into words.
SPLITTING = {("ByteLevel",): "gpt-2", ("Digits", "ByteLevel"): "smollm"}
CHECKPOINT = "lm.pretrain.run(shards, tokenizer, folder) makes a folder that can be written"


def write(checkpoint_folder: Path | str, path: Path | str, kind: str = "f16") -> Path:
    """Write a Llama's folder as a GGUF file.

    Parameters
    ----------
    checkpoint_folder
        As Hugging Face keeps it: config.json, safetensors, tokenizer.json, tokenizer_config.json.
    path
        The file to write, aside and then renamed.
    kind
        How matrices are kept: ``"f32"``, ``"f16"`` (half the size), ``"q8_0"`` (a quarter: 8 bits a value and a scale
        for each 32). Norms stay float32.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelError
        If the folder holds no Llama, its tokenizer splits text in a way that is not known here, or a matrix has rows
        that the kind cannot hold.
    """
    folder, path = Path(checkpoint_folder), Path(path)
    gguf = require("gguf", extra="lm")
    if kind not in KINDS:
        msg = f"no GGUF of kind {kind!r}; there are: {', '.join(KINDS)}"
        raise ModelError(msg, mend="lm.gguf_file.write(folder, path, kind='f16')")
    config = _config(folder)
    with _writer(path) as writer:
        writer.add_type(gguf.GGUFType.MODEL)
        writer.add_name(folder.name)
        writer.add_file_type(gguf.LlamaFileType[KINDS[kind]])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_shape(writer, config)
        _add_tokenizer(writer, folder, config)
        for name, weight in _weights(folder, "*.safetensors").items():
            values = _turned(name, weight, config)
            stored = gguf.GGMLQuantizationType[kind.upper() if values.ndim > 1 else "F32"]
            if kind == "q8_0" and values.ndim > 1 and values.shape[-1] % QUANTISED_ROW:
                msg = f"{name} has rows of {values.shape[-1]} values, q8_0 needs a multiple of {QUANTISED_ROW}"
                raise ModelError(msg, mend="lm.gguf_file.write(folder, path, kind='f16')")
            writer.add_tensor(_name(name, config), gguf.quants.quantize(values, stored), raw_dtype=stored)
    return path


def write_adapter(adapter_folder: Path | str, base_folder: Path | str, path: Path | str) -> Path:
    """Write a LoRA adapter (a folder of `peft`) as a GGUF file that llama.cpp puts over its base.

    Parameters
    ----------
    adapter_folder
        adapter_config.json and adapter_model.safetensors.
    base_folder
        The model it was trained on; only its config.json is read.
    path
        The file to write, aside and then renamed.

    Raises
    ------
    ModelError
        If it is not a LoRA, or holds more than LoRA matrices: llama.cpp could not apply the rest.
    """
    gguf = require("gguf", extra="lm")
    folder, config = Path(adapter_folder), _config(Path(base_folder))
    parts = _matrices(folder)
    with _writer(Path(path)) as writer:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, _alpha(folder))
        for name, weight in parts.items():
            base, _, side = name.removeprefix("base_model.model.").removesuffix(".weight").rpartition(".lora_")
            base = f"{base}.weight"
            values = _turned(base, weight, config) if side == "B" else weight.float().numpy()
            writer.add_tensor(f"{_name(base, config)}.lora_{side.lower()}", np.ascontiguousarray(values))
    return Path(path)


@contextmanager
def _writer(path: Path) -> Iterator[Any]:
    """Yield the library's writer; when the block ends well, the file stands at its place."""
    gguf = require("gguf", extra="lm")
    with write_aside(path) as aside:
        writer = gguf.GGUFWriter(aside, ARCHITECTURE)
        try:
            yield writer
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        finally:
            writer.close()


def _add_shape(writer: Any, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or {}
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _add_tokenizer(writer: Any, folder: Path, config: Mapping[str, Any]) -> None:
    gguf = require("gguf", extra="lm")
    words, settings = _json(folder / "tokenizer.json"), _json(folder / "tokenizer_config.json")
    added = {token["content"]: token["id"] for token in words["added_tokens"]}
    ids = {**words["model"]["vocab"], **added}
    names = {number: name for name, number in ids.items()}
    kinds = gguf.TokenType
    # A model may have room for more tokens than its tokenizer knows: llama.cpp wants a name for each.
    listed = [names.get(number, f"[PAD{number}]") for number in range(config["vocab_size"])]
    types = [
        kinds.UNUSED if n not in names else kinds.CONTROL if listed[n] in added else kinds.NORMAL
        for n in range(len(listed))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_splitting(words))
    writer.add_token_list(listed)
    writer.add_token_types(types)
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in words["model"]["merges"]])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    end = config.get("eos_token_id", added.get(settings.get("eos_token")))
    if end is not None:
        end = end[0] if isinstance(end, list) else end
        # llama.cpp takes token 11 where no beginning is named, an ordinary one here; GPT-2's is its end, too.
        writer.add_bos_token_id(end if config.get("bos_token_id") is None else config["bos_token_id"])
        writer.add_eos_token_id(end)
    if template := _template(folder, settings):
        writer.add_chat_template(template)


def _splitting(words: Mapping[str, Any]) -> str:
    splitter = words.get("pre_tokenizer") or {}
    steps = tuple(step["type"] for step in splitter.get("pretokenizers", [splitter]))
    if words["model"].get("type") != "BPE" or steps not in SPLITTING:
        msg = f"how llama.cpp calls a tokenizer of {words['model'].get('type')} with {steps} is not known here"
        raise ModelError(msg, mend="llama.cpp's convert_hf_to_gguf.py knows many more")
    return SPLITTING[steps]


def _template(folder: Path, settings: Mapping[str, Any]) -> str:
    beside = folder / "chat_template.jinja"  # where transformers 5 writes it
    return beside.read_text() if beside.exists() else settings.get("chat_template") or ""


def _turned(name: str, weight: Tensor, config: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return the values in the order that llama.cpp wants.

    Hugging Face turns value i of a head together with value i + half, llama.cpp value 2i together with 2i + 1: the
    rows of Q and K change places accordingly (`LlamaModel.permute` in llama.cpp).
    """
    values: NDArray[np.float32] = weight.float().numpy()
    heads = config["num_attention_heads"]
    if name.endswith("k_proj.weight"):
        heads = config.get("num_key_value_heads") or heads
    elif not name.endswith("q_proj.weight"):
        return values
    rows = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(values.shape))


def _name(name: str, config: Mapping[str, Any]) -> str:
    found = _names(config["num_hidden_layers"]).get_name(name, try_suffixes=(".weight",))
    if found is None:
        msg = f"llama.cpp's Llama has no place for {name}"
        raise ModelError(msg, mend=CHECKPOINT)
    return str(found)


@cache
def _names(layers: int) -> Any:
    gguf = require("gguf", extra="lm")
    return gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, layers)


def _config(folder: Path) -> dict[str, Any]:
    config = _json(folder / "config.json")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if config.get("model_type") != ARCHITECTURE or rope.get("rope_type", "default") != "default":
        msg = f"{folder} is not a plain Llama: {config.get('model_type')}, positions {rope.get('rope_type', 'default')}"
        raise ModelError(msg, mend="llama.cpp's convert_hf_to_gguf.py knows many more")
    return config


def _weights(folder: Path, pattern: str) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    found = sorted(folder.glob(pattern))
    if not found:
        msg = f"{folder} holds no weights: no {pattern} in it"
        raise ModelError(msg, mend=CHECKPOINT)
    return {name: weight for path in found for name, weight in load_file(path).items()}


def _matrices(folder: Path) -> dict[str, Tensor]:
    weights = _weights(folder, "adapter_model.safetensors")
    other = [name for name in weights if not name.endswith((".lora_A.weight", ".lora_B.weight"))]
    if other:
        msg = f"{folder} holds more than LoRA matrices, which is all that llama.cpp applies: {', '.join(other[:3])}"
        raise ModelError(msg, mend="lm.adapters.merge(base, adapter, out), then lm.gguf_file.write(out, path)")
    return weights


def _alpha(folder: Path) -> float:
    """Return the alpha by which llama.cpp, which divides it by the rank, comes to the scale of peft."""
    config = _json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("alpha_pattern"):
        msg = f"{folder} is not a plain LoRA adapter (peft_type {config.get('peft_type')!r})"
        raise ModelError(msg, mend="lm.finetune.run(base, pairs, out) makes one")
    alpha = float(config["lora_alpha"])
    return alpha * float(config["r"]) ** 0.5 if config.get("use_rslora") else alpha


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read: {error}"
        raise ModelError(msg, mend=CHECKPOINT) from error
