"""Pre-training beside a plain PyTorch loop on Hugging Face's Llama and beside transformers' Trainer.

The same shape, tokens, batch and order, one thread, bfloat16 (theirs by autocast, as their documentation has it). Every
contestant makes one step that is not counted, then as many as fill its time; CPU-seconds are those of the steps alone.
Ours does more for them: Muon makes the step of every matrix orthogonal, theirs is AdamW.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.harness import Case, Table, compare

HERE = "tests.benchmarks.bench_lm_training"
BATCH, CONTEXT, VOCABULARY = 16, 256, 2048
DEPTHS = (4, 7, 9)  # 1.1, 4.7 and 9.6 million parameters
AIMS = {4: 8_000, 7: 3_000, 9: 1_500}  # tokens per CPU-second
BESIDE_TRAINER = 1.5
CASES = {
    "aifactory": "ours",
    "aifactory, batch of the model": "default_batch",
    "plain PyTorch loop on LlamaForCausalLM": "plain",
    "transformers Trainer": "trainer",
}


def ours(folder: str, depth: int, steps: int, batch: int = BATCH) -> dict[str, Any]:
    """Take the steps that `lm.pretrain` takes: Muon and AdamW on masters."""
    from aifactory_lab.lm.model import shape
    from aifactory_lab.lm.ranks import Ranks
    from aifactory_lab.lm.trainer import Plan, Trainer
    from aifactory_lab.lm.training_state import States

    torch = _torch()
    plan = Plan(shape(depth, VOCABULARY, context=CONTEXT), steps + 1, batch=batch, dtype="bfloat16")
    with tempfile.TemporaryDirectory() as state:
        trainer = Trainer(plan, _shards(folder), Ranks(0, 1, torch.device("cpu")), States(state, {}), save_seconds=1e9)
        made = trainer.run()
        return _timed(lambda: next(made), depth, steps, trainer.model.count, batch=batch)


def default_batch(folder: str, depth: int, steps: int) -> dict[str, Any]:
    """Take them at the batch that `lm.pretrain` chooses for the depth."""
    from aifactory_lab.lm.pretrain import default_batch as batch_of

    batch = batch_of(depth)
    return ours(folder, depth, max(2, steps * BATCH // batch), batch)


def plain(folder: str, depth: int, steps: int) -> dict[str, Any]:
    """Train Hugging Face's model as anybody would: autocast, AdamW."""
    torch = _torch()
    model = _theirs(depth)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = _batches(folder)

    def step() -> None:
        ids, targets = next(batches)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(ids).logits
        loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()

    return _timed(step, depth, steps, model.num_parameters())


def trainer(folder: str, depth: int, steps: int) -> dict[str, Any]:
    """Train it by transformers' Trainer, bf16 on the CPU, nothing saved or reported."""
    from transformers import Trainer, TrainerCallback, TrainingArguments
    from transformers import trainer as theirs

    theirs.is_datasets_available = lambda: False  # it takes this checkout's folder of that name for the package
    _torch()
    model, stream = _theirs(depth), _shards(folder).train
    starts = range(0, (steps + 1) * BATCH * CONTEXT, CONTEXT)
    rows = [{"input_ids": ids, "labels": ids} for ids in (stream[at : at + CONTEXT].tolist() for at in starts)]
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.process_time())

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out,
            per_device_train_batch_size=BATCH,
            max_steps=steps + 1,
            learning_rate=1e-3,
            use_cpu=True,
            bf16=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        Trainer(model, arguments, train_dataset=rows, callbacks=[Clock()]).train()
    return _found(marks[-1] - marks[0], depth, steps, model.num_parameters())


def main(*, quick: bool) -> list[Table]:
    """Pack a corpus once, then one table a size."""
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder))
        return [_table(folder, depth, quick=quick) for depth in (DEPTHS[:1] if quick else DEPTHS)]


def _table(folder: str, depth: int, *, quick: bool) -> Table:
    steps = 2 if quick else max(3, 8 * DEPTHS[0] ** 2 // depth**2)
    usual = {"folder": folder, "depth": depth, "steps": steps}
    cases = [Case(name, f"{HERE}:{function}", usual) for name, function in CASES.items()]
    title = f"Pre-training at depth {depth}, batches of {BATCH} × {CONTEXT} tokens, one thread"
    table = compare(title, cases, repeats=1 if quick else 3, equal=("parameters",))
    rates = {row["case"]: row["tok/cpu-s"] for row in table.rows}
    first, last = rates["aifactory"], rates["transformers Trainer"]
    table.notes = [
        f"Aim: {AIMS[depth]:,} tokens per CPU-second: {_verdict(first >= AIMS[depth])} ({first:,}).",
        f"Aim: {BESIDE_TRAINER} × the Trainer: {_verdict(first >= BESIDE_TRAINER * last)} ({first / last:.2f} ×).",
        "tok/cpu-s and MFU are of the steps; CPU-s and s hold the start as well.",
    ]
    return table


def _verdict(reached: bool) -> str:
    return "reached" if reached else "missed"


def _prepare(folder: Path) -> None:
    from aifactory_lab import lm

    documents = lm.corpus.standard_library(kinds=("code",))[::8]
    lm.shards.write(documents, lm.tokenizer.train(documents["text"], VOCABULARY), folder)


def _torch() -> Any:
    import torch

    torch.set_num_threads(1)
    return torch


def _shards(folder: str) -> Any:
    from aifactory_lab.lm.shards import Shards

    return Shards.load(folder)


def _theirs(depth: int) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    from aifactory_lab.lm.model import shape

    return LlamaForCausalLM(LlamaConfig(**shape(depth, VOCABULARY, context=CONTEXT).config()))


def _batches(folder: str) -> Iterator[tuple[Any, Any]]:
    shards, step = _shards(folder), 0
    while True:
        yield shards.batch("train", step, batch=BATCH, context=CONTEXT, seed=0)
        step += 1


def _timed(step: Callable[[], Any], depth: int, steps: int, parameters: int, *, batch: int = BATCH) -> dict[str, Any]:
    """Make a step that warms up, then time the others."""
    step()
    start = time.process_time()
    for _ in range(steps):
        step()
    return _found(time.process_time() - start, depth, steps, parameters, batch=batch)


def _found(cpu_seconds: float, depth: int, steps: int, parameters: int, *, batch: int = BATCH) -> dict[str, Any]:
    from aifactory_lab.lm import flops
    from aifactory_lab.lm.model import shape

    rate = steps * batch * CONTEXT / cpu_seconds
    peak = flops.measured_peak("bfloat16", threads=1)
    used = flops.mfu(shape(depth, VOCABULARY, context=CONTEXT), tokens_per_second=rate, peak=peak)
    return {"parameters": parameters, "batch": batch, "tok/cpu-s": round(rate), "MFU %": round(100 * used, 1)}
