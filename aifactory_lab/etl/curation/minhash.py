"""MinHash signatures of character n-grams, and how likely two documents of one similarity become candidates.

The similarity of two documents is that of their sets of 24-character windows (Jaccard). A signature of 260 hashes
agrees in a share of its places that estimates it (Broder 1997); cut into 20 bands of 13, two signatures that agree in
a whole band make a candidate pair (Indyk & Motwani 1998). The constants are NeMo Curator's
(NVIDIA-NeMo/Curator, stages/deduplication/fuzzy). Windows are hashed here, all documents at once; the signatures are
`rensa`'s. This module does not know which documents are kept.

>>> import numpy as np
>>> first, second = signatures(["the quick brown fox jumps over the dog", "the quick brown fox jumps over the cat"])
>>> round(float(np.mean(first == second)), 1)  # 12 of 18 windows
0.7
>>> round(candidate_probability(0.9), 3)
0.997
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aifactory_lab.errors import DataError, require

CHUNK = 1 << 20  # characters hashed at once: some 60 MB of intermediate arrays
MULTIPLIER = 0x9E3779B97F4A7C15  # odd, from the golden ratio (Knuth, TAOCP 6.4): the base of the rolling hash
FINALISER = np.uint64(0xD6E8FEB86659FD93)  # spreads the low bits, as MurmurHash3's finaliser does
HALF = np.uint64(32)
Hashes = NDArray[np.uint64]
Signatures = NDArray[np.uint32]


@dataclass(frozen=True)
class MinHash:
    """How signatures are made and cut.

    Attributes
    ----------
    width
        Characters of a window; below 20 unrelated texts share too many (NeMo Curator warns of 5 % false pairs).
    bands, rows
        Bands of a signature, and hashes of a band.
    seed
        Of the hashes.
    """

    width: int = 24
    bands: int = 20
    rows: int = 13
    seed: int = 42

    def __post_init__(self) -> None:
        if self.width < 2 or self.bands < 1 or self.rows < 1:
            msg = f"no MinHash has windows of {self.width}, {self.bands} bands of {self.rows}"
            raise DataError(msg, mend="minhash.MinHash(width=24, bands=20, rows=13)")

    @property
    def hashes(self) -> int:
        """Places of a signature."""
        return self.bands * self.rows

    @property
    def threshold(self) -> float:
        """Where the S-curve is steepest, about: (1 / bands) ** (1 / rows); 0.79 as it stands."""
        return float((1 / self.bands) ** (1 / self.rows))


DEFAULT = MinHash()


def candidate_probability(jaccard: float, settings: MinHash = DEFAULT) -> float:
    """Return how likely two documents of a similarity agree in a band: 1 − (1 − s^rows)^bands.

    The S-curve of Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", §3.4.2.
    """
    return float(1 - (1 - jaccard**settings.rows) ** settings.bands)


def jaccard(first: str, second: str, settings: MinHash = DEFAULT) -> float:
    """Return the exact similarity of two texts: shared windows ÷ all windows (0 where neither has any)."""
    one, other = (
        {text[start : start + settings.width] for start in range(len(text) - settings.width + 1)}
        for text in (first, second)
    )
    return len(one & other) / len(one | other) if one or other else 0.0


def signatures(texts: Sequence[str], settings: MinHash = DEFAULT) -> Signatures:
    """Return the signature of each text, (texts, hashes).

    Raises
    ------
    DataError
        If a text is shorter than a window: it has no signature.
    MissingPackageError
        If rensa is not installed.
    """
    digest = require("rensa", extra="lm").RMinHash.digest_matrix_from_flat_token_hashes
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if len(texts) and lengths.min() < settings.width:
        msg = f"a text of {lengths.min()} characters has no window of {settings.width}"
        raise DataError(msg, mend="leave short documents out, or MinHash(width=…)")
    made = np.empty((len(texts), settings.hashes), np.uint32)
    for start, end in _chunks(lengths):
        hashes, counts = _windows(texts[start:end], lengths[start:end], settings.width)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        made[start:end] = digest(hashes, offsets, settings.hashes, settings.seed).to_rows()
    return made


def _chunks(lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of texts that are a chunk together, or one long text."""
    begins = np.concatenate([[0], np.cumsum(lengths)])
    start = 0
    while start < len(lengths):
        end = max(start + 1, int(np.searchsorted(begins, begins[start] + CHUNK, side="right")) - 1)
        yield start, end
        start = end


def _windows(texts: Sequence[str], lengths: NDArray[np.int64], width: int) -> tuple[Hashes, NDArray[np.int64]]:
    """Return the hashes of all windows, one text after the other, and how many each has."""
    whole = np.frombuffer("".join(texts).encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = _mix(_rolling(whole, width))
    inside = np.ones(len(whole), np.bool_)
    inside[(np.cumsum(lengths)[:, None] - np.arange(1, width)).ravel()] = False  # would reach into the next text
    return hashes[inside[: len(hashes)]], lengths - width + 1


def _rolling(values: Hashes, width: int) -> Hashes:
    """Return the polynomial hash (modulo 2^64) of every window, doubling its length at each step."""
    made, have = values[: len(values) - width + 1] * np.uint64(0), 0
    block, size = values, 1
    while have < width:
        if width & size:
            made = made * _power(size) + block[have : have + len(made)]
            have += size
        if have < width:
            block = block[:-size] * _power(size) + block[size:]
            size *= 2
    return made


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(MULTIPLIER, exponent, 1 << 64))


def _mix(hashes: Hashes) -> Hashes:
    hashes ^= hashes >> HALF
    hashes *= FINALISER
    hashes ^= hashes >> HALF
    return hashes


def permutations(settings: MinHash = DEFAULT) -> tuple[Signatures, Signatures]:
    """Return a and b of a·h + b for each hash of a signature, where a GPU permutes one hash so."""
    random = np.random.default_rng(settings.seed)
    a, b = random.integers(1, 1 << 32, (2, settings.hashes), np.uint32)
    return a, b


def bands(made: Signatures, settings: MinHash = DEFAULT) -> Hashes:
    """Return one key for each band of each signature, (texts, bands): equal where the whole band is."""
    keys = np.zeros((len(made), settings.bands), np.uint64)
    for place in range(settings.rows):
        keys = _mix(keys * np.uint64(MULTIPLIER) + made[:, place :: settings.rows] + np.uint64(1))
    return keys
