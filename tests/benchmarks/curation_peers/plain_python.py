"""The same curation as a careful user writes it in plain Python, with datasketch for near duplicates.

Rules are handed over as data (measure, kinds, low, high), so that both judge by the same; every stage is written
anew. Runs in the peers' environment: nothing of this project is imported.
"""

import re
import unicodedata
from collections import defaultdict
from typing import Any

import polars as pl

try:
    from datasketch import MinHash, MinHashLSH
except ModuleNotFoundError:  # where only the other stages are asked for
    MinHash = MinHashLSH = None

WIDTH, HASHES, BANDS, ROWS = 24, 260, 20, 13
EMAIL = re.compile(r"[A-Za-z0-9._%+=-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z]+")
STOP = re.compile(r"\b(?:the|be|to|of|and|that|have|with)\b")


def whole(path: str, rules: list[tuple[str, list[str], float, float]]) -> dict[str, Any]:
    """Normalise, redact, exact duplicates, quality, near duplicates, contamination."""
    rows = pl.read_parquet(path).sort(pl.col("split") != "valid", "id").rows(named=True)
    count = len(rows)
    redacted = 0
    for row in rows:
        row["text"], hits = EMAIL.subn("<EMAIL>", normalised(row["text"]))
        redacted += hits
    rows = [row for row in rows if row["text"]]
    unique = list({row["text"]: row for row in reversed(rows)}.values())[::-1]
    good = [row for row in unique if not fails(row, rules)]
    long = [row for row in good if len(row["text"]) >= WIDTH]
    gone = datasketch_near([row["text"] for row in long])
    ids = {long[place]["id"] for place in gone}
    left = [row for row in good if row["id"] not in ids]
    return {
        "documents": count,
        "exact": len(rows) - len(unique),
        "quality": len(unique) - len(good),
        "redacted": redacted,
        "near": len(gone),
        "contaminated": contaminated(left),
    }


def normalised(text: str) -> str:
    """One way to write a text."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "").replace("\u00ad", "")
    text = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", "", unicodedata.normalize("NFC", text))
    return re.sub(r"\n{4,}", "\n\n\n", re.sub(r"[ \t]+\n", "\n", text)).lstrip("\n").rstrip(" \t\n")


def fails(row: dict[str, str], rules: list[tuple[str, list[str], float, float]]) -> bool:
    """Tell whether a rule fails."""
    mine = [(name, low, high) for name, kinds, low, high in rules if row["kind"] in kinds]
    return any(not low <= measure(name, row["text"]) <= high for name, low, high in mine)


def measure(name: str, text: str) -> float:
    """One measure of one text."""
    words, lines, size = text.split(), text.split("\n"), len(text)
    spaces = sum(map(str.isspace, text))
    counts = {
        "words": lambda: len(words),
        "lines": lambda: len(lines),
        "mean word length": lambda: (size - spaces) / max(len(words), 1),
        "mean line length": lambda: size / len(lines),
        "characters that are letters": lambda: len(re.findall(r"[^\W\d_]", text)) / size,
        "characters neither letter nor digit": lambda: 1 - len(re.findall(r"[^\W_]", text)) / size,
        "characters that are digits": lambda: len(re.findall("[0-9]", text)) / size,
        "characters that are white space": lambda: spaces / size,
        "hashes and ellipses per word": lambda: (
            (text.count("#") + len(re.findall(r"\.\.\.|…", text))) / max(len(words), 1)
        ),
        "words with a letter": lambda: (
            sum(re.search(r"[^\W\d_]", word) is not None for word in words) / max(len(words), 1)
        ),
        "stop words": lambda: len(STOP.findall(text.lower())),
        "lines with a bullet": lambda: (
            sum(line.lstrip(" \t").startswith(("-", "*", "•")) for line in lines) / len(lines)
        ),
        "lines that end in an ellipsis": lambda: sum(line.endswith(("...", "…")) for line in lines) / len(lines),
        "lines that are a comment": lambda: sum(line.lstrip(" \t").startswith("#") for line in lines) / len(lines),
        "lorem ipsum": lambda: len(re.findall("(?:lorem|Lorem) ipsum", text)),
        "XML header": lambda: "<?xml version=" in text[:100],
        "words of 1,000 characters": lambda: any(len(word) >= 1000 for word in words),
    }
    return float(counts[name]())


def datasketch_near(texts: list[str]) -> list[int]:
    """Return the places of texts that hang together with an earlier one."""
    index = MinHashLSH(num_perm=HASHES, params=(BANDS, ROWS))
    parent = list(range(len(texts)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for place, text in enumerate(texts):
        signed = MinHash(num_perm=HASHES, seed=42)
        signed.update_batch({text[i : i + WIDTH].encode() for i in range(len(text) - WIDTH + 1)})
        for other in index.query(signed):
            one, two = sorted((root(place), root(other)))
            parent[two] = one
        index.insert(place, signed)
    return [place for place in range(len(texts)) if root(place) != place]


def near(path: str) -> dict[str, Any]:
    """Only the search for near duplicates."""
    texts = pl.read_parquet(path)["text"].to_list()
    return {"documents": len(texts), "near": len(datasketch_near(texts))}


def contaminated(rows: list[dict[str, str]]) -> int:
    """Count the training documents of which more than a tenth is held out."""
    passages = [runs(row["text"]) for row in rows]
    held = {run for row, found in zip(rows, passages, strict=True) if row["split"] == "valid" for run in found}
    spread: dict[tuple[str, ...], int] = defaultdict(int)
    train = [found for row, found in zip(rows, passages, strict=True) if row["split"] != "valid"]
    for found in train:
        for run in held.intersection(found):
            spread[run] += 1
    return sum(sum(run in held and spread[run] <= 10 for run in found) > 0.1 * len(found) for found in train if found)


def runs(text: str) -> list[tuple[str, ...]]:
    """Thirteen words in a row."""
    words = re.findall(r"[^\W_]+", text.lower())
    return list(zip(*(words[start:] for start in range(13)), strict=False))
