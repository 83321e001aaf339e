"""Run one rank of a gang in this process, as submitit does in a job: for tests without a scheduler.

`python -m tests.fleet.ranks FOLDER RANK RANKS FUNCTION [JSON of Gang's options] [arguments …]`
"""

import json
import os
import sys
import time
from pathlib import Path

import psutil

from aifactory_lab.fleet import gang
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


def slowly(client, tasks: int) -> dict:
    """Work for a while; return whose hosts did, where rank 0 listens, and who may read what the gang left."""
    hosts = sorted({host for host, _ in client.gather(client.map(_place, range(tasks)))})
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    lines = [line for each in family for line in each.net_connections("inet") if line.status == psutil.CONN_LISTEN]
    notes = (Path(sys.argv[1]) / "7_gang" / "0").glob("*.json")
    modes = {path.name: path.stat().st_mode & 0o777 for path in notes}
    return {"hosts": hosts, "doors": [list(line.laddr) for line in lines], "modes": modes}


def wrong(client) -> None:
    msg = f"{len(client.scheduler_info(n_workers=-1)['workers'])} workers and no idea"
    raise ValueError(msg)


def main(folder: str, rank: str, ranks: str, function: str, options: str = "{}", *args: str) -> None:
    told = json.loads(options)
    if between := told.pop("between", ""):  # as on several machines: a gang that meets on an address of this one's own
        gang._towards = lambda _: between
        gang._route = lambda _: between
    Rendezvous.of_this_job = classmethod(
        lambda cls, patience: cls(Path(folder) / "7_gang" / "0", int(rank), int(ranks), patience)
    )
    result = Gang(globals()[function], tuple(json.loads(arg) for arg in args), {}, **told)()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
