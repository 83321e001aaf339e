"""Near duplicates: signatures estimate the true similarity, and what is found follows the S-curve."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation import minhash, near_duplicates, trial
from aifactory_lab.etl.curation.minhash import MinHash
from aifactory_lab.etl.curation.processors import Host

HOST = Host()
LETTERS = st.sampled_from("abc é\U0001f600") | st.characters(codec="utf-8")


@pytest.fixture(scope="module")
def originals() -> list[str]:
    """A hundred texts of two thousand letters that have no window in common."""
    random = np.random.default_rng(5)
    return ["".join(random.choice(list("abcdefgh ijklmno pqrst"), 2_000)) for _ in range(100)]


@pytest.fixture(scope="module")
def pairs(originals) -> pl.DataFrame:
    return trial.trial(originals, copies=4)


@settings(deadline=None)
@given(st.lists(st.text(LETTERS, min_size=3, max_size=30), min_size=1, max_size=6), st.integers(2, 3))
def test_window_hashes_are_equal_where_windows_are(texts, width):
    lengths = np.array([len(text) for text in texts])
    hashes, counts = minhash._windows(texts, lengths, width)
    windows = [text[i : i + width] for text in texts for i in range(len(text) - width + 1)]
    assert counts.sum() == len(windows) == len(hashes)
    assert len(set(zip(windows, hashes.tolist(), strict=True))) == len(set(windows)) == len(np.unique(hashes))


@pytest.mark.parametrize("width", [2, 3, 5, 7, 8, 13, 24, 31, 32])
def test_the_rolling_hash_is_the_polynomial(width):
    values = np.random.default_rng(0).integers(0, 1 << 21, 80, np.uint64)
    plain = [
        sum(
            int(value) * pow(minhash.MULTIPLIER, width - 1 - k, 1 << 64)
            for k, value in enumerate(values[i : i + width])
        )
        % (1 << 64)
        for i in range(80 - width + 1)
    ]
    assert minhash._rolling(values, width).tolist() == plain


@settings(deadline=None)
@given(st.lists(st.text(LETTERS, min_size=24, max_size=60), min_size=1, max_size=6), st.integers(24, 200))
def test_a_signature_does_not_depend_on_its_neighbours(texts, chunk):
    alone = np.concatenate([minhash.signatures([text]) for text in texts])
    before, minhash.CHUNK = minhash.CHUNK, chunk
    try:
        np.testing.assert_array_equal(minhash.signatures(texts), alone)
    finally:
        minhash.CHUNK = before


def test_signatures_estimate_the_true_similarity(pairs):
    """The mean of 260 agreements has a standard deviation of at most √(s(1−s)/260) ≤ 0.031."""
    off = pairs["estimate"] - pairs["jaccard"]
    spread = (pairs["jaccard"] * (1 - pairs["jaccard"]) / 260).sqrt().clip(0.002)
    assert abs(off.mean()) < 0.004
    assert (off.abs() < 4.5 * spread).all()


def test_what_is_found_follows_the_s_curve(pairs):
    curve = trial.curve(pairs).filter(pl.col("pairs") >= 30)
    assert curve.height >= 8
    for jaccard, count, found, probability in curve.rows():
        sigma = (max(probability * (1 - probability), 0.01) / count) ** 0.5
        assert abs(found - probability) < 4 * sigma, jaccard
    assert curve["found"].min() < 0.01
    assert curve["found"].max() > 0.99


def test_recall_and_precision_on_planted_copies(pairs):
    assert trial.scores(pairs, threshold=0.9)["recall"] > 0.99
    assert trial.scores(pairs, threshold=0.8)["recall"] > 0.9
    assert trial.scores(pairs, threshold=0.6)["precision"] > 0.99
    none = pairs.filter(pl.col("share") > 1)
    assert trial.scores(none) == {"recall": 1.0, "precision": 1.0}


def test_planted_copies_are_dropped_and_strangers_stay(originals):
    random = np.random.default_rng(1)
    copies = [trial.edit(text, 0.001, random) for text in originals]
    frame = pl.DataFrame({"row": range(200), "text": [*originals, *copies]}, schema_overrides={"row": pl.UInt32})
    found = near_duplicates.near_duplicates(frame, HOST)
    exact = [minhash.jaccard(*both) for both in zip(originals, copies, strict=True)]
    assert (found["row"] - 100).to_list() == found["first"].to_list()
    assert found.height >= sum(value > 0.9 for value in exact)
    assert found["jaccard"].to_numpy() == pytest.approx(np.array(exact)[found["first"]], abs=0.12)


@settings(deadline=None)
@given(st.permutations(range(12)))
def test_the_first_row_stays_whatever_the_order(order):
    base = "The quick brown fox jumps over the lazy dog and the dog does not mind that at all, says the fox. "
    texts = [base * 3, base * 3 + "!", base * 3 + "?", *(f"{n} {n * n} {n**3} " * 9 for n in range(1001, 1010))]
    frame = pl.DataFrame({"row": range(12), "text": texts}, schema_overrides={"row": pl.UInt32})[list(order)]
    found = near_duplicates.near_duplicates(frame, HOST)
    assert set(found.select("row", "first").rows()) == {(1, 0), (2, 0)}


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=1, max_size=14))
def test_components_are_those_of_a_union_find(keys):
    made = np.array(keys, np.uint64)
    pairs = near_duplicates.joined(near_duplicates.banded(made).lazy()).collect()
    labels = near_duplicates._components(pairs, len(keys))
    parent = list(range(len(keys)))

    def root(member):
        while parent[member] != member:
            member = parent[member]
        return member

    for one in range(len(keys)):
        for other in range(one):
            if (made[one] == made[other]).any():
                parent[root(one)] = root(other)
    for one in range(len(keys)):
        for other in range(one):
            assert (labels[one] == labels[other]) == (root(one) == root(other))


def test_the_keys_of_two_bands_are_equal_only_where_the_bands_are():
    random = np.random.default_rng(0)
    made = random.integers(0, 2, (400, 12), np.uint32)
    keys = minhash.bands(made, MinHash(bands=3, rows=4))
    for band in range(3):
        whole = made[:, 4 * band : 4 * band + 4]
        assert len(set(zip(map(tuple, whole.tolist()), keys[:, band].tolist(), strict=True))) == 16
        assert len(np.unique(keys[:, band])) == 16


def test_the_s_curve_is_where_nemo_curator_puts_it():
    assert MinHash().hashes == 260
    assert MinHash().threshold == pytest.approx(0.794, abs=0.001)
    assert minhash.candidate_probability(0.0) == 0.0
    assert minhash.candidate_probability(1.0) == 1.0
    simulated = np.random.default_rng(0).random((20_000, 20, 13)) < 0.8
    assert minhash.candidate_probability(0.8) == pytest.approx(simulated.all(2).any(1).mean(), abs=0.012)


def test_texts_shorter_than_a_window_stay_and_have_no_signature():
    frame = pl.DataFrame({"row": [0, 1, 2], "text": ["short", "short", "x" * 30]}, schema_overrides={"row": pl.UInt32})
    assert near_duplicates.near_duplicates(frame, HOST).height == 0
    assert minhash.jaccard("short", "short") == 0.0
    with pytest.raises(DataError, match="5 characters has no window of 24"):
        minhash.signatures(["short"])
