"""Run one rank of a gang in this process, as submitit does in a job: for tests without a scheduler.

`python -m tests.fleet.ranks FOLDER RANK RANKS FUNCTION [JSON of Gang's options] [arguments …]`
"""

import json
import os
import sys
import time
from pathlib import Path

from aifactory_lab.fleet.gang import Gang
from aifactory_lab.fleet.rendezvous import Rendezvous


def where(client, tasks: int) -> list[tuple[str, str]]:
    """Return on which node and GPU each task ran."""
    return client.gather(client.map(_place, range(tasks)))


def _place(_: int) -> tuple[str, str]:
    time.sleep(0.2)
    return os.environ.get("SLURMD_NODENAME", ""), os.environ["CUDA_VISIBLE_DEVICES"]


def squares(client, folder: str, tasks: int) -> int:
    """Sum squares slowly; every worker writes down its process."""
    return sum(client.gather(client.map(_square, range(tasks), folder=folder)))


def _square(x: int, folder: str) -> int:
    Path(folder, f"pid-{os.getpid()}").touch()
    time.sleep(0.2)
    return x * x


def wrong(client) -> None:
    msg = f"{len(client.scheduler_info(n_workers=-1)['workers'])} workers and no idea"
    raise ValueError(msg)


def main(folder: str, rank: str, ranks: str, function: str, options: str = "{}", *args: str) -> None:
    told = json.loads(options)
    Rendezvous.of_this_job = classmethod(
        lambda cls, patience: cls(Path(folder) / "7_gang" / "0", int(rank), int(ranks), patience)
    )
    result = Gang(globals()[function], tuple(json.loads(arg) for arg in args), {}, **told)()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
