"""The token line, from a text corpus to tokens per second.

It knows the order of its stations and what they hand on; how each works, it leaves to its room.

>>> from aifactory_lab.line import tokens
>>> [station.name for station in tokens.STATIONS]
['corpus', 'curate', 'tokenize', 'pretrain', 'tune', 'serve_tokens']
"""

import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import lm, serve
from aifactory_lab.etl import curation
from aifactory_lab.line.stations import Done, LineRun, Say, Station, silence, upto, visit
from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.workspace import Workspace

MODEL = "pocket-llama"
ADAPTER = "docstrings"
VOCABULARY = 2_048
TUNE_STEPS = 120
CONCURRENCIES = (1, 8, 32)
PROMPT_TOKENS, ANSWER_TOKENS = 63, 64
PROMPTS = 64
LOAD_SECONDS = 4.0  # of each concurrency


@dataclass(frozen=True)
class Material:
    """What the line starts from: documents and where they are from, how large a model on how many tokens."""

    documents: pl.DataFrame
    facts: dict[str, Any]
    depth: int
    tokens: int
    show: bool = True


@dataclass(frozen=True)
class Run(LineRun):
    """A finished run of the token line, with the versions of base and adapter in the registry."""

    material: Material
    versions: dict[str, int]

    @property
    def registry(self) -> "lm.registry.Registry":
        """The registry of this workspace."""
        return lm.registry.Registry(self.workspace.root, MODEL)

    @property
    def curated(self) -> curation.Curated:
        """What curation kept, what it dropped, and why."""
        return curation.Curated.load(self.artefacts["curate"].folder / "curated")

    @property
    def tokenizer(self) -> "lm.tokenizer.Tokenizer":
        """The tokenizer."""
        return lm.tokenizer.Tokenizer.load(self.artefacts["tokenize"].folder / "tokenizer")

    @property
    def pretrained(self) -> "lm.trained.Result":
        """The base model with its scores."""
        return lm.trained.Result.load(self.artefacts["pretrain"].folder / "model")

    @property
    def tuned(self) -> "lm.tuned.Result":
        """The adapter with what it gained and what was forgotten."""
        return lm.tuned.Result.load(self.artefacts["tune"].folder / "adapter")

    @property
    def served(self) -> pl.DataFrame:
        """One row per concurrency: see `serve.load.pareto`."""
        return self.frame("serve_tokens", "pareto")


def run(
    root: Path | str | None = None,
    *,
    documents: pl.DataFrame | None = None,
    depth: int = 4,
    tokens: int = 1_000_000,
    until: str = "serve_tokens",
    say: Say | None = print,
) -> Run:
    """Take a corpus through the stations.

    Parameters
    ----------
    root
        The workspace; by default `workspace.default_root()`.
    documents
        A documents frame; by default the interpreter's own standard library (`lm.corpus.standard_library`).
    depth, tokens
        The model's one dial (4 is a million parameters), and tokens to train it on.
    until
        The last station to visit.
    say
        Called with one line when a station begins and one when it ends; `None` for silence.

    Raises
    ------
    FactoryError
        If there is no such station, or a station refuses its inputs; finished stations are kept.
    """
    stations = upto(STATIONS, until)
    material = _material(documents, depth, tokens, show=say is not None)
    key, settings = material.facts["sha256"], {"depth": depth, "tokens": tokens}
    made = visit(stations, root, material, key=key, settings=settings, say=say or silence)
    return Run(**vars(made), material=material, versions=_register(made.workspace, made.artefacts, say or silence))


def _material(documents: pl.DataFrame | None, depth: int, tokens: int, *, show: bool) -> Material:
    if documents is not None:
        return Material(documents, lm.corpus.manifest(documents), depth, tokens, show)
    found = lm.corpus.survey()
    return Material(found.documents, found.manifest, depth, tokens, show)


def _corpus(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Keep the documents as they came."""
    with Meter("corpus", unit="documents") as meter:
        material.documents.write_parquet(folder / "documents.parquet")
        meter.count(material.documents.height, bytes_out=material.facts["bytes"], source=material.facts)
    return meter.report


def _curate(folder: Path, material: Material, done: Done) -> StationReport:
    documents = pl.read_parquet(done["corpus"].path("documents.parquet"))
    return curation.run(documents, folder / "curated", facts=material.facts).report


def _tokenize(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Learn a vocabulary from what is trained on, and pack everything as token ids."""
    documents = _kept(done)
    with Meter("tokenize", unit="tokens") as meter:
        tokenizer = lm.tokenizer.train(_texts(documents, "train"), VOCABULARY)
        tokenizer.save(folder / "tokenizer")
        shards = lm.shards.write(documents, tokenizer, folder / "shards")
        found = asdict(tokenizer.report(_texts(documents, "valid")))
        made = {split: shards.tokens(split) for split in ("train", "valid")}
        meter.count(sum(made.values()), bytes_in=sum(map(shards.bytes, made)), splits=made, held_out=found)
    return meter.report


def _pretrain(folder: Path, material: Material, done: Done) -> StationReport:
    tokenizer = lm.tokenizer.Tokenizer.load(done["tokenize"].folder / "tokenizer")
    shards = lm.shards.Shards.load(done["tokenize"].folder / "shards", tokenizer)
    decided: dict[str, Any] = {"depth": material.depth, "tokens": material.tokens}
    scratch = Workspace(done["tokenize"].folder.parent).scratch("pretrain", [done["tokenize"].key], decided)
    options = {**decided, "checkpoint": scratch, "show": material.show}
    report = lm.pretrain.run(shards, tokenizer, folder / "model", **options).report
    shutil.rmtree(scratch, ignore_errors=True)  # the states have done their work
    return report


def _tune(folder: Path, material: Material, done: Done) -> StationReport:
    """Teach the base to say in one line what a function does."""
    documents = _kept(done)
    held = documents.filter(pl.col("split") == "valid")
    base, pairs = done["pretrain"].folder / "model", lm.pairs.docstrings(documents)
    options: dict[str, Any] = {"steps": TUNE_STEPS, "old": held, "title": ADAPTER, "show": material.show}
    return lm.finetune.run(base, pairs, folder / "adapter", **options).report


def _serve_tokens(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Serve base and adapter on loopback, and load the base with more and more users."""
    base, adapter = done["pretrain"].folder / "model", done["tune"].folder / "adapter"
    tokenizer = lm.tokenizer.Tokenizer.load(base)
    held = _texts(_kept(done), "valid")
    prompts = serve.load.prompts.of_lengths(held, tokenizer, [PROMPT_TOKENS] * PROMPTS)
    slots = max(CONCURRENCIES)
    with (
        Meter("serve_tokens", unit="tokens") as meter,
        serve.llm.start(base, name=MODEL, adapters={ADAPTER: adapter}, slots=slots) as server,
    ):
        # Without llama.cpp's cache of prompts: the same few come again and again, and would cost less than real ones.
        options: dict[str, Any] = {"extra": {"cache_prompt": False}, "warmup": 2, "engine": server.engine}
        options |= {"max_tokens": ANSWER_TOKENS, "seconds": LOAD_SECONDS}
        found = serve.load.pareto(server, prompts, CONCURRENCIES, **options)
        found.write_parquet(folder / "pareto.parquet")
        best = found.sort("tokens_per_second").row(-1, named=True)
        meter.count(int(found["tokens"].sum()), best=best, engine=server.engine, reason=server.reason)
    return replace(meter.report, seconds=float(found["seconds"].sum()))  # the clients' own clock, without the start


STATIONS = (
    Station("corpus", (), _corpus),
    Station("curate", ("corpus",), _curate),
    Station("tokenize", ("curate",), _tokenize),
    Station("pretrain", ("tokenize",), _pretrain, decided_by=("depth", "tokens")),
    Station("tune", ("pretrain", "curate"), _tune),
    Station("serve_tokens", ("pretrain", "tune", "curate"), _serve_tokens),
)


def _kept(done: Done) -> pl.DataFrame:
    return curation.Curated.load(done["curate"].folder / "curated").documents


def _texts(documents: pl.DataFrame, split: str) -> list[str]:
    return documents.filter(pl.col("split") == split)["text"].to_list()


def _register(workspace: Workspace, done: Done, say: Say) -> dict[str, int]:
    """Register base and adapter once; the base is champion unless a better one is."""
    registry, versions = lm.registry.Registry(workspace.root, MODEL), {}
    for station, folder in (("pretrain", "model"), ("tune", "adapter")):
        if station not in done:
            continue
        path = done[station].folder / folder
        held = lm.registry.Held.load(path)
        known = registry.versions().filter(pl.col("weights_sha256") == held.sha256)["version"].to_list()
        versions[station] = known[0] if known else registry.register(path)
        say(f"registry: version {versions[station]} of {MODEL} is the {held.kind} of this run")
    if "pretrain" in versions:
        _promote(registry, versions["pretrain"])
    return versions


def _promote(registry: "lm.registry.Registry", version: int) -> None:
    """Make the base champion if it needs fewer bits for a held-out byte than the one that is; an adapter stays."""
    versions = registry.versions()
    champion = versions.filter(pl.col("alias") == "champion")
    mine = versions.filter(pl.col("version") == version)
    worse = (champion["kind"] == lm.registry.CHECKPOINT) & (champion["bits_per_byte"] > mine["bits_per_byte"][0])
    if champion.is_empty() or worse.all():
        registry.promote(version)
