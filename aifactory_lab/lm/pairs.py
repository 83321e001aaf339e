r"""Question and answer pairs: what a fine-tuned model learns from, with no human label in it.

A function's signature is the question and the first paragraph of its docstring the answer, read from source files by
Python's own parser. Pairs are split as their files are, so no file of the held-out pairs was learned from; a held-out
pair whose question or answer also stands in a learned file is left out, since it would be a test of memory. This module
does not know a model; `turns` gives the messages that a chat template renders.

>>> code = "def area(r):\n    '''Return the area of a circle.'''\n"
>>> documents = pl.DataFrame({"id": ["a"], "path": ["circle.py"], "kind": ["code"], "split": ["train"], "text": [code]})
>>> docstrings(documents)["answer"].to_list()
['Return the area of a circle.']
"""

import ast
import inspect
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from aifactory_lab.errors import DataError

INSTRUCTION = "Say in one line what this Python function does."
SCHEMA = {"id": pl.String, "path": pl.String, "split": pl.String, "prompt": pl.String, "answer": pl.String}
WORDS = (3, 24)  # of an answer: fewer say nothing, more are no summary
LONGEST = 240  # characters of a signature
VALID_PERCENT = 6  # of the groups of a reader's own pairs, as of the corpus' files
_FOREIGN = re.compile(r"->|>>>|::|https?:|^\W")  # a signature repeated, a doctest, mark-up, a link: not a sentence


def docstrings(documents: pl.DataFrame) -> pl.DataFrame:
    """Return signature → summary pairs of every function with a usable docstring.

    Parameters
    ----------
    documents
        A documents frame (`path`, `kind`, `split`, `text`); only kind ``"code"`` is read. Files that do not parse
        have no pairs.

    Returns
    -------
    polars.DataFrame
        `id` (``path:function``), `path`, `split`, `prompt`, `answer`; in the order of the files.

    Raises
    ------
    DataError
        If there is no usable pair in it.
    """
    code = documents.filter(pl.col("kind") == "code").select("path", "split", "text")
    rows = [row for path, split, text in code.iter_rows() for row in _pairs_of(path, split, text)]
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    frame = frame.unique(["split", "prompt", "answer"], keep="first", maintain_order=True)
    if frame.is_empty():
        msg = f"{code.height} documents of kind 'code' hold no function with a usable docstring"
        raise DataError(msg, mend='lm.pairs.docstrings(lm.corpus.standard_library(kinds=("code",)))')
    return _apart(frame.unique("id", keep="first", maintain_order=True))


def read(path: Path | str) -> pl.DataFrame:
    """Read your own pairs: a JSON-lines file with `prompt` and `answer` on each line, and perhaps a `group`.

    About 6 % of the groups are held out (by a hash of the group's name; by default every pair is its own group).

    Raises
    ------
    DataError
        If the file cannot be read, or a line lacks one of the two.
    """
    path = Path(path)
    mend = """one line a pair: {"prompt": "…", "answer": "…"}"""
    try:
        found = pl.read_ndjson(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path} holds no pairs: {str(error).splitlines()[0]}"
        raise DataError(msg, mend=mend) from error
    if missing := [name for name in ("prompt", "answer") if name not in found.columns or found[name].null_count()]:
        msg = f"{path}: every line needs {' and '.join(missing)}; it has {', '.join(found.columns)}"
        raise DataError(msg, mend=mend)
    number = pl.int_range(pl.len()).cast(pl.String)
    group = pl.col("group").cast(pl.String) if "group" in found.columns else number
    rows = found.select(id=number, path=group, prompt="prompt", answer="answer")
    split = pl.col("path").map_elements(_split, return_dtype=pl.String)
    return checked(rows.with_columns(split=split).select(*SCHEMA))


def checked(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs if both splits are there.

    Raises
    ------
    DataError
        If a column or a split is missing.
    """
    if missing := [name for name in SCHEMA if name not in pairs.columns]:
        msg = f"pairs lack {', '.join(missing)}; they have {', '.join(pairs.columns)}"
        raise DataError(msg, mend="lm.pairs.docstrings(documents), or lm.pairs.read('pairs.jsonl')")
    counts = {split: int((pairs["split"] == split).sum()) for split in ("train", "valid")}
    if not all(counts.values()):
        msg = f"both splits are needed, to learn and to be judged by: {counts['train']} train, {counts['valid']} valid"
        raise DataError(msg, mend="give more files or more pairs")
    return pairs


def turns(prompt: str, answer: str | None = None) -> list[dict[str, str]]:
    """Return a pair as the messages of a chat; without an answer, as the question alone.

    Examples
    --------
    >>> turns("Why?", "Because.")[1]
    {'role': 'assistant', 'content': 'Because.'}
    """
    asked = [{"role": "user", "content": prompt}]
    return asked if answer is None else [*asked, {"role": "assistant", "content": answer}]


def question(signature: str) -> str:
    """Return what the model is asked about a signature.

    Examples
    --------
    >>> question("def area(r):").splitlines()
    ['Say in one line what this Python function does.', 'def area(r):']
    """
    return f"{INSTRUCTION}\n{signature}"


def _pairs_of(path: str, split: str, text: str) -> Iterator[tuple[str, ...]]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # ValueError: null bytes
        return
    for name, node in _functions(tree, ""):
        summary, signature = _summary(node), _signature(name, node)
        if summary and len(signature) <= LONGEST:
            yield f"{path}:{name}", path, split, question(signature), summary


def _functions(node: ast.AST, within: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield within + child.name, child
        yield from _functions(child, f"{within}{child.name}." if isinstance(child, ast.ClassDef) else within)


def _signature(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the line that a reader sees first, the class before the name of a method."""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word} {name}({ast.unparse(node.args)}){returns}:"


def _summary(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the first paragraph of the docstring on one line; nothing if it is no sentence of a good length."""
    text = ast.get_docstring(node) or ""
    words = inspect.cleandoc(text).split("\n\n", maxsplit=1)[0].split()
    summary = " ".join(words)
    return "" if not WORDS[0] <= len(words) <= WORDS[1] or _FOREIGN.search(summary) else summary


def _apart(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out held-out pairs whose question or answer was also learned."""
    learned = frame.filter(pl.col("split") == "train")
    known = pl.col("prompt").is_in(learned["prompt"].implode()) | pl.col("answer").is_in(learned["answer"].implode())
    return frame.filter((pl.col("split") == "train") | ~known)


def _split(group: str) -> str:
    return "valid" if zlib.crc32(group.encode()) % 100 < VALID_PERCENT else "train"
