"""A setting changes the artefacts that it decides and no others: a changed objective trains nothing again."""

from dataclasses import replace

import pytest
import yaml

from aifactory_lab import blueprints
from aifactory_lab.blueprints import running
from aifactory_lab.line import decisions, tokens
from aifactory_lab.line.stations import silence, unusual, visit
from aifactory_lab.measure import Meter

DECISIONS = ("ingest", "etl", "train", "ladder", "score", "serve")
TOKENS = ("corpus", "curate", "tokenize", "pretrain", "tune", "serve_tokens")


def quick(folder, material, done):
    with Meter("nothing", unit="files") as meter:
        (folder / "nothing").write_text("")
        meter.count(1)
    return meter.report


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The keys of a blueprint's artefacts, by the real workspace, with stations that make nothing."""
    root = tmp_path_factory.mktemp("keys")

    def of(text: str) -> dict[str, str]:
        made, found = blueprints.parse(text), {}
        for part, stations, settings in (
            (made.decisions, decisions.STATIONS, lambda: unusual(running.decision_settings(made))),
            (made.tokens, tokens.STATIONS, lambda: running.token_line_settings(made).decides),
        ):
            if part is not None:
                empty = [replace(station, build=quick) for station in stations]
                run = visit(empty, root, None, key="material", settings=settings(), say=silence)
                found |= {name: artefact.key for name, artefact in run.artefacts.items()}
        return found

    return of


@pytest.fixture(scope="module")
def usual(keys):
    return keys(blueprints.path("factory").read_text())


@pytest.mark.parametrize(
    ("way", "value", "again"),
    [
        ("title", "Another", ()),
        ("name", "other", ()),
        ("decisions.title", "Another", ()),
        ("decisions.model.name", "other", ()),
        ("decisions.model.estimator", "random_forest", ("train", "score", "serve")),
        ("decisions.model.parameters", {"max_depth": 3}, ("train", "score", "serve")),
        ("decisions.model.groups", ["schedule"], ("train", "score", "serve")),
        ("decisions.model.validation", 0.3, ("train", "score", "serve")),
        ("decisions.model.costs", {"miss": 9}, ("train", "score", "serve")),
        ("decisions.endpoint.concurrency", 4, ("serve",)),
        ("decisions.endpoint.engine", "onnx", ("score", "serve")),
        ("decisions.endpoint.seconds", 1, ("serve",)),
        ("decisions.endpoint.port", 8123, ()),
        ("decisions.endpoint.keep", True, ()),
        ("decisions.slo.p99_ms", 20, ("serve",)),
        ("decisions.slo.goodput", 100, ()),
        ("tokens.title", "Another", ()),
        ("tokens.curation", {"quality": False}, TOKENS[1:]),
        ("tokens.curation", {"redact": ["email"]}, TOKENS[1:]),
        ("tokens.model.vocabulary", 512, TOKENS[2:]),
        ("tokens.model.depth", 2, TOKENS[3:]),
        ("tokens.model.tokens", 2_000_000, TOKENS[3:]),
        ("tokens.model.seed", 1, TOKENS[3:]),
        ("tokens.model.context", 128, TOKENS[3:]),
        ("tokens.model.name", "other", ("serve_tokens",)),
        ("tokens.tuning.steps", 10, TOKENS[4:]),
        ("tokens.tuning.name", "other", TOKENS[4:]),
        ("tokens.endpoint.users", [1, 2], ("serve_tokens",)),
        ("tokens.endpoint.engine", "llama.cpp", ("serve_tokens",)),
        ("tokens.endpoint.slots", 2, ("serve_tokens",)),
        ("tokens.endpoint.port", 8124, ()),
        ("tokens.slo", {"ttft_ms": 100}, ("serve_tokens",)),
        ("tokens.slo", {"tokens_per_second": 100, "users": 8}, ()),
    ],
)
def test_a_setting_changes_what_it_decides(keys, usual, way, value, again):
    text = yaml.safe_load(blueprints.path("factory").read_text())
    *parts, last = way.split(".")
    inner = text
    for part in parts:
        inner = inner.setdefault(part, {})
    inner[last] = value
    found = keys(yaml.safe_dump(text))
    assert {name for name in usual if found[name] != usual[name]} == set(again)


def test_columns_of_a_table_change_everything(keys, usual):
    text = blueprints.path("quick").read_text()
    other = keys(text.replace("numbers: [temp, dewp", "numbers: [dewp"))
    assert {name for name, key in keys(text).items() if other[name] != key} == set(DECISIONS)
    assert set(usual) == {*DECISIONS, *TOKENS}


def test_what_is_usual_is_not_in_a_key():
    """Artefacts of a line run without a blueprint are found again, also those made before a setting could be chosen."""
    assert unusual(decisions.Settings()) == {}
    assert tokens.Settings().decides == {"depth": 4, "tokens": 1_000_000}
