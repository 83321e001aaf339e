"""A search for hyper-parameters: one job of the fleet a trial, until as many have finished as were asked for.

    found = train.search(features, trials=40, at_most=8, fleet=fleet, out="search")
    registry.register(found.result)

optuna's TPE sampler chooses, its pruner ends what is worse than the others at the same round. A job that is killed
costs its trial, whose parameters are asked again and go on from their last checkpoint. A search that is killed leaves
its jobs running; the same call takes up what they found. This module schedules nothing: `at_most` is the fleet's.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet import Fleet, Job
from aifactory_lab.train import estimators, fitting
from aifactory_lab.train.result import RESULT, Result
from aifactory_lab.train.table import VALIDATION, Table
from aifactory_lab.train.tuning import outcome
from aifactory_lab.train.tuning import space as spaces
from aifactory_lab.train.tuning import trial as trials_
from aifactory_lab.train.tuning.outcome import SearchResult
from aifactory_lab.train.tuning.plan import Plan
from aifactory_lab.train.tuning.space import Space
from aifactory_lab.train.tuning.trial import JOB, TrialRun

if TYPE_CHECKING:
    from optuna.study import Study

JOURNAL, CHECKPOINTS, WINNER = "trials.journal", "checkpoints", "winner"
IDLE_ROUNDS = 3  # how often all of its jobs may end without a finished trial


def search(
    features: Path | str,
    *,
    out: Path | str,
    model: str = "xgboost",
    space: Space | None = None,
    trials: int = 20,
    at_most: int = 4,
    fleet: Fleet | None = None,
    storage: Path | str | None = None,
    seed: int = 0,
    pruner: str = "median",
    groups: Sequence[str] = (),
    validation: float = VALIDATION,
    device: str | None = None,
    order: Mapping[str, Any] | None = None,
    **params: Any,
) -> SearchResult:
    """Find the parameters with the best AUC on the validation rows, and train the winner.

    Parameters
    ----------
    features
        Folder of the feature table (`train.fit`); every node must see it, and `out`.
    out
        Folder for the journal and the winner's training (``out/"winner"``).
    model
        ``"xgboost"``, ``"random_forest"`` or ``"logistic_regression"``.
    space
        House parameter → optuna distribution; by default `tuning.space.of(model)`.
    trials
        How many finished trials, pruned ones included; a search that is done goes on if more are asked for.
    at_most
        How many run at the same time.
    fleet
        Where the jobs run; by default ``Fleet()``.
    storage
        The journal; by default ``out/"trials.journal"``.
    seed
        Of the sampler. One trial at a time, the same seed gives the same trials; with several it depends on which of
        them end first.
    pruner
        ``"median"``, ``"hyperband"`` or ``"none"``.
    groups, validation, device
        As of `train.fit`.
    order
        What each job asks for (`fleet.orders.Order`): ``{"gpus": 1, "project": "vision"}``.
    **params
        House parameters that are not searched. ``threads`` is by default the order's ``cpus``.

    Raises
    ------
    ModelError
        If the model, the space, the pruner or a parameter is unknown.
    FleetError
        If a trial raised (its traceback is in the message), or jobs end again and again without finishing one.
    """
    if trials < 1 or at_most < 1:
        msg = f"trials and at_most must be 1 or more; they are {trials} and {at_most}"
        raise FleetError(msg, mend="train.search(…, trials=20, at_most=4)")
    wishes, out = dict(order or {}), Path(out).absolute()
    plan = Plan(
        features=str(Path(features).absolute()),
        model=model,
        space=dict(spaces.of(model) if space is None else space),
        fixed={"threads": wishes.get("cpus", 1), **params},
        storage=Path(storage).absolute() if storage else out / JOURNAL,
        trials=trials,
        seed=seed,
        pruner=pruner,
        groups=tuple(groups),
        validation=validation,
        device=device,
        checkpoints=out / CHECKPOINTS,
    )
    spaces.check(model, plan.space, plan.fixed)
    fleet = Fleet() if fleet is None else fleet
    study = plan.study()
    _fill(plan, study, fleet, at_most, wishes)
    best = {**plan.fixed, **study.best_params}
    result = _winner(plan, best, fleet, out / WINNER, wishes)
    shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    told = outcome.trials(study), outcome.progress(study)
    return SearchResult(best, study.best_value, *told, result, plan.storage)


def _fill(plan: Plan, study: "Study", fleet: Fleet, at_most: int, wishes: Mapping[str, Any]) -> None:
    """Send jobs until as many trials have finished as were asked for."""
    idle = 0
    while missing := max(0, plan.trials - (before := len(trials_.finished(study)))):
        jobs = _living(study, fleet)
        first = len(study.get_trials(deepcopy=False))
        slots = range(first, first + missing - len(jobs))
        jobs += fleet.map(TrialRun(plan), slots, at_most=at_most, **wishes)
        fleet.wait(jobs)
        _refuse_errors(jobs)
        idle = 0 if len(trials_.finished(study)) > before else idle + 1
        if idle == IDLE_ROUNDS:
            msg = f"{idle} times all jobs of the search ended without a finished trial; the last: {jobs[-1].explain()}"
            raise FleetError(msg, mend=f"fleet.attach({jobs[-1].id!r}).logs()")


def _living(study: "Study", fleet: Fleet) -> list[Job]:
    """Return the jobs that run a trial, sent by whom ever; trials whose job is gone are asked again."""
    living = []
    for one in trials_.running(study):
        job = _job(fleet, one.user_attrs.get(JOB))
        if job is None or job.done:
            trials_.ask_again(study, one)
        else:
            living.append(job)
    return living


def _job(fleet: Fleet, job_id: str | None) -> Job | None:
    try:
        return fleet.attach(job_id) if job_id else None
    except FleetError:  # of another fleet, or swept away
        return None


def _refuse_errors(jobs: Sequence[Job]) -> None:
    """Raise what a trial raised: its mistake would be made again. A killed job has raised nothing."""
    for job in jobs:
        if job.state == "FAILED" and Path(job.files.result_pickle).exists():
            job.result()


def _winner(plan: Plan, best: Mapping[str, Any], fleet: Fleet, out: Path, wishes: Mapping[str, Any]) -> Result:
    """Train the best parameters on learning and validation rows, as a job; or return the training that did so."""
    table = Table.open(plan.features, plan.groups, validation=plan.validation)
    if (out / RESULT).exists():
        result = Result.load(out)
        told = result.bundle.lineage
        wanted = estimators.house(plan.model, **estimators.sized(plan.model, table.count("learn"), best))
        if (told["features_sha256"], told["params"]) == (table.content_hash, wanted):
            return result
    run = Winning(plan, best, str(out))
    fleet.submit(run, **wishes).result()
    return Result.load(out)


class Winning:
    """What the last job calls: `train.fit` with the parameters that won."""

    def __init__(self, plan: Plan, best: Mapping[str, Any], out: str) -> None:
        self.plan, self.best, self.out = plan, dict(best), out
        self.__name__ = f"{plan.model}-winner"

    def __call__(self) -> str:
        """Train, from the checkpoint that the trial left; return the folder."""
        plan = self.plan
        result = fitting.fit(
            plan.features,
            plan.model,
            plan.groups,
            out=self.out,
            checkpoint=plan.checkpoints,
            device=plan.device,
            validation=plan.validation,
            lineage={"search": {"study": plan.name, "trials": plan.trials, "pruner": plan.pruner}},
            **self.best,
        )
        return str(result.folder)
