r"""The pre-training station: tokens become a small Llama, as a checkpoint that says how good it is and beside what.

One dial, `depth`, sets the model. The state is saved every few seconds, so a killed run goes on where it was and makes
the same weights; every step is in a log that boards follow. On several GPUs the same run is started by torchrun:
``torchrun --nproc-per-node 8 -m aifactory_lab.lm.pretrain SHARDS TOKENIZER OUT --depth 12``. Here stands what is asked
and what is written down; the loop is in `trainer`.

>>> import tempfile, polars as pl
>>> from aifactory_lab.lm import shards, tokenizer
>>> texts = pl.DataFrame({"split": ["train", "valid"], "text": ["a = b + 1\n" * 400, "b = a + 1\n" * 40]})
>>> words, folder = tokenizer.train(texts["text"], vocabulary=260), tempfile.mkdtemp()
>>> tokens = shards.write(texts, words, folder)
>>> result = run(tokens, words, folder + "/model", depth=1, tokens=2_000, batch=2, context=32, show=False)
>>> result.report.made, result.scores["bits_per_byte"] < 8
(1984, True)
"""

import os
import shutil
from pathlib import Path
from typing import Annotated

from aifactory_lab.errors import DataError
from aifactory_lab.lm import flops
from aifactory_lab.lm.optimiser import Rates
from aifactory_lab.lm.place import chosen, use_threads
from aifactory_lab.lm.ranks import Ranks, joined
from aifactory_lab.lm.shapes import shape
from aifactory_lab.lm.shards import Shards
from aifactory_lab.lm.station import Station
from aifactory_lab.lm.tokenizer import Tokenizer
from aifactory_lab.lm.trained import Result
from aifactory_lab.lm.trainer import SAVE_SECONDS, Plan

STATE = ".training"  # folder for the state of an unfinished run whose caller named none


def run(
    shards: Shards,
    tokenizer: Tokenizer,
    out: Path | str,
    *,
    depth: int = 4,
    tokens: int = 1_000_000,
    batch: int | None = None,
    context: int = 256,
    seed: int = 0,
    rates: Rates | None = None,
    dtype: str = "auto",
    device: str | None = None,
    threads: int = 1,
    compiled: bool = False,
    checkpoint: Path | str | None = None,
    save_seconds: float = SAVE_SECONDS,
    looks: int = 5,
    title: str = "pretrain",
    show: bool = True,
) -> Result:
    """Train a Llama on tokens, and say how good it is.

    Parameters
    ----------
    shards, tokenizer
        Tokens, and the tokenizer that made them.
    out
        Folder for the checkpoint and all that is told of it; a model in it is replaced at the end.
    depth
        Size of the model: `lm.model.shape`.
    tokens
        To train on, rounded down to whole steps; more than there are means that some are seen again.
    batch, context
        Windows in a step of one process (by default `default_batch`), and tokens in a window.
    seed
        Of weights and order; the same seed gives the same model on the same machine.
    rates
        How far a step goes, if not as usual.
    dtype
        ``"float32"``, ``"bfloat16"``, or ``"auto"``: the one that multiplies faster on this machine, measured.
    device
        ``"cpu"``, ``"gpu"``, ``"auto"``; by default what `AIFACTORY_DEVICE` says.
    threads
        Of the CPU. One is right where others compute too: threads that wait for each other lose more than they win.
    compiled
        Use `torch.compile`.
    checkpoint
        Folder for the state of the unfinished run and its log; by default inside `out`, and removed at the end.
    save_seconds
        Between two states.
    looks
        How often it is judged on some held-out text and writes a sample, the end included; 1 is only at the end.
    title
        What boards call it.
    show
        Say in the terminal how it goes.

    Returns
    -------
    Result
        The same on every process of torchrun.

    Raises
    ------
    DataError
        If there are too few tokens, or another tokenizer made them.
    DeviceError
        If a GPU is asked for that is not there.
    ModelError
        If there is no such model or dtype, or the loss is no longer a finite number.
    WorkspaceError
        If the state cannot be written; the one before is kept.
    """
    place = chosen(device)
    batch = batch or default_batch(depth)
    with use_threads(threads), joined("cuda" if place.kind == "gpu" else "cpu") as ranks:
        plan = Plan(
            shape=shape(depth, tokenizer.vocabulary, context=context),
            steps=tokens // (batch * context * ranks.ranks),
            batch=batch,
            seed=seed,
            rates=rates or Rates(),
            dtype=_dtype(dtype, ranks, threads),
            device=ranks.device.type,
            threads=threads,
            ranks=ranks.ranks,
            compiled=compiled,
        )
        _enough(plan, shards.check(tokenizer), tokens)
        folder = Path(checkpoint) if checkpoint else Path(out) / STATE
        station = Station(plan, shards, tokenizer, ranks, place, Path(out), folder, looks, title, show)
        station.run(save_seconds)
        if ranks.first and checkpoint is None:
            shutil.rmtree(folder)
        ranks.wait()
    return Result.load(out)


def default_batch(depth: int) -> int:
    """Return how many windows a step sees if nobody says: 4 at depth 4, then as its square grows.

    Muon's arithmetic for a weight grows with the width, that of a token does not: a wider model needs a larger batch
    for the step to stay a quarter of the cost. Below, small batches learn more from a token.

    Examples
    --------
    >>> [default_batch(depth) for depth in (2, 4, 7, 9)]
    [4, 4, 8, 12]
    """
    return max(4, depth * depth // 24 * 4)


def _dtype(name: str, ranks: Ranks, threads: int) -> str:
    """Return the dtype that was asked for; where it is to be measured, the first process decides for all."""
    if name != "auto":
        flops.dtype(name)
        return name
    return str(ranks.agree(flops.fastest(threads=threads, device=ranks.device.type) if ranks.first else ""))


def _enough(plan: Plan, shards: Shards, tokens: int) -> None:
    """Refuse what would make no step, or has no window to learn from."""
    if plan.steps < 1:
        msg = f"{tokens:,} tokens are less than one step of {plan.tokens_per_step:,}"
        raise DataError(msg, mend=f"lm.pretrain.run(…, tokens={100 * plan.tokens_per_step})")
    if shards.tokens("train") <= plan.shape.context:
        have = shards.tokens("train")
        msg = f"{shards.folder} has {have:,} tokens to learn from, a window needs {plan.shape.context + 1:,}"
        raise DataError(msg, mend=f"take more documents, or context={max(2, have // 8)}")


def main() -> None:
    """Train from a command line: what torchrun starts on each GPU."""
    import typer
    from typer import Option

    def train(
        shards: Path,
        tokenizer: Path,
        out: Path,
        *,
        depth: int = 4,
        tokens: int = 1_000_000,
        batch: int | None = None,
        context: int = 256,
        seed: int = 0,
        dtype: Annotated[str, Option(help="auto, bfloat16 or float32")] = "auto",
        device: Annotated[str, Option(help="auto, cpu or gpu")] = "auto",
        threads: int = 1,
        checkpoint: Annotated[Path | None, Option(help="folder for the state; kept when given")] = None,
        save_seconds: float = SAVE_SECONDS,
    ) -> None:
        """Train a small Llama on SHARDS made by TOKENIZER into the folder OUT."""
        words = Tokenizer.load(tokenizer)
        result = run(
            Shards.load(shards, words),
            words,
            out,
            depth=depth,
            tokens=tokens,
            batch=batch,
            context=context,
            seed=seed,
            dtype=dtype,
            device=None if device == "auto" else device,
            threads=threads,
            checkpoint=checkpoint,
            save_seconds=save_seconds,
        )
        if os.environ.get("RANK", "0") == "0":
            typer.echo(str(result))

    typer.run(train)


if __name__ == "__main__":
    main()
