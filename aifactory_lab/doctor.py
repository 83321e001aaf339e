"""What this machine has, what is missing, and the command that mends each gap.

The doctor looks and never changes anything. It does not decide the device (`device` does) and does not print
(`cli` does); in a notebook, `doctor.checkup()` draws itself.

>>> from aifactory_lab import doctor
>>> [finding.what for finding in doctor.checkup().findings][:2]
['python', 'cores']
"""

import html
import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement

from aifactory_lab import device
from aifactory_lab.errors import DeviceError

State = Literal["ok", "gap", "note"]
MARKS: dict[State, str] = {"ok": "[OK]", "gap": "[--]", "note": "[..]"}
NEEDED_BYTES = 2 << 30
FREE_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and how to mend it if it is a gap.

    A gap keeps something from working; a note is only worth knowing.
    """

    what: str
    found: str
    state: State = "ok"
    mend: str = ""


@dataclass(frozen=True)
class Checkup:
    """Every finding, in the order in which one would look."""

    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """True when there is no gap."""
        return all(finding.state != "gap" for finding in self.findings)

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines.append(f"{MARKS[finding.state]} {finding.what:<16} {finding.found}")
            if finding.mend:
                lines.append(f"{'':21}→ {finding.mend}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{MARKS[f.state]}</td><td>{html.escape(f.what)}</td><td>{html.escape(f.found)}</td>"
            f"<td><code>{html.escape(f.mend)}</code></td></tr>"
            for f in self.findings
        )
        return f"<table><tr><th></th><th>what</th><th>found</th><th>mend</th></tr>{rows}</table>"


def checkup(folder: Path | str = ".") -> Checkup:
    """Look at Python, packages, driver, GPUs, memory, disk, the chosen engine, the links' rates and Slurm.

    Parameters
    ----------
    folder
        Where a run would write; its free space is looked at.
    """
    findings = [_python(), _cores(), _memory(), _disk(Path(folder)), *packages(), *_gpu(), _engine()]
    return Checkup((*findings, _links(), _slurm(), _browser()))


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} at {sys.executable}")


def _cores() -> Finding:
    return Finding("cores", f"{os.cpu_count()} ({platform.machine()}, {platform.system()})")


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    found = f"{memory.available / 2**30:.1f} GiB free of {memory.total / 2**30:.1f} GiB"
    if memory.available < NEEDED_BYTES:
        return Finding("memory", found, "gap", "close other programs: the first run needs about 2 GiB")
    return Finding("memory", found)


def _disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free in {folder.resolve()}"
    if free < FREE_BYTES:
        return Finding("disk", found, "gap", "aifactory run --workspace A_FOLDER_WITH_SPACE")
    return Finding("disk", found)


def packages(extra: str = "") -> list[Finding]:
    """Hold what is installed against what this project, or one of its extras, asks for.

    Examples
    --------
    >>> [finding.what for finding in packages()]
    ['packages']
    """
    wanted = [Requirement(line) for line in requires("aifactory-lab") or []]
    chosen = [r for r in wanted if _belongs(r, extra)]
    wrong = [finding for requirement in chosen if (finding := _package(requirement, extra))]
    label = f"packages [{extra}]" if extra else "packages"
    return wrong or [Finding(label, f"all {len(chosen)} in the asked ranges")]


def _belongs(requirement: Requirement, extra: str) -> bool:
    if requirement.marker is None:
        return not extra
    return bool(extra) and requirement.marker.evaluate({"extra": extra})


def _package(requirement: Requirement, extra: str) -> Finding | None:
    install = f"pip install '{requirement}'" if not extra else f"pip install 'aifactory-lab[{extra}]'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, "not installed", "gap" if not extra else "note", install)
    if not requirement.specifier.contains(found, prereleases=True):
        return Finding(requirement.name, f"{found}, but {requirement.specifier} is asked for", "gap", install)
    return None


def _gpu() -> list[Finding]:
    found = device.probe()
    if not found.gpus:
        mend = "none needed: everything runs on the CPU; with an NVIDIA GPU, install its driver (525 or newer)"
        return [Finding("cuda driver", found.obstacle, "note", mend)]
    gpus = [Finding(f"gpu {i}", f"{g.name}, {g.memory_bytes / 2**30:.0f} GiB") for i, g in enumerate(found.gpus)]
    return [Finding("cuda driver", found.driver), *gpus, *packages("gpu")]


def _engine() -> Finding:
    try:
        chosen = device.current()
    except DeviceError as error:
        return Finding("engine", error.what, "gap", error.mend)
    engines = {"cpu": "Polars streaming, XGBoost/scikit-learn on CPU", "gpu": "cuDF, cuML, XGBoost on CUDA"}
    return Finding("engine", f"{chosen.kind}: {engines[chosen.kind]}, because: {chosen.reason}")


def _links() -> Finding:
    """Say what the links were measured at in the default workspace; the doctor measures nothing itself."""
    from aifactory_lab import links
    from aifactory_lab.workspace import default_root

    found = links.kept(default_root())
    named = {"disk_write": "written", "disk_read": "read", "memory_copy": "memory, one thread"}
    rates = {words: found.rate(name) for name, words in named.items()} if found else {}
    rates |= {"to a GPU": found.host_to_device, "between GPUs": found.ring} if found else {}
    told = [f"{rate / 1e9:.3g} GB/s {words}" for words, rate in rates.items() if rate]
    if not told:
        return Finding("links", "not yet measured", "note", "aifactory links")
    return Finding("links", ", ".join(told))


def _slurm() -> Finding:
    """Ask whether a Slurm answers, and leave the environment as it was: `reach` puts what it finds there."""
    from aifactory_lab.fleet.private import programs
    from aifactory_lab.fleet.slurm import reach

    names = (reach.VARIABLE, reach.OURS)
    before = {name: os.environ[name] for name in names if name in os.environ}
    try:
        found = reach.reach()
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
    if found.answers:
        return Finding("slurm", found.reason)
    missing = programs.missing()
    mend = "make system-deps, then aifactory fleet up" if missing else "aifactory fleet up"
    return Finding("slurm", f"none answers: {found.reason}; jobs run on this machine", "note", mend)


def _browser() -> Finding:
    path = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    if path is None:
        return Finding("browser", "no chromium (only the browser tests need one)", "note", "make system-deps")
    return Finding("browser", path)
