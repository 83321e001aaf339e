"""Where others disagree: measured servings, what we say of them, and what AIConfigurator says.

AIConfigurator (NVIDIA, Apache-2.0) composes latencies of measured kernels. It lives in an environment of its own, whose
interpreter ``$AIFACTORY_AICONFIGURATOR`` names; where there is none, its columns are empty and a note says how to make
one. Which of the two is right is for the measured column to say.

>>> INSTALL.split(" && ")[1]
'~/aiconfigurator/bin/pip install aiconfigurator==0.12.0'
"""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.errors import TwinError
from aifactory_lab.twin import inference, peer_estimates, silicon

VARIABLE = "AIFACTORY_AICONFIGURATOR"
INSTALL = (
    "python -m venv ~/aiconfigurator && ~/aiconfigurator/bin/pip install aiconfigurator==0.12.0"
    f" && export {VARIABLE}=~/aiconfigurator/bin/python"
)
# Dense models by their names there: a mixture's kernels are not in its tables for every layout.
MODELS = {"llama-3-8b": "meta-llama/Meta-Llama-3.1-8B", "llama-3-70b": "meta-llama/Meta-Llama-3.1-70B"}
MODELS |= {"qwen3-32b": "Qwen/Qwen3-32B"}
GOLDEN = (5**0.5 - 1) / 2
PATIENCE = 1200.0  # seconds: it takes 3 to 10 a question
FIGURES = ("system", "model", "backend", "precision", "tp_size", "isl", "osl", "batch_size")


def compare(
    *, each: int = 2, models: Sequence[str] = ("llama-3-70b",), python: str | Path | None = None
) -> pl.DataFrame:
    """Return measured servings beside both predictions.

    Parameters
    ----------
    each
        Measurements of every system, engine and format, spread evenly over tensor parallelism, lengths and load.
    models
        Which of `MODELS`.
    python
        The interpreter that has aiconfigurator; by default ``$AIFACTORY_AICONFIGURATOR``.

    Returns
    -------
    polars.DataFrame
        `FIGURES`, then TPOT and TTFT in milliseconds as ``measured_``, ``ours_`` and ``theirs_``, the errors
        ``ours_error`` and ``theirs_error`` of TPOT, their CPU-seconds a question, and a note.

    Raises
    ------
    TwinError
        If there are no measurements, a model is not one of them, or the peer's program fails.
    """
    unknown = [name for name in models if name not in MODELS]
    if unknown:
        msg = f"no model {unknown[0]!r} to compare; there are: {', '.join(MODELS)}"
        raise TwinError(msg, mend='twin.peers.compare(models=["llama-3-70b"])')
    rows = _chosen(silicon.rows().filter(pl.col("why") == "", pl.col("model").is_in(models)), each)
    ours = silicon.predicted(rows, inference.fitted().parameters).filter("held")
    chosen = python or os.environ.get(VARIABLE)
    answers = ask(ours, chosen) if chosen else [{"error": f"AIConfigurator is not here: {INSTALL}"}] * len(ours)
    return _beside(ours, answers)


def ask(rows: pl.DataFrame, python: str | Path) -> list[dict[str, Any]]:
    """Return AIConfigurator's answers on rows of `silicon.rows`, in their order."""
    program, questions = Path(peer_estimates.__file__), [_question(row) for row in rows.iter_rows(named=True)]
    command = [str(Path(python).expanduser()), "-W", "ignore", str(program)]
    try:
        done = subprocess.run(  # noqa: S603 - an interpreter that the user named
            command, input=json.dumps(questions), capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout.strip().splitlines()[-1])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        msg = f"AIConfigurator did not answer with {python}: {''.join(said)}"
        raise TwinError(msg, mend=INSTALL) from error
    return answers


def _chosen(rows: pl.DataFrame, each: int) -> pl.DataFrame:
    ordered = rows.sort(FIGURES)
    # Steps of the golden section fall into every corner of a sorted group, however many of them are taken.
    place = ((pl.int_range(pl.len()) + 0.5) * GOLDEN) % 1
    return ordered.filter((place.rank("ordinal") <= each).over("system", "model", "backend", "precision"))


def _question(row: dict[str, Any]) -> dict[str, Any]:
    asked = {"isl": row["isl"], "osl": row["osl"], "batch_size": row["batch_size"], "tp_size": row["tp_size"]}
    asked |= {"model_path": MODELS[row["model"]], "system_name": row["system"], "backend_name": row["backend"]}
    return asked | {"gemm_quant_mode": row["gemm_quant_mode"]}


def _beside(ours: pl.DataFrame, answers: Sequence[dict[str, Any]]) -> pl.DataFrame:
    names = {"tpot": pl.Float64, "ttft": pl.Float64, "seconds": pl.Float64, "error": pl.String}
    theirs = pl.DataFrame([{name: told.get(name) for name in names} for told in answers], schema=names)
    return ours.select(
        *FIGURES,
        measured_tpot=pl.col("silicon_tpot_ms"),
        ours_tpot=pl.col("tpot") * 1e3,
        theirs_tpot=theirs["tpot"],
        measured_ttft=pl.col("silicon_ttft_ms"),
        ours_ttft=pl.col("ttft") * 1e3,
        theirs_ttft=theirs["ttft"],
        ours_error=pl.col("error"),
        theirs_error=theirs["tpot"] / pl.col("silicon_tpot_ms") - 1,
        theirs_seconds=theirs["seconds"],
        note=theirs["error"].fill_null(""),
    )
