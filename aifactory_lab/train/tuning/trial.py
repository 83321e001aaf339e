"""One trial, as a job of the fleet: take parameters from the study, train, tell the score.

XGBoost reports its validation AUC after every link of `boosting.EVERY` rounds, and ends early if the pruner finds it
worse than the others at that round; the other estimators train in one piece and are never pruned. A trial is marked
with its job, so that one whose process was killed is known: it is failed, and its parameters are asked again. This
module sends no jobs.
"""

from typing import TYPE_CHECKING, Any

from aifactory_lab.errors import require
from aifactory_lab.train import evaluation, fitting
from aifactory_lab.train.table import Table
from aifactory_lab.train.tuning.plan import Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

JOB, ROUNDS, SURPLUS, AGAIN = "job", "rounds", "surplus", "again"


class TrialRun:
    """What a job calls with the number of its turn; started again after a preemption, it goes on with its trial."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.__name__ = f"{plan.model}-trial"

    def __call__(self, slot: int) -> str:
        """Run one trial, and say how it ended: ``"finished"``, ``"pruned"``, or ``"surplus"`` if none was left."""
        optuna = require("optuna", extra="fleet")
        study, job = self.plan.study(slot), job_id()
        for stale in running(study):
            if job and stale.user_attrs.get(JOB) == job:
                ask_again(study, stale)
        trial = study.ask(dict(self.plan.space))
        trial.set_user_attr(JOB, job)
        if taken(study, trial.number) >= self.plan.trials:
            trial.set_user_attr(SURPLUS, True)
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            return "surplus"
        try:
            told = study.tell(trial, self._score(trial, optuna))
        except optuna.TrialPruned:
            told = study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        except Exception:
            study.tell(trial, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
            raise
        return "pruned" if told.state == optuna.trial.TrialState.PRUNED else "finished"

    def checkpoint(self, slot: int) -> Any:
        """Return what is to run when the job is started again: the same turn."""
        return require("submitit.helpers", extra="fleet").DelayedSubmission(self, slot)

    def _score(self, trial: "Trial", optuna: Any) -> float:
        """Train with the trial's parameters; return the AUC of the validation rows."""
        from sklearn.metrics import roc_auc_score

        plan = self.plan
        table = Table.open(plan.features, plan.groups, validation=plan.validation)
        learn, valid = table.rows("learn"), table.rows("valid")

        def watch(rounds: int, margins: "NDArray[np.float32]") -> None:
            trial.report(float(roc_auc_score(valid.y, margins)), rounds)
            trial.set_user_attr(ROUNDS, rounds)
            if trial.should_prune():
                raise optuna.TrialPruned

        fitted = fitting.learn(
            plan.model,
            learn,
            valid,
            device=plan.device,
            checkpoint=plan.checkpoints,
            data=fitting.data_mark(table, "learn", "valid"),
            after=watch,
            **plan.fixed,
            **trial.params,
        )
        trial.set_user_attr(ROUNDS, fitted.rounds)
        return evaluation.scores(valid.y, fitted.probability(valid), replicates=0)["auc"].value


def job_id() -> str:
    """Return the id of the job that this process runs in; empty outside of one."""
    try:
        return str(require("submitit", extra="fleet").JobEnvironment().job_id)
    except (RuntimeError, KeyError):
        return ""


def running(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that run, or whose process was killed."""
    return _in_state(study, "RUNNING")


def finished(study: "Study") -> "list[FrozenTrial]":
    """Return the trials that count: those told a score, and those pruned."""
    return _in_state(study, "COMPLETE", "PRUNED")


def taken(study: "Study", number: int) -> int:
    """Return how many trials before this one count or may yet count.

    A trial goes on only if they are fewer than were asked for. Numbers are given one after the other and failed trials
    stay failed, so never more than so many finish, however many jobs there are.
    """
    return sum(trial.number < number for trial in _in_state(study, "COMPLETE", "PRUNED", "RUNNING", "WAITING"))


def ask_again(study: "Study", stale: "FrozenTrial") -> None:
    """Fail a trial whose process is gone, and have the next job take its parameters."""
    optuna = require("optuna", extra="fleet")
    study.tell(stale.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
    study.enqueue_trial(stale.params, user_attrs={AGAIN: stale.number})


def _in_state(study: "Study", *names: str) -> "list[FrozenTrial]":
    states = require("optuna", extra="fleet").trial.TrialState
    return study.get_trials(deepcopy=False, states=[states[name] for name in names])
