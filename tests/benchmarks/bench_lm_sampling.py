"""Sampling in one process: how much a batch gains, and what refilling slots at once gains over waiting for the slowest.

The weights are random, since speed does not depend on them; one thread; tokens are counted as generated and wanted.
`transformers` is asked the same: the same weights, the same prompts, the same tokens out, its own cache.
"""

from typing import Any

from tests.benchmarks.harness import Case, Table, compare

HERE = "tests.benchmarks.bench_lm_sampling"
DEPTH, VOCABULARY, CONTEXT, PROMPT, ANSWER = 7, 2048, 256, 64, 64


def _model() -> Any:
    import torch

    from aifactory_lab.lm import model

    torch.set_num_threads(1)
    return model.Llama(model.shape(DEPTH, VOCABULARY, context=CONTEXT))


def _prompts(requests: int, *, uneven: bool = False) -> list[list[int]]:
    import numpy as np

    random = np.random.default_rng(0)
    sizes = random.integers(CONTEXT // 4, CONTEXT - 4, requests) if uneven else [PROMPT] * requests
    return [random.integers(1, VOCABULARY, size).tolist() for size in sizes]


def _sampler(slots: int) -> Any:
    from aifactory_lab.lm import slots as engine
    from aifactory_lab.lm import tokenizer

    # No text is needed: with 257 tokens of bytes the ids above them have no name, and nobody asks for one.
    return engine.Sampler(_model(), tokenizer.train(["a"], 257), slots=slots)


def _told(tokens: int, seconds: float, **more: Any) -> dict[str, Any]:
    return {"rows": tokens, "tok/CPU-s": round(tokens / seconds), **more}


def ours(requests: int, slots: int) -> dict[str, Any]:
    """All requests at once; the slots decide how many are computed together."""
    sampler = _sampler(slots)
    done = sampler.generate(_prompts(requests), max_tokens=ANSWER)
    stats = sampler.stats
    checksum = float(sum(sum(one.tokens) for one in done))
    return _told(stats.tokens, stats.cpu_seconds, checksum=checksum, **{"mean batch": round(stats.mean_batch, 1)})


def theirs(requests: int, batch: int) -> dict[str, Any]:
    """Call `generate` of transformers, batch after batch."""
    import time

    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    llama = _model()
    model = LlamaForCausalLM(LlamaConfig(**llama.shape.config())).eval()
    model.load_state_dict(llama.state_dict(), strict=False)
    ids, total, made = torch.tensor(_prompts(requests)), 0.0, 0
    start = time.process_time()
    with torch.inference_mode():
        for part in ids.split(batch):
            whole = model.generate(
                part, attention_mask=torch.ones_like(part), max_new_tokens=ANSWER, do_sample=False, eos_token_id=None
            )
            total, made = total + float(whole[:, PROMPT:].sum()), made + whole[:, PROMPT:].numel()
    return _told(made, time.process_time() - start, checksum=total, **{"mean batch": batch})


def continuous(requests: int, slots: int) -> dict[str, Any]:
    """Answers of very different length; a slot that is free is filled at once."""
    sampler = _sampler(slots)
    sampler.generate(_prompts(requests, uneven=True), max_tokens=CONTEXT)
    stats = sampler.stats
    return _told(stats.tokens, stats.cpu_seconds, **{"mean batch": round(stats.mean_batch, 1)})


def static(requests: int, slots: int) -> dict[str, Any]:
    """The same answers in groups: the next group waits for the longest answer of the last."""
    sampler, prompts = _sampler(slots), _prompts(requests, uneven=True)
    tokens = steps = decoded = 0
    seconds = 0.0
    for first in range(0, requests, slots):
        sampler.generate(prompts[first : first + slots], max_tokens=CONTEXT)
        stats = sampler.stats
        tokens, seconds = tokens + stats.tokens, seconds + stats.cpu_seconds
        steps, decoded = steps + stats.steps, decoded + stats.tokens - stats.requests
    return _told(tokens, seconds, **{"mean batch": round(decoded / steps, 1)})


def main(*, quick: bool) -> list[Table]:
    """Compare batches of one to thirty-two, then the two ways to fill slots."""
    repeats, requests = (1, 32) if quick else (3, 64)
    sizes = (1, 32) if quick else (1, 8, 32)
    cases = [Case(f"slots, {n} at once", f"{HERE}:ours", {"requests": requests, "slots": n}) for n in sizes]
    cases += [Case(f"transformers, {n} at once", f"{HERE}:theirs", {"requests": requests, "batch": n}) for n in sizes]
    even = compare(f"{requests} answers of {ANSWER} tokens, 4.7 million parameters, float32", cases, repeats=repeats)
    ways = [
        Case(f"{name}, 16 slots", f"{HERE}:{name}", {"requests": 2 * requests, "slots": 16})
        for name in ("continuous", "static")
    ]
    uneven = compare(f"{2 * requests} answers of 4 to {CONTEXT * 3 // 4} tokens", ways, repeats=repeats)
    for table in (even, uneven):
        table.notes.append("One thread, random weights, greedy; `rows` are tokens generated. Imports are not counted.")
    return [even, uneven]
