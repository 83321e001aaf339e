"""Curation as a whole: every document is accounted for, whatever the order, and nothing half-written is believed."""

import json
import signal
import subprocess
import sys

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from aifactory_lab.errors import DataError, DeviceError, WorkspaceError
from aifactory_lab.etl import curation
from aifactory_lab.etl.curation import documents, filters
from aifactory_lab.lm import corpus

SENTENCES = (
    "The first rule of the house is that nothing is lost on the way from the door to the table.",
    "Of all the paths that lead to the river, the one with the old stones is the best to take.",
    "We have to be sure that the letters and the numbers are the same in both of the books.",
    "When the rain came to the valley, the people of the town had to be patient with the road.",
    "It is said that a good name is better than riches, and that both have to be earned.",
)
LOOSE = curation.Settings(rules=())


def frame(*texts: str, kind: str = "prose") -> pl.DataFrame:
    return documents.frame((f"{n:03}.md", kind, f"{n:03}.md", text) for n, text in enumerate(texts))


def held_out(found: pl.DataFrame, *ids: str) -> pl.DataFrame:
    side = pl.when(pl.col("id").is_in(ids)).then(pl.lit("valid")).otherwise(pl.lit("train"))
    return found.with_columns(side.alias("split"))


def texts() -> st.SearchStrategy[str]:
    """Texts of a few known sentences, so that copies and near copies are common."""
    ends = st.sampled_from(["", "\n", " \n", "\r\n", "!"])
    return st.tuples(st.lists(st.sampled_from(SENTENCES), max_size=6).map(" ".join), ends).map("".join)


@pytest.fixture(scope="module")
def library(tmp_path_factory) -> tuple[pl.DataFrame, curation.Curated]:
    """The whole standard library, curated."""
    found = corpus.standard_library(("code", "docstring", "prose"))
    return found, curation.run(found, tmp_path_factory.mktemp("library"), engine="cpu")


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts(), min_size=1, max_size=12), st.randoms())
def test_every_document_is_kept_or_dropped_with_a_reason_whatever_the_order(tmp_path, found, random):
    whole = frame("A text that stays in any case, whatever comes after it.", *found)
    curated = curation.run(whole, tmp_path / "a", engine="cpu", settings=LOOSE)
    assert sorted([*curated.documents["id"], *curated.dropped["id"]]) == whole["id"].to_list()
    assert curated.dropped["reason"].null_count() == curated.dropped["detail"].null_count() == 0
    rows = list(range(whole.height))
    random.shuffle(rows)
    again = curation.run(whole[rows], tmp_path / "b", engine="cpu", settings=LOOSE)
    assert_frame_equal(curated.documents, again.documents)
    assert_frame_equal(curated.dropped, again.dropped)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts(), min_size=1, max_size=12))
def test_curating_what_was_kept_drops_nothing_more(tmp_path, found):
    whole = frame("A text that stays in any case, whatever comes after it.", *found)
    once = curation.run(whole, tmp_path / "a", engine="cpu", settings=LOOSE, against=None)
    twice = curation.run(once.documents, tmp_path / "b", engine="cpu", settings=LOOSE, against=None)
    assert_frame_equal(once.documents, twice.documents)
    assert once.documents["text"].is_unique().all()


def test_the_standard_library_is_idempotent_too(library, tmp_path):
    _, curated = library
    again = curation.run(curated.documents, tmp_path, engine="cpu", against=None)
    assert again.dropped.height == 0
    assert_frame_equal(again.documents, curated.documents)


def test_copies_are_found_whatever_their_line_ends_blanks_and_accents(tmp_path):
    text = "Caf\u00e9 au lait,\nsaid the waiter.\n" + SENTENCES[0]
    others = (
        text.replace("\n", "\r\n"),
        text.replace("\n", "  \n"),
        text.replace("\u00e9", "e\u0301"),
        f"\ufeff{text}\n",
    )
    curated = curation.run(frame(text, *others), tmp_path, engine="cpu", settings=LOOSE)
    assert curated.documents["id"].to_list() == ["000.md"]
    assert set(curated.dropped["reason"]) == {"exact duplicate"}
    assert set(curated.dropped["partner"]) == {"000.md"}


def test_texts_that_differ_in_an_address_alone_are_copies(tmp_path):
    both = frame(f"{SENTENCES[0]} Write to one@example.org.", f"{SENTENCES[0]} Write to another@example.net.")
    curated = curation.run(both, tmp_path, engine="cpu", settings=LOOSE)
    assert curated.documents["text"].to_list() == [f"{SENTENCES[0]} Write to <EMAIL>."]
    assert curated.report.details["redacted"] == {"email": 2, "key": 0}


def test_of_two_copies_the_held_out_one_stays(tmp_path):
    near = SENTENCES[1] * 3
    whole = held_out(frame(SENTENCES[0], SENTENCES[0], near, near + " And more."), "001.md", "003.md")
    curated = curation.run(whole, tmp_path, engine="cpu", settings=LOOSE)
    dropped = dict(curated.dropped.select("id", "reason").rows())
    assert dropped == {"000.md": "exact duplicate", "002.md": "near duplicate"}
    assert curated.documents["text"].to_list() == whole.filter(split="valid")["text"].to_list()


def test_a_training_document_with_held_out_passages_goes_and_names_one(tmp_path):
    whole = held_out(frame(SENTENCES[0], f"{SENTENCES[1]} {SENTENCES[0]} {SENTENCES[2]}", SENTENCES[3]), "000.md")
    curated = curation.run(whole, tmp_path, engine="cpu", settings=LOOSE)
    ((name, reason, partner, detail),) = curated.dropped.select("id", "reason", "partner", "detail").rows()
    assert (name, reason, partner) == ("001.md", "contaminated", "000.md")
    assert "passages of 13 words are held out" in detail
    tolerant = curation.Settings(rules=(), overlap=0.9)
    assert curation.run(whole, tmp_path, engine="cpu", settings=tolerant).dropped.height == 0
    assert curation.run(whole, tmp_path, engine="cpu", settings=LOOSE, against=None).dropped.height == 0


def test_another_frame_can_be_what_must_not_be_trained_on(tmp_path):
    benchmark = frame(SENTENCES[4].replace(" ", "\r\n"))
    whole = held_out(frame(SENTENCES[4] + " Indeed.", SENTENCES[3], SENTENCES[2]), "002.md")
    curated = curation.run(whole, tmp_path, engine="cpu", settings=LOOSE, against=benchmark)
    assert curated.dropped.select("id", "reason", "partner").rows() == [("000.md", "contaminated", None)]
    assert curated.documents["id"].to_list() == ["001.md", "002.md"]


def test_the_library_is_what_the_funnel_says(library):
    found, curated = library
    funnel = curated.funnel
    assert funnel["documents_in"][0] == found.height
    assert funnel["documents_out"][-1] == curated.documents.height == curated.report.made
    assert (funnel["documents_in"] - funnel["documents_out"]).equals(funnel["dropped"])
    assert funnel["documents_in"][1:].to_list() == funnel["documents_out"][:-1].to_list()
    assert curated.reasons["documents"].sum() == funnel["dropped"].sum() == curated.dropped.height
    assert funnel["bytes_out"][-1] == curated.documents["text"].str.len_bytes().sum() == curated.report.bytes_out
    assert curated.report.bytes_in == found["text"].str.len_bytes().sum()
    assert curated.tags["id"].equals(curated.documents["id"])
    assert "near duplicates" in str(curated)


def test_the_library_keeps_most_text_and_no_address(library):
    found, curated = library
    assert curated.report.bytes_out > 0.85 * curated.report.bytes_in
    kept = curated.documents["text"]
    assert kept.str.count_matches(r"[\w.-]+@[\w-]+\.[a-z]{2,}\b").sum() == 0
    assert kept.str.count_matches("<EMAIL>").sum() > 50
    assert kept.is_unique().all()
    assert set(found["kind"]) == set(curated.documents["kind"])


def test_the_manifest_can_be_traced_and_reloaded(library, tmp_path):
    found, curated = library
    manifest = json.loads((curated.folder / "manifest.json").read_text())
    assert manifest["sha256"] == documents.digest(curated.documents)
    assert manifest["sha256_in"] == documents.digest(found)
    assert manifest["settings"]["minhash"] == {"width": 24, "bands": 20, "rows": 13, "seed": 42}
    assert manifest["settings"]["rules"][0]["source"]
    assert sum(manifest["splits"].values()) == curated.documents.height
    again = curation.Curated.load(curated.folder)
    assert again.report == curated.report
    assert_frame_equal(again.dropped, curated.dropped)
    made = curation.run(frame(*SENTENCES), tmp_path, engine="cpu", settings=LOOSE, facts={"licence": "PSF-2.0"})
    assert made.manifest["source"] == {"licence": "PSF-2.0"}


def test_a_run_that_is_killed_leaves_no_folder_that_looks_finished(tmp_path):
    whole = frame(*SENTENCES)
    whole.write_parquet(tmp_path / "documents.parquet")
    out = tmp_path / "out"
    curation.run(whole, out, engine="cpu", settings=LOOSE)
    code = f"""
import os, signal
import polars as pl
from aifactory_lab.etl import curation
from aifactory_lab.etl.curation import result
save = result.save
def dying(folder, name, frame):
    if name == result.FUNNEL:
        with result.write_aside(folder / name) as aside:
            aside.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    return save(folder, name, frame)
result.save = dying
frame = pl.read_parquet({str(tmp_path / "documents.parquet")!r})
curation.run(frame, {str(out)!r}, engine="cpu", settings=curation.Settings(rules=()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert list(out.glob(".funnel*"))
    with pytest.raises(DataError, match=r"no manifest\.json") as caught:
        curation.Curated.load(out)
    assert "etl.curation.run" in caught.value.mend
    curation.run(whole, out, engine="cpu", settings=LOOSE)
    assert curation.Curated.load(out).documents.height == len(SENTENCES)
    assert not list(out.glob(".*"))


@pytest.mark.parametrize(
    ("change", "asked", "error", "says"),
    [
        (lambda f: f.drop("kind"), {}, DataError, "kind is None"),
        (lambda f: f.with_columns(text=pl.lit(1)), {}, DataError, "text is Int32"),
        (lambda f: pl.concat([f, f]), {}, DataError, "1 ids are not unique, for example '000.md'"),
        (lambda f: f.with_columns(text=pl.lit(None, pl.String)), {}, DataError, "nulls in text"),
        (lambda f: f.clear(), {}, DataError, "no document of 0 is left"),
        (lambda f: f.with_columns(text=pl.lit("x y")), {}, DataError, "most went by 'quality'"),
        (lambda f: f, {"against": "test"}, DataError, "neither 'valid' nor"),
        (lambda f: f, {"settings": curation.Settings(redact=("names",))}, DataError, "email, key, ipv4"),
        (lambda f: f, {"engine": "quantum"}, DeviceError, "quantum"),
        (lambda f: f, {"out": "/proc/nowhere"}, WorkspaceError, "/proc/nowhere cannot be written"),
    ],
)
def test_what_was_asked_for_wrongly_is_told(tmp_path, change, asked, error, says):
    with pytest.raises(error, match=says) as caught:
        curation.run(change(frame(SENTENCES[0])), **{"out": tmp_path, **asked})
    assert caught.value.mend
    assert not (tmp_path / "manifest.json").exists()


def test_a_minhash_of_no_bands_is_told():
    with pytest.raises(DataError, match="0 bands"):
        curation.minhash.MinHash(bands=0)


def test_a_lazy_frame_with_more_columns_will_do(tmp_path):
    whole = frame(*SENTENCES).with_columns(extra=pl.lit(1)).lazy()
    curated = curation.run(whole, tmp_path, engine="cpu", settings=LOOSE)
    assert_frame_equal(curated.documents, frame(*SENTENCES))


def test_rules_can_be_chosen(tmp_path):
    shouting = curation.Rule("words", ("prose",), 0, 18, "ours")
    curated = curation.run(frame(*SENTENCES), tmp_path, engine="cpu", settings=curation.Settings(rules=(shouting,)))
    long = [f"{n:03}.md" for n, text in enumerate(SENTENCES) if len(text.split()) > 18]
    assert curated.dropped["id"].to_list() == long
    assert curated.dropped["detail"][0] == f"words {len(SENTENCES[int(long[0][:3])].split())}, not 0 to 18 (ours)"
    assert filters.table((shouting,)).rows() == [("words", "prose", "0 to 18", "ours")]
