"""llama.cpp reads our files and says what transformers and peft say."""

import dataclasses
import json
import random
import shutil
import unicodedata
from pathlib import Path

import gguf
import numpy as np
import pytest
import tokenizers
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm import gguf_file
from aifactory_lab.lm.tokenizer import CHAT_TEMPLATE, END, Tokenizer
from tests.lm.test_model import GROUPED, awake
from tests.lm.test_tokenizer import TALK

PROMPTS = ["def ", "import os\n", 'class Error(Exception):\n    """']
TOKENS = 24
# peft asks transformers for a name that transformers 5.24 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture(scope="module")
def grouped(words, tmp_path_factory) -> Path:
    """A checkpoint with fewer heads of keys and values than of queries, and a way to be told apart from its base."""
    llama = awake(dataclasses.replace(GROUPED, vocabulary=words.vocabulary))
    return checkpoints.save(tmp_path_factory.mktemp("grouped"), llama, words, {}).folder


def continued(client, prompt) -> list[int]:
    """What llama.cpp continues a prompt with, always taking the likeliest token."""
    asked = {"prompt": prompt, "n_predict": TOKENS, "temperature": 0, "return_tokens": True}
    asked |= {"ignore_eos": True, "cache_prompt": False}
    return client.post("/completion", json=asked).raise_for_status().json()["tokens"]


def regret(theirs, words, prompt, tokens) -> float:
    """How much likelier (in logits) another token was than the one taken, at worst; 0 if the likeliest was taken."""
    ids = words.encode(prompt)
    with torch.no_grad():
        logits = theirs(input_ids=torch.tensor([ids + tokens])).logits[0, len(ids) - 1 : -1]
    return (logits.max(-1).values - logits[range(len(tokens)), tokens]).max().item()


def adapted(folder: Path, out: Path, **settings):
    """A model under a LoRA adapter that says something else, and the folder of the adapter."""
    torch.manual_seed(3)
    settings = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", "init_lora_weights": False} | settings
    tuned = get_peft_model(AutoModelForCausalLM.from_pretrained(folder), LoraConfig(**settings)).eval()
    tuned.save_pretrained(out)
    return tuned


@pytest.mark.parametrize("kind", ["f32", "f16"])
def test_llama_cpp_continues_as_transformers_does(kind, checkpoint, llama_cpp, tmp_path):
    client = llama_cpp(gguf_file.write(checkpoint.folder, tmp_path / "model.gguf", kind))
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint.folder).eval()
    for prompt in PROMPTS:
        ids = torch.tensor([checkpoint.tokenizer.encode(prompt)])
        with torch.no_grad():
            expected = theirs.generate(ids, max_new_tokens=TOKENS, do_sample=False, eos_token_id=None)
        found = continued(client, prompt)
        assert found == expected[0, ids.shape[1] :].tolist()
        assert len(set(found)) > 3


@pytest.mark.parametrize(("kind", "most"), [("f32", 0.01), ("f16", 0.01), ("q8_0", 0.1)])
def test_grouped_queries_find_their_keys(kind, most, grouped, words, llama_cpp, tmp_path):
    client = llama_cpp(gguf_file.write(grouped, tmp_path / "model.gguf", kind))
    theirs = AutoModelForCausalLM.from_pretrained(grouped).eval()
    for prompt in PROMPTS:
        assert regret(theirs, words, prompt, continued(client, prompt)) < most
    # The measure sees a difference: the order of values in the heads decides what is said.
    for layer in theirs.model.layers:
        layer.self_attn.k_proj.weight.data = layer.self_attn.k_proj.weight.data.flip(0)
    assert max(regret(theirs, words, prompt, continued(client, prompt)) for prompt in PROMPTS) > 0.2


def test_llama_cpp_splits_text_as_we_do(checkpoint, documents, llama_cpp, tmp_path):
    client = llama_cpp(gguf_file.write(checkpoint.folder, tmp_path / "model.gguf"))
    rng = random.Random(7)
    letters = [chr(code) for code in range(1, 0x3100) if unicodedata.category(chr(code)) != "Cn"]
    common = [
        " ",
        "  ",
        "\n",
        "\t",
        "a",
        "the",
        "1",
        "23",
        "'",
        "'s",
        "'LL",
        "_",
        ".",
        "😀",
        "\u00a0",
        "\u3000",
        "\r\n",
    ]
    strange = ["".join(rng.choices(letters + common * 300, k=60)) for _ in range(120)]
    typed = ["", " ", "\n\n\n", "trail   ", "\x1c\x85 x", "12345678 ½ ²", f"it {END} goes on", "👩‍👩‍👧 ÄÖÜ naïve 漢字"]
    for text in [*documents["text"].str.slice(0, 3000).head(9), *typed, *strange]:
        asked = {"content": text, "add_special": True, "parse_special": False}
        assert client.post("/tokenize", json=asked).json()["tokens"] == checkpoint.tokenizer.encode(text)


def test_chat_and_end_are_in_the_file(checkpoint, llama_cpp, tmp_path):
    client = llama_cpp(gguf_file.write(checkpoint.folder, tmp_path / "model.gguf"))
    assert client.post("/apply-template", json={"messages": TALK}).json()["prompt"] == checkpoint.tokenizer.chat(TALK)
    likely = {"prompt": "def ", "max_tokens": 9, "logit_bias": {str(checkpoint.tokenizer.end): 100}}
    choice = client.post("/v1/completions", json=likely).json()["choices"][0]
    assert (choice["finish_reason"], choice["text"]) == ("stop", "")
    likely |= {"prompt": "x = 1" + END, "logit_bias": {}}
    usage = client.post("/v1/completions", json=likely).json()["usage"]
    assert usage["prompt_tokens"] == len(checkpoint.tokenizer.encode("x = 1")) + 1


def test_the_file_says_what_it_is(grouped, words, tmp_path):
    reader = gguf.GGUFReader(gguf_file.write(grouped, tmp_path / "model.gguf", "q8_0"))
    said = {name: field.contents() for name, field in reader.fields.items()}
    assert said["general.architecture"] == "llama"
    assert said["general.type"] == "model"
    assert (said["llama.attention.head_count"], said["llama.attention.head_count_kv"]) == (6, 2)
    assert (said["llama.context_length"], said["llama.rope.freq_base"]) == (GROUPED.context, 10_000)
    assert said["tokenizer.ggml.eos_token_id"] == said["tokenizer.ggml.bos_token_id"] == words.end
    assert said["tokenizer.ggml.tokens"][words.end] == END
    assert said["tokenizer.ggml.token_type"].count(gguf.TokenType.CONTROL) == 1
    assert said["tokenizer.chat_template"] == CHAT_TEMPLATE
    assert {tensor.name for tensor in reader.tensors if tensor.tensor_type.name == "F32"} == {
        "output_norm.weight",
        *(f"blk.{layer}.{name}_norm.weight" for layer in range(2) for name in ("attn", "ffn")),
    }
    held = next(tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_down.weight")
    values = gguf.quants.dequantize(held.data, held.tensor_type)
    true = checkpoints.load(grouped).model.model.layers[1].mlp.down_proj.weight.detach().numpy()
    # 8 bits: half a step of 127 for the largest of each 32, and what rounding the scale to 16 bits adds
    largest = np.abs(true.reshape(-1, 32)).max(1).repeat(32).reshape(true.shape)
    assert (np.abs(values - true) <= 0.57 * largest / 127).all()


def test_a_model_with_more_room_than_tokens(words, llama_cpp, tmp_path):
    llama = awake(dataclasses.replace(GROUPED, vocabulary=words.vocabulary + 32))
    checkpoints.save(tmp_path, llama, words, {})
    client = llama_cpp(gguf_file.write(tmp_path, tmp_path / "model.gguf"))
    assert client.post("/tokenize", json={"content": "def main():"}).json()["tokens"] == words.encode("def main():")


def test_a_llama_of_another_house(words, llama_cpp, tmp_path):
    """Its own output layer, other constants, half precision, as transformers saves it."""
    torch.manual_seed(5)
    other = {"tie_word_embeddings": False, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}}
    other |= {
        "rms_norm_eps": 1e-3,
        "vocab_size": words.vocabulary,
        "eos_token_id": [words.end],
        "initializer_range": 0.1,
    }
    LlamaForCausalLM(LlamaConfig(**GROUPED.config() | other)).bfloat16().save_pretrained(tmp_path)
    words.save(tmp_path)
    client = llama_cpp(gguf_file.write(tmp_path, tmp_path / "model.gguf", "f32"))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    found = [continued(client, prompt) for prompt in PROMPTS]
    assert all(regret(theirs, words, *both) < 0.01 for both in zip(PROMPTS, found, strict=True))
    theirs.model.rotary_emb.inv_freq *= 2  # the measure sees another theta
    assert any(regret(theirs, words, *both) > 0.1 for both in zip(PROMPTS, found, strict=True))


def test_digits_one_by_one(checkpoint, llama_cpp, tmp_path):
    """The tokenizer of SmolLM2 splits so."""
    folder = shutil.copytree(checkpoint.folder, tmp_path / "model")
    inner = tokenizers.Tokenizer.from_str(checkpoint.tokenizer.inner.to_str())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    single = Tokenizer(inner)
    single.save(folder)
    client = llama_cpp(gguf_file.write(folder, tmp_path / "model.gguf"))
    for text in ("in 2023 and 1999, x12 = 100", "1 2  34\n 56"):
        found = client.post("/tokenize", json={"content": text}).json()["tokens"]
        assert found == single.encode(text) != checkpoint.tokenizer.encode(text)


@pytest.mark.parametrize("settings", [{}, {"use_rslora": True}, {"target_modules": ["q_proj", "v_proj"]}], ids=str)
@pytest.mark.parametrize("base", ["checkpoint", "grouped"])
def test_an_adapter_says_what_peft_says(base, settings, request, words, llama_cpp, tmp_path):
    folder = getattr(request.getfixturevalue(base), "folder", request.getfixturevalue(base))
    tuned = adapted(folder, tmp_path / "adapter", **settings)
    model = gguf_file.write(folder, tmp_path / "model.gguf", "f32")
    client = llama_cpp(model, gguf_file.write_adapter(tmp_path / "adapter", folder, tmp_path / "adapter.gguf"))
    for prompt in PROMPTS:
        assert regret(tuned, words, prompt, continued(client, prompt)) < 0.01
    client.post("/lora-adapters", json=[{"id": 0, "scale": 0.0}]).raise_for_status()
    with tuned.disable_adapter():
        assert max(regret(tuned, words, prompt, continued(client, prompt)) for prompt in PROMPTS) < 0.01
    assert max(regret(tuned, words, prompt, continued(client, prompt)) for prompt in PROMPTS) > 0.1


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"use_dora": True}, "more than LoRA matrices"),
        ({"modules_to_save": ["norm"]}, "more than LoRA matrices.*norm.weight"),
        ({"trainable_token_indices": [1, 2]}, "more than LoRA matrices"),
        ({"alpha_pattern": {"q_proj": 3}}, "not a plain LoRA adapter"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_llama_cpp_could_not_apply_is_refused(settings, said, grouped, tmp_path):
    adapted(grouped, tmp_path, **settings)
    with pytest.raises(ModelError, match=said):
        gguf_file.write_adapter(tmp_path, grouped, tmp_path / "adapter.gguf")
    assert not list(tmp_path.glob("*.gguf*"))


def test_what_cannot_be_written_is_said(checkpoint, grouped, tmp_path):
    target = tmp_path / "model.gguf"
    with pytest.raises(ModelError, match="no GGUF of kind 'q4'; there are: f32, f16, q8_0"):
        gguf_file.write(grouped, target, "q4")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        gguf_file.write(tmp_path, target)
    folder = shutil.copytree(checkpoint.folder, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    for change, said in [
        ({"model_type": "gpt2"}, "not a plain Llama: gpt2"),
        ({"rope_parameters": {"rope_type": "llama3"}}, "positions llama3"),
        ({"num_hidden_layers": 1}, r"no place for model\.layers\.1\."),
    ]:
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=said):
            gguf_file.write(folder, target)
    (folder / "config.json").write_text(json.dumps(config))
    words = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(words | {"pre_tokenizer": {"type": "Whitespace"}}))
    with pytest.raises(ModelError, match=r"BPE with \('Whitespace',\) is not known here"):
        gguf_file.write(folder, target)
    (folder / "tokenizer.json").write_text(json.dumps(words))
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="holds no weights"):
        gguf_file.write(folder, target)
    assert not list(tmp_path.glob("*.gguf*"))


def test_rows_that_eight_bits_cannot_hold_are_refused(words, tmp_path):
    odd = dataclasses.replace(GROUPED, vocabulary=words.vocabulary, hidden=80)
    checkpoints.save(tmp_path, awake(odd), words, {})
    with pytest.raises(ModelError, match="rows of 80 values, q8_0 needs a multiple of 32"):
        gguf_file.write(tmp_path, tmp_path / "model.gguf", "q8_0")
    assert gguf_file.write(tmp_path, tmp_path / "model.gguf", "f16").exists()
