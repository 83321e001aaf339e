"""The fit: it finds what it should on made rows, leaves out what cannot be, and the committed one says its origin.

The measured file is somebody else's and not in this repository; where `$AIFACTORY_DATA` has it, the fit is done again.
"""

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import calibration, hardware, inference, silicon
from aifactory_lab.twin.step_costs import Parameters
from tests.datasets.test_cards import stores

TRUTH = Parameters(0.8, 0.6, 0.25, 5e-5, 2e-5, 6e-6, burst=0.4, expert_layer_seconds=3e-5, first_token_seconds=0.05)
TRUTH = replace(TRUTH, wave=0.06, elementwise=0.5, compiled_sequence_seconds=8e-6)
HEADER = ("mode", "attention_dp_size", "moe_tp_size", "moe_ep_size", "backend_version", "silicon_data_source")
DERIVED = ("tpot", "ttft", "held", "error", "ttft_error")
PROFILES = [path for store in stores() for path in sorted(store.rglob("h100_Llama-2-70b-hf_mlp.csv"))]
SILICON = [path for store in stores() for path in sorted(store.rglob(calibration.FILE))]


def made(truth=TRUTH, noise=0.0, seed=0):
    """Rows as the file has them, whose times are those of known parameters."""
    columns = ("model_path", "precision", "backend", "tp_size")
    cases = [
        ("meta-llama/Llama-3.1-8B-Instruct", "bf16", "trtllm", 1),
        ("meta-llama/Llama-3.1-8B-Instruct", "fp8", "sglang", 2),
        ("meta-llama/Llama-3.1-70B", "fp8", "vllm", 4),
        ("meta-llama/Llama-3.1-70B", "fp8", "sglang", 8),
        ("Qwen/Qwen3-235B-A22B-FP8", "fp8", "vllm", 8),
        ("Qwen/Qwen3-32B", "fp8", "trtllm", 2),
    ]
    rows = [
        dict(zip(columns, case, strict=True)) | {"isl": isl, "osl": osl, "batch_size": batch}
        for case in cases
        for isl in (512, 4096)
        for osl in (128, 1024)
        for batch in (2, 16, 64)
    ]
    every = dict.fromkeys(HEADER) | {"mode": "agg", "system": "h100_sxm"}
    names = {alias: silicon.names()[alias] for alias in {row["model_path"] for row in rows}}
    table = pl.DataFrame([row | every for row in rows]).with_columns(
        model=pl.col("model_path").replace_strict(names),
        client=pl.lit("inferencex"),
        silicon_tpot_ms=1.0,
        silicon_ttft_ms=1.0,
    )
    after = calibration.predicted(table, truth)
    factor = np.exp(np.random.default_rng(seed).normal(0, noise, len(after)))
    times = {f"silicon_{name}_ms": after[name].to_numpy() * 1e3 * factor for name in ("tpot", "ttft")}
    return after.drop(DERIVED).with_columns(**{name: pl.Series(one) for name, one in times.items()})


def test_the_fit_finds_the_parameters_that_made_the_rows():
    found = asdict(calibration.fit(made()))
    for name, value in asdict(TRUTH).items():
        assert found[name] == pytest.approx(value, rel=0.02, abs=1e-7), name


def test_a_tenth_of_nonsense_moves_the_fit_little():
    table = made(noise=0.02)
    wild = np.where(np.arange(len(table)) % 10 == 0, 4.0, 1.0)
    spoilt = table.with_columns(silicon_tpot_ms=pl.col("silicon_tpot_ms") * pl.Series(wild))
    clean = calibration.predicted(table, calibration.fit(spoilt))["error"].abs()
    assert clean.median() < 0.05


def file(tmp_path, table):
    path = tmp_path / calibration.FILE
    table.drop("model", "client").write_csv(path)
    return path


def test_rows_that_cannot_be_are_left_out_and_say_why(tmp_path):
    table = made()
    fast = pl.when(pl.int_range(pl.len()) == 0).then(0.01).otherwise(pl.col("silicon_tpot_ms"))
    spoilt = table.with_columns(silicon_tpot_ms=fast)
    cached = (pl.col("backend") == "trtllm") & (pl.col("batch_size") == 64) & (pl.col("isl") == 4096)
    hits = spoilt.with_columns(
        silicon_tpot_ms=pl.when(cached).then(pl.col("silicon_tpot_ms") / 12).otherwise(pl.col("silicon_tpot_ms")),
        silicon_ttft_ms=pl.when(cached).then(1.0).otherwise(pl.col("silicon_ttft_ms")),
    )
    twice = pl.concat([hits, hits.filter(pl.col("precision") == "fp8").head(2)])
    other = hits.tail(1).with_columns(system=pl.lit("h900"))
    strange = hits.tail(1).with_columns(moe_tp_size=pl.lit("16"))  # experts on more GPUs than there are
    text = pl.col("moe_tp_size").cast(pl.String)
    every = pl.concat([twice.with_columns(text), other.with_columns(text), strange])
    found = calibration.rows(file(tmp_path, every))
    why = dict(found["why"].value_counts().iter_rows())
    assert why["listed twice"] == 2
    assert why["faster than its bytes"] >= 1
    series = found.filter(pl.col("backend") == "trtllm")
    assert set(series["why"]) <= {"faster than its bytes", "prompts from a cache"}
    assert len(found) == len(twice)
    assert set(found.filter(pl.col("backend") == "vllm")["why"]) == {""}


def test_refitting_writes_what_is_read_again(tmp_path):
    held = made(noise=0.05).with_columns(system=pl.lit("h200_sxm"))
    table = pl.concat([made(noise=0.01), held])
    to = tmp_path / "inference.json"
    outcome = calibration.refit(file(tmp_path, table), to=to)
    assert set(outcome["system"]) == {"h200_sxm"}
    before = inference.fitted()
    told = inference.read(to)
    assert told.provenance["rows"]["fitted on"] + told.provenance["rows"]["held out"] <= len(table)
    assert told.held_out == outcome.to_dicts()
    assert set(told.bands) == set(before.bands) == {"dense", "moe"}
    low, high = told.bands["dense"]["tpot"]
    assert low < high


def test_what_is_not_there_is_said():
    with pytest.raises(TwinError, match=r"nowhere\.csv is not there") as refused:
        calibration.rows("nowhere.csv")
    assert refused.value.mend == "aifactory twin measurements"
    with pytest.raises(TwinError, match="rows is of a dense model"):
        calibration.fit(made().filter(pl.col("model_path").str.contains("235B")))


def test_the_committed_fit_says_where_it_is_from():
    kept = inference.fitted()
    assert kept.provenance["fit"] == "system = h100_sxm"
    assert {row["system"] for row in kept.held_out} >= {"h200_sxm", "b200_sxm"}
    assert len(kept.provenance["sha256"]) == 64
    for name, (low, high) in calibration.BOUNDS.items():
        assert low <= getattr(kept.parameters, name) <= high
    # InferenceX sends ten requests a place; the first of each start together, so half of the others come before one.
    assert 0.5 / 10 < kept.parameters.wave < 1 / 10
    assert {(row["left_out"], row["name"]) for row in kept.left_out} >= {
        ("model", "llama-3-70b"),
        ("system", "b200_sxm"),
    }


@pytest.mark.parametrize("silicon", SILICON, ids=str)
def test_the_measured_rows_give_the_committed_fit_again(tmp_path, silicon):
    calibration.refit(silicon, to=tmp_path / "again.json")
    again, kept = inference.read(tmp_path / "again.json"), inference.fitted()
    assert asdict(again.parameters) == pytest.approx(asdict(kept.parameters), rel=1e-3)
    assert again.bands == kept.bands
    held, left = ([pl.DataFrame(getattr(one, name)) for one in (again, kept)] for name in ("held_out", "left_out"))
    for ours, theirs in (held, left):
        assert_frame_equal(ours, theirs, abs_tol=2e-3)
    drop = {"date"}
    assert {k: v for k, v in again.provenance.items() if k not in drop} == {
        k: v for k, v in kept.provenance.items() if k not in drop
    }


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_bare_kernels_reach_the_bounds_and_no_more(profile):
    """Vidur's measurements of Llama-2-70B's matrices on H100: what they read for few tokens, and multiply for many."""
    table, chip = pl.read_csv(profile), hardware.gpu("h100-sxm")
    hidden, inside, tokens, gpus = 8192, 28672, pl.col("num_tokens"), pl.col("num_tensor_parallel_workers")
    up, down = (pl.col(f"time_stats.mlp_{name}_proj.median") / 1e3 for name in ("up", "down"))
    read = 2 * hidden * inside * 2 / gpus / up / chip.memory_bandwidth_bytes_s
    multiplied = 2 * tokens * hidden * inside / gpus / down / chip.flops_dense["bf16"]
    shares = table.select(read.filter(tokens <= 8).max().alias("read"), multiplied.filter(tokens == 4096).max())
    assert shares.row(0) == pytest.approx((calibration.BOUNDS["memory"][1], calibration.BOUNDS["compute"][1]), abs=0.01)


@pytest.mark.parametrize("silicon", SILICON, ids=str)
def test_the_form_holds_for_a_model_that_it_never_saw(silicon):
    """Leave Llama-3-70B out of the fit as well: no row of the model, none of the GPU."""
    kept = calibration.rows(silicon).filter(pl.col("why") == "")
    dense = kept.filter(pl.col("model").is_in(["llama-3-8b", "llama-3-70b", "qwen3-32b"]))
    seen = dense.filter((pl.col("system") == "h100_sxm") & (pl.col("model") != "llama-3-70b"))
    unseen = calibration.predicted(dense.filter(pl.col("model") == "llama-3-70b"), calibration.fit(seen))
    errors = dict(calibration.report(unseen, ["system"]).select("system", "mean").iter_rows())
    assert errors["b200_sxm"] < 0.10
    assert errors["h200_sxm"] < 0.12


def test_every_system_of_the_file_is_in_the_catalogue():
    for name in set(calibration.SYSTEMS.values()):
        assert inference.predict("llama-3-70b", name, tp=8, precision="fp8").tpot > 0


def test_parameters_can_be_changed_one_by_one():
    worse = replace(inference.fitted().parameters, memory=0.5)
    before, after = (inference.predict("llama-3-8b", "h100-sxm", parameters=one) for one in (None, worse))
    assert after.tpot > before.tpot
