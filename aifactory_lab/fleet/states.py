"""How a job stands, in one word: the same words from every engine.

A module of its own, without Polars: submitit imports the workstation's part of the fleet in every job, and a job's
start is no time to import frames.

>>> STATES[0], "FAILED" in ENDED
('PENDING', True)
"""

from typing import Literal, get_args

State = Literal["PENDING", "RUNNING", "REQUEUED", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"]
STATES: tuple[State, ...] = get_args(State)
ENDED: frozenset[State] = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"})
