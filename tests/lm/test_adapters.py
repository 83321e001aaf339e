"""An adapter belongs to one base, is proved whole, and merges into a checkpoint that says the same."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import adapters, checkpoint, model
from aifactory_lab.lm.adapters import Adapter

TEXT = "def get_name(self):\n    return self.name\n"


@pytest.fixture
def copied(tuned, tmp_path):
    return shutil.copytree(tuned.folder, tmp_path / "copied")


@pytest.fixture
def stranger(base, words, tmp_path):
    """A base of the same shape with other weights."""
    shape = checkpoint.load(base).model.shape
    return checkpoint.save(tmp_path / "stranger", model.Llama(shape, seed=9), words, {"title": "stranger"}).folder


def logits(network, folder):
    ids = AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return network(input_ids=ids).logits


def test_it_says_what_it_is(tuned, base):
    found = Adapter.load(tuned.folder)
    assert (found.rank, found.alpha) == (16, 32.0)
    assert found.targets == ("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj")
    assert found.base_sha256 == checkpoint.load(base).sha256
    width, hidden = 64, checkpoint.load(base).model.shape.hidden
    assert found.parameters == 2 * 16 * (4 * 2 * width + 3 * (width + hidden))
    assert str(found).startswith("adapter of rank 16 over tiny (")
    assert found.card["lineage"]["pairs"] == 85


def test_merged_it_says_what_base_and_adapter_say(tuned, base, tmp_path):
    out = adapters.merge(base, tuned.folder, tmp_path / "merged")
    both = logits(adapters.attach(base, tuned.folder), base)
    merged = logits(AutoModelForCausalLM.from_pretrained(out), out)
    assert (merged - both).abs().max() < 1e-4
    assert (logits(AutoModelForCausalLM.from_pretrained(base), base) - both).abs().max() > 0.1
    ours = checkpoint.load(out)  # a checkpoint of the house again, tokenizer and all
    ids = torch.tensor([ours.tokenizer.encode(TEXT)])
    with torch.no_grad():
        assert (ours.model(ids) - both).abs().max() < 1e-4
    assert ours.card["lineage"]["base"]["sha256"] == checkpoint.load(base).sha256
    assert ours.card["lineage"]["adapter"]["sha256"] == tuned.adapter.sha256
    assert AutoTokenizer.from_pretrained(out).chat_template == AutoTokenizer.from_pretrained(base).chat_template


def test_a_base_in_sixteen_bits_stays_so(tuned, base, words, tmp_path):
    half = checkpoint.load(base).model.to(torch.bfloat16)
    folder = checkpoint.save(tmp_path / "half", half, words, {"title": "half"}).folder
    shutil.copytree(tuned.folder, tmp_path / "adapter")
    adapters.adopt(tmp_path / "adapter", folder, tuned.adapter.card)
    merged = checkpoint.load(adapters.merge(folder, tmp_path / "adapter", tmp_path / "merged")).model
    assert {weight.dtype for weight in merged.parameters()} == {torch.bfloat16}


def test_over_another_base_it_is_refused(tuned, stranger, tmp_path):
    for use in (adapters.attach, lambda *folders: adapters.merge(*folders, tmp_path / "out")):
        with pytest.raises(ModelError, match=r"was trained over tiny \(weights .*not over stranger \(weights"):
            use(stranger, tuned.folder)
    assert not (tmp_path / "out").exists()


def test_what_was_changed_is_refused(copied, base):
    path = copied / adapters.WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ModelError, match="is damaged or was changed"):
        adapters.attach(base, copied)


def test_an_adapter_of_others_needs_to_know_its_base(copied, base):
    (copied / checkpoint.CARD).unlink()
    with pytest.raises(ModelError, match="does not say which weights it was trained over"):
        Adapter.load(copied)
    assert adapters.adopt(copied, base).base_sha256 == checkpoint.load(base).sha256
    assert adapters.belongs(base, copied).rank == 16


def test_what_is_no_lora_is_refused(copied, tuned, base, tmp_path):
    config = json.loads((copied / adapters.CONFIG).read_text())
    (copied / adapters.CONFIG).write_text(json.dumps(config | {"peft_type": "IA3"}))
    with pytest.raises(ModelError, match="an adapter of another kind: 'IA3'"):
        Adapter.load(copied)
    with pytest.raises(ModelError, match=r"is not an adapter: no adapter_config.json"):
        Adapter.load(base)
    with pytest.raises(ModelError, match=r"is not a model: no model.safetensors"):
        adapters.attach(tmp_path / "none", tuned.folder)
