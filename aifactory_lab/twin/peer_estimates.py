"""AIConfigurator's own estimates, asked in its own environment: a program, not a part of this package.

It is run by the interpreter of an environment that holds aiconfigurator, which pins what ours has in other versions; so
it knows the standard library and that package only. A list of questions comes as JSON, one answer each goes back: its
TTFT and TPOT in milliseconds, or the error's words; and the CPU-seconds that it took. Who asks is `peers`' to know.

>>> answer({"model_path": "x", "system_name": "y"}, lambda **asked: None)["error"]
"'NoneType' object has no attribute 'ttft'"
"""

import importlib
import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any


def answer(question: dict[str, Any], estimate: Callable[..., Any]) -> dict[str, Any]:
    """Return what the peer says to one question, or its words if it cannot."""
    start = time.process_time()
    try:
        found = estimate(**question)
        told: dict[str, Any] = {"ttft": float(found.ttft), "tpot": float(found.tpot)}
    except Exception as error:  # noqa: BLE001 - whatever it is, the other questions are still to be asked
        told = {"error": str(error)[:200]}
    return told | {"seconds": time.process_time() - start}


def main() -> None:
    """Answer the questions of standard input."""
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    estimate = importlib.import_module("aiconfigurator.cli.api").cli_estimate
    sys.stdout.write(json.dumps([answer(question, estimate) for question in json.load(sys.stdin)]) + "\n")


if __name__ == "__main__":
    main()
