"""What is known against the packages that are here: `make audit`.

pip-audit asks PyPI about each package of this environment, `npm audit` asks npm about those that the boards are built
from. A finding that is not accepted (`accepted.toml`, with reason and date) ends with exit code 1. Who cannot be asked
is named, for "nothing found" and "nobody was asked" look alike: pip-audit itself says "No known vulnerabilities found"
of packages that its service does not know.

>>> of_pip({"dependencies": [{"name": "x", "version": "1", "vulns": []}, {"name": "y", "skip_reason": "?"}]}).known
1
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ACCEPTED = HERE / "accepted.toml"
JS = HERE.parents[1] / "aifactory_lab" / "widgets" / "js"
SECONDS = 300
PIP = (sys.executable, "-m", "pip_audit", "-s", "pypi", "--skip-editable", "--progress-spinner", "off", "-f", "json")
NPM = ("npm", "audit", "--json")


@dataclass(frozen=True)
class Finding:
    """One advisory about one package."""

    id: str
    package: str
    about: str = ""


@dataclass(frozen=True)
class Answer:
    """What a service said: findings, and of how many packages it knew, of how many that were asked about."""

    findings: tuple[Finding, ...] = ()
    known: int = 0
    asked: int = 0
    trouble: str = ""


def of_pip(told: Mapping[str, Any]) -> Answer:
    """Read pip-audit's JSON."""
    asked = [one for one in told["dependencies"] if "editable" not in one.get("skip_reason", "")]
    known = [one for one in asked if "skip_reason" not in one]
    findings = [
        Finding(
            each["id"], one["name"], f"{one.get('version', '')}, mended in {', '.join(each.get('fix_versions', []))}"
        )
        for one in known
        for each in one["vulns"]
    ]
    return Answer(tuple(findings), len(known), len(asked))


def of_npm(told: Mapping[str, Any]) -> Answer:
    """Read the JSON of `npm audit`."""
    if "vulnerabilities" not in told:
        return Answer(trouble=str(told.get("message") or "it gave no answer"))
    asked = int(told["metadata"]["dependencies"]["total"])
    findings = [
        Finding(f"npm-{each['source']}", each["name"], each["title"])
        for one in told["vulnerabilities"].values()
        for each in one["via"]
        if isinstance(each, dict)
    ]
    return Answer(tuple(dict.fromkeys(findings)), asked, asked)


def ask(command: tuple[str, ...], read: Callable[[Mapping[str, Any]], Answer], folder: Path = HERE) -> Answer:
    """Run an audit and read its answer; its exit code says only whether there are findings."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=SECONDS)
        return read(json.loads(done.stdout))
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(trouble=str(error))
    except (ValueError, KeyError):
        return Answer(trouble=(done.stderr or done.stdout).strip().splitlines()[-1:][0] if done.stderr else "no answer")


def verdict(answers: Mapping[str, Answer], accepted: set[tuple[str, str]]) -> tuple[list[str], int]:
    """Return what there is to say, and the exit code."""
    lines, found = [], {finding for answer in answers.values() for finding in answer.findings}
    for name, answer in answers.items():
        if answer.known < answer.asked or answer.trouble:
            why = answer.trouble or f"{answer.asked - answer.known} of {answer.asked} packages are not known to it"
            lines.append(f"{name}: could not say: {why}")
        else:
            lines.append(f"{name}: {answer.known} packages, {len(answer.findings)} findings")
    new = sorted((f for f in found if (f.id, f.package) not in accepted), key=lambda f: (f.package, f.id))
    lines += [f"  {finding.package}: {finding.id} {finding.about}" for finding in new]
    all_said = all(not answer.trouble and answer.known == answer.asked for answer in answers.values())
    gone = accepted - {(finding.id, finding.package) for finding in found} if all_said else set()
    lines += [f"  {package}: {name} is accepted, and found no more" for name, package in sorted(gone)]
    return lines, int(bool(new))


def accepted(path: Path = ACCEPTED) -> set[tuple[str, str]]:
    """Return what is accepted: id and package, each with a reason and a date."""
    told = tomllib.loads(path.read_text()).get("finding", [])
    for one in told:
        assert one["reason"].strip(), one
        assert one["date"].year >= 2026, one
    return {(one["id"], one["package"]) for one in told}


def main() -> int:
    lines, code = verdict({"PyPI": ask(PIP, of_pip), "npm": ask(NPM, of_npm, JS)}, accepted())
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
