"""Where a report comes from: machine, versions, commit, hashes of the data, seeds, and the command that made it.

>>> found = versions()
>>> found["aifactory-lab"] == __version__, "polars" in found
(True, True)
"""

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from aifactory_lab import __version__
from aifactory_lab.line import LineRun, Run

PACKAGES = ("polars", "xgboost", "scikit-learn", "onnxruntime", "torch", "transformers", "peft", "xllamacpp", "mlflow")
PROGRAMS = ("aifactory", "cli.py")
GIT_SECONDS = 10.0


def of(*runs: LineRun) -> dict[str, Any]:
    """Return what is known of how these runs came about, as plain values by name."""
    found: dict[str, Any] = {
        "command": command(),
        "commit": commit(),
        "machine": machine(),
        "device": str(runs[0].device),
        "workspace": str(runs[0].workspace.root),
        "versions": versions(),
    }
    for run in runs:
        found |= _decisions(run) if isinstance(run, Run) else _tokens(run)
    return found


def command() -> str:
    """Return the command line that is running, if it is ours; else what stands for it."""
    name = Path(sys.argv[0]).name if sys.argv else ""
    return shlex.join(["aifactory", *sys.argv[1:]]) if name in PROGRAMS else "aifactory run"


def commit() -> str:
    """Return the git commit of the checkout that runs, "with changes" where it was edited; empty if there is none."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return ""
    try:
        head, changed = (_git(here, *words) for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "-uno")))
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{head[:12]}{', with changes' if changed else ''}"


def machine() -> str:
    """Return processor, cores, memory and system of this machine, in words; not its name."""
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}"


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of what computes, as far as they are installed."""
    found = {"aifactory-lab": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _decisions(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"records": run.raw.name}
    if "ingest" in run.artefacts:
        found["records_sha256"] = run.artefacts["ingest"].report.details["sha256"]
    if "train" in run.artefacts:
        told = run.result.bundle.lineage
        found |= {
            "decisions_seed": told["params"].get("seed"),
            "decisions_model": f"{run.settings.model} {run.version}",
        }
    return found


def _tokens(run: LineRun) -> dict[str, Any]:
    settings = getattr(run, "settings", None)
    found: dict[str, Any] = {"tokens_seed": getattr(settings, "seed", None)}
    if "corpus" in run.artefacts:
        found["corpus_sha256"] = run.artefacts["corpus"].report.details["source"]["sha256"]
    if base := getattr(run, "versions", {}).get("pretrain"):
        found["tokens_model"] = f"{getattr(settings, 'model', '')} {base}"
    return found


def _git(here: Path, *words: str) -> str:
    command = ["git", "-C", str(here), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=GIT_SECONDS)  # noqa: S603
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
