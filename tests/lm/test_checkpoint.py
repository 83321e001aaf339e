"""A checkpoint is a Hugging Face folder; what is damaged, foreign or torn is refused."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import safetensors
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm import model
from aifactory_lab.workspace import file_hash

FILES = ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(checkpoint.folder, tmp_path / "copy")


def test_transformers_computes_the_same(checkpoint, documents):
    theirs = AutoModelForCausalLM.from_pretrained(checkpoint.folder).eval()
    ids = torch.tensor([checkpoint.tokenizer.encode(text)[:64] for text in documents["text"].head(4)])
    with torch.no_grad():
        assert (checkpoint.model(ids) - theirs(ids).logits).abs().max() < 1e-5
    assert theirs.dtype == torch.float32
    assert theirs.generation_config.eos_token_id == checkpoint.tokenizer.end
    assert theirs.config.max_position_embeddings == checkpoint.model.shape.context
    assert AutoTokenizer.from_pretrained(checkpoint.folder).eos_token_id == checkpoint.tokenizer.end


def test_loaded_it_is_the_same(checkpoint):
    loaded = checkpoints.load(checkpoint.folder)
    before, after = checkpoint.model.state_dict(), loaded.model.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.model.shape == checkpoint.model.shape
    assert loaded.tokenizer.sha256 == checkpoint.tokenizer.sha256
    assert loaded.card == checkpoint.card
    assert loaded.card["title"] == "tiny"
    assert loaded.sha256 == file_hash(checkpoint.folder / "model.safetensors")


def test_the_folder_holds_no_more_than_it_should(checkpoint):
    assert sorted(path.name for path in checkpoint.folder.iterdir()) == sorted([*FILES, "card.json"])
    assert list(checkpoint.card["sha256"]) == sorted(FILES)
    with safetensors.safe_open(checkpoint.folder / "model.safetensors", framework="pt") as weights:
        assert weights.metadata() == {"format": "pt"}
        assert set(weights.keys()) == {name for name, _ in checkpoint.model.named_parameters()}


def test_bfloat16_stays_bfloat16(words, tmp_path):
    llama = model.Llama(model.shape(1, words.vocabulary)).bfloat16()
    checkpoints.save(tmp_path, llama, words, {})
    loaded = checkpoints.load(tmp_path).model
    assert {weight.dtype for weight in loaded.parameters()} == {torch.bfloat16}
    assert AutoModelForCausalLM.from_pretrained(tmp_path).dtype == torch.bfloat16
    ids = torch.arange(9)[None]
    assert torch.equal(llama(ids), loaded(ids))


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(copied, name):
    content = bytearray((copied / name).read_bytes())
    content[-3] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(ModelError, match=f"{name} is damaged or was changed"):
        checkpoints.load(copied)
    (copied / name).unlink()
    with pytest.raises(ModelError, match="found no file"):
        checkpoints.load(copied)


def test_a_changed_card_is_refused(copied):
    card = json.loads((copied / "card.json").read_text())
    for text, said in [
        (json.dumps(card | {"format": 2}), "not of format 1"),
        (json.dumps(card | {"sha256": None}), "not of format 1"),
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
    ]:
        (copied / "card.json").write_text(text)
        with pytest.raises(ModelError, match=said):
            checkpoints.load(copied)


def test_a_foreign_model_is_refused_with_the_way_to_load_it(tmp_path, words):
    with pytest.raises(ModelError, match=r"not a checkpoint: no card\.json"):
        checkpoints.load(tmp_path)
    untied = LlamaConfig(**model.shape(1, 300).config() | {"tie_word_embeddings": False})
    LlamaForCausalLM(untied).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="a Hugging Face model, but not a checkpoint of ours") as caught:
        checkpoints.load(tmp_path)
    assert str(tmp_path) in caught.value.mend
    words.save(tmp_path)
    checkpoints.seal(tmp_path, {})  # whole, but still another architecture
    with pytest.raises(ModelError, match="tie_word_embeddings is False"):
        checkpoints.load(tmp_path)


def test_a_folder_that_another_library_wrote_can_be_sealed(checkpoint, tmp_path):
    AutoModelForCausalLM.from_pretrained(checkpoint.folder).save_pretrained(tmp_path)
    checkpoint.tokenizer.save(tmp_path)
    (tmp_path / "log.jsonl").write_text("{}\n")
    card = checkpoints.seal(tmp_path, {"merged": True})
    (tmp_path / "log.jsonl").write_text("{}\n{}\n")  # a log may go on
    loaded = checkpoints.load(tmp_path)
    assert loaded.card == card
    ids = torch.arange(20)[None]
    assert torch.equal(loaded.model(ids), checkpoint.model(ids))


def test_weights_that_do_not_fit_are_refused(checkpoint, copied, words, tmp_path):
    config = json.loads((copied / "config.json").read_text())
    (copied / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    checkpoints.seal(copied, {})
    with pytest.raises(ModelError, match=r"does not fit its config\.json"):
        checkpoints.load(copied)
    with pytest.raises(ModelError, match="the model knows 99 tokens, the tokenizer makes 512"):
        checkpoints.save(tmp_path / "small", model.Llama(model.shape(1, 99)), words, {})


def test_killed_while_saving_nothing_half_is_believed(words, tmp_path):
    """A child saves two models in turn into one folder and is killed: what loads is one or the other, whole."""
    words.save(tmp_path / "words")
    code = (
        "import sys; from aifactory_lab.lm import checkpoint, model, tokenizer\n"
        "words = tokenizer.Tokenizer.load(sys.argv[1] + '/words')\n"
        "both = [model.Llama(model.shape(3, words.vocabulary), seed=seed) for seed in (0, 1)]\n"
        "while True:\n"
        "    for seed in (0, 1):\n"
        "        checkpoint.save(sys.argv[1] + '/model', both[seed], words, {'seed': seed})\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    while not (tmp_path / "model" / "card.json").exists():
        assert child.poll() is None
        time.sleep(0.01)
    time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with contextlib.suppress(ModelError):  # killed between two: no card, not believed
        loaded = checkpoints.load(tmp_path / "model")
        expected = model.Llama(loaded.model.shape, seed=loaded.card["seed"]).state_dict()
        assert all(torch.equal(value, expected[name]) for name, value in loaded.model.state_dict().items())
    again = checkpoints.save(tmp_path / "model", model.Llama(model.shape(3, words.vocabulary)), words, {})
    assert checkpoints.load(tmp_path / "model").sha256 == again.sha256
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == sorted([*FILES, "card.json"])
