"""The inspection of one table's files against its terms, in the order of cost.

First what the footers say (names, types, row counts, nulls and ranges), then one streaming pass over the few
columns whose values, order or uniqueness no footer can vouch for. Keys are compared as 64-bit hashes, file
group by file group where their ranges lie apart, so memory does not grow with the number of files; equal hashes
are then compared as values.

>>> from aifactory_lab import datasets
>>> from aifactory_lab.etl.terms import Column, Table
>>> list(table_defects(Table("airlines", (Column("name", "text"),)), datasets.load("flights").paths["airlines"]))
[]
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.etl import footers
from aifactory_lab.etl.footers import DamagedError, Footer
from aifactory_lab.etl.terms import Column, Defect, Table

NUMBERS = ("integer", "number")


def table_defects(table: Table, files: Sequence[Path], *, deep: bool = False) -> Iterator[Defect]:
    """Yield every defect of one table; `deep` reads also what the footers make likely to be right."""
    keyed: list[Footer] = []
    for file in files:
        try:
            footer = footers.describe(file)
        except DamagedError as damage:
            yield _damaged(file, str(damage))
            continue
        shape = list(_shape_defects(table, footer))
        yield from shape
        columns = {c.name: c for c in table.columns if c.name in footer.schema and c.fits(footer.schema[c.name])}
        values = list(_value_defects(table, footer, columns, deep=deep)) if footer.rows != 0 else []
        yield from values
        if footer.rows != 0 and set(table.key) <= set(columns) and not any(d.expected == READABLE for d in values):
            keyed.append(footer)
    if table.key:
        for group in apart(keyed, table.key):
            try:
                yield from _duplicates(table.key, group)
            except footers.BROKEN:
                for footer in group:
                    yield from unreadable_columns(footer.path)


def unreadable_columns(file: Path) -> Iterator[Defect]:
    """Read one file column by column and yield those that cannot be read."""
    try:
        footer = footers.describe(file)
    except DamagedError as damage:
        yield _damaged(file, str(damage))
        return
    for column in footer.schema:
        try:
            footers.scan(file).select(pl.col(column).null_count()).collect(engine="streaming")
        except footers.BROKEN as error:
            mend = _without_na(file) if file.suffix.lower() == ".csv" else f"fetch or write {file} again"
            yield Defect(file.name, column, READABLE, footers.first_line(error), mend)


READABLE = "values that can be read"


def _damaged(file: Path, found: str) -> Defect:
    return Defect(file.name, "", f"a readable {file.suffix[1:]} file", found, f"fetch or write {file} again")


def _shape_defects(table: Table, footer: Footer) -> Iterator[Defect]:
    file = footer.path.name
    for column in table.columns:
        if column.name not in footer.schema:
            near = get_close_matches(column.name, list(footer.schema), n=1)
            found = "no such column" + (f"; the nearest is {near[0]!r}" if near else "")
            mend = f"write {footer.path} again with {column.name!r} in it (pl.LazyFrame.rename, .with_columns)"
            yield Defect(file, column.name, f"a column of type {column.kind}", found, mend)
        elif not column.fits(dtype := footer.schema[column.name]):
            mend = f"write {footer.path} again with {column.name!r} cast to {column.kind}"
            mend = _without_na(footer.path) if footer.path.suffix.lower() == ".csv" else mend
            yield Defect(file, column.name, column.kind, f"{dtype}{_example(footer, column)}", mend)
    if footer.rows == 0:
        yield Defect(file, "", "at least one row", "0 rows", f"fetch or write {footer.path} again")


def _without_na(file: Path) -> str:
    aside = str(file.with_suffix(".parquet"))
    return f"pl.read_csv({str(file)!r}, null_values='NA', infer_schema_length=None).write_parquet({aside!r})"


def _example(footer: Footer, column: Column) -> str:
    """Return a text that is no number where one is wanted, for it often tells the reason ("NA", "1,200", …)."""
    if footer.schema[column.name] != pl.String or column.kind not in NUMBERS:
        return ""
    value = pl.col(column.name)
    odd = value.filter(value.is_not_null() & value.cast(pl.Float64, strict=False).is_null()).first()
    try:
        found = footers.scan(footer.path).select(odd).collect(engine="streaming").item()
    except footers.BROKEN:
        return ""
    return "" if found is None else f" (for example {found!r})"


def _value_defects(table: Table, footer: Footer, columns: Mapping[str, Column], *, deep: bool) -> Iterator[Defect]:
    doubtful = [column for column in columns.values() if deep or not _vouched(column, footer)]
    try:
        if doubtful:
            yield from _outside(footer, doubtful)
        if table.time and {table.time, *table.within} <= set(columns):
            yield from _backwards(table, footer)
    except footers.BROKEN:
        yield from unreadable_columns(footer.path)


def _vouched(column: Column, footer: Footer) -> bool:
    """Whether the footer proves nulls and range, and shows that the first and last time are written as agreed.

    A float's statistics leave NaN out, so they prove nothing.
    """
    if footer.schema[column.name] == pl.Null or (column.nullable and not column.limited and not column.format):
        return True
    held = footer.ranges.get(column.name)
    if held is None or (held.nulls and not column.nullable):
        return False
    if column.format:
        ends = pl.Series([held.minimum, held.maximum]).str.to_datetime(column.format, time_unit="us", strict=False)
        return ends.null_count() == 0
    return not column.limited or (footer.schema[column.name].is_integer() and column.holds(held.minimum, held.maximum))


def _outside(footer: Footer, columns: Sequence[Column]) -> Iterator[Defect]:
    aggregates: dict[str, pl.Expr] = {}
    for column in columns:
        value = pl.col(column.name)
        wrong = value.is_not_null() & _wrong(column, footer.schema[column.name])
        aggregates[f"{column.name} nulls"] = value.null_count()
        aggregates[f"{column.name} wrong"] = wrong.sum()
        aggregates[f"{column.name} example"] = value.filter(wrong).first()
    counts = footers.scan(footer.path).select(**aggregates).collect(engine="streaming").row(0, named=True)
    file, mend = footer.path.name, f"mend or leave out those rows, and write {footer.path} again"
    for column in columns:
        if (nulls := counts[f"{column.name} nulls"]) and not column.nullable:
            yield Defect(file, column.name, "a value in every row", f"{nulls:,} nulls", mend)
        if wrong := counts[f"{column.name} wrong"]:
            expected = f"times written as {column.format}" if column.format else f"values from {column.limits}"
            found = f"{wrong:,} others, for example {counts[f'{column.name} example']!r}"
            yield Defect(file, column.name, expected, found, mend)


def _wrong(column: Column, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Null:
        return pl.lit(value=False)
    value = pl.col(column.name)
    if column.format:
        return value.str.to_datetime(column.format, time_unit="us", strict=False).is_null()
    low = value < column.minimum if column.minimum is not None else pl.lit(value=False)
    high = value > column.maximum if column.maximum is not None else pl.lit(value=False)
    return low | high | value.is_nan() if dtype.is_float() and column.limited else low | high


def _backwards(table: Table, footer: Footer) -> Iterator[Defect]:
    times = footers.scan(footer.path).select(*table.within, table.time).with_row_index("row", offset=1)
    previous = pl.col(table.time).shift(1)
    times = times.with_columns(before=previous.over(table.within) if table.within else previous)
    bad = times.filter(_is_back(table, footer)).collect(engine="streaming")
    if bad.height:
        first = bad.row(0, named=True)
        expected = "time that does not run backwards" + (f" within {', '.join(table.within)}" if table.within else "")
        found = (
            f"{bad.height:,} steps back, the first at row {first['row']:,}: {first[table.time]} after {first['before']}"
        )
        mend = f"sort by {table.time!r} and write {footer.path} again"
        yield Defect(footer.path.name, table.time, expected, found, mend)


def _is_back(table: Table, footer: Footer) -> pl.Expr:
    """Compare as they are, or as instants if a tolerance must be subtracted from text."""
    now, before = pl.col(table.time), pl.col("before")
    if not table.tolerance:
        return now < before
    if footer.schema[table.time] == pl.String:
        now, before = (t.str.to_datetime(time_zone="UTC", strict=False, cache=False) for t in (now, before))
    return now < before - table.tolerance


def apart(files: Sequence[Footer], key: Sequence[str]) -> list[list[Footer]]:
    """Group files so that no key can be in two groups: those whose ranges of one key column lie apart.

    Examples
    --------
    >>> from aifactory_lab.etl.footers import Range
    >>> years = [Footer(Path(str(y)), {}, 1, {"year": Range(y, y + 1, 0)}) for y in (2013, 2014, 2020)]
    >>> [[file.path.name for file in group] for group in apart(years, ["year"])]
    [['2013', '2014'], ['2020']]
    """
    groupings = [_apart_by(files, name) for name in key if all(name in file.ranges for file in files)]
    return max(groupings, key=len, default=[list(files)] if files else [])


def _apart_by(files: Sequence[Footer], name: str) -> list[list[Footer]]:
    groups: list[list[Footer]] = []
    end: Any = None
    for file in sorted(files, key=lambda file: file.ranges[name].minimum):
        held = file.ranges[name]
        if not groups or held.minimum > end:
            groups.append([])
        groups[-1].append(file)
        end = held.maximum if len(groups[-1]) == 1 else max(end, held.maximum)
    return groups


def _duplicates(key: Sequence[str], files: Sequence[Footer]) -> Iterator[Defect]:
    rows = pl.concat(
        [footers.scan(file.path).select(*key, pl.lit(file.path.name).alias(" file")) for file in files],
        how="vertical_relaxed",
    )
    mark = pl.struct(key).hash()
    marks = rows.select(mark.alias("mark")).collect(engine="streaming")["mark"]
    if marks.n_unique() == marks.len():
        return
    twice = marks.filter(marks.is_duplicated()).unique().implode()
    groups = rows.filter(mark.is_in(twice)).group_by(key).agg(pl.len(), pl.col(" file").unique().sort())
    repeated = groups.filter(pl.col("len") > 1).sort(key).collect(engine="streaming")
    if repeated.height:  # else two different keys have the same hash
        first = repeated.row(0, named=True)
        extra = int(repeated["len"].sum()) - repeated.height
        example = ", ".join(f"{name}={first[name]!r}" for name in key)
        found = f"{extra:,} repeated, for example {example} ({first['len']} times)"
        mend = f"leave one of each: pl.LazyFrame.unique({list(key)})"
        yield Defect(" and ".join(first[" file"]), ", ".join(key), "a key that no two rows share", found, mend)
