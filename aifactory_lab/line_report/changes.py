"""What changed since the run before, from the workspace's ledger: each station beside its last visit.

A visit of a station is a line of the ledger; the one before the last is what this run is compared with. This module
does not know what is good or bad.

>>> said({"reused": True, "artefact": "etl-1"}, None)
'reused, as it was made once'
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from aifactory_lab.line import LineRun
from aifactory_lab.line_report.numbers import rate

# What a station's report says of quality: the detail, its name, its format.
SCORES = {"train": ("auc", "AUC", "{:.3f}"), "pretrain": ("bits_per_byte", "bits per byte", "{:.3f}")}
Visit = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A station of this run beside its visit before.

    Attributes
    ----------
    station, words
        Its name, and what changed, in words.
    before
        When it was visited before, in seconds since the epoch; `None` if never.
    reused
        Whether nothing was computed this time.
    rate, rate_before
        Made per second, now and then; those of a reused station are of the run that made it.
    """

    station: str
    words: str
    before: float | None
    reused: bool
    rate: float
    rate_before: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def since(*runs: LineRun) -> list[Change]:
    """Return one change per station of these runs, in their order."""
    ledger = runs[0].workspace.ledger()
    found = []
    for report in (report for run in runs for report in run.reports):
        visits = [line for line in ledger if line.get("station") == report.station]
        now = visits[-1] if visits else {"artefact": "", **report.to_dict()}
        before = visits[-2] if len(visits) > 1 else None
        found.append(_change(now, before))
    return found


def summary(changes: Sequence[Change]) -> str:
    """Say in a sentence how this run differs from the one before."""
    when = max((change.before for change in changes if change.before is not None), default=None)
    reused = [change for change in changes if change.reused]
    made = [change.station for change in changes if not change.reused]
    if when is None:
        return "This is the first run of this workspace: there is nothing to compare it with."
    told = f"The last run before this one ended at {stamp(when)}."
    if not made:
        return f"{told} Nothing has changed since: every station was reused, and nothing was computed again."
    return f"{told} {len(reused)} of {len(changes)} stations were reused; made again: {', '.join(made)}."


def said(now: Visit, before: Visit | None) -> str:
    """Return what changed between two visits of a station, in words."""
    if now["reused"]:
        return "reused, as it was made once"
    if before is None:
        return "made for the first time"
    same = now["artefact"] == before["artefact"]
    words = "made again from the same inputs" if same else "made again: inputs, settings or code have changed"
    return "; ".join([words, *_score(now, before)])


def stamp(when: float) -> str:
    """Return a time as text, in UTC."""
    return f"{datetime.fromtimestamp(when, UTC):%Y-%m-%d %H:%M} UTC"


def _change(now: Visit, before: Visit | None) -> Change:
    when, then = (None, None) if before is None else (float(before["time"]), _rate(before))
    return Change(now["station"], said(now, before), when, bool(now["reused"]), _rate(now), then)


def _rate(visit: Visit) -> float:
    return visit["made"] / visit["seconds"] if visit["seconds"] else 0.0


def _score(now: Visit, before: Visit) -> Sequence[str]:
    name, label, form = SCORES.get(now["station"], ("", "", ""))
    new, old = (visit.get("details", {}).get(name) for visit in (now, before))
    if new is None or old is None:
        return ()
    return (f"{label} {form.format(old)} → {form.format(new)}",)


def rates(change: Change) -> str:
    """Return a station's rate beside the one before."""
    if change.reused or change.rate_before is None:
        return rate(change.rate)
    return f"{rate(change.rate)} (before: {rate(change.rate_before)})"
