"""`aifactory fleet`: a private Slurm up and down, and the jobs of the fleet from a terminal.

    aifactory fleet up
    aifactory fleet jobs
    aifactory fleet explain 17

It parses, asks one fleet, and prints. It sends no jobs: those are functions, and come from Python.

>>> from typer.testing import CliRunner
>>> CliRunner().invoke(app, ["--help"]).exit_code
0
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aifactory_lab.errors import FleetError
from aifactory_lab.fleet.private.layout import PRETEND
from aifactory_lab.terminal import console, helpful, say, table

if TYPE_CHECKING:
    import polars as pl

    from aifactory_lab.fleet import Fleet
    from aifactory_lab.fleet.private import Plant

app = typer.Typer(no_args_is_help=True, help="Jobs, projects and quotas; a private Slurm on this machine.")
JOBS = ["id", "name", "project", "user", "priority", "state", "reason", "gpus", "borrowed", "devices", "submitted"]
JOBS += ["started", "ended"]

Folder = Annotated[Path | None, typer.Option("--folder", "-d", help="The fleet's folder ($AIFACTORY_FLEET).")]
Engine = Annotated[str, typer.Option("--engine", "-e", help="auto, slurm, workstation or inline.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id, as `aifactory fleet jobs` tells it.")]
Since = Annotated[str, typer.Option("--since", "-s", help='How far back: "90m", "12h", "7d".')]


@app.command()
@helpful
def up(
    folder: Folder = None,
    nodes: Annotated[int | None, typer.Option(help="Nodes; default those of last time, else 4 pretend ones.")] = None,
    gpus_per_node: Annotated[int | None, typer.Option("--gpus-per-node", "-g", help="GPUs of each node.")] = None,
    cpus_per_node: Annotated[int | None, typer.Option("--cpus-per-node", "-c", help="CPUs of each node.")] = None,
    project: Annotated[
        list[str] | None, typer.Option("--project", "-p", help="A project and its quota: vision=4. Repeatable.")
    ] = None,
    pretend: Annotated[
        bool | None, typer.Option("--pretend/--real", help="Count GPUs only, or hand out this machine's.")
    ] = None,
) -> None:
    """Start a private, real Slurm on this machine, or what is missing of it (about 10 s)."""
    from aifactory_lab.fleet import private

    sizes = {"nodes": nodes, "gpus_per_node": gpus_per_node, "cpus_per_node": cpus_per_node}
    plant = private.up(folder, **sizes, projects=_quotas(project), pretend=pretend)
    _tell(plant)
    say(f"export SLURM_CONF={plant.conf}  # for squeue, sinfo and sbatch in this terminal")


@app.command()
@helpful
def status(folder: Folder = None) -> None:
    """Say whether the private Slurm runs: its daemons, ports and logs."""
    from aifactory_lab.fleet import private

    plant = private.status(folder)
    _tell(plant)
    rows = [
        {"daemon": name, "pid": pid, "port": plant.ports.get(name), "log": plant.conf.parent / "log" / f"{name}.log"}
        for name, pid in plant.processes.items()
    ]
    if rows:
        console().print(table(rows, ["daemon", "pid", "port", "log"]))
    raise typer.Exit(0 if plant.state == "up" else 1)


@app.command()
@helpful
def down(folder: Folder = None) -> None:
    """Stop every process of the private Slurm; what waits or runs goes on at the next `up`."""
    from aifactory_lab.fleet import private

    _tell(private.down(folder))


@app.command()
@helpful
def jobs(folder: Folder = None, engine: Engine = "auto", since: Since = "1d") -> None:
    """List what waits and runs, and what ended lately."""
    fleet = _fleet(engine, folder)
    _print(fleet, fleet.jobs(since), JOBS)


@app.command()
@helpful
def projects(folder: Folder = None, engine: Engine = "auto") -> None:
    """List projects: quota, use, what is borrowed, what waits."""
    fleet = _fleet(engine, folder)
    _print(fleet, fleet.projects())


@app.command()
@helpful
def usage(folder: Folder = None, engine: Engine = "auto", since: Since = "7d") -> None:
    """List GPU-hours by project and user."""
    fleet = _fleet(engine, folder)
    _print(fleet, fleet.usage(since))


@app.command()
@helpful
def nodes(folder: Folder = None, engine: Engine = "auto") -> None:
    """List the nodes and what of them is in use."""
    fleet = _fleet(engine, folder)
    _print(fleet, fleet.nodes())


@app.command()
@helpful
def explain(job: Id, folder: Folder = None, engine: Engine = "auto") -> None:
    """Say in one sentence why a job waits, who is in the way, and what would help."""
    say(_fleet(engine, folder).attach(job).explain())


@app.command()
@helpful
def cancel(job: Id, folder: Folder = None, engine: Engine = "auto") -> None:
    """End a job, running or not."""
    found = _fleet(engine, folder).attach(job)
    found.cancel()
    say(found.explain())


@app.command()
@helpful
def logs(
    job: Id,
    folder: Folder = None,
    engine: Engine = "auto",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job wrote."""
    found = _fleet(engine, folder).attach(job)
    for line in found.logs(follow=True) if follow else found.logs().splitlines():
        typer.echo(line)


def _fleet(engine: str, folder: Path | None) -> "Fleet":
    from aifactory_lab.fleet import Fleet

    return Fleet(engine, folder=folder)


def _quotas(words: list[str] | None) -> dict[str, int] | None:
    """Read projects with quotas.

    >>> _quotas(["vision=4", "nlp=2"])
    {'vision': 4, 'nlp': 2}
    """
    quotas = {}
    for word in words or ():
        name, _, quota = word.partition("=")
        if not quota.isdecimal():
            msg = f"{word!r} is not a project with its quota of GPUs"
            raise FleetError(msg, mend="aifactory fleet up --project vision=4 --project nlp=4")
        quotas[name] = int(quota)
    return quotas or None


def _tell(plant: "Plant") -> None:
    say(plant.words)
    if plant.layout:
        told = (f"{name} may claim {quota}" for name, quota in plant.layout.projects.items())
        say(f"{plant.folder}: {', '.join(told)} of {plant.layout.gpus} GPUs")


def _print(fleet: "Fleet", frame: "pl.DataFrame", columns: list[str] | None = None) -> None:
    """Print a frame, and under it which engine told it and what it lacks."""
    told = fleet.engine
    notes = [told.reason, told.limits, PRETEND if told.pretend and "pretend" not in told.reason else ""]
    console().print(table(frame.to_dicts(), columns or frame.columns))
    say("; ".join(filter(None, notes)))
