"""The engine's process: ``python -m aifactory_lab.fleet.workstation <folder> <gpus> <pretend>``.

It holds the lock of its folder as long as it lives, so there is one engine; it listens on loopback, and answers only
those who know the key in ``engine.json``, which only its owner can read. Started by `workstation.connection`.
"""

import fcntl
import json
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection as Line
from multiprocessing.connection import Listener, answer_challenge, deliver_challenge
from pathlib import Path
from typing import Any

from aifactory_lab.aside import write_aside
from aifactory_lab.fleet.births import birth
from aifactory_lab.fleet.folders import made
from aifactory_lab.fleet.workstation.queue import Queue
from aifactory_lab.fleet.workstation.records import Ledger


def main(folder: Path, gpus: int, pretend: bool) -> None:
    """Serve until somebody says stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted notebook cell is no reason to end
    home = made(folder / "workstation")
    lock = (home / "engine.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return  # another one serves this folder
    queue = Queue(Ledger(folder / "jobs" / "workstation"), gpus)
    key = secrets.token_bytes(32)
    with Listener(("127.0.0.1", 0), backlog=64) as listener:
        _announce(home / "engine.json", listener.address[1], key, gpus, pretend)
        stopped = threading.Event()
        threading.Thread(target=_listen, args=(listener, key, queue, stopped), daemon=True).start()
        stopped.wait()
        (home / "engine.json").unlink(missing_ok=True)
    queue.close()


def _announce(path: Path, port: int, key: bytes, gpus: int, pretend: bool) -> None:
    pid = os.getpid()
    told = {"port": port, "key": key.hex(), "pid": pid, "born": birth(pid), "gpus": gpus, "pretend": pretend}
    with write_aside(path) as aside:
        aside.touch(mode=0o600)
        aside.write_text(json.dumps(told))


def _listen(listener: Listener, key: bytes, queue: Queue, stopped: threading.Event) -> None:
    """Serve each caller in a thread of its own: one that says nothing, or is halted, keeps nobody waiting."""
    while True:
        with suppress(OSError):  # the caller has gone already
            line = listener.accept()
            threading.Thread(target=_serve, args=(line, key, queue, stopped), daemon=True).start()


def _serve(line: "Line[Any, Any]", key: bytes, queue: Queue, stopped: threading.Event) -> None:
    """Answer a caller who has the key."""
    try:
        with line:
            deliver_challenge(line, key)
            answer_challenge(line, key)
            if not _answer(line, queue):
                stopped.set()
    except (OSError, EOFError, ValueError, AuthenticationError) as error:  # a stranger, a caller that died
        sys.stderr.write(f"a caller was not served: {type(error).__name__}: {error}\n")


def _answer(line: "Line[Any, Any]", queue: Queue) -> bool:
    operation, *words = json.loads(line.recv_bytes())
    try:
        _operations(queue)[operation](*words)
    except Exception as error:  # noqa: BLE001 - whatever it is, the engine lives on and the caller is told
        line.send_bytes(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
    else:
        line.send_bytes(json.dumps({"pid": os.getpid()}).encode())
    return bool(operation != "stop")


def _operations(queue: Queue) -> dict[str, Callable[..., None]]:
    return {"submit": queue.submit, "cancel": queue.cancel, "ping": _nothing, "stop": _nothing}


def _nothing() -> None:
    """Answering is all that a ping asks for, and a stop comes after the answer."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "True")
