"""Token load tests: load on a server that speaks OpenAI's API, from one stream to a replayed trace.

`tokens` runs one test, `pareto` one for each concurrency. The clients run in a process of their own
(`aifactory_lab.serve.load.token_clients`); what is measured is defined in `aifactory_lab.serve.load.records` and
`aifactory_lab.serve.load.summary`.

>>> tokens("http://127.0.0.1:9", ["def add("], model="m", requests=1).statuses
{'refused': 1}
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from aifactory_lab.errors import DataError, FactoryError
from aifactory_lab.measure import Meter
from aifactory_lab.serve.load import costs, targets
from aifactory_lab.serve.load.arrivals import Arrivals, poisson
from aifactory_lab.serve.load.costs import Cost
from aifactory_lab.serve.load.records import Record
from aifactory_lab.serve.load.summary import Slo
from aifactory_lab.serve.load.targets import KEY_VARIABLE, Target
from aifactory_lab.serve.load.token_clients import TokenPlan
from aifactory_lab.serve.load.token_report import TokenReport

if TYPE_CHECKING:
    import polars as pl

Api = Literal["completions", "chat"]
# A text, the ids of its tokens (completions only), or the messages of a chat.
Prompt: TypeAlias = str | Sequence[int] | Sequence[Mapping[str, str]]
CONCURRENCIES = (1, 2, 4, 8, 16, 32)
OPEN_LOOP_CONNECTIONS = 512
DEFAULT_SECONDS = 10.0


def tokens(
    server: Any,
    prompts: Sequence[Prompt],
    *,
    model: str | None = None,
    api: Api = "completions",
    concurrency: int | None = None,
    rate: float | None = None,
    arrivals: Arrivals | Sequence[float] | None = None,
    requests: int | None = None,
    seconds: float | None = None,
    max_tokens: int = 64,
    ignore_eos: bool = True,
    temperature: float = 0.0,
    slo: Slo | None = None,
    seed: int = 0,
    warmup: int = 0,
    patience: float = 120.0,
    extra: Mapping[str, Any] | None = None,
    engine: str = "",
    price_per_hour: float | None = None,
    key_variable: str = KEY_VARIABLE,
) -> TokenReport:
    """Put load on a server of language models and return what it gave.

    Parameters
    ----------
    server
        A running server (with ``url`` and perhaps ``model`` and ``pid``), or a URL.
    prompts
        What is asked, in turn: texts, lists of token ids, or (chat) lists of messages.
    model
        The name that requests carry; by default the server's, or the first that it lists.
    api
        ``"completions"`` or ``"chat"``; both stream.
    concurrency
        Closed loop: so many connections, each sending its next request when the last is answered (default 1). In an
        open loop the most connections (default 512); requests that find none wait, and are counted late.
    rate, arrivals
        Open loop: a Poisson process of so many arrivals per second, or these times in seconds. `Arrivals` with
        ``output_tokens`` say how much each request asks for, instead of `max_tokens`.
    requests, seconds
        How much: so many requests, or as long as this (default 10 s). With `arrivals` their number.
    max_tokens, ignore_eos, temperature
        As the server's API has them; with `ignore_eos` every answer has exactly `max_tokens`. Servers that refuse
        fields they do not know (transformers) need ``ignore_eos=False``, which leaves it out.
    slo
        The objective that goodput counts by.
    seed
        Of the arrivals and of the requests.
    warmup
        Requests before the clock starts; they are not in the report.
    patience
        Seconds that one request may take.
    extra
        More fields for the body of every request.
    engine
        A name for pictures and tables.
    price_per_hour
        Dollars for one hour of the server's machine; by default this machine's cores at
        `measure.dollars_per_core_hour`, an assumption, and nothing for a GPU or another machine.
    key_variable
        The environment variable that holds the server's key, if it wants one.

    Raises
    ------
    DataError
        If there are no prompts, or the loop is not clear.
    FactoryError
        If the clients could not run, or the server does not say which models it has.
    """
    target = Target.of(server, model=model, key_variable=key_variable)
    coming = _coming(rate, arrivals, requests, seconds, seed)
    if not prompts:
        msg = "no prompts: a load test needs at least one"
        raise DataError(msg, mend='load.tokens(server, ["def add("])')
    fields = {"temperature": temperature, "seed": seed, **({"ignore_eos": True} if ignore_eos else {}), **(extra or {})}
    asked = _asked(coming, len(prompts), max_tokens)
    bodies = [
        _body(target.model, prompts[number % len(prompts)], api, limit, fields) for number, limit in enumerate(asked)
    ]
    bounds = {"seconds": seconds or (0.0 if requests else DEFAULT_SECONDS), "requests": requests or 0}
    settings = {"warmup": warmup, "patience": patience, "key_variable": key_variable}
    plan = _plan(target, api, concurrency, **(bounds if coming is None else {"loop": "open"}), **settings)
    about, lines, cost = _metered(target, plan, bodies, coming, price_per_hour)
    return TokenReport(
        model=target.model,
        records=tuple(Record.of(line, asked[line["prompt"]]) for line in lines),
        slo=slo,
        concurrency=plan.concurrency,
        offered=None if coming is None else rate or coming.rate,
        engine=engine,
        cost=cost,
        origin_ns=about["origin_ns"],
        note="" if coming is None else coming.note,
    )


def pareto(
    server: Any, prompts: Sequence[Prompt], concurrencies: Sequence[int] = CONCURRENCIES, **options: Any
) -> "pl.DataFrame":
    """Test at several concurrencies: throughput against what one user sees, one row for each.

    Parameters
    ----------
    server, prompts
        As for `tokens`.
    concurrencies
        How many streams at once.
    **options
        As for `tokens`; ``requests`` counts for each concurrency, and at least one for each connection is sent.

    Returns
    -------
    frame
        As `TokenReport.frame`; draw it with `figures.tokens.pareto`.
    """
    from aifactory_lab.serve.load.token_tables import frame

    least = options.pop("requests", None)
    reports = []
    for concurrency in concurrencies:
        requests = None if least is None else max(least, concurrency)
        reports.append(tokens(server, prompts, concurrency=concurrency, requests=requests, **options))
    return frame(reports)


def _coming(
    rate: float | None,
    arrivals: Arrivals | Sequence[float] | None,
    requests: int | None,
    seconds: float | None,
    seed: int,
) -> Arrivals | None:
    """Return the arrivals of an open loop, `None` for a closed one."""
    if rate is not None and arrivals is not None:
        msg = "rate and arrivals: an open loop has one or the other"
        raise DataError(msg, mend="load.tokens(server, prompts, rate=5.0)")
    if arrivals is not None:
        import numpy as np

        if isinstance(arrivals, Arrivals):
            return arrivals
        return Arrivals(np.sort(np.asarray(arrivals, dtype=np.float64)), note="as given")
    if rate is None:
        return None
    # Enough for the time wanted: a Poisson count is seldom more than ten deviations above its mean.
    wanted = seconds or DEFAULT_SECONDS
    made = poisson(rate, requests or int(rate * wanted + 10 * (rate * wanted) ** 0.5) + 10, seed)
    return made if requests else Arrivals(made.times[made.times < wanted], note=made.note)


def _plan(target: Target, api: Api, concurrency: int | None, **options: Any) -> TokenPlan:
    host, port, tls = target.place()
    return TokenPlan(
        host,
        port,
        path=target.path(targets.check_api(api)),
        tls=tls,
        concurrency=concurrency or (OPEN_LOOP_CONNECTIONS if options.get("loop") == "open" else 1),
        pid=target.pid if target.here else None,
        **options,
    )


def _asked(coming: Arrivals | None, prompts: int, max_tokens: int) -> list[int]:
    """Return the most tokens of each body."""
    if coming is None or coming.output_tokens is None:
        return [max_tokens] * prompts
    limits: list[int] = coming.output_tokens.tolist()
    return limits


def _body(model: str, prompt: Prompt, api: Api, limit: int, fields: Mapping[str, Any]) -> bytes:
    if api == "chat":
        what: dict[str, Any] = {
            "messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        }
    else:
        what = {"prompt": prompt}
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    return orjson.dumps({"model": model, **what, "max_tokens": limit, **streamed, **fields})


def _metered(
    target: Target, plan: TokenPlan, bodies: Sequence[bytes], coming: Arrivals | None, price_per_hour: float | None
) -> tuple[dict[str, Any], list[dict[str, Any]], Cost]:
    """Run the clients under a meter; return what they say of the run, their lines, and the cost."""
    price, price_note = costs.price(target, price_per_hour)
    with Meter("load", unit="tokens") as meter:
        about, *lines = _run_clients(plan, bodies, [] if coming is None else list(coming))
        meter.count(sum(line["output"] or 0 for line in lines if line["outcome"] == "200"), model=target.model)
    cost = Cost(
        costs.metered(meter.report, target), about["server_cpu_seconds"], about["cpu_seconds"], price, price_note
    )
    return about, lines, cost


def _run_clients(plan: TokenPlan, bodies: Sequence[bytes], times: Sequence[float]) -> list[dict[str, Any]]:
    lengths = [len(body) for body in bodies]
    header = json.dumps({"plan": asdict(plan), "lengths": lengths, "times": times}).encode() + b"\n"
    command = [sys.executable, "-m", "aifactory_lab.serve.load.token_clients"]
    try:
        done = subprocess.run(command, input=header + b"".join(bodies), capture_output=True, check=True)  # noqa: S603
    except subprocess.CalledProcessError as error:
        words = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [str(error)]
        msg = f"the clients of the load test failed: {words[0]}"
        raise FactoryError(msg) from error
    return [orjson.loads(line) for line in done.stdout.splitlines()]
