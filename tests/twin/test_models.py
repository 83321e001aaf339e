"""A model's shape: parameters that their publishers count too, caches by hand, and configs that are refused by name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import models
from aifactory_lab.twin.shape import Model

PUBLISHED_ACTIVE = {"qwen3-235b-a22b": 22e9, "gpt-oss-120b": 5.1e9, "deepseek-v3": 37e9, "minimax-m2": 10e9}


@pytest.mark.parametrize("name", models.names())
def test_parameters_are_those_that_the_publisher_counts(name):
    published = models.table()[name]["parameters"]
    written = str(published).rstrip("0")
    last = 10 ** (len(str(published)) - len(written))  # of the last digit that was written
    # DeepSeek's count holds a bias for each expert of its router, which no matrix here has: 22 parts in a billion.
    assert models.model(name).parameters == pytest.approx(published, rel=1e-7, abs=last / 2)


@pytest.mark.parametrize("name", PUBLISHED_ACTIVE)
def test_a_token_meets_as_many_parameters_as_published(name):
    assert models.model(name).active_parameters == pytest.approx(PUBLISHED_ACTIVE[name], rel=0.025, abs=0.5e9)


def test_a_dense_model_is_met_whole_but_for_the_look_up():
    llama = models.model("llama-3-8b")
    norms = (2 * 32 + 1) * 4096
    assert llama.active_parameters == llama.parameters - llama.embedding - norms


@pytest.mark.parametrize(
    ("name", "kilobytes"),
    [("llama-3-8b", 128), ("llama-3-70b", 320), ("llama-3-405b", 504), ("qwen3-32b", 256), ("deepseek-v3", 68.625)],
)
def test_a_token_leaves_behind_what_others_publish(name, kilobytes):
    assert models.model(name).kv_bytes_per_token() == kilobytes * 1024


def test_what_passes_between_matrices_is_counted_by_hand():
    llama, oss = models.model("llama-3-8b"), models.model("gpt-oss-120b")
    assert llama.whole_values == 32 * 2 * 4 * 4096  # two norms with their residuals: two read, two written
    assert llama.shared_values == 32 * (2 * (4096 + 2 * 1024) + 2 * 4096 + 6 * 14336)
    assert oss.whole_values == 36 * (8 * 2880 + 4 * 4 * 2880)  # a copy to each of four experts and back
    assert oss.shared_values == 36 * (2 * (4096 + 2 * 512) + 2 * 4096 + 6 * 4 * 2880)


def test_a_window_bounds_what_is_kept():
    oss = models.model("gpt-oss-120b")
    assert oss.kv_bytes(128) == 2 * 128 * oss.kv_bytes_per_token()  # half of the layers have the window
    assert oss.kv_bytes(1128) - oss.kv_bytes(128) == 1000 * oss.kv_bytes_per_token()


def test_the_token_lines_dial_counts_as_the_token_line_does():
    lm = pytest.importorskip("aifactory_lab.lm.model")
    shape = lm.shape(4, 2048)
    ours = models.dial(4, 2048)
    assert ours.parameters == lm.Llama(shape).count
    assert ours.active_parameters == shape.matrices


def test_a_checkpoints_folder_is_read(tmp_path):
    table = {key: value for key, value in models.table()["deepseek-v3"].items() if key != "aliases"}
    (tmp_path / "config.json").write_text(json.dumps(table))
    read = models.read(tmp_path)
    assert read.name == tmp_path.name
    assert read.parameters == models.model("deepseek-v3").parameters
    assert models.read(tmp_path / "config.json") == read


def test_a_model_that_sees_and_reads_is_read_by_what_reads(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"text_config": models.table()["qwen3-32b"]}))
    assert models.read(tmp_path).layers == 64


def test_sliding_layers_are_counted_as_transformers_names_them():
    config = {**models.table()["llama-3-8b"], "sliding_window": 4096}
    assert models.from_config(config, name="all").window_layers == 32
    types = ["sliding_attention", "full_attention"] * 16
    assert models.from_config({**config, "layer_types": types}, name="half").window_layers == 16
    assert models.from_config({**config, "use_sliding_window": False}, name="none").window_layers == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"num_hidden_layers": -3}, "-3"),
        ({"hidden_size": "wide"}, "'wide'"),
        ({"vocab_size": None}, "vocab_size"),
        ({"num_attention_heads": True}, "True"),
        ({"num_experts": 8, "num_experts_per_tok": 9}, "9 of 8"),
        ({"num_experts": 8, "num_experts_per_tok": 2, "first_k_dense_replace": 33}, "-1 layers"),
        ({"num_key_value_heads": 7}, "7"),
        ({"head_dim": -1}, "-1"),
    ],
)
def test_a_config_that_cannot_be_is_refused_by_its_value(change, word):
    with pytest.raises(TwinError, match=word) as refused:
        models.from_config({**models.table()["llama-3-8b"], **change}, name="broken")
    assert refused.value.mend


def test_what_is_no_config_is_refused(tmp_path):
    file = tmp_path / "config.json"
    with pytest.raises(TwinError, match=r"config\.json"):
        models.read(tmp_path)
    file.write_text("{torn")
    with pytest.raises(TwinError, match=r"config\.json"):
        models.read(file)
    file.write_text("[1, 2]")
    with pytest.raises(TwinError, match="list"):
        models.read(file)
    with pytest.raises(TwinError, match="llama-3-8b"):
        models.model("llama-9")


@given(
    layers=st.integers(1, 40),
    experts=st.integers(2, 64),
    data=st.data(),
)
def test_no_token_meets_more_than_there_is(layers, experts, data):
    chosen, dense = data.draw(st.integers(1, experts)), data.draw(st.integers(0, layers))
    moe = Model("moe", layers, 64, 100, 4, 2, 16, 128, experts=experts, experts_per_token=chosen,
                expert_intermediate=32, shared_experts=1, dense_layers=dense)  # fmt: skip
    assert moe.active_parameters <= moe.parameters
    everyone = Model("all", layers, 64, 100, 4, 2, 16, 128, experts=experts, experts_per_token=experts,
                     expert_intermediate=32, shared_experts=1, dense_layers=dense)  # fmt: skip
    assert (moe.active_parameters == everyone.active_parameters) == (chosen == experts or dense == layers)
