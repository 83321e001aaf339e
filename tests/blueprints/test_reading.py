"""A blueprint that is wrong: every problem at once, in the line where it stands, with what to write instead."""

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aifactory_lab import blueprints
from aifactory_lab.blueprints import Blueprint, BlueprintError, Problem
from aifactory_lab.errors import DataError, FactoryError
from tests.blueprints.texts import FULL

LINES = FULL.splitlines()
SETTINGS = [number for number, line in enumerate(LINES) if re.search(r": \S", line)]


def problems(text: str) -> list[Problem]:
    with pytest.raises(BlueprintError) as caught:
        blueprints.parse(text, "b.yaml")
    return list(caught.value.problems)


def changed(number: int, line: str) -> str:
    return "\n".join([*LINES[:number], line, *LINES[number + 1 :]]) + "\n"


def test_every_word_can_be_written():
    made = blueprints.parse(FULL)
    assert made.tokens.slo.users == 4
    assert made.decisions.table.label.above == 15


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(SETTINGS), st.sampled_from(["unknown", "kind", "twice", "tag", "anchor", "tab", "nothing"]))
def test_the_line_that_is_told_is_the_one_that_was_broken(number, how):
    indent, key, value = re.fullmatch(r"( *)(\w+): (.*)", LINES[number]).groups()
    broken = {
        "unknown": f"{indent}{key}zz: {value}",
        "kind": f"{indent}{key}: {{zzz: [1]}}",
        "twice": f"{indent}{key}: {value}\n{indent}{key}: {value}",
        "tag": f"{indent}{key}: !!python/name:os.system {value}",
        "anchor": f"{indent}{key}: &{key} {value}",
        "tab": f"{indent}\t{key}: {value}",
        "nothing": f"{indent}{key}:",
    }[how]
    optional = {"title", "of", "key", "test_from", "above", "goodput", "users", "ttft_ms", "itl_ms", "files"}
    assume(how != "nothing" or key not in {*optional, "tokens_per_second", "time"})
    found = problems(changed(number, broken))
    line = number + 1 + (how == "twice")
    assert line in {problem.spot.line for problem in found}
    others = [problem for problem in found if problem.spot.line != line]
    assert all("missing" in problem.what or "above a number" in problem.what for problem in others) or how == "unknown"
    told = next(problem for problem in found if problem.spot.line == line)
    assert str(told).startswith(f"b.yaml:{line}: ")
    assert told.source.strip() in broken


@pytest.mark.parametrize(
    ("word", "instead", "said"),
    [
        ("p99_ms: 60", "p99_ms: -5", "decisions.slo.p99_ms: should be greater than 0, is -5"),
        (
            "estimator: xgboost",
            "estimator: xgbost",
            "no estimator 'xgbost'; did you mean 'xgboost'? There are: xgboost",
        ),
        ("estimator: xgboost", "estimator: kmeans", "no estimator 'kmeans'; there are: xgboost, random_forest"),
        ("engine: xgboost", "engine: onxx", "no engine 'onxx'; did you mean 'onnx'? There are: auto, xgboost"),
        ("engine: llama.cpp", "engine: llama", "tokens.endpoint.engine: should be 'auto', 'llama.cpp' or 'vllm'"),
        ("max_depth: 4", "max_dept: 4", "no parameter of xgboost 'max_dept'; did you mean 'max_depth'"),
        ("max_depth: 4", "max_depth: deep", "decisions.model.parameters.max_depth: should be of the kind of 6"),
        ("max_depth: 4", "max_depth: [4]", "parameters.max_depth: should be one number, word or truth value"),
        ("    miss: 2.5", "    misses: 2.5", "costs.misses: no such word here; did you mean 'miss'?"),
        (
            "    seconds: 2",
            "    seconds: 1e3",
            'is "1e3"; 1e3 without a point and a sign is text to YAML 1.1; write 1000',
        ),
        ("    seconds: 2", '    seconds: "2"', "it is text in quotes; write it without"),
        ("  title: Will a trip be late?", "  title: no", 'no without quotes is false to YAML; write "no"'),
        ("  title: Will a trip be late?", "  title: 7", 'a number without quotes; write "7"'),
        ("name: plant", "name: ../plant", "name: should be of letters, digits"),
        (
            "redact: [email]",
            "redact: [email, emial]",
            "tokens.curation.redact.1: no kind of personal data 'emial'; did you",
        ),
        ("pairs: library", "pairs: web", "tokens.tuning.pairs: should be 'corpus' or 'library', is \"web\""),
        ("    users: 4", "    users: 5", "slo.users: no load test with 5 users; there are: 1, 4"),
        ("numbers: [km, seats]", "numbers: [delay]", "the label 'delay' is among the features"),
        ("test_from: 2024-03-01", "test_from: soon", "test_from: should be a time such as 2024-10-01"),
        ("version: 1", "version: 2", "version: should be 1, is 2"),
        ("depth: 2", "depth: 2.5", "tokens.model.depth: should be a valid integer, is 2.5"),
        ("overlap: 0.2", "overlap: 2", "tokens.curation.overlap: should be less than or equal to 1, is 2"),
    ],
)
def test_what_is_wrong_is_said_in_words(word, instead, said):
    assert word in FULL
    text = "\n".join(map(str, problems(FULL.replace(word, instead, 1))))
    assert said in text


def test_every_problem_is_told_at_once_in_the_order_of_the_text():
    text = FULL.replace("p99_ms: 60", "p99_ms: -5").replace("name: plant", "nam: plant").replace("steps: 5", "steps: 0")
    found = problems(text.replace("depth: 2", "depth: two"))
    assert [problem.field for problem in found] == [
        "",
        "nam",
        "decisions.slo.p99_ms",
        "tokens.model.depth",
        "tokens.tuning.steps",
    ]
    assert [problem.spot.line for problem in found] == sorted(problem.spot.line for problem in found)
    assert found[0].what == "name is missing"


def test_a_message_shows_the_line_with_a_caret_below_the_value():
    message = str(problems("name: x\ndecisions:\n  slo: {p99_ms: -5}\n")[0])
    head, source, caret = message.splitlines()
    assert head == "b.yaml:3: decisions.slo.p99_ms: should be greater than 0, is -5"
    assert source[caret.index("^") :][:2] == "-5"
    assert caret.count("^") == 2


def test_the_error_is_one_of_ours_and_mends():
    with pytest.raises(FactoryError) as caught:
        blueprints.parse("name: x\ndecisions:\n  model: {estimater: xgboost}\n", "b.yaml")
    assert caught.value.mend == "write estimator for estimater"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: x\n", "describes no line"),
        ("name: x\ndecisions: {data: {files: a.csv, dataset: flights}}\n", "has dataset and files"),
        ("name: x\ndecisions: {data: {files: a.csv}}\n", "say which columns are what, under table"),
        ("name: x\ndecisions: {data: {dataset: fligths}}\n", "did you mean 'flights'"),
        ("name: x\ndecisions: {recipe: flight}\n", "no recipe 'flight'; did you mean 'flights'"),
        ("name: x\ndecisions: {data: {dataset: azure-llm, copies: 2}, recipe: flights}\n", "only the dataset flights"),
        ("name: x\ndecisions: {recipe: flights, table: {label: y, numbers: [a]}}\n", "has both"),
        ("name: x\ntokens: {corpus: {library: [code], files: a.md}}\n", "has both"),
        ("name: x\ntokens: {slo: {goodput: 3}}\n", "needs ttft_ms or itl_ms"),
        ("[1, 2]\n", "should be an object"),
        ("just words\n", "should be an object"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(text, said):
    assert said in "\n".join(map(str, problems(text)))


def test_no_word_can_name_code():
    """Names are looked up in tables: what looks like a module or a path is just an unknown name."""
    for word in ("os:system", "os.system", "my/recipe.py", "__import__('os')"):
        found = problems(f"name: x\ndecisions: {{recipe: {word!r}}}\n".replace("'os'", "os"))
        assert "no recipe" in found[0].what


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        blueprints.read(tmp_path / "none.yaml")
    with pytest.raises(DataError, match="Is a directory"):
        blueprints.read(tmp_path)


def test_blueprints_made_in_python_are_checked_alike():
    with pytest.raises(ValueError, match="describes no line"):
        Blueprint(name="x")


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.integers(0, len(FULL) - 1), st.sampled_from(["", "\t", "'", "[", "- ", "\x00", ": ", "é", "!", "99999", "\n"])
)
def test_whatever_is_typed_into_it_is_read_or_refused_with_a_line(place, typed):
    try:
        blueprints.parse(FULL[:place] + typed + FULL[place + 1 :], "b.yaml")
    except BlueprintError as error:
        said = str(error)
    else:
        return
    assert re.match(r"b\.yaml:\d+: ", said)
