"""Folders, files, registries and adapters become what an engine can read, once."""

import json
from pathlib import Path

import httpx
import pytest
import torch

from aifactory_lab.errors import ModelError
from aifactory_lab.lm import adapters, gguf_file
from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.registry import Registry
from aifactory_lab.serve import llm
from aifactory_lab.serve.llm import gguf_header, sources
from tests.serve.llm.conftest import CONTEXT, PROMPT

# peft asks transformers for a name that transformers 5.24 is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
ASKED = {"prompt": PROMPT, "max_tokens": 20, "temperature": 0}


@pytest.fixture(scope="module")
def adapter(checkpoint, tmp_path_factory) -> Path:
    """A LoRA adapter that makes the model say something else, tied to its base."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    settings = LoraConfig(r=4, lora_alpha=12, target_modules="all-linear", init_lora_weights=False)
    tuned = get_peft_model(base, settings)
    return adapters.save(tuned, tmp_path_factory.mktemp("adapter"), checkpoint.folder, {"title": "docs"}).folder


@pytest.fixture(scope="module")
def merged(checkpoint, adapter, tmp_path_factory) -> Path:
    """The same as one model."""
    found = adapters.merge(checkpoint.folder, adapter, tmp_path_factory.mktemp("merged") / "merged")
    return Path(getattr(found, "folder", found))


def said(server, **fields) -> str:
    answer = httpx.post(f"{server.base_url}/completions", json={**ASKED, **fields}, timeout=60)
    return answer.raise_for_status().json()["choices"][0]["text"]


def test_a_folder_is_written_once_as_long_as_it_stays_the_same(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("AIFACTORY_CACHE", str(tmp_path))
    first = sources.as_gguf(str(checkpoint.folder))
    written = Path(first).stat().st_mtime_ns
    assert sources.as_gguf(str(checkpoint.folder)) == first
    assert Path(first).stat().st_mtime_ns == written
    assert sources.as_gguf(str(checkpoint.folder), precision="q8_0") != first
    other = checkpoints.save(tmp_path / "other", Llama(checkpoint.model.shape, seed=2), checkpoint.tokenizer, {})
    assert sources.as_gguf(str(other.folder)) != first
    assert gguf_header.read(first, ".context_length") == CONTEXT
    assert gguf_header.read(first, "tokenizer.ggml.pre") == "gpt-2"
    with pytest.raises(ModelError, match="no key ends with 'colour'"):
        gguf_header.read(first, "colour")


def test_a_folder_that_was_changed_is_refused(checkpoint, tmp_path):
    saved = checkpoints.save(tmp_path / "own", checkpoint.model, checkpoint.tokenizer, {})
    with (saved.folder / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"!")
    with pytest.raises(ModelError, match="is damaged or was changed"):
        llm.start(saved.folder)


def test_whatever_has_a_folder_is_a_source(checkpoint, tmp_path):
    assert sources.find(checkpoint).model == str(checkpoint.folder)
    for wrong, found in ((tmp_path, "a folder without config.json"), (tmp_path / "x", "nothing"), (__file__, "a file")):
        with pytest.raises(ModelError, match=f"there is {found}"):
            sources.find(wrong)


def test_adapters_are_served_beside_their_base(checkpoint, adapter, merged):
    with llm.start(merged, slots=1) as alone:
        expected = said(alone)
    with llm.start(checkpoint.folder, adapters={"docs": adapter, "again": adapter}, slots=2) as server:
        assert server.models == ("tiny", "docs", "again")
        cards = httpx.get(f"{server.base_url}/models").json()["data"]
        assert [(card["id"], card["parent"]) for card in cards] == [("tiny", None), ("docs", "tiny"), ("again", "tiny")]
        base = said(server)
        assert said(server, model="tiny") == base != expected
        assert said(server, model="docs") == said(server, model="again") == expected
        assert said(server, model="tiny") == base
        answer = httpx.post(f"{server.base_url}/completions", json={**ASKED, "model": "docs"})
        assert answer.json()["model"] == "docs"
        stream = httpx.post(f"{server.base_url}/completions", json={**ASKED, "model": "docs", "stream": True})
        assert {json.loads(line[6:])["model"] for line in stream.text.splitlines() if "choices" in line} == {"docs"}


def test_an_adapter_is_refused_where_it_does_not_belong(checkpoint, adapter, tmp_path):
    other = checkpoints.save(tmp_path / "other", Llama(checkpoint.model.shape, seed=2), checkpoint.tokenizer, {})
    with pytest.raises(ModelError, match="was trained over tiny"):
        llm.start(other.folder, adapters={"docs": adapter})
    with pytest.raises(ModelError, match="which is served over its base"):
        llm.start(adapter)
    with pytest.raises(ModelError, match="is no adapter"):
        llm.start(checkpoint.folder, adapters={"docs": tmp_path})
    with pytest.raises(ModelError, match="lies over a checkpoint folder"):
        llm.start(gguf_file.write(checkpoint.folder, tmp_path / "m.gguf"), adapters={"docs": adapter})


def test_a_registry_serves_its_champion(checkpoint, adapter, merged, tmp_path):
    registry = Registry(tmp_path, name="tokens")
    with pytest.raises(ModelError, match="tokens has no champion"):
        llm.start(registry)
    first = registry.register(checkpoint.folder)
    registry.promote(first)
    with llm.start(registry, slots=1) as server:
        assert (server.model, server.models) == ("tokens", ("tokens",))
        base = said(server)
    registry.promote(registry.register(adapter))
    with llm.start(registry, slots=1) as server:
        assert (server.model, server.models) == ("tokens", ("tokens-base", "tokens"))
        assert said(server, model="tokens-base") == base
        assert said(server) == said(server, model="tokens") != base
    assert sources.find(registry, version=first).adapters == {}
