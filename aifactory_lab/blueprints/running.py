"""Run a blueprint: each line that it describes, to one report, and the verdict on its objectives.

Every station is an artefact of the workspace whose key holds the settings that decide it and no others: a run that was
killed goes on where it was, and a changed objective trains nothing again.

    blueprints.run(blueprints.read("night.yaml"), "workspace").met
"""

from dataclasses import dataclass, replace
from pathlib import Path

from aifactory_lab import line, line_report
from aifactory_lab.blueprints import materials
from aifactory_lab.blueprints.models import Blueprint
from aifactory_lab.blueprints.reading import read
from aifactory_lab.etl.curation import Settings as Curation
from aifactory_lab.line import decisions, token_settings
from aifactory_lab.line.objectives import Verdict
from aifactory_lab.line.stations import Say, silence
from aifactory_lab.train.evaluation import Costs


@dataclass(frozen=True)
class Run:
    """A finished run of a blueprint: a run of each line, the report, and the verdicts.

    Attributes
    ----------
    blueprint
        What was run.
    lines
        The finished runs: `line.Run`, `line.tokens.Run`.
    report
        The HTML page.
    """

    blueprint: Blueprint
    lines: tuple[line.LineRun, ...]
    report: Path

    @property
    def slo(self) -> tuple[Verdict, ...]:
        """The verdicts on the objectives of all lines."""
        return tuple(verdict for each in self.lines for verdict in each.slo)

    @property
    def met(self) -> bool:
        """Whether every objective was met."""
        return all(verdict.met for verdict in self.slo)

    @property
    def verdict(self) -> str:
        """All verdicts in a line: how many were met, and which were not."""
        missed = [str(verdict) for verdict in self.slo if not verdict.met]
        if not self.slo:
            return "no objective was set"
        return f"missed: {'; '.join(missed)}" if missed else f"met: all {len(self.slo)} objectives"


def run(blueprint: Blueprint, workspace: Path | str | None = None, say: Say | None = print) -> Run:
    """Run what a blueprint describes, to its report; return what was made and which objectives were kept.

    Parameters
    ----------
    blueprint
        As `read` returns it.
    workspace
        The run folder; by default `workspace.default_root()`.
    say
        Called with a line when a station begins and ends, and with each verdict; `None` for silence.

    Raises
    ------
    FactoryError
        If the material is missing, or a station refuses it; finished stations are kept.
    """
    given, made = materials.opened(blueprint), list[line.LineRun]()
    if blueprint.decisions is not None:
        decided = decision_settings(blueprint, given.table)
        made.append(line.run(workspace, raw=given.raw, say=say, settings=decided))
    if blueprint.tokens is not None:
        wanted, documents = token_line_settings(blueprint), given.documents
        made.append(line.tokens.run(workspace, documents=documents, pairs=given.pairs, say=say, settings=wanted))
    finished = Run(blueprint, tuple(made), line_report.write(*made))
    for verdict in finished.slo:
        (say or silence)(str(verdict))
    return finished


def check(path: Path | str) -> Blueprint:
    """Read a blueprint and open what it starts from, without running it; what is remote is fetched.

    Raises
    ------
    BlueprintError
        With every problem, each with its line.
    DataError
        If there is no such file.
    """
    found = read(path)
    materials.opened(found)
    return found


def decision_settings(blueprint: Blueprint, table: str = materials.ROWS) -> decisions.Settings:
    """Return what a blueprint decides for the decision line; `table` is the one that its own columns are of."""
    assert blueprint.decisions is not None
    wanted = blueprint.decisions
    model, usual = wanted.model, decisions.Settings()
    return replace(
        usual,
        title=wanted.title or blueprint.title or usual.title,
        recipe=usual.recipe if wanted.table else wanted.named,
        columns=wanted.table.columns(table) if wanted.table else None,
        estimator=model.estimator,
        parameters=dict(model.parameters),
        groups=tuple(model.groups),
        validation=model.validation,
        costs=Costs(model.costs.false_alarm, model.costs.miss),
        model=model.name or blueprint.name,
        engine="" if wanted.endpoint.engine == "auto" else wanted.endpoint.engine,
        concurrency=wanted.endpoint.concurrency,
        seconds=wanted.endpoint.seconds,
        slo_ms=wanted.slo.p99_ms,
        goodput=wanted.slo.goodput,
    )


def token_line_settings(blueprint: Blueprint) -> token_settings.Settings:
    """Return what a blueprint decides for the token line."""
    assert blueprint.tokens is not None
    wanted = blueprint.tokens
    model, endpoint, slo, usual = wanted.model, wanted.endpoint, wanted.slo, token_settings.Settings()
    rules = Curation().rules if wanted.curation.quality else ()
    return replace(
        usual,
        title=wanted.title or blueprint.title or usual.title,
        curation=Curation(rules, redact=tuple(wanted.curation.redact), overlap=wanted.curation.overlap),
        vocabulary=model.vocabulary,
        depth=model.depth,
        tokens=model.tokens,
        context=model.context,
        seed=model.seed,
        tune_steps=wanted.tuning.steps,
        model=model.name or blueprint.name,
        adapter=wanted.tuning.name,
        engine=endpoint.engine,
        users=tuple(endpoint.users),
        answer_tokens=endpoint.answer_tokens,
        seconds=endpoint.seconds,
        slots=endpoint.slots,
        request_tokens=endpoint.context,
        ttft_ms=slo.ttft_ms,
        itl_ms=slo.itl_ms,
        goodput=slo.goodput,
        tokens_per_second=slo.tokens_per_second,
        judged_at=slo.users or 0,
    )
