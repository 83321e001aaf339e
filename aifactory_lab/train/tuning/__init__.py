"""Tuning: hyper-parameters searched by many jobs of a fleet, with one study that they all share.

`search` sends the jobs and collects; `trial` is what a job does; `plan` what all of them share; `space` where the
house looks; `outcome` what comes back.

>>> from aifactory_lab.train import tuning
>>> sorted(tuning.space.of("logistic_regression"))
['C']
"""

from aifactory_lab.train.tuning import outcome, plan, search, space, trial

__all__ = ["outcome", "plan", "search", "space", "trial"]
