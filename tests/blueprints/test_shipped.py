"""The blueprints that came with this package: read, equal to what `aifactory run` does, known to editors."""

import json
from dataclasses import asdict
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from aifactory_lab import blueprints
from aifactory_lab.blueprints import running
from aifactory_lab.cli import app
from aifactory_lab.errors import DataError
from aifactory_lab.line import decisions, token_settings
from tests.blueprints.texts import FULL

TEXTS = {name: blueprints.path(name).read_text() for name in blueprints.names()}
TEXTS |= {"own": blueprints.template(), "full": FULL}


def test_there_are_four():
    assert blueprints.names() == ["factory", "flights", "quick", "tokens"]


@pytest.mark.parametrize("name", TEXTS)
def test_each_is_read_and_comes_back_from_its_own_values(name):
    made = blueprints.parse(TEXTS[name])
    again = blueprints.parse(yaml.safe_dump(made.model_dump(exclude_unset=True, mode="json")))
    assert again.model_dump() == made.model_dump()


@pytest.mark.parametrize("name", ["flights", "factory"])
def test_their_decision_line_is_that_of_the_command_line(name):
    assert running.decision_settings(blueprints.read(blueprints.path(name))) == decisions.Settings()


@pytest.mark.parametrize("name", ["tokens", "factory"])
def test_their_token_line_is_that_of_the_command_line(name):
    assert running.token_line_settings(blueprints.read(blueprints.path(name))) == token_settings.Settings()


def test_a_blueprint_with_nothing_but_names_runs_as_usual():
    bare = blueprints.parse("name: pocket-llama\ntokens: {}\n")
    assert running.token_line_settings(bare) == token_settings.Settings()
    bare = blueprints.parse("name: flights-late\ndecisions: {}\n")
    assert running.decision_settings(bare) == decisions.Settings()


def test_every_word_reaches_the_line():
    """A word that is read and then forgotten would be a lie: all of them differ from the usual in the full text."""
    made = blueprints.parse(FULL)
    for found, usual in (
        (running.decision_settings(made), decisions.Settings()),
        (running.token_line_settings(made), token_settings.Settings()),
    ):
        same = {name for name, value in asdict(found).items() if value == asdict(usual)[name]}
        assert same <= {"recipe", "estimator", "pairs_sha256"}


def test_the_schema_for_editors_is_that_of_the_models():
    kept = (blueprints.path("flights").parent / "schema.json").read_text()
    assert kept == blueprints.schema(), "aifactory run --schema > aifactory_lab/blueprints/schema.json"


@pytest.mark.parametrize("name", TEXTS)
def test_editors_find_no_fault_in_what_can_be_read(name):
    jsonschema.Draft202012Validator.check_schema(json.loads(blueprints.schema()))
    jsonschema.validate(
        json.loads(json.dumps(yaml.safe_load(TEXTS[name]), default=str)), json.loads(blueprints.schema())
    )


def test_editors_find_an_unknown_word():
    wrong = yaml.safe_load(TEXTS["flights"].replace("estimator:", "estimater:"))
    with pytest.raises(jsonschema.ValidationError, match="estimater"):
        jsonschema.validate(wrong, json.loads(blueprints.schema()))


def test_a_word_of_the_command_line_is_a_name_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert blueprints.find("flights") == blueprints.path("flights")
    assert blueprints.find("my/flights") == Path("my/flights")
    assert blueprints.find("night.yaml") == Path("night.yaml")
    Path("flights").write_text("name: mine\n")
    assert blueprints.find("flights") == Path("flights")
    with pytest.raises(DataError, match="no blueprint 'flihgts'; there are: factory") as caught:
        blueprints.find("flihgts")
    assert caught.value.mend == "aifactory run flights"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "--new"], 0, "decisions:"),
        (["run", "--schema"], 0, '"additionalProperties": false'),
        (["run", "flights", "--check"], 0, "flights can be run: decisions from flights by xgboost, p99 within 50 ms"),
        (["run", "--check"], 2, "--check needs a blueprint"),
        (["run", "flights", "--copies", "30"], 2, "settings of the blueprint"),
        (["run", "fligths"], 2, "aifactory run flights"),
        (["run", "none.yaml"], 2, "cannot be read"),
    ],
)
def test_the_command_line_says_what_it_was_asked(arguments, code, said):
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == code
    assert said in " ".join(result.output.split()) or said in result.output
