"""What all jobs of one search share: the data, the model, the space, and the study in its file.

The study lies in a journal: a file to which every process appends, under a lock that also works on a shared disk
(NFS), where SQLite's does not; so the jobs may be on one node or on many, and need no server. A study is known by a
fingerprint of everything that a trial's score depends on: a search that was killed finds its own trials again, and
another search in the same file does not mix with it. This module trains nothing.

>>> Plan("no/such", "xgboost", {}, {}, Path("a.journal")).pruner
'median'
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aifactory_lab.errors import ModelError, require
from aifactory_lab.train import boosting, estimators
from aifactory_lab.train.table import VALIDATION, Table
from aifactory_lab.train.tuning.space import Space

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna.pruners import BasePruner
    from optuna.study import Study

WARM_LINKS = 2  # no trial is ended in its first links: a low learning rate begins slowly
PRUNERS = ("median", "hyperband", "none")


@dataclass(frozen=True)
class Plan:
    """A search, as every job of it knows it.

    Attributes
    ----------
    features
        The folder of the feature table, which every node must see.
    model
        Name of the estimator.
    space
        What is searched, by house parameter.
    fixed
        House parameters that stay.
    storage
        The journal, which every node must see.
    trials
        How many finished trials the search is to have, pruned ones included.
    pruner
        One of `PRUNERS`.
    """

    features: str
    model: str
    space: Space
    fixed: Mapping[str, Any]
    storage: Path
    trials: int = 20
    seed: int = 0
    pruner: str = "median"
    groups: tuple[str, ...] = ()
    validation: float = VALIDATION
    device: str | None = None
    checkpoints: Path | None = None

    @cached_property
    def name(self) -> str:
        """The study's name in the journal: the model and a fingerprint."""
        to_json = require("optuna", extra="fleet").distributions.distribution_to_json
        table = Table.open(self.features, self.groups, validation=self.validation)
        parts = [
            table.content_hash,
            table.columns,
            str(table.cutoff),
            sorted((name, to_json(values)) for name, values in self.space.items()),
            sorted((name, str(value)) for name, value in estimators.house(self.model, **self.fixed).items()),
            self.seed,
            self.pruner,
        ]
        return f"{self.model}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]}"

    def study(self, slot: int = 0) -> "Study":
        """Open the study, or begin it.

        Parameters
        ----------
        slot
            Whose turn it is. Every job draws by a seed of its own, or all of the first jobs would draw the same.
        """
        optuna = require("optuna", extra="fleet")
        self.storage.parent.mkdir(parents=True, exist_ok=True)
        journal = optuna.storages.journal.JournalFileBackend(str(self.storage.absolute()))
        seed = int(np.random.SeedSequence([self.seed, slot]).generate_state(1)[0])
        with _quiet(optuna):
            study: Study = optuna.create_study(
                study_name=self.name,
                storage=optuna.storages.JournalStorage(journal),
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=seed),
                pruner=self._pruner(optuna.pruners),
                load_if_exists=True,
            )
        return study

    def _pruner(self, pruners: Any) -> "BasePruner":
        rounds = int(estimators.house(self.model, **self.fixed).get("rounds", boosting.EVERY))
        made: BasePruner
        if self.pruner == "median":
            made = pruners.MedianPruner(n_warmup_steps=WARM_LINKS * boosting.EVERY)
        elif self.pruner == "hyperband":
            made = pruners.HyperbandPruner(min_resource=WARM_LINKS * boosting.EVERY, max_resource=max(rounds, 2))
        elif self.pruner == "none":
            made = pruners.NopPruner()
        else:
            msg = f"no pruner {self.pruner!r}; there are: {', '.join(PRUNERS)}"
            raise ModelError(msg, mend='pruner="median"')
        return made


@contextmanager
def _quiet(optuna: Any) -> "Iterator[None]":
    """Have optuna say nothing of a study that it opens, which every job does."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
