"""The token line, from a text corpus to tokens per second.

It knows the order of its stations and what they hand on; how each works, it leaves to its room.

>>> from aifactory_lab.line import tokens
>>> [station.name for station in tokens.STATIONS]
['corpus', 'curate', 'tokenize', 'pretrain', 'tune', 'serve_tokens']
"""

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab import lm, serve
from aifactory_lab.etl import curation
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line.stations import Done, LineRun, Say, Station, silence, upto, visit
from aifactory_lab.line.token_settings import Settings, judged
from aifactory_lab.line.turns import alone
from aifactory_lab.measure import Meter, StationReport
from aifactory_lab.workspace import Workspace, scratch

PROMPT_TOKENS, PROMPTS = 63, 64


@dataclass(frozen=True)
class Material:
    """What the line starts from: documents and where they are from, pairs if not of these, and what is decided."""

    documents: pl.DataFrame
    facts: dict[str, Any]
    settings: Settings
    pairs: pl.DataFrame | None = None
    show: bool = True


@dataclass(frozen=True)
class Run(LineRun):
    """A finished run of the token line, with the versions of base and adapter in the registry."""

    material: Material
    versions: dict[str, int]

    @property
    def registry(self) -> "lm.registry.Registry":
        """The registry of this workspace."""
        return lm.registry.Registry(self.workspace.root, self.settings.model)

    @property
    def settings(self) -> Settings:
        """What was decided."""
        return self.material.settings

    @property
    def title(self) -> str:
        """The question that the line answers."""
        return self.settings.title

    @property
    def slo(self) -> tuple[Verdict, ...]:
        """Whether the endpoint kept its objectives under load; none where there are none, or it was not tested."""
        return judged(self.served, self.settings) if "serve_tokens" in self.artefacts else ()

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
    pairs: pl.DataFrame | None = None,
    depth: int | None = None,
    tokens: int | None = None,
    until: str = "serve_tokens",
    say: Say | None = print,
    settings: Settings | None = None,
) -> Run:
    """Take a corpus through the stations.

    Parameters
    ----------
    root
        The workspace; by default `workspace.default_root()`.
    documents
        A documents frame; by default the interpreter's own standard library (`lm.corpus.standard_library`).
    pairs
        Questions and answers for the adapter; by default those of the documents' own functions (`lm.pairs`).
    depth, tokens
        The model's one dial (4 is a million parameters), and tokens to train it on; by default those of `settings`.
    until
        The last station to visit.
    say
        Called with one line when a station begins and one when it ends; `None` for silence.
    settings
        Curation, sizes, load test, objectives; by default those of the standard library.

    Raises
    ------
    FactoryError
        If there is no such station, or a station refuses its inputs; finished stations are kept.
    """
    stations, settings = upto(STATIONS, until), settings or Settings()
    settings = replace(settings, depth=depth or settings.depth, tokens=tokens or settings.tokens)
    material = _material(documents, pairs, settings, show=say is not None)
    key, decides = material.facts["sha256"], material.settings.decides
    with alone(Workspace(root).root, say or silence):
        made = visit(stations, root, material, key=key, settings=decides, say=say or silence)
        versions = _register(made.workspace, made.artefacts, settings.model, say or silence)
    return Run(**vars(made), material=material, versions=versions)


def _material(
    documents: pl.DataFrame | None, pairs: pl.DataFrame | None, settings: Settings, *, show: bool
) -> Material:
    if pairs is not None:
        settings = replace(settings, pairs_sha256=hashlib.sha256(pairs.write_ndjson().encode()).hexdigest())
    if documents is not None:
        return Material(documents, lm.corpus.manifest(documents), settings, pairs, show)
    found = lm.corpus.survey()
    return Material(found.documents, found.manifest, settings, pairs, show)


def _corpus(folder: Path, material: Material, done: Done) -> StationReport:  # noqa: ARG001
    """Keep the documents as they came."""
    with Meter("corpus", unit="documents") as meter:
        material.documents.write_parquet(folder / "documents.parquet")
        meter.count(material.documents.height, bytes_out=material.facts["bytes"], source=material.facts)
    return meter.report


def _curate(folder: Path, material: Material, done: Done) -> StationReport:
    documents = pl.read_parquet(done["corpus"].path("documents.parquet"))
    decided = material.settings.curation
    return curation.run(documents, folder / "curated", settings=decided, facts=material.facts).report


def _tokenize(folder: Path, material: Material, done: Done) -> StationReport:
    """Learn a vocabulary from what is trained on, and pack everything as token ids."""
    documents = _kept(done)
    with Meter("tokenize", unit="tokens") as meter:
        tokenizer = lm.tokenizer.train(_texts(documents, "train"), material.settings.vocabulary)
        tokenizer.save(folder / "tokenizer")
        shards = lm.shards.write(documents, tokenizer, folder / "shards")
        found = asdict(tokenizer.report(_texts(documents, "valid")))
        made = {split: shards.tokens(split) for split in ("train", "valid")}
        meter.count(sum(made.values()), bytes_in=sum(map(shards.bytes, made)), splits=made, held_out=found)
    return meter.report


def _pretrain(folder: Path, material: Material, done: Done) -> StationReport:
    tokenizer = lm.tokenizer.Tokenizer.load(done["tokenize"].folder / "tokenizer")
    shards = lm.shards.Shards.load(done["tokenize"].folder / "shards", tokenizer)
    decided = {name: value for name, value in material.settings.decides.items() if name in SIZED}
    options = {**decided, "checkpoint": scratch(folder), "show": material.show}
    return lm.pretrain.run(shards, tokenizer, folder / "model", **options).report


def _tune(folder: Path, material: Material, done: Done) -> StationReport:
    """Teach the base to say in one line what a function does."""
    documents = _kept(done)
    held = documents.filter(pl.col("split") == "valid")
    base, wanted = done["pretrain"].folder / "model", material.settings
    pairs = lm.pairs.docstrings(documents) if material.pairs is None else material.pairs
    options: dict[str, Any] = {"steps": wanted.tune_steps, "old": held, "title": wanted.adapter, "show": material.show}
    return lm.finetune.run(base, pairs, folder / "adapter", **options).report


def _serve_tokens(folder: Path, material: Material, done: Done) -> StationReport:
    """Serve base and adapter on loopback, and load the base with more and more users."""
    wanted, prompts = material.settings, _prompts(done)
    with Meter("serve_tokens", unit="tokens") as meter, endpoint(done, wanted) as server:
        # Without llama.cpp's cache of prompts: the same few come again and again, and would cost less than real ones.
        options: dict[str, Any] = {"extra": {"cache_prompt": False}, "warmup": 2, "engine": server.engine}
        options |= {"max_tokens": wanted.answer_tokens, "seconds": wanted.seconds, "slo": wanted.objective}
        found = serve.load.pareto(server, prompts, wanted.users, **options)
        found.write_parquet(folder / "pareto.parquet")
        best = found.sort("tokens_per_second").row(-1, named=True)
        meter.count(int(found["tokens"].sum()), best=best, engine=server.engine, reason=server.reason)
    return replace(meter.report, seconds=float(found["seconds"].sum()))  # the clients' own clock, without the start


def endpoint(done: Done, settings: Settings, **options: Any) -> "serve.llm.Server":
    """Serve the base and the adapter of a run; `options` are those of `serve.llm.start`."""
    base, adapter = done["pretrain"].folder / "model", done["tune"].folder / "adapter"
    slots = settings.slots or max(settings.users)
    options = {"engine": settings.engine, "slots": slots, "context": settings.request_tokens, **options}
    return serve.llm.start(base, name=settings.model, adapters={settings.adapter: adapter}, **options)


def _prompts(done: Done) -> list[Any]:
    tokenizer = lm.tokenizer.Tokenizer.load(done["pretrain"].folder / "model")
    held = _texts(_kept(done), "valid")
    return list(serve.load.prompts.of_lengths(held, tokenizer, [PROMPT_TOKENS] * PROMPTS))


CURATED, SIZED = ("curation",), ("depth", "tokens", "context", "seed")
TUNED = ("tune_steps", "pairs_sha256", "adapter")
SERVED = ("engine", "users", "answer_tokens", "seconds", "slots", "request_tokens", "ttft_ms", "itl_ms", "model")
STATIONS = (
    Station("corpus", (), _corpus),
    Station("curate", ("corpus",), _curate, decided_by=CURATED),
    Station("tokenize", ("curate",), _tokenize, decided_by=("vocabulary",)),
    Station("pretrain", ("tokenize",), _pretrain, decided_by=SIZED),
    Station("tune", ("pretrain", "curate"), _tune, decided_by=TUNED),
    Station("serve_tokens", ("pretrain", "tune", "curate"), _serve_tokens, decided_by=SERVED),
)


def _kept(done: Done) -> pl.DataFrame:
    return curation.Curated.load(done["curate"].folder / "curated").documents


def _texts(documents: pl.DataFrame, split: str) -> list[str]:
    return documents.filter(pl.col("split") == split)["text"].to_list()


def _register(workspace: Workspace, done: Done, name: str, say: Say) -> dict[str, int]:
    """Register base and adapter once; the base is champion unless a better one is."""
    registry, versions = lm.registry.Registry(workspace.root, name), {}
    for station, folder in (("pretrain", "model"), ("tune", "adapter")):
        if station not in done:
            continue
        path = done[station].folder / folder
        held = lm.registry.Held.load(path)
        known = registry.versions().filter(pl.col("weights_sha256") == held.sha256)["version"].to_list()
        versions[station] = known[0] if known else registry.register(path)
        say(f"registry: version {versions[station]} of {name} is the {held.kind} of this run")
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
