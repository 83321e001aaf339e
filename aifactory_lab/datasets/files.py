r"""Your own files as raw material: a file, a folder, a glob, several of them, or tables by name.

Every file is looked at before anything runs: its format, its columns and types, whether it is whole. This
module does not know what the tables mean.

>>> import tempfile
>>> from pathlib import Path
>>> folder = Path(tempfile.mkdtemp())
>>> for month in (1, 2):
...     _ = (folder / f"trips-{month}.csv").write_text(f"month,km\n{month},3.5\n")
>>> material(f"{folder}/trips-*.csv")["trips"].collect().rows()
[(1, 3.5), (2, 3.5)]
"""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from aifactory_lab.datasets import formats
from aifactory_lab.datasets.material import RawMaterial
from aifactory_lab.errors import DataError

Source = str | Path | Sequence[str | Path]
NAMELESS = "table"


def material(source: Source | Mapping[str, Source], name: str = "") -> RawMaterial:
    """Open files as tables, after a look at each.

    Parameters
    ----------
    source
        A file, a folder (every readable file below it), a glob (``**`` goes down), or a list of these: one
        table, named by the first source without its wildcards. A mapping gives several tables by name.
    name
        What to call the material; by default the names of its tables.

    Raises
    ------
    DataError
        If nothing matches; if a file is empty, damaged or of a format that cannot be read; if the files of
        one table differ in format, columns or types (the message names file, column, expected and found).
    """
    named = source if isinstance(source, Mapping) else {table_name(source): source}
    if not named:
        msg = "no tables were named"
        raise DataError(msg, mend="datasets.load({'flights': 'my/flights*.csv'})")
    paths = {table: tuple(expand(one)) for table, one in named.items()}
    for files in paths.values():
        check(files)
    return RawMaterial(name or "-".join(paths), paths)


def expand(source: Source) -> list[Path]:
    """Return the files that a source means, in sorted order, each once.

    Raises
    ------
    DataError
        If a part of the source matches no file; the message says where it was looked for.
    """
    sources = [source] if isinstance(source, str | Path) else list(source)
    found = {path.resolve(): path for one in sources for path in _expand_one(one)}
    if not found:
        msg = "no files were given"
        raise DataError(msg, mend="datasets.load('my/*.parquet')")
    return sorted(found.values())


def check(files: Sequence[Path]) -> None:
    """Look at every file of a table: format, wholeness, columns, types, and that there is at least one row."""
    formats.format_of(files)
    formats.unify(files)
    try:
        empty = formats.scan(files).head(1).collect().is_empty()
    except pl.exceptions.PolarsError as error:
        msg = f"{files[0]} cannot be read: {str(error).splitlines()[0]}"
        raise DataError(msg) from error
    if empty:
        msg = f"{files[0]} has columns but no rows" + (
            f", nor have the {len(files) - 1} other files" * (len(files) > 1)
        )
        raise DataError(msg)


def table_name(source: Source) -> str:
    """Return a table's name: the first source's stem without wildcards, or ``"table"``.

    Examples
    --------
    >>> [table_name(source) for source in ("my/flights-*.csv", "w.parquet", "my/*.parquet", "my/**/*.csv")]
    ['flights', 'w', 'table', 'table']
    """
    if not isinstance(source, str | Path):
        return table_name(source[0]) if source else NAMELESS
    if isinstance(source, str) and Path(source).is_dir():
        return Path(source).resolve().name
    path = Path(source)
    stem = path.name.removesuffix(path.suffix)
    plain = "".join(" " if character in "*?[]" else character for character in stem).split()
    return plain[0].strip("-_. ") or NAMELESS if plain else NAMELESS


def _expand_one(source: str | Path) -> list[Path]:
    if "://" in str(source):
        msg = f"{source} is an address; files must be on this machine"
        raise DataError(msg, mend=f"pooch.retrieve('{source}', known_hash=None)  # gives the path to load")
    text = str(Path(source).expanduser()) if str(source) else ""
    path = Path(text)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [q for q in path.rglob("*") if q.suffix.lower() in formats.SUFFIXES and _visible(q, path)]
    else:
        found = [Path(match) for match in glob.glob(text, recursive=True) if Path(match).is_file()]  # noqa: PTH207
    if not found:
        raise _nothing(source, path)
    return found


def _visible(path: Path, folder: Path) -> bool:
    """Pass over what tools leave behind: `.partial` files, `_SUCCESS`, `_metadata`."""
    return path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)


def _nothing(source: str | Path, path: Path) -> DataError:
    where = path if path.is_dir() else next(p for p in path.absolute().parents if p.is_dir())
    held = sorted(p.name for p in where.iterdir() if not p.name.startswith("."))
    shown = ", ".join(held[:8]) + (" …" if len(held) > 8 else "") if held else "nothing"
    readable = ", ".join(formats.SUFFIXES)
    return DataError(f"nothing readable ({readable}) matches {str(source)!r}; {where} holds {shown}")
