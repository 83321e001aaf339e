r"""Text from a model, many requests at once: continuous batching in plain PyTorch, in this process.

Each request has a slot: a row of the cache in which keys and values of its tokens stay, so that a step computes one new
token per slot. A slot whose request ends is given to the next one at once, between two steps (Yu et al. 2022, Orca), so
the batch stays full. Reading the weights costs the same for one slot as for thirty, which is why tokens per second grow
with the batch. This module does not know servers: they have engines of their own (llama.cpp, vLLM).

>>> from aifactory_lab.lm import model, tokenizer
>>> words = tokenizer.train(["a b c"])
>>> sampler = Sampler(model.Llama(model.shape(1, words.vocabulary)), words, slots=2)
>>> len(sampler.generate(["a ", "b ", "c "], max_tokens=4)), sampler.stats.mean_batch > 1
(3, True)
"""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from aifactory_lab.errors import ModelError
from aifactory_lab.lm.choice import choose
from aifactory_lab.lm.kv_cache import Cache
from aifactory_lab.lm.model import Llama
from aifactory_lab.lm.tokenizer import Tokenizer


@dataclass(frozen=True)
class Completion:
    """What a model continued a prompt with.

    Attributes
    ----------
    text
        Without the end token and without the stop string.
    tokens
        All ids that were generated, the end token among them if it came.
    finish_reason
        ``"stop"`` (the end token or a stop string) or ``"length"`` (max_tokens, or the context is full).
    logprobs
        Natural logarithm of the probability that the model gave each token, at temperature 1.
    """

    text: str
    tokens: list[int]
    finish_reason: str
    logprobs: list[float]


@dataclass
class Stats:
    """What one call of `generate` did.

    Attributes
    ----------
    requests, prompt_tokens, tokens
        Prompts, tokens in them, and tokens generated.
    prefills, steps
        Passes over new prompts, and passes of one token per slot.
    seconds, cpu_seconds
        Wall time, and the process's user + system time.
    """

    requests: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    prefills: int = 0
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    decoded: int = field(default=0, repr=False)

    @property
    def mean_batch(self) -> float:
        """Tokens that one step made, on average: how full the slots were."""
        return self.decoded / self.steps if self.steps else 0.0

    @property
    def rate(self) -> float:
        """Tokens generated per second of wall time."""
        return self.tokens / self.seconds if self.seconds else 0.0


@dataclass
class _Request:
    number: int
    prompt: list[int]
    limit: int
    draws: np.ndarray  # one random number for each token, its own: what others do does not change it
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)


class Sampler:
    """A model with slots.

    Parameters
    ----------
    model, tokenizer
        Of the same vocabulary; the model's device and dtype are used as they are when `generate` is called.
    slots
        Most requests that are computed at once.
    """

    def __init__(self, model: Llama, tokenizer: Tokenizer, *, slots: int = 16) -> None:
        if slots < 1:
            msg = f"a sampler with {slots} slots can do nothing"
            raise ModelError(msg, mend="lm.slots.Sampler(model, tokenizer, slots=16)")
        self.model = model
        self.tokenizer = tokenizer
        self.slots = slots
        self.stats = Stats()

    @torch.inference_mode()
    def generate(
        self,
        prompts: Sequence[str | Sequence[int]],
        *,
        max_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
        stop: Sequence[str] = (),
    ) -> list[Completion]:
        """Continue prompts.

        Parameters
        ----------
        prompts
            Texts or ids; an empty one begins a new document.
        max_tokens
            Most tokens to generate for each; fewer where the context is full before.
        temperature
            0 takes the likeliest token; 1 draws as the model believes.
        top_p
            Draw from the likeliest tokens that together have this probability (Holtzman et al. 2019).
        seed
            The same prompts and seed give the same texts, whatever the number of slots.
        stop
            Strings that end a text; they are not part of it.

        Returns
        -------
        list of Completion
            In the order of the prompts.

        Raises
        ------
        ModelError
            If a prompt leaves no room in the context.
        """
        began, cpu = time.perf_counter(), time.process_time()
        waiting = deque(self._request(number, prompt, max_tokens, seed) for number, prompt in enumerate(prompts))
        self.stats = Stats(len(waiting), sum(len(request.prompt) for request in waiting))
        done: dict[int, Completion] = {}
        longest = max((len(request.prompt) + request.limit for request in waiting), default=0)
        cache = Cache(self.model, min(self.slots, len(waiting)), longest)
        active: list[_Request] = []  # in the order of the cache's rows
        while waiting or active:
            fresh = [waiting.popleft() for _ in range(min(len(waiting), cache.slots - len(active)))]
            for requests, first in ((fresh, len(active)), (active, 0)):
                if requests:
                    self._take(requests, self._pass(cache, requests, first), temperature, top_p)
            active += fresh
            done.update(self._retire(cache, active, stop))
        self.stats.seconds, self.stats.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        return [done[number] for number in range(len(done))]

    def _request(self, number: int, prompt: str | Sequence[int], max_tokens: int, seed: int) -> _Request:
        ids = self.tokenizer.encode(prompt) if isinstance(prompt, str) else list(prompt)
        ids = ids or [self.tokenizer.end]
        context = self.model.shape.context
        room = context - len(ids)
        if room < 1 or max_tokens < 1:
            msg = f"prompt {number} has {len(ids):,} tokens: {max_tokens:,} more do not fit a context of {context:,}"
            raise ModelError(msg, mend="cut the prompt: prompt_ids[-context // 2:]")
        limit = min(max_tokens, room)
        return _Request(number, ids, limit, np.random.default_rng((seed, number)).random(limit))

    def _pass(self, cache: Cache, requests: list[_Request], first: int) -> Tensor:
        """Compute what is new of some requests, in rows from `first`, and return the logits after each."""
        fed = [request.tokens[-1:] or request.prompt for request in requests]
        start = [len(r.prompt) + len(r.tokens) - len(each) for r, each in zip(requests, fed, strict=True)]
        hidden = cache.extend(fed, start, first)
        if requests[0].tokens:
            self.stats.steps += 1
            self.stats.decoded += len(requests)
        else:
            self.stats.prefills += 1
        return functional.linear(hidden, self.model.model.embed_tokens.weight).float()

    def _take(self, requests: list[_Request], logits: Tensor, temperature: float, top_p: float) -> None:
        draws = torch.tensor([request.draws[len(request.tokens)] for request in requests], device=logits.device)
        chosen = choose(logits, draws, temperature=temperature, top_p=top_p)
        likely = logits.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
        for request, token, logprob in zip(requests, chosen.tolist(), likely.tolist(), strict=True):
            request.tokens.append(token)
            request.logprobs.append(logprob)
        self.stats.tokens += len(requests)

    def _retire(self, cache: Cache, active: list[_Request], stop: Sequence[str]) -> dict[int, Completion]:
        """Take those that have ended out of their rows."""
        done = {}
        for row in reversed(range(len(active))):
            completion = self._finished(active[row], stop)
            if completion is not None:
                done[active[row].number] = completion
                cache.free(row, last=len(active) - 1)
                active[row] = active[-1]
                active.pop()
        return done

    def _finished(self, request: _Request, stop: Sequence[str]) -> Completion | None:
        ended = request.tokens[-1] == self.tokenizer.end
        full = len(request.tokens) == request.limit
        if not (ended or full or stop):
            return None
        text = self.tokenizer.decode(request.tokens[:-1] if ended else request.tokens)
        cuts = [place for place in (text.find(string) for string in stop) if place >= 0]
        if not (ended or full or cuts):
            return None
        text = text[: min(cuts, default=len(text))]
        return Completion(text, request.tokens, "stop" if ended or cuts else "length", request.logprobs)
