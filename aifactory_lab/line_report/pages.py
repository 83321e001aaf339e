"""One page for the runs of both lines: what came out first, then where time and money went, then how far to believe it.

>>> from aifactory_lab.line_report import pages
>>> pages.write.__name__
'write'
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from aifactory_lab.figures import factory
from aifactory_lab.line import LineRun, Run
from aifactory_lab.line_report import bottleneck, changes, decisions, glossary, provenance, record
from aifactory_lab.line_report.facts import ENERGY, Fact, assumed_price, said_energy
from aifactory_lab.line_report.numbers import money, seconds
from aifactory_lab.line_report.tables import caption, stations
from aifactory_lab.report import Group, Page, Section, TextTable, Tile

NAME = "report.html"


def write(*runs: LineRun) -> Path:
    """Write `report.html`, and `report.json` beside it, into the runs' workspace; return the page's path."""
    folder = runs[0].workspace.root
    record.write(folder, runs, facts(*runs))
    return page(*runs).write(folder / NAME)


def facts(*runs: LineRun) -> list[Fact]:
    """Return what came out of the runs: the numbers of the page, of the terminal and of `report.json`."""
    return [fact for run in runs for fact in part(run).facts(run)]


def page(*runs: LineRun) -> Page:
    """Return the report of one or more finished runs of the same workspace, laid out."""
    parts = [(part(run), run) for run in runs]
    titles = [each.TITLE for each, _ in parts]
    told = provenance.of(*runs)
    made = [_time_and_money(*runs), _bottlenecks(parts), _trust(parts), _changes(*runs)]
    return Page(
        title=titles[0] if len(titles) == 1 else "The AI factory",
        subtitle=f"What came out, what it cost, how far to believe it. Engine: {runs[0].device}; {told['machine']}.",
        groups=[Group(each.TITLE, each.headline(run), _tiles(each, run)) for each, run in parts],
        note=f"{assumed_price()} {said_energy(facts(*runs))}",
        sections=[
            *made,
            *_sections(parts),
            _stations(*runs),
            _provenance(told),
            Section("Words", (), [glossary.table()]),
        ],
        footer=f"Rates are of this machine. Made by: {told['command']}",
    )


def part(run: LineRun) -> ModuleType:
    """Return what tells of a run; the token line's is opened only where there is one: PyTorch is heavy."""
    if isinstance(run, Run):
        return decisions
    from aifactory_lab.line_report import tokens

    return tokens


def _tiles(each: ModuleType, run: LineRun) -> list[Tile]:
    return [fact.tile for fact in each.facts(run) if not fact.name.endswith(ENERGY)]


def _sections(parts: Sequence[tuple[ModuleType, LineRun]]) -> list[Section]:
    """Return each line's own sections, called by their line where there are two: both have a "Serving"."""
    found = [(each.SHORT, section) for each, run in parts for section in each.sections(run)]
    if len(parts) == 1:
        return [section for _, section in found]
    return [replace(section, title=f"{line}: {section.title[0].lower()}{section.title[1:]}") for line, section in found]


def _time_and_money(*runs: LineRun) -> Section:
    reports = [report for run in runs for report in run.reports]
    spent, cost = sum(report.seconds for report in reports), sum(report.dollars for report in reports)
    words = [
        f"All stations together took {seconds(spent)} and {money(cost)} of processor time, at the assumed price."
        " Reused stations count with what they took when they were made."
    ]
    return Section("Where time and money went", words, figures=[factory.spending(reports)], wide=True)


def _bottlenecks(parts: Sequence[tuple[ModuleType, LineRun]]) -> Section:
    words = []
    for each, run in parts:
        first, *more = bottleneck.of(run).words
        words += [f"{each.SHORT}: {first}", *more]
    words.append(
        "What another machine would do is not in these figures. The digital twin answers that for plants of GPUs and"
        " models of a billion parameters and more, which it was fitted on: aifactory twin design."
    )
    return Section("What holds it up, and what would move it", words)


def _trust(parts: Sequence[tuple[ModuleType, LineRun]]) -> Section:
    rows = [row for each, run in parts for row in each.trust(run)]
    words = [
        "Not tested here: another machine, another seed, users on other machines (the clients of the load tests ran"
        " beside the server, on the same processor)."
    ]
    columns = ["line", "what could mislead", "what was done about it", "where to look"]
    told = TextTable(columns, rows, words=columns[1:], caption="What stands between the numbers and self-deception")
    return Section("How far to believe it", words, [told] if rows else [])


def _changes(*runs: LineRun) -> Section:
    found = changes.since(*runs)
    rows = [[each.station, each.words, changes.rates(each)] for each in found]
    told = TextTable(["station", "since the run before", "made per second"], rows, words=["since the run before"])
    return Section(
        "What changed", [changes.summary(found)], [replace(told, caption="From the ledger of this workspace")]
    )


def _stations(*runs: LineRun) -> Section:
    words = [
        "Each station hands the next a file in the workspace. Its time stands beside the floor: what moving its"
        " bytes would take at the bandwidth that was measured on this machine.",
        caption(*runs),
    ]
    reports = [report for run in runs for report in run.reports]
    told = replace(stations(*runs), caption="What each station made, and what it cost")
    return Section("Stations", words, [told], [factory.floors(reports)])


def _provenance(told: dict[str, object]) -> Section:
    versions = told["versions"]
    assert isinstance(versions, dict)
    rows = [[name.replace("_", " "), str(value)] for name, value in told.items() if name != "versions" and value]
    rows.append(["versions", ", ".join(f"{name} {version}" for name, version in versions.items())])
    words = [
        "The same command in an empty workspace makes the same models from the same data on the same machine; times"
        " differ. Python's own library is the corpus, so another Python is another corpus."
    ]
    table = TextTable(["what", "this run"], rows, words=["this run"], caption="Where this report comes from")
    return Section("How to make it again", words, [table])
