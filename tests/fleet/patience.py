"""How the fleet's tests wait: for what must come true, on a machine that may be busy; nothing here measures time."""

import time

PATIENT = 180.0  # seconds


def until(true, what: str, *, seconds: float = PATIENT, pause: float = 0.1):
    """Wait until something holds, and return it."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        if found := true():
            return found
        time.sleep(pause)
    raise AssertionError(what)


def running(*jobs, seconds: float = PATIENT) -> None:
    """Wait until jobs run, and their processes have said so."""
    started = lambda: all(job.state == "RUNNING" and job.attempts for job in jobs)  # noqa: E731
    until(started, "the jobs do not start", seconds=seconds)
