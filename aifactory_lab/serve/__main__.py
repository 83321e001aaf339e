"""`python -m aifactory_lab.serve BUNDLE --port 8000`: serve a model folder until interrupted."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from aifactory_lab.errors import FactoryError
from aifactory_lab.serve.processes import HOST, attached, refuse, say
from aifactory_lab.serve.server import run
from aifactory_lab.serve.service import Limits


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; return 2 if the model or the address is refused."""
    words = _parser().parse_args(arguments)
    limits = Limits(words.max_body_bytes, words.max_requests, words.max_wait_seconds)
    ready = _announce_to_parent if words.attached else _announce
    try:
        run(
            words.source,
            host=words.host,
            port=words.port,
            threads=words.threads,
            engines=tuple(filter(None, words.engines.split(","))),
            watch=words.watch,
            limits=limits,
            ready=ready,
        )
    except FactoryError as error:
        if words.attached:
            refuse(error)
        else:
            sys.stderr.write(f"{error}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aifactory_lab.serve", description=__doc__)
    parser.add_argument("source", help="a model folder, or a text file that holds the path of one")
    parser.add_argument("--host", default=HOST, help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    parser.add_argument("--threads", type=int, help="most threads per prediction (default: all cores but one)")
    parser.add_argument("--engines", default="", help="choose among these only, with commas between (default: all)")
    parser.add_argument("--watch", type=float, default=0.0, help="seconds between looks for a new champion")
    parser.add_argument("--max-body-bytes", type=int, default=Limits.max_body_bytes)
    parser.add_argument("--max-requests", type=int, default=Limits.max_requests)
    parser.add_argument("--max-wait-seconds", type=float, default=Limits.max_wait_seconds)
    parser.add_argument("--attached", action="store_true", help=argparse.SUPPRESS)
    return parser


def _announce(_: Any, url: str) -> None:
    sys.stdout.write(f"serving on {url}  (POST /predict; /docs, /model, /health, /metrics)\n")
    sys.stdout.flush()


def _announce_to_parent(server: Any, url: str) -> None:
    """Say the URL, then end when the parent closes our standard input or dies."""

    def finish() -> None:
        server.should_exit = True

    attached(finish)
    say({"url": url})


if __name__ == "__main__":
    sys.exit(main())
