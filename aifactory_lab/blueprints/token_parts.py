"""The parts of a token line: corpus, curation, model, adapter, endpoint, objectives.

>>> TokenSlo(ttft_ms=500).itl_ms is None
True
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt, model_validator

from aifactory_lab.blueprints import words
from aifactory_lab.blueprints.parts import NAME, Files, Name, Part, Port, Seconds, Text, Users
from aifactory_lab.line import token_settings


class Corpus(Part):
    """What the token line starts from: Python's own library, or your text files."""

    library: list[Literal["code", "docstring", "prose"]] | None = Field(
        default=None,
        min_length=1,
        description="What of the interpreter's own library; code and prose if no files are given.",
    )
    files: Files | None = Field(default=None, description="Text, Markdown, Python or JSON lines, beside the blueprint.")
    every: PositiveInt = Field(default=1, description="Take every n-th document only: a thin slice.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.library is not None and self.files is not None:
            raise words.refusal("needs one of library and files, has both", at="files")
        return self


class Curation(Part):
    """What is kept of the corpus."""

    redact: list[Annotated[str, AfterValidator(words.redacted)]] = Field(
        default=["email", "key"], description="Kinds of personal data that are replaced."
    )
    quality: bool = Field(default=True, description="Whether the rules of quality judge.")
    overlap: float = Field(default=0.1, ge=0, le=1, description="Share of a document that may be held out too.")


class Llm(Part):
    """The language model: one dial, and how much it reads."""

    name: Name = Field(
        default="", pattern=NAME, description="What it is registered as; by default the blueprint's name."
    )
    depth: int = Field(default=4, ge=1, le=64, description="Its size: 4 is 1.1 M parameters, 7 is 4.7 M.")
    tokens: int = Field(default=1_000_000, ge=1_000, description="Tokens to train it on.")
    vocabulary: int = Field(
        default=token_settings.VOCABULARY, ge=300, le=200_000, description="Pieces of its tokenizer."
    )
    context: int = Field(default=256, ge=16, le=8_192, description="Tokens of a window of the training.")
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


class Tuning(Part):
    """The adapter: what it learns from, and for how long."""

    name: Name = token_settings.ADAPTER
    steps: PositiveInt = token_settings.TUNE_STEPS
    pairs: Literal["corpus", "library"] = Field(
        default="corpus", description="Functions and their docstrings, of the corpus or of Python's own library."
    )
    file: Text | None = Field(default=None, description="Your own pairs instead: JSON lines with prompt and answer.")


class TokenEndpoint(Part):
    """The OpenAI-compatible server, and the load test on it."""

    engine: Literal["auto", "llama.cpp", "vllm"] = Field(
        default="auto", description="What computes the tokens; auto: vLLM on a GPU, llama.cpp without one."
    )
    users: list[Users] = Field(
        default=[1, 8, 32], min_length=1, max_length=16, description="Who ask at once, a test each."
    )
    answer_tokens: int = Field(default=token_settings.ANSWER_TOKENS, ge=2, le=8_192, description="Tokens of an answer.")
    seconds: Seconds = Field(default=token_settings.LOAD_SECONDS, description="How long each test lasts.")
    slots: int = Field(
        default=0, ge=0, le=1_024, description="Requests computed together; 0: as many as there are users."
    )
    context: int = Field(
        default=0, ge=0, description="Tokens that a request may span; 0: what the model was trained for."
    )
    host: Text = "127.0.0.1"
    port: Port = Field(default=0, description="Where it is kept serving; 0 takes a free port.")
    keep: bool = Field(default=False, description="Serve on after the report, until Ctrl-C.")


class TokenSlo(Part):
    """What the language model's server must keep under load; 99 % of the requests are meant by a time."""

    ttft_ms: PositiveFloat | None = Field(default=None, description="The first token comes within so long.")
    itl_ms: PositiveFloat | None = Field(
        default=None, description="Each further token comes within so long, on average."
    )
    goodput: PositiveFloat | None = Field(default=None, description="Requests a second that keep both, at least.")
    tokens_per_second: PositiveFloat | None = Field(
        default=None, description="Tokens of all answers together, at least."
    )
    users: Users | None = Field(default=None, description="At which of the endpoint's users; by default the most.")

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.goodput is not None and self.ttft_ms is None and self.itl_ms is None:
            raise words.refusal("needs ttft_ms or itl_ms: good is what keeps them", at="goodput")
        return self


class Tokens(Part):
    """The token line: from text to tokens per second."""

    title: Text | None = Field(default=None, description="The question that the model answers.")
    corpus: Corpus = Corpus()
    curation: Curation = Curation()
    model: Llm = Llm()
    tuning: Tuning = Tuning()
    endpoint: TokenEndpoint = TokenEndpoint()
    slo: TokenSlo = TokenSlo()

    @model_validator(mode="after")
    def _judged(self) -> Self:
        if self.slo.users is not None and self.slo.users not in self.endpoint.users:
            there = ", ".join(map(str, self.endpoint.users))
            what = f"slo.users: no load test with {self.slo.users} users; there are: {there}"
            raise words.refusal(what, at="slo")
        return self
