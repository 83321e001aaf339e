"""Run a soak: acts arrive as two Poisson processes, whatever is still under way, until the time is over."""

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.benchmarks.harness import Table
from tests.benchmarks.soak import predictions, tokens, verdict
from tests.benchmarks.soak.asked import Asked
from tests.benchmarks.soak.memory import Curve, held
from tests.benchmarks.soak.plant import Plant, started
from tests.benchmarks.soak.rudeness import RudeToPredictions, RudeToTokens

RATES = {"predictions": 6.0, "tokens": 2.0}  # acts a second: about a fifth of one core with the clients' part
LAST = 90.0  # seconds that the slow ones may take to come home
SHARES = {"valid": 0.6, "invalid": 0.2, "around": 0.05, "rude": 0.15}
KEEP = 300.0  # seconds between two times that the samples are kept

Act = Callable[[], Awaitable[None]]


def soak(seconds: float, folder: Path, *, seed: int = 0, rates: dict[str, float] | None = None) -> list[Table]:
    """Soak both endpoints and return what it has shown; samples, acts and the figure are kept in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        os.environ["AIFACTORY_CACHE"] = name  # the measurements of the engines are not the user's
        with started(Path(name)) as plant:
            return asyncio.run(_soak(plant, seconds, folder, seed, rates or RATES))


async def _soak(plant: Plant, seconds: float, folder: Path, seed: int, rates: dict[str, float]) -> list[Table]:
    asked, choice = Asked(), random.Random(seed)
    polite = predictions.Predictions(plant, asked, seed), tokens.Tokens(plant, asked, seed)
    clients = _clients(*polite)
    await _once_each(clients, asked)
    await _rest(plant, polite)
    rest = {name: held(one) for name, one in plant.processes().items()}
    curve = Curve({**plant.processes(), "clients": psutil.Process()})
    keeping = asyncio.create_task(curve.keep())
    arriving = [
        _arrive(clients[name], name, asked, choice, rate, seconds, (curve, folder)) for name, rate in rates.items()
    ]
    await asyncio.gather(*arriving)
    await _rest(plant, polite)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    theirs = await _books(plant)
    after = {name: held(one) for name, one in plant.processes().items()}
    curve.write(folder / "memory.parquet")
    asked.write(folder / "acts.parquet")
    verdict.draw(curve.frame(), folder / "memory.html")
    both = {name: (rest[name], after[name]) for name in rest}
    return verdict.tables(asked, curve.frame(), both, theirs)


def _clients(of_rows: predictions.Predictions, of_words: tokens.Tokens) -> dict[str, dict[str, dict[Act, float]]]:
    """Return what is done to each endpoint, by class, with its weight."""
    found = {}
    for name, polite, rude in (
        ("predictions", of_rows, RudeToPredictions(of_rows)),
        ("tokens", of_words, RudeToTokens(of_words)),
    ):
        found[name] = {"valid": polite.valid, "invalid": polite.invalid, "around": polite.around, "rude": rude.acts}
    return found


async def _once_each(clients: dict[str, Any], asked: Asked) -> None:
    """Do everything once before anything is measured: what is made at the first use is no leak."""
    every = [(name, kind, act) for name, classes in clients.items() for kind, acts in classes.items() for act in acts]
    for name, kind, act in every:
        if act.__name__ not in ("say_nothing", "dawdle"):
            await _do(name, kind, act, asked)


async def _arrive(
    classes: dict[str, Any],
    name: str,
    asked: Asked,
    choice: random.Random,
    rate: float,
    seconds: float,
    keep: tuple[Curve, Path],
) -> None:
    """Let acts arrive at their times and wait for those under way; keep the samples now and then."""
    under_way: set[asyncio.Task[None]] = set()
    start = due = kept = time.monotonic()
    while (due := due + choice.expovariate(rate)) < start + seconds:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        kind = choice.choices(list(SHARES), list(SHARES.values()))[0]
        act = choice.choices(list(classes[kind]), list(classes[kind].values()))[0]
        task = asyncio.create_task(_do(name, kind, act, asked))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        if time.monotonic() > kept + KEEP and name == "tokens":
            kept = time.monotonic()
            keep[0].write(keep[1] / "memory.parquet")
            print(f"{(kept - start) / 60:.0f} min, {len(asked.acts):,} acts, {len(under_way)} under way", flush=True)
    if under_way:
        _, late = await asyncio.wait(under_way, timeout=LAST)
        for task in late:
            task.cancel()
            asked.acts.append(
                {"endpoint": name, "kind": "hangs", "valid": True, "start": 0.0, "seconds": LAST, "what": str(task)}
            )


async def _do(name: str, kind: str, act: Act, asked: Asked) -> None:
    with asked.act(name, act.__name__, valid=kind == "valid"):
        await act()


async def _rest(plant: Plant, polite: tuple[predictions.Predictions, tokens.Tokens]) -> None:
    """Wait until both endpoints have nothing to do and no connection of ours."""
    for client in polite:
        await client.reconnect()
    await predictions.idle(plant.predictions.url)
    await tokens.idle(plant.tokens.url)
    await asyncio.sleep(2)


async def _books(plant: Plant) -> Counter[tuple[str, str]]:
    async with httpx.AsyncClient(timeout=30) as client:
        texts = {name: (await client.get(f"{getattr(plant, name).url}/metrics")).text for name in RATES}
    await asyncio.sleep(1)
    found: Counter[tuple[str, str]] = Counter()
    for name, text in texts.items():
        found += verdict.counted(name, text)
    return found
