"""One job of a random mix: it writes down when it ended and how, then ends so."""

import json
import os
import signal
import time
from pathlib import Path


def live(path: str, fate: str, seconds: float) -> str:
    """Run for a while and end by fate: ``"well"``, ``"raise"``, ``"die"`` always, or ``"die once"``."""
    file = Path(path)
    before = len(file.read_text(encoding="utf-8").splitlines()) if file.exists() else 0
    time.sleep(seconds)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps({"pid": os.getpid(), "end": time.time()}) + "\n")
    if fate == "die" or (fate == "die once" and not before):
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "raise":
        msg = "as it was to be"
        raise ValueError(msg)
    return "well"
