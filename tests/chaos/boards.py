"""A board as a page of voila under strikes: the page comes back with the server, and no kernel outlives it."""

import subprocess
import time

import httpx
import psutil

from aifactory_lab import dash
from tests.chaos.parts import LIMIT, PATIENCE, Broken, Part, Strike, gone, until
from tests.widgets.servers import free_port


class Board(Part):
    """`aifactory dash` without a browser: a page asked for now and then, which starts a kernel each time."""

    name = "board"
    pause = 60.0  # seconds between two pages: a kernel costs some CPU-seconds, and is culled a minute after

    def start(self) -> None:
        """Start voila and wait until it answers."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self.log = (self.folder / f"{port}.log").open("w")
        command = dash.command("mission_control", port=port, browser=False)
        self.process = subprocess.Popen(command, stdout=self.log, stderr=subprocess.STDOUT)
        self.next = time.monotonic()
        until(self._answers, "voila does not answer")

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}voila/static/favicon.ico", timeout=LIMIT).status_code < 500
        except httpx.TransportError:
            return False

    def work(self) -> None:
        """Open a page, now and then."""
        time.sleep(0.5)
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + self.pause
        try:
            page = httpx.get(self.url, timeout=PATIENCE)
        except httpx.TransportError:
            self.seen["no connection"] += 1
            return
        # a kernel that was struck while its page was made costs that page, in words
        self.seen["right" if page.status_code == 200 and "anywidget" in page.text else "page without its board"] += 1
        if page.status_code not in (200, 500):
            raise Broken(f"{page.status_code}: {page.text[:200]}")

    def victims(self) -> dict[str, psutil.Process]:
        """Voila and its kernels."""
        found = {"voila": psutil.Process(self.process.pid)}
        kernels = [one for one in found["voila"].children() if not gone(one) and "ipykernel" in " ".join(one.cmdline())]
        return found | {f"kernel {number}": one for number, one in enumerate(kernels)}

    def after(self, strike: Strike) -> str:
        """A page can be opened again; after voila is gone its kernels go."""
        if strike.victim == "voila" and strike.deadly:
            self.process.wait(LIMIT)
            until(lambda: not self._kernels(), "kernels outlive voila")
            self.log.close()
            self.start()
        before = self.count_from_here()
        self.next = 0.0
        self.goes_on(before, times=1)
        return (
            "aifactory dash brought it back; its kernels had ended"
            if strike.victim == "voila"
            else "a page opens again"
        )

    def _kernels(self) -> list[int]:
        own = str(self.folder.parent)
        found = []
        for one in psutil.process_iter(["cmdline", "environ"]):
            words, around = one.info["cmdline"] or (), one.info["environ"] or {}
            if (
                any("ipykernel" in word for word in words)
                and around.get("TMPDIR", "").startswith(own)
                and not gone(one)
            ):
                found.append(one.pid)
        return found

    def stop(self) -> None:
        """End voila, with its kernels."""
        self.process.terminate()
        self.process.wait(LIMIT)
        self.log.close()
        until(lambda: not self._kernels(), "kernels outlive voila")
