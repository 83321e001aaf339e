"""The station: documents go through the stages in order, each says what it drops and why, and all is written down.

Cheap stages come first, so that the dear ones see less: one way to write a text, redaction (texts that differ in an
address alone are copies), exact duplicates, quality, near duplicates, contamination. Held-out documents are in front
of the others throughout, so of two copies the held-out one stays. The result does not depend on the order of the rows
that come in. All text is in memory, and its words while passages are compared: 15 bytes for each byte of text
(measured: 2.2 GB for 152 MB). This module does not know how a stage judges.

>>> import tempfile
>>> rows = [(name, "prose", name, "To be, or not to be, that is the question. " * 12) for name in ("a", "b")]
>>> curated = run(documents.frame(rows), tempfile.mkdtemp(), engine="cpu")
>>> curated.dropped.select("id", "reason", "partner").rows()
[('b', 'exact duplicate', 'a')]
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import DataError
from aifactory_lab.etl.curation import (
    decontamination,
    documents,
    duplicates,
    filters,
    near_duplicates,
    normalising,
    redaction,
    result,
    tags,
)
from aifactory_lab.etl.curation.minhash import MinHash
from aifactory_lab.etl.curation.processors import Processor, choose
from aifactory_lab.etl.curation.result import Curated
from aifactory_lab.measure import Meter

OVERLAP = 0.1  # share of a document's passages that may be held out too
DROP_SCHEMA = {"row": pl.UInt32, "first": pl.UInt32, "reason": pl.String, "detail": pl.String}
BYTES = pl.col("text").str.len_bytes().sum()


@dataclass(frozen=True)
class Settings:
    """What decides: rules, MinHash, what is redacted, and how much of a document may be held out too."""

    rules: tuple[filters.Rule, ...] = filters.RULES
    minhash: MinHash = field(default_factory=MinHash)
    redact: tuple[str, ...] = redaction.DEFAULT
    overlap: float = OVERLAP


@dataclass
class Work:
    """Documents on their way: row (their place, held-out first), the five columns; what went, and the funnel."""

    frame: pl.DataFrame
    processor: Processor
    settings: Settings
    dropped: list[pl.DataFrame] = field(default_factory=list)
    funnel: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


def run(
    frame: pl.DataFrame | pl.LazyFrame,
    out: Path | str,
    *,
    against: str | pl.DataFrame | None = "valid",
    settings: Settings | None = None,
    engine: str = "auto",
    facts: dict[str, Any] | None = None,
) -> Curated:
    """Curate documents into a folder.

    Parameters
    ----------
    frame
        A documents frame: id, path, kind, split, text; from `lm.corpus`, for example.
    out
        The folder; made if it is not there. It is complete once it holds `manifest.json`.
    against
        Whose passages training documents must not have: ``"valid"`` (the held-out documents among `frame`), another
        documents frame (a benchmark's texts; it is not kept), or None.
    settings
        What decides; `Settings()` by default.
    engine
        ``"auto"``, ``"cpu"`` or ``"gpu"``.
    facts
        More for the manifest: the source's, as `lm.corpus.survey` tells it.

    Returns
    -------
    Curated
        Documents, dropped, funnel, tags, manifest; the report counts documents kept, and bytes of text.

    Raises
    ------
    DataError
        If the frame is not a documents frame, or nothing is left.
    DeviceError
        If a GPU is asked for that is not there.
    MissingPackageError
        If rensa (or cuDF, on a GPU) is not installed.
    """
    settings = settings or Settings()
    redaction.check(settings.redact)
    whole, held = documents.check(frame), _held(against)
    processor, choice = choose(engine)
    out = Path(out)
    with Meter("curate", unit="documents", device_used=choice.device) as meter:
        result.clear(out)
        work = Work(whole.sort(documents.ORDER).with_row_index("row"), processor, settings)
        for name, stage in _stages(held, against):
            _pass(work, name, stage)
        if not work.frame.height:
            worst = max(work.funnel, key=lambda row: row["dropped"])
            msg = f"no document of {whole.height} is left; most went by {worst['stage']!r}"
            raise DataError(msg, mend="curation.run(documents, folder, settings=curation.Settings(rules=()))")
        written = _write(work, whole, out)
        size = int(whole.select(BYTES).item())
        meter.count(work.frame.height, bytes_in=size, bytes_out=written, engine=processor.name, reason=choice.reason)
        meter.count(documents=whole.height, dropped={row["stage"]: row["dropped"] for row in work.funnel})
        meter.count(cpu_seconds=work.seconds, **work.found)
    result.finish(out, _manifest(work, whole, facts, asdict(meter.report)))
    return Curated(out, meter.report)


def _held(against: str | pl.DataFrame | None) -> pl.DataFrame | None:
    """Return other held-out documents, if such are given."""
    if isinstance(against, str) and against != documents.VALID:
        msg = f"against={against!r} is neither 'valid' nor a documents frame"
        raise DataError(msg, mend='etl.curation.run(documents, folder, against="valid")')
    return documents.check(against) if against is not None and not isinstance(against, str) else None


Stage = Callable[[Work], pl.DataFrame | None]


def _stages(held: pl.DataFrame | None, against: object) -> list[tuple[str, Stage]]:
    stages: list[tuple[str, Stage]] = [
        ("normalise", _normalise),
        ("redact", _redact),
        ("exact duplicates", _exact),
        ("quality", _quality),
        ("near duplicates", _near),
    ]
    if against is not None:
        stages.append(("decontaminate", lambda work: _decontaminate(work, held)))
    return stages


def _pass(work: Work, name: str, stage: Stage) -> None:
    """Take the documents through one stage, and note what it did."""
    before, start = work.frame, time.process_time()
    drops = stage(work)
    changed = int((work.frame["text"] != before["text"]).sum()) if work.frame is not before else 0
    if drops is not None and drops.height:
        work.dropped.append(_told(work.frame, drops))
        work.frame = work.frame.join(drops.select("row"), on="row", how="anti", maintain_order="left")
    work.seconds[name] = round(time.process_time() - start, 3)
    size_in, size_out = (int(frame.select(BYTES).item() or 0) for frame in (before, work.frame))
    row = (name, before.height, work.frame.height, before.height - work.frame.height, changed, size_in, size_out)
    work.funnel.append(dict(zip(result.FUNNEL_SCHEMA, row, strict=True)))


def _told(frame: pl.DataFrame, drops: pl.DataFrame) -> pl.DataFrame:
    """Return what goes with all its columns; the partner is named by its id."""
    partners = frame.select(pl.col("row").alias("first"), pl.col("id").alias("partner"))
    told = frame.join(drops, on="row").join(partners, on="first", how="left")
    return told.select(list(result.DROPPED_SCHEMA))


def _drops(rows: Sequence[tuple[int, int | None, str, str]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=DROP_SCHEMA, orient="row")


def _normalise(work: Work) -> pl.DataFrame:
    """Write each text in its one form; drop what is empty then."""
    work.frame = work.frame.with_columns(normalising.normalise(work.frame["text"], work.processor).alias("text"))
    empty = work.frame.filter(pl.col("text") == "")["row"]
    return _drops([(row, None, "empty", "nothing but white space") for row in empty])


def _exact(work: Work) -> pl.DataFrame:
    found = work.processor.collect(duplicates.duplicates(work.frame.lazy().select("row", "text")))
    return _drops([(row, first, "exact duplicate", "the same text") for row, first in found.rows()])


def _quality(work: Work) -> pl.DataFrame:
    rules = work.settings.rules
    query = filters.failures(work.frame.lazy().select("row", "kind", "text"), rules)
    return _drops(
        [
            (row, None, f"quality: {rule}", f"{rule} {value:.3g}, not {rules[number]} ({rules[number].source})")
            for row, number, rule, value in work.processor.collect(query).rows()
        ]
    )


def _near(work: Work) -> pl.DataFrame:
    chosen = work.settings.minhash
    found = near_duplicates.near_duplicates(work.frame.select("row", "text"), work.processor, chosen)
    return _drops(
        [
            (row, first, "near duplicate", f"about {jaccard:.2f} of {chosen.width}-character windows are the same")
            for row, first, jaccard in found.rows()
        ]
    )


def _decontaminate(work: Work, held: pl.DataFrame | None) -> pl.DataFrame:
    """Drop training documents too much of which is held out: among ours, or in the other frame."""
    side = pl.col("split") == documents.VALID
    if held is None:
        theirs = work.frame.filter(side)
    else:
        text = normalising.normalise(held["text"], work.processor)
        theirs = held.with_columns(text.alias("text")).with_row_index("row")
    ours, known = (decontamination.words(each, work.processor).lazy() for each in (work.frame.filter(~side), theirs))
    found = work.processor.collect(decontamination.collisions(ours, known))
    work.found["shares_a_passage"] = found.height
    return _drops(
        [
            (
                row,
                example if held is None else None,
                "contaminated",
                f"{hits} of {whole} passages of {decontamination.WORDS} words are held out",
            )
            for row, hits, example, whole in found.rows()
            if hits > work.settings.overlap * whole
        ]
    )


def _redact(work: Work) -> None:
    kinds = work.settings.redact
    if not kinds:
        return
    counts = work.processor.collect(redaction.counted(work.frame.lazy().select("row", "text"), kinds))
    work.found["redacted"] = {kind: int(counts[kind].sum()) for kind in kinds}
    work.found["redacted_documents"] = counts.height
    if counts.height:
        text = redaction.redact(work.frame["text"], work.processor, kinds)
        work.frame = work.frame.with_columns(text.alias("text"))


def _write(work: Work, whole: pl.DataFrame, out: Path) -> int:
    """Write the four tables and return the bytes of kept text."""
    kept = work.frame.sort("id")
    tagged = work.processor.collect(tags.tags(kept.lazy().select("row", "text")))
    dropped = pl.concat([*work.dropped, pl.DataFrame(schema=result.DROPPED_SCHEMA)]).sort("id")
    result.save(out, result.DOCUMENTS, kept.select(list(documents.SCHEMA)))
    result.save(out, result.DROPPED, dropped)
    result.save(out, result.FUNNEL, pl.DataFrame(work.funnel, schema=result.FUNNEL_SCHEMA))
    result.save(out, result.TAGS, kept.select("row", "id", "kind").join(tagged, on="row").drop("row").sort("id"))
    if kept.height + dropped.height != whole.height:
        msg = f"{whole.height} documents came in, {kept.height} were kept and {dropped.height} dropped"
        raise AssertionError(msg)
    return int(kept.select(BYTES).item())


def _manifest(work: Work, whole: pl.DataFrame, facts: dict[str, Any] | None, report: dict[str, Any]) -> dict[str, Any]:
    kept = work.frame
    return {
        "source": facts or {},
        "settings": asdict(work.settings) | {"rules": filters.table(work.settings.rules).to_dicts()},
        "funnel": work.funnel,
        "documents": kept.height,
        "bytes": int(kept.select(BYTES).item()),
        "splits": dict(kept.group_by("split").len().sort("split").rows()),
        "sha256_in": documents.digest(whole),
        "sha256": documents.digest(kept),
        "report": report,
    }
