"""What a run of the token line can decide, and the verdict on what its endpoint gave.

As it stands, `Settings()` is the run on Python's own library. This module runs nothing.

>>> Settings(ttft_ms=200).objective
Slo(ttft_ms=200, itl_ms=inf, e2e_ms=inf)
>>> Settings(depth=2).decides
{'depth': 2, 'tokens': 1000000}
"""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from aifactory_lab.etl.curation import Settings as Curation
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line.stations import unusual
from aifactory_lab.serve.load.summary import Slo

MODEL = "pocket-llama"
ADAPTER = "docstrings"
VOCABULARY = 2_048
TUNE_STEPS = 120
CONCURRENCIES = (1, 8, 32)
ANSWER_TOKENS = 64
LOAD_SECONDS = 4.0  # of each concurrency
TITLE = "What does a model make of Python, if the standard library is all that it ever read?"


@dataclass(frozen=True)
class Settings:
    """What a run of the token line can decide; as it stands, it is the run on Python's own library.

    Attributes
    ----------
    title
        The question that the model answers.
    curation
        Rules, what is redacted, what counts as a copy.
    vocabulary
        Pieces that the tokenizer learns.
    depth, tokens, context, seed
        As for `lm.pretrain.run`.
    tune_steps, pairs_sha256
        Steps of the adapter's training; the hash of its pairs, if they are not those of the corpus itself.
    model, adapter
        What base and adapter are registered and served as.
    engine
        What computes the tokens: as for `serve.llm.start`.
    users, answer_tokens, seconds
        Of the load test: how many ask at once, one test for each; tokens of an answer; how long each lasts.
    slots, request_tokens
        Requests that the server computes together (0: as many as there are users), and tokens that one may span (0:
        what the model was trained for).
    ttft_ms, itl_ms
        Milliseconds within which the first token, and each further one, is to come for 99 % of the requests.
    goodput, tokens_per_second
        Requests per second that keep both, and tokens per second of all together: at least.
    judged_at
        Users at which the objectives are judged; 0 for the most of `users`.
    """

    title: str = TITLE
    curation: Curation = field(default_factory=Curation)
    vocabulary: int = VOCABULARY
    depth: int = 4
    tokens: int = 1_000_000
    context: int = 256
    seed: int = 0
    tune_steps: int = TUNE_STEPS
    pairs_sha256: str = ""
    model: str = MODEL
    adapter: str = ADAPTER
    engine: str = "auto"
    users: tuple[int, ...] = CONCURRENCIES
    answer_tokens: int = ANSWER_TOKENS
    seconds: float = LOAD_SECONDS
    slots: int = 0
    request_tokens: int = 0
    ttft_ms: float | None = None
    itl_ms: float | None = None
    goodput: float | None = None
    tokens_per_second: float | None = None
    judged_at: int = 0

    @property
    def objective(self) -> Slo | None:
        """What a request must keep to be good; `None` if nothing is asked of its times."""
        if self.ttft_ms is None and self.itl_ms is None:
            return None
        limits = {"ttft_ms": self.ttft_ms, "itl_ms": self.itl_ms}
        return Slo(**{name: value for name, value in limits.items() if value is not None})

    @property
    def decides(self) -> dict[str, Any]:
        """What goes into the keys of artefacts; size and tokens always did."""
        return {"depth": self.depth, "tokens": self.tokens, **unusual(self)}


def judged(served: pl.DataFrame, wanted: Settings) -> tuple[Verdict, ...]:
    """Hold the load test at the judged number of users against the objectives."""
    users = wanted.judged_at or max(wanted.users)
    found = served.filter(pl.col("concurrency") == users).row(0, named=True)
    at = f"at {users} users" if users > 1 else "for 1 user"
    good = f"requests within {wanted.objective}, {at}"
    asked = (
        (f"p99 time to first token {at}", wanted.ttft_ms, found["ttft_p99"], "ms", True),
        (f"p99 time from token to token {at}", wanted.itl_ms, found["itl_p99"], "ms", True),
        (good, wanted.goodput, found["goodput"], "a second", False),
        (f"tokens of all answers {at}", wanted.tokens_per_second, found["tokens_per_second"], "a second", False),
    )
    verdicts = [
        Verdict("tokens", what, limit, value, unit, at_most)
        for what, limit, value, unit, at_most in asked
        if limit is not None
    ]
    lost = Verdict("tokens", f"requests not answered {at}", 0, found["errors"], "")
    return (*verdicts, lost) if verdicts else ()
