"""`make newcomer`: do all that the documents say, print how long each took, and fail if anything went wrong.

`python -m tests.newcomer FOLDER --only blocks --matching twin` does a part of it, and goes on in a folder from before;
without a folder it is a new one under /tmp, removed afterwards. `--long` also does what needs hours or gigabytes.
"""

import argparse
import re
import shutil
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.documents import commands, links
from tests.documents.texts import every, markdown
from tests.newcomer import notebooks, shell
from tests.newcomer.machine import Machine, fresh, own_files
from tests.newcomer.shell import Step

PARTS = ("commands", "blocks", "notebooks", "links")
Walk = Iterator[tuple[str, Callable[[], Step]]]
LIMIT = 1500.0  # seconds for a command on a busy machine of two cores
LEFT_OPEN = re.compile(r"…|\b[A-Z]{3,}\b(?!=)")  # what the reader fills in
LAST = ("aifactory fleet down",)  # what tidies up after what the documents start


def main(words: list[str]) -> int:
    """Walk through the documents; return 1 if a newcomer would have stumbled."""
    asked = _asked(words)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="newcomer-"))
    machine = fresh(folder.resolve())
    steps: list[Step] = []
    print(
        f"In {machine.clone}, with HOME={machine.environment['HOME']}\n\n| what | seconds | |\n|---|---|---|",
        flush=True,
    )
    for step in _walk(machine, asked):
        steps.append(step)
        print(step.row(), flush=True)
    stumbled = [step for step in steps if step.stumbled]
    print(f"\n{len(steps)} things done, {len(stumbled)} went wrong")
    if not asked.folder:
        shutil.rmtree(folder)
    return bool(stumbled)


def _asked(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.newcomer", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to clone to; an interrupted walk goes on there")
    parser.add_argument("--long", action="store_true", help="with make test, make bench, the RAPIDS wheels")
    parser.add_argument("--only", choices=PARTS, nargs="*", default=PARTS, help="a part of the walk")
    parser.add_argument("--matching", default="", help="only what has this in it")
    return parser.parse_args(words)


def _walk(machine: Machine, asked: argparse.Namespace) -> Iterator[Step]:
    """Yield the steps of every part that was asked for, each after the one before it is done."""
    if not Path(machine.python).exists():
        yield shell.run(machine, "make setup", limit=LIMIT)
    own_files(machine)
    for part in (part for part in PARTS if part in asked.only):
        for name, step in WALKS[part](machine, asked):
            if asked.matching in name:
                yield step()


def _commands(machine: Machine, asked: argparse.Namespace) -> Walk:
    for command in typed():
        if shell.kind(command) == "long" and not asked.long:
            yield command, partial(Step, command, 0, left_out="--long does it")
        else:
            yield command, partial(shell.run, machine, command, limit=LIMIT)


def _blocks(machine: Machine, asked: argparse.Namespace) -> Walk:
    for document in markdown():
        if document.name == "CONTRIBUTING.md":
            continue  # its blocks go into files, where `tests/documents/test_howtos.py` puts them
        for pasted in notebooks.pastings(document):
            yield pasted.name, partial(notebooks.run_pasted, machine, pasted, document.name)


def _lessons(machine: Machine, asked: argparse.Namespace) -> Walk:
    for folder in ("solutions", "dashboards"):
        for path in sorted((machine.clone / "notebooks" / folder).glob("*.ipynb")):
            yield path.name, partial(notebooks.run, machine, path)


def _links(machine: Machine, asked: argparse.Namespace) -> Walk:
    for address in links.external():
        yield address, partial(fetched, address)


WALKS = dict(zip(PARTS, (_commands, _blocks, _lessons, _links), strict=True))


def typed() -> list[str]:
    """Return every command that the documents name, in their order, once; `a|b` is both."""
    documents = sorted(
        (each for each in every() if each.name != "CHANGELOG.md"), key=lambda each: each.name != "README.md"
    )
    single = [
        each for document in documents for _, found in commands.of(document) for each in commands.alternatives(found)
    ]
    whole = [
        each for each in single if not LEFT_OPEN.search(each) and commands.complaint(each) is None
    ]  # a list leaves arguments out
    return [*dict.fromkeys(whole), *LAST]


def fetched(address: str) -> Step:
    """Ask for an address of the wide world; without a way there it is left out, not wrong."""
    request = urllib.request.Request(address, headers={"User-Agent": "Mozilla/5.0"}, method="GET")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        return Step(address, 0, f"status {error.code}" if error.code in {404, 410} else "")
    except OSError as error:
        return Step(address, 0, left_out=f"no way there ({error})")
    return Step(address, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
