"""In which lane of its project a job goes: within the quota, or on what others leave.

A job of Slurm has one QOS. ``<project>-quota`` holds a project's own GPUs (``GrpTRES``): nobody takes them back.
``spare`` has no limit, and jobs in it are preempted when a quota lane wants their GPUs. As with Run:ai, a job that may
borrow goes into the quota while there is room and only then into the spare lane, so a training within its quota is not
reclaimed. A running job cannot change its lane, but a waiting one can: whoever sends brings waiting borrowers of the
project back into a quota that has room again. Slurm alone decides what starts and what is preempted.

>>> split([1, 1, 1], room=2)
(2, 1)
"""

from collections.abc import Sequence

SPARE = "spare"
# Within a lane people go first: subtracted from priorities in which a quota lane weighs 10,000 and a fair share more.
NICE = {"inference": 0, "interactive": 1000, "train": 2000}


def quota_qos(project: str) -> str:
    """Return the QOS in which a project claims its own GPUs."""
    return f"{project}-quota"


def split(gpus: Sequence[int], room: int, *, at_most: int | None = None) -> tuple[int, int]:
    """Return how many of these jobs, in order, go into the quota and how many into the spare lane.

    Parameters
    ----------
    gpus
        What each of them needs.
    room
        GPUs of the quota that nobody claims.
    at_most
        How many may run at the same time. A bound over two lanes would be two bounds, so they stay together: within
        the quota if as many as may run at once have room there, else all in the spare lane.

    Examples
    --------
    >>> split([1] * 10, room=4, at_most=3), split([1] * 10, room=2, at_most=3), split([0, 0], room=0)
    ((10, 0), (0, 10), (2, 0))
    """
    if at_most is not None:
        return (len(gpus), 0) if sum(sorted(gpus)[-at_most:]) <= max(0, room) else (0, len(gpus))
    inside = 0
    for need in gpus:
        if need > room:
            break
        room -= need
        inside += 1
    return inside, len(gpus) - inside
