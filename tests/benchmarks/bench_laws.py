"""The sweep of the pre-training law, beside a plain PyTorch loop on the same model; and the law's fit.

Sizes, tokens, batch and order are the sweep's, one thread, the dtype that multiplies faster here. The plain loop trains
Hugging Face's Llama as anybody would, under autocast, by PyTorch's own optimisers: once by AdamW alone, once by what
the sweep takes, Muon for the matrices and AdamW for the rest. First all begin at the same weights and make a few steps
in float32: the first losses must agree, and where the optimisers are the same those of every step. MFU is the
arithmetic of the model ÷ the fastest matrix product that was seen here in that dtype.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Case, Table, compare

HERE = "tests.benchmarks.bench_laws"
VOCABULARY, BATCH, CONTEXT = 1024, 4, 128  # of the sweep whose runs came with the package
DEPTHS = (1, 2, 3, 4, 5)  # 46 thousand to 1.8 million parameters
STEPS, CHECKED = 200, 5
# Nats that losses may lie apart: the first ones in float32; those after steps, where Muon, which makes small gradients
# as large as the others, lets rounding grow; and, as a share, the first ones in the dtype that is timed.
FIRST, LATER, NEAR = 1e-5, 2e-3, 1e-2
ALIKE = "plain PyTorch loop, Muon and AdamW"
CASES = {"aifactory": "ours", ALIKE: "alike", "plain PyTorch loop, AdamW": "plain"}
REPLICATES = 200
MORE = 2  # steps than are timed: the first warms up, and the last, which would save the state, is never made


def ours(folder: str, depth: int, steps: int, dtype: str) -> dict[str, Any]:
    """Take the steps that a point of the sweep takes."""
    return _timed(_ours(folder, depth, steps + MORE, dtype), depth, steps, dtype)


def alike(folder: str, depth: int, steps: int, dtype: str) -> dict[str, Any]:
    """Take them on Hugging Face's Llama, by the same optimisers."""
    return _timed(_theirs(folder, depth, steps + MORE, dtype, _both), depth, steps, dtype)


def plain(folder: str, depth: int, steps: int, dtype: str) -> dict[str, Any]:
    """Take them on Hugging Face's Llama, by AdamW."""
    return _timed(_theirs(folder, depth, steps + MORE, dtype, _adamw), depth, steps, dtype)


def fit(replicates: int) -> dict[str, Any]:
    """Fit the law to the runs that came with the package, with its bootstrap."""
    from aifactory_lab.laws import chinchilla, runs

    found = chinchilla.fit(runs.read(runs.kept("pretraining")), replicates=replicates)
    floor = found.intervals().row(0, named=True) if replicates else {"low": 0.0, "high": 0.0}
    return {
        "runs": found.runs.height,
        "replicates": replicates,
        "objective": round(found.objective, 1),
        "floor": f"{found.law.E:.2f}" + (f" [{floor['low']:.2f}, {floor['high']:.2f}]" if replicates else ""),
    }


def main(*, quick: bool) -> list[Table]:
    """Pack a corpus once, check that the losses agree, then one table a size; last the fit."""
    from aifactory_lab.lm import flops

    dtype = flops.fastest()
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        made = [_table(folder, depth, dtype, quick=quick) for depth in (DEPTHS[:2] if quick else DEPTHS)]
    return [*made, _fits(quick=quick)]


def _table(folder: str, depth: int, dtype: str, *, quick: bool) -> Table:
    agreed = _agree(folder, depth)
    steps = 10 if quick else max(20, STEPS // depth)
    usual = {"folder": folder, "depth": depth, "steps": steps, "dtype": dtype}
    cases = [Case(name, f"{HERE}:{function}", usual) for name, function in CASES.items()]
    title = f"The sweep's training at depth {depth}, {BATCH} × {CONTEXT} tokens a step, {dtype}, one thread"
    table = compare(
        title, cases, repeats=1 if quick else 3, equal=("parameters", "tokens", "first loss"), tolerance=NEAR
    )
    rates = {row["case"]: row["tok/cpu-s"] for row in table.rows}
    beside = ", ".join(
        f"{rates['aifactory'] / rate:.2f} × {name}" for name, rate in rates.items() if name != "aifactory"
    )
    table.notes = [
        agreed,
        f"Tokens per CPU-second: {beside}.",
        "tok/cpu-s and MFU are of the steps; CPU-s and s hold the start as well.",
    ]
    return table


def _fits(*, quick: bool) -> Table:
    """Fit with and without the bootstrap, so that the price of an interval is seen."""
    counts = (REPLICATES // 10 if quick else REPLICATES, 0)
    cases = [
        Case(f"{count} replicates" if count else "no bootstrap", f"{HERE}:fit", {"replicates": count})
        for count in counts
    ]
    return compare("A fit of the law of pre-training", cases, repeats=1 if quick else 3, equal=("runs", "objective"))


def _agree(folder: str, depth: int) -> str:
    """Make a few steps in float32 from the same weights, compare the losses, and say how far they lie apart.

    Raises
    ------
    AssertionError
        If they differ: then the loops do not train the same model on the same tokens.
    """
    mine = list(_ours(folder, depth, CHECKED, "float32"))
    same = list(_theirs(folder, depth, CHECKED, "float32", _both))
    other = next(_theirs(folder, depth, 1, "float32", _adamw))
    first = max(abs(mine[0] - same[0]), abs(mine[0] - other))
    later = max(abs(one - two) for one, two in zip(mine, same, strict=True))
    assert first < FIRST, f"depth {depth}: the first losses {mine[0]}, {same[0]} and {other} differ"
    assert later < LATER, f"depth {depth}: losses {mine} are not {same}"
    return (
        f"In float32 from the same weights the first losses lie {first:.0e} nats apart, those of {CHECKED} steps by the"
        f" same optimisers {later:.0e}."
    )


def _ours(folder: str, depth: int, steps: int, dtype: str) -> Iterator[float]:
    from aifactory_lab.lm.ranks import Ranks
    from aifactory_lab.lm.trainer import Plan, Trainer
    from aifactory_lab.lm.training_state import States

    torch = _torch()
    plan = Plan(_shape(depth), steps, batch=BATCH, dtype=dtype)
    with tempfile.TemporaryDirectory() as state:
        trainer = Trainer(plan, _shards(folder), Ranks(0, 1, torch.device("cpu")), States(state, {}), save_seconds=1e9)
        for made in trainer.run():
            yield made.loss


def _theirs(
    folder: str, depth: int, steps: int, dtype: str, chosen: Callable[[Any], tuple[list[Any], list[float]]]
) -> Iterator[float]:
    """Train as anybody would: Hugging Face's model, autocast, PyTorch's optimisers, the rates of the sweep."""
    from aifactory_lab.lm.trainer import Schedule

    torch, schedule, shards = _torch(), Schedule(), _shards(folder)
    model = _llama(depth)
    optimisers, rates = chosen(model)
    for step in range(steps):
        ids, targets = shards.batch("train", step, batch=BATCH, context=CONTEXT, seed=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            logits = model(ids).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        for optimiser, rate in zip(optimisers, rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * schedule.factor(step, steps)
            optimiser.step()
        model.zero_grad()
        yield float(loss.detach())


def _llama(depth: int) -> Any:
    """Return Hugging Face's Llama with the weights that the sweep's model begins with."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from aifactory_lab.lm.model import Llama

    model = LlamaForCausalLM(LlamaConfig(**_shape(depth).config()))
    loaded = model.load_state_dict(Llama(_shape(depth), seed=0).state_dict(), strict=False)
    assert loaded.missing_keys in ([], ["lm_head.weight"]), loaded  # it is tied to the embedding
    assert not loaded.unexpected_keys, loaded
    return model


def _both(model: Any) -> tuple[list[Any], list[float]]:
    """Return PyTorch's Muon for the matrices and AdamW for the rest, with the settings of `lm.optimiser`."""
    from aifactory_lab.lm.optimiser import BETAS, Rates, is_matrix

    torch, rates = _torch(), Rates()
    matrices = [weight for name, weight in model.named_parameters() if is_matrix(name, weight)]
    rest = [weight for name, weight in model.named_parameters() if not is_matrix(name, weight)]
    muon = torch.optim.Muon(
        matrices,
        lr=rates.matrices,
        momentum=rates.momentum,
        weight_decay=rates.decay,
        ns_steps=rates.newton_schulz,
        adjust_lr_fn="match_rms_adamw",
    )
    return [muon, torch.optim.AdamW(rest, lr=rates.rest, betas=BETAS, weight_decay=0.0)], [rates.matrices, rates.rest]


def _adamw(model: Any) -> tuple[list[Any], list[float]]:
    return [_torch().optim.AdamW(model.parameters())], [1e-3]


def _shape(depth: int) -> Any:
    from aifactory_lab.lm.model import shape

    return shape(depth, VOCABULARY, context=CONTEXT)


def _prepare(folder: Path) -> None:
    from aifactory_lab import lm

    documents = lm.corpus.standard_library(kinds=("code",))[::16]
    lm.shards.write(documents, lm.tokenizer.train(documents["text"], VOCABULARY), folder)


def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def _shards(folder: str) -> Any:
    from aifactory_lab.lm.shards import Shards

    return Shards.load(folder)


def _timed(losses: Iterator[float], depth: int, steps: int, dtype: str) -> dict[str, Any]:
    """Make a step that warms up, then time the others."""
    from aifactory_lab.lm import flops
    from aifactory_lab.lm.model import Llama

    first = next(losses)
    start = time.process_time()
    for _ in range(steps):
        next(losses)
    rate = steps * BATCH * CONTEXT / (time.process_time() - start)
    used = flops.mfu(_shape(depth), tokens_per_second=rate, peak=flops.measured_peak(dtype))
    return {
        "parameters": Llama(_shape(depth)).count,
        "tokens": steps * BATCH * CONTEXT,
        "first loss": round(first, 4),
        "tok/cpu-s": round(rate),
        "MFU %": round(100 * used, 1),
    }
