"""Any Slurm that answers, as an engine of the fleet: quota, lending, reclaim, gangs and accounting are Slurm's own.

`reach` finds it, `engine.Slurm` sends and asks, `projects.make` keeps its books, `explain` puts its reasons in words.
Slurm decides; nothing here schedules.

>>> from aifactory_lab.fleet.slurm import lanes
>>> lanes.quota_qos("vision")
'vision-quota'
"""
