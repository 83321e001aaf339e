"""`aifactory twin`: the validation card, a design with its report, a day with its incidents, the hall as OpenUSD.

    aifactory twin measurements   # once: the card needs them
    aifactory twin card
    aifactory twin design --gpus 1008 --chassis gb200-nvl72 --requests 500 --out report.html
    aifactory twin day --incident cdu@14+2 --out day.html
    aifactory twin usd hall

It parses, asks the twin, and prints; it knows no maths.

>>> from typer.testing import CliRunner
>>> CliRunner().invoke(app, ["--help"]).exit_code
0
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aifactory_lab.errors import TwinError
from aifactory_lab.terminal import asking, console, helpful, say, table

if TYPE_CHECKING:
    import polars as pl

    from aifactory_lab.report import TextTable
    from aifactory_lab.twin.climate import Climate
    from aifactory_lab.twin.design import Service
    from aifactory_lab.twin.operations import Incident
    from aifactory_lab.twin.plant import Plant

app = typer.Typer(no_args_is_help=True, help="The plant's digital twin: design it, run it, break it, believe it.")
CARD = ["check", "unit", "target", "ours", "error %", "allowed %", "passed", "seen"]

Gpus = Annotated[int, typer.Option("--gpus", "-g", help="At least so many; the last chassis is filled.")]
Chassis = Annotated[str, typer.Option("--chassis", "-c", help="dgx-h100, dgx-b200, gb200-nvl72, …")]
Spare = Annotated[int, typer.Option("--spare", help="Coolers beyond those that full load needs, of each kind.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Where to write the HTML report.")]


@dataclass(frozen=True)
class Asked:
    """A plant, what it shall serve, and its weather, as options of a command."""

    gpus: Gpus = 1008
    chassis: Chassis = "gb200-nvl72"
    model: Annotated[str, typer.Option("--model", "-m", help="llama-3-70b, deepseek-v3, …")] = "llama-3-70b"
    precision: Annotated[str, typer.Option("--precision", help="Of the weights: bf16, fp8, fp4, …")] = "fp8"
    tp: Annotated[int | None, typer.Option("--tp", help="GPUs of a replica; default the fewest that fit.")] = None
    requests: Annotated[float, typer.Option("--requests", "-r", help="Requests a second, on average.")] = 500.0
    prompt: Annotated[int, typer.Option("--prompt", help="Tokens of a prompt.")] = 1024
    answer: Annotated[int, typer.Option("--answer", help="Tokens of an answer.")] = 256
    ttft: Annotated[float, typer.Option("--ttft", help="Objective: milliseconds to the first token.")] = 2000.0
    tpot: Annotated[float, typer.Option("--tpot", help="Objective: milliseconds from token to token.")] = 50.0
    training: Annotated[int, typer.Option("--training", help="GPUs that train instead of serving.")] = 0
    cap: Annotated[float | None, typer.Option("--cap", help="Power limit of a GPU in watts; default its TDP.")] = None
    water: Annotated[float, typer.Option("--water", help="Facility water as it reaches the coolers, in °C.")] = 40.0
    rejection: Annotated[str, typer.Option("--rejection", help="tower or dry.")] = "tower"
    chillers: Annotated[bool, typer.Option("--chillers/--no-chillers", help="Whether water can be chilled.")] = True
    spare: Spare = 1
    weather: Annotated[
        str, typer.Option("--weather", help="A day of 2013 in New York (2013-07-15), or °C and humidity (25,0.5).")
    ] = "2013-07-15"
    warmer: Annotated[float, typer.Option("--warmer", help="Kelvin that the air is warmer.")] = 0.0

    @property
    def plant(self) -> "Plant":
        """The plant."""
        from aifactory_lab.twin.plant import Plant

        cooled = {"water_celsius": self.water, "rejection": self.rejection, "chillers": self.chillers}
        return Plant.about(self.gpus, self.chassis, gpu_cap_watts=self.cap, spare=self.spare, **cooled)

    @property
    def service(self) -> "Service":
        """What it serves."""
        from aifactory_lab.twin.design import Service

        return Service(
            model=self.model,
            precision=self.precision,
            tp=self.tp,
            requests_per_second=self.requests,
            isl=self.prompt,
            osl=self.answer,
            ttft_ms=self.ttft,
            tpot_ms=self.tpot,
            training_gpus=self.training,
        )

    @property
    def climate(self) -> "Climate":
        """Its weather."""
        found = _climate(self.weather)
        return found.warmer(by=self.warmer) if self.warmer else found


@app.command()
@helpful
def measurements() -> None:
    """Download the measurements behind the card (82 MB, of which 3 MB are kept), and list them."""
    from aifactory_lab.twin import measurements as measured

    found = measured.fetch()
    console().print(table(found.iter_rows(named=True), found.columns))


@app.command()
@helpful
def card(
    only: Annotated[list[str] | None, typer.Option("--only", help="A check by its name. Repeatable.")] = None,
) -> None:
    """Recompute every published number, and show the error beside each; exit code 1 if one fails."""
    from aifactory_lab.twin import validation

    found = validation.card(only)
    console().print(table([_checked(row) for row in found.iter_rows(named=True)], CARD))
    say(_verdict(found))
    raise typer.Exit(1 if found["passed"].eq(other=False).any() else 0)


@app.command()
@helpful
@asking(Asked)
def design(asked: Asked, out: Out = None) -> None:
    """Say what a plant would do, draw and cost, each figure with its band and what it rests on."""
    from aifactory_lab import twin_report
    from aifactory_lab.twin import design as room

    outcome = room.evaluate(asked.plant, asked.service, climate=asked.climate)
    _tell(twin_report.figures(outcome))
    for note in outcome.notes:
        say(f"- {note}")
    _report(out, outcome)


@app.command()
@helpful
@asking(Asked)
def day(
    asked: Asked,
    out: Out = None,
    hours: Annotated[float, typer.Option(help="How long.")] = 24.0,
    shape: Annotated[str, typer.Option(help="Of the traffic: office or flat.")] = "office",
    incident: Annotated[
        list[str] | None,
        typer.Option("--incident", "-i", help="cdu@14+2: from hour 14 for 2; gpu@10+1:count=8; grid@18:watts=1.2e6."),
    ] = None,
    share: Annotated[float, typer.Option(help="Of the replicas that are simulated; the others are like them.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the traffic.")] = 0,
) -> None:
    """Run a plant through a day and what goes wrong in it."""
    from aifactory_lab import twin_report
    from aifactory_lab.twin import design as room

    plant, service, climate = asked.plant, asked.service, asked.climate
    incidents = [_incident(word) for word in incident or ()]
    from aifactory_lab.twin import sampling  # numba: seconds, that a mistake need not wait for
    from aifactory_lab.twin.operations import operate, traffic

    came = traffic.day(asked.requests, shape=shape, isl=asked.prompt, osl=asked.answer)
    how: dict[str, Any] = {"climate": climate, "hours": hours, "incidents": incidents, "seed": seed}
    if share == 1:
        found = operate(plant, service, came, **how)
    else:
        estimate = sampling.operate(plant, service, came, share=share, **how)
        _tell(twin_report.sampled(estimate))
        found = estimate.day
    _tell(twin_report.totals(found))
    for what, effect, *changes in twin_report.incidents(found).rows:
        told = zip(twin_report.COMPARED, changes, strict=True)
        say(f"- {what}: {effect}; {', '.join(f'{name} {change}' for name, change in told)}")
    _report(out, room.evaluate(plant, service, climate=climate), found)


@app.command()
@helpful
def usd(
    folder: Annotated[Path, typer.Argument(help="Where to write; a folder that is there is replaced.")],
    gpus: Gpus = 1008,
    chassis: Chassis = "gb200-nvl72",
    spare: Spare = 1,
) -> None:
    """Write the plant's hall as OpenUSD, with SimReady metadata."""
    from aifactory_lab.twin import hall, usd

    made = usd.export(hall.layout(Asked(gpus, chassis, spare=spare).plant), folder)
    say(f"{made}: open it with any OpenUSD viewer")


def _climate(weather: str) -> "Climate":
    """Read the weather.

    >>> _climate("25,0.4").note
    'steady 25 °C, 40% humidity, not measured'
    """
    from aifactory_lab.twin import climate

    celsius, _, humidity = weather.partition(",")
    try:
        return climate.steady(float(celsius), humidity=float(humidity or 0.5))
    except ValueError:
        return climate.new_york(weather)


def _incident(word: str) -> "Incident":
    """Read an incident.

    >>> str(_incident("grid@18+1:watts=1.2e6"))
    'grid power capped at 1.2 MW from 18:00 for 1 h'
    """
    from aifactory_lab.twin.operations import Incident

    what, _, more = word.partition(":")
    kind, _, when = what.partition("@")
    at, _, lasting = when.partition("+")
    given = {name: value for name, _, value in (pair.partition("=") for pair in more.split(",") if pair)}
    if strangers := set(given) - {"which", "count", "watts", "kelvin"}:
        msg = f"{word!r}: an incident has no {', '.join(sorted(strangers))}"
        raise TwinError(msg, mend="--incident gpu@10+1:count=8")
    try:
        numbers: dict[str, Any] = {
            name: int(value) if name in ("which", "count") else float(value) for name, value in given.items()
        }
        return Incident(kind, float(at), float(lasting or 1), **numbers)
    except ValueError as error:
        msg = f"{word!r} is no incident: {error}"
        raise TwinError(msg, mend="--incident cdu@14+2") from error


def _tell(told: "TextTable") -> None:
    """Print a table of the report."""
    rows = [dict(zip(told.columns, row, strict=True)) for row in told.rows]
    console().print(table(rows, told.columns))


def _report(out: Path | None, *found: Any) -> None:
    """Write the report where one is asked for."""
    if out is None:
        return
    from aifactory_lab import twin_report
    from aifactory_lab.twin import alternatives

    path = twin_report.write(out, *found, front=alternatives.front(found[0]))
    say(f"Report: {path} (open it in any browser; it needs no network)")


def _checked(row: dict[str, Any]) -> dict[str, Any]:
    shares = {"error %": row["error"], "allowed %": row["tolerance"]}
    numbers = {name: f"{row[name]:.5g}" if row[name] is not None else "" for name in ("target", "ours")}
    return (
        row
        | numbers
        | {name: None if share is None else 100 * share for name, share in shares.items()}
        | {"passed": {True: "yes", False: "NO", None: "no data"}[row["passed"]]}
    )


def _verdict(found: "pl.DataFrame") -> str:
    """Say how many checks passed, and what was not computed."""
    told = found["passed"].drop_nulls()
    missing = found.height - len(told)
    words = [f"{int(told.sum())} of {len(told)} within their tolerance"]
    words += [f"{missing} not computed: run aifactory twin measurements"] if missing else []
    return "; ".join([*words, "`seen`: the model was fitted on it", "cooling is not validated"])
