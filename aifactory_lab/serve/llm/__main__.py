"""`python -m aifactory_lab.serve.llm MODEL --port 8000`: serve a language model until interrupted."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import orjson

from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.llm import engines, sources
from aifactory_lab.serve.llm.engines import Choice, Plan
from aifactory_lab.serve.llm.gateway import Limits
from aifactory_lab.serve.llm.server import make_plan, run
from aifactory_lab.serve.processes import HOST, attached, refuse, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; return 2 if the model, the engine or the address is refused."""
    words = _parser().parse_args(arguments)
    try:
        if words.attached:
            _run_attached(orjson.loads(words.model))
        else:
            _run(words)
    except FactoryError as error:
        if words.attached:
            refuse(error)
        else:
            sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _run_attached(settings: dict[str, Any]) -> None:
    """Serve what the parent decided; end when it closes our standard input or dies."""

    def ready(server: Any, told: dict[str, Any]) -> None:
        def finish() -> None:
            server.should_exit = True

        attached(finish)
        say(told)

    choice, plan = Choice(**settings.pop("choice")), Plan(**settings.pop("plan"))
    run(choice, plan, **settings, ready=ready)


def _run(words: argparse.Namespace) -> None:
    found = sources.find(words.model)
    choice = engines.choose(found.model, words.engine)
    plan = make_plan(
        found, choice, name=words.name, adapters=dict(words.adapter), precision=words.precision,
        slots=words.slots, context=words.context, threads=words.threads, key_variable=words.key_variable,
    )  # fmt: skip

    def ready(_: Any, told: dict[str, Any]) -> None:
        names = ", ".join(told["models"])
        sys.stdout.write(f"serving {names} on {told['url']}/v1  ({told['engine']}: {told['reason']})\n")
        sys.stdout.flush()

    run(choice, plan, host=words.host, port=words.port, waiting=words.waiting, ready=ready)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aifactory_lab.serve.llm", description=__doc__)
    parser.add_argument("model", help="a checkpoint folder, a .gguf file, or the URL of an OpenAI-compatible server")
    parser.add_argument("--engine", default="auto", help=f"auto, {', '.join(engines.HOMES)}")
    parser.add_argument("--name", default="", help="under which it is served")
    parser.add_argument("--adapter", action="append", default=[], type=_pair, metavar="NAME=FOLDER")
    parser.add_argument("--host", default=HOST, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--slots", type=int, default=Plan.slots, help="requests computed together")
    parser.add_argument("--waiting", type=int, default=Limits.waiting, help="requests that may wait behind them")
    parser.add_argument("--context", type=int, default=0, help="tokens that one request may span")
    parser.add_argument("--threads", type=int, default=Plan.threads)
    parser.add_argument("--precision", default=sources.PRECISION, help="of the file made of a folder: f16, q8_0")
    parser.add_argument("--key-variable", default="", help="variable that holds the key of an external server")
    parser.add_argument("--attached", action="store_true", help=argparse.SUPPRESS)
    return parser


def _pair(word: str) -> tuple[str, str]:
    name, _, folder = word.partition("=")
    if not folder:
        raise argparse.ArgumentTypeError(f"{word!r} is not NAME=FOLDER")  # noqa: EM102
    return name, folder


if __name__ == "__main__":
    sys.exit(main())
