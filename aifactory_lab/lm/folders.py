"""The user's own files as documents: plain text, Markdown, Python and JSON lines.

A long text is cut at blank lines, for a corpus of one book must have something to hold out too. This module does not
know what is in the text.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> _ = (folder / "note.md").write_text("# Note"), (folder / "more.txt").write_text("More.")
>>> files(folder).select("id", "kind", "text").rows()
[('more.txt', 'text', 'More.'), ('note.md', 'prose', '# Note')]
"""

import glob
import hashlib
import json
import tokenize
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation import documents

Source = str | Path | Sequence[str | Path]
Parts = Iterator[tuple[str, str]]
CUT = 20_000  # characters, about six thousand tokens
MEND = 'lm.corpus.files("my/*.txt"), lm.corpus.files(folder), or lm.corpus.files([file, file])'


def files(source: Source, *, cut: int = CUT) -> pl.DataFrame:
    """Return the documents of text files (.txt, .md, .rst, .py, .jsonl).

    Parameters
    ----------
    source
        A folder (with all below it), a file, a pattern such as ``"my/**/*.txt"``, or a list of those.
    cut
        Characters: longer prose is cut at blank lines into documents of about so many, ``"book.txt#0003"``.

    Returns
    -------
    DataFrame
        id, path, kind, split, text, sorted by id. At least one document is held out if there are two or more: where
        no path's hash says so, that of the smallest hash.

    Raises
    ------
    DataError
        If nothing is found, a file is not UTF-8, a line is no JSON object with a ``text``, or a name occurs twice.
    """
    chosen = _chosen(source)
    rows = [
        (f"{name}{part}", KINDS[path.suffix], f"{name}{part}", text)
        for name, path in chosen.items()
        for part, text in READERS[path.suffix](path, cut)
    ]
    if not rows:
        msg = f"nothing but empty files in {source}"
        raise DataError(msg, mend=MEND)
    return _hold_out(documents.check(documents.frame(rows)))


def _hold_out(found: pl.DataFrame) -> pl.DataFrame:
    """Hold one document out where no hash did and there are others to train on."""
    if found.height < 2 or documents.VALID in found["split"]:
        return found
    least = min(found["path"], key=lambda path: hashlib.sha256(path.encode()).digest())
    held = pl.when(pl.col("path") == least).then(pl.lit(documents.VALID)).otherwise(pl.col("split"))
    return found.with_columns(held.alias("split"))


def _chosen(source: Source) -> dict[str, Path]:
    """Return the readable files by the name that documents will bear."""
    sources = [source] if isinstance(source, str | Path) else list(source)
    found: dict[str, Path] = {}
    for each in sources:
        inside = dict(_expand(str(each)))
        if not inside:
            kinds = ", ".join(READERS)
            msg = f"no text found in {str(each)!r} (looked for {kinds})"
            raise DataError(msg, mend=MEND)
        twice = next((name for name in inside if name in found and found[name] != inside[name]), None)
        if twice:
            msg = f"two files would be the document {twice!r}: {found[twice]} and {inside[twice]}"
            raise DataError(msg, mend="name the folder above both: lm.corpus.files(folder)")
        found |= inside
    return found


def _expand(source: str) -> Iterator[tuple[str, Path]]:
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix not in READERS:
            msg = f"{path} is no text that can be read ({', '.join(READERS)})"
            raise DataError(msg, mend=MEND)
        yield path.name, path
        return
    root, pattern = (path, "**/*") if path.is_dir() else _parted(path)
    for each in sorted(root.glob(pattern)):
        if each.suffix in READERS and each.is_file():
            yield each.relative_to(root).as_posix(), each


def _parted(pattern: Path) -> tuple[Path, str]:
    """Return a pattern as the folder before its first wildcard, and the rest."""
    parts = pattern.parts
    first = next((place for place, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    return Path(*parts[:first]), str(Path(*parts[first:]))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8: {error.reason} at byte {error.start}"
        raise DataError(msg, mend=f"iconv -f LATIN1 -t UTF-8 {path}") from error


def _prose(path: Path, cut: int) -> Parts:
    """Yield one document, or pieces of it that end at blank lines."""
    text = _text(path)
    pieces: list[list[str]] = [[]]
    size = 0
    for paragraph in text.split("\n\n") if len(text) > cut else [text]:
        if pieces[-1] and size + len(paragraph) > cut:
            pieces.append([])
            size = 0
        pieces[-1].append(paragraph)
        size += len(paragraph) + 2
    for number, piece in enumerate(pieces):
        yield f"#{number:04}" if len(pieces) > 1 else "", "\n\n".join(piece)


def _code(path: Path, cut: int) -> Parts:  # noqa: ARG001 (code stays whole)
    """Yield the source, decoded as it declares."""
    try:
        with tokenize.open(path) as stream:
            yield "", stream.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        msg = f"{path} does not decode: {error}"
        raise DataError(msg, mend="save it as UTF-8, or leave it out") from error


def _json_lines(path: Path, cut: int) -> Parts:  # noqa: ARG001 (its documents are cut already)
    """Yield the ``text`` of each line."""
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        try:
            text = str(json.loads(line)["text"]).encode().decode()  # half a surrogate pair is no text
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            msg = f"{path}, line {number}, is no JSON object with a text: {line[:60]!r}"
            raise DataError(msg, mend='one {"text": "…"} a line') from error
        yield f"#{number:06}", text


READERS: dict[str, Callable[[Path, int], Parts]] = {
    ".txt": _prose,
    ".md": _prose,
    ".rst": _prose,
    ".py": _code,
    ".jsonl": _json_lines,
}
KINDS = {".txt": "text", ".md": "prose", ".rst": "prose", ".py": "code", ".jsonl": "text"}
