"""How an order becomes a batch job of Slurm: submitit's parameters, and the lines that bound its restarts.

Logs of all attempts stay: submitit opens them to append. This module does not choose the lane and sends nothing.

>>> from aifactory_lab.fleet.orders import Order
>>> parameters(Order(name="fit", gpus=4, nodes=2), Path("/jobs"))["gpus_per_node"]
2
"""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.slurm.lanes import NICE

KILLED = 137  # 128 + SIGKILL: what srun says of a process that was killed
DEAD = 9  # what the script says instead, when it shall not be started again


def parameters(
    order: Order,
    folder: Path,
    *,
    qos: str | None = None,
    after: Sequence[str] = (),
    at_once: int | None = None,
) -> dict[str, Any]:
    """Return the parameters of submitit's `SlurmExecutor` for an order.

    The time limit goes to Slurm past submitit. What submitit is told instead makes every signal that comes before the
    last minute a preemption: told the limit itself, it takes any preemption of a job of ten minutes for a time-out and
    fails it (``min(0.8 * limit, limit - 10 min)`` in its `has_timed_out`). ``signal_delay_s=0``: Slurm sends the signal
    when it preempts, and none before the limit, at which the job ends as TIMEOUT.
    """
    minutes = math.ceil(order.hours * 60)
    extra: dict[str, Any] = {"time": minutes, "nice": NICE[order.priority], "kill-on-invalid-dep": "yes"}
    if after:
        extra["dependency"] = ":".join(("afterok", *after))
    return {
        "job_name": order.name,
        "account": order.project,
        "nodes": order.nodes,
        "ntasks_per_node": 1,
        "cpus_per_task": order.cpus,
        **({"gpus_per_node": order.gpus_per_node} if order.gpus else {}),
        **({"qos": qos} if qos else {}),
        **({"array_parallelism": at_once} if at_once else {}),
        "time": math.ceil(max(minutes / 0.8, minutes + 10)),
        "signal_delay_s": 0,
        "additional_parameters": extra,
        # srun has not read sbatch's CPUs since 22.05; and ranks that outlive a dead one would wait for it for ever.
        "srun_args": [f"--cpus-per-task={order.cpus}", "--kill-on-bad-exit=1"],
        "teardown": restarts(folder, order.retries),
    }


def restarts(folder: Path, retries: int) -> list[str]:
    """Return the end of the batch script: start a killed job again, so many times.

    Slurm's own ``RequeueExit`` knows no bound, and not every Slurm has it set. So the script counts, in a file beside
    the job, which it names by its array's id and its index: the bare id of an array's last task means all of them. A
    preempted job or one whose node died comes back without being counted, since Slurm ends its script.
    """
    files = f"{shlex.quote(str(folder))}/${{job}}"
    return [
        "code=$?",
        "job=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}; job=${job:-$SLURM_JOB_ID}",
        f'[ "$code" -eq {KILLED} ] || exit "$code"',
        f"ls {files}_*_result.pkl >/dev/null 2>&1 && exit 1  # a rank raised, and the others were ended for it",
        '[ "$(squeue -h -j "$job" -o %T)" = RUNNING ] || exit ' + f"{DEAD}  # cancelled, or out of time",
        f"echo killed >> {files}_kills",
        f'if [ "$(wc -l < {files}_kills)" -le {retries} ]; then scontrol requeue "$job"; fi',
        f"exit {DEAD}",
    ]
