"""No secret in what is committed, and none in what a working day leaves behind."""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest
from detect_secrets.core.scan import get_plugins
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[2]
# What has a form of its own: entropy alone finds every checksum and every picture, and hides what matters. Words such
# as "password = …" in sources are ruff's business (S105 to S107).
FORMS = [
    *("ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector", "CloudantDetector"),
    *("DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "MailchimpDetector"),
    *("NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector", "SlackDetector"),
    *("SquareOAuthDetector", "StripeDetector", "TelegramBotTokenDetector", "TwilioKeyDetector"),
]
OURS = {
    "NVIDIA API key": re.compile(r"nvapi-[\w-]{20,}"),
    "Hugging Face token": re.compile(r"\bhf_[A-Za-z]{30,}"),
    "Jupyter's token in a URL": re.compile(r"[?&]token=[0-9a-f]{40,}"),
}
BINARY = (".parquet", ".png", ".gz", ".onnx", ".ubj", ".npz")
EXAMPLE = "credentials that were made up, to show that they are taken out of what is shown"
ALLOWED = {
    ("aifactory_lab/serve/llm/upstream.py", "://user:secret@"): EXAMPLE,
    ("aifactory_lab/telemetry/prometheus/scraping.py", "://ann:pw@"): EXAMPLE,
    (
        "aifactory_lab/telemetry/prometheus/scraping.py",
        "://user:password@",
    ): "the mend where credentials are wanted",
    ("aifactory_lab/telemetry/prometheus/source.py", "://ann:secret@"): EXAMPLE,
    ("tests/etl/test_curation_stages.py", "AKIA" + "ABCDEFGHIJKLMNOP"): "made up, for the redaction of texts to find",
    ("tests/etl/test_curation_stages.py", "BEGIN RSA " + "PRIVATE KEY"): "the same, without a key",
    ("tests/security/test_tokens.py", "://127.0.0.1:8000@"): "an address that pretends to be ours",
    ("tests/serve/llm/test_upstream.py", "://user:secret@"): EXAMPLE,
    ("tests/telemetry/test_prometheus.py", "://ann:s3cret@"): EXAMPLE,
}


def patterns() -> dict[str, re.Pattern[str]]:
    with transient_settings({"plugins_used": [{"name": form} for form in FORMS]}):
        theirs = {f"{each.secret_type} {n}": rule for each in get_plugins() for n, rule in enumerate(each.denylist)}
    return {**theirs, **OURS}


def committed() -> list[Path]:
    """What git holds, without what is no text."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name and not name.endswith(BINARY))
    return [path for path in paths if path.is_file() and path != Path(__file__)]  # this file lists the examples


def test_nothing_that_is_committed_holds_a_secret():
    rules = patterns()
    assert len(rules) > len(FORMS)
    found = {
        (path.relative_to(ROOT).as_posix(), match.group(0)): kind
        for path in committed()
        for text in (path.read_text(errors="replace"),)
        for kind, rule in rules.items()
        for match in rule.finditer(text)
    }
    strange = {(place, kind) for (place, word), kind in found.items() if (place, word) not in ALLOWED}
    assert strange == set(), "take it out, revoke it; or list it with its reason"
    assert set(ALLOWED) - set(found) == set(), "gone: take it off the list"


@pytest.mark.parametrize(
    "parts",
    [
        ("ghp", "_" + "a1B2" * 9),
        ("AKIA", "QWERTYUIOPASDFGH"),
        ("-----BEGIN OPENSSH ", "PRIVATE KEY-----"),
        ("https://ann:", "hunter22@example.org"),
        ("nvapi", "-" + "Zk3_" * 12),
        ("http://127.0.0.1:8888/lab?tok", "en=" + "0badc0de" * 6),
        ("xoxb", "-1234567890-1234567890-abcdefABCDEF"),
    ],
)
def test_the_search_finds_what_it_is_for(parts):
    assert any(rule.search("".join(parts)) for rule in patterns().values())


DAY = """
import logging, os, sys, time
from pathlib import Path
import httpx
from aifactory_lab import doctor, fleet, serve, telemetry
from aifactory_lab.errors import FactoryError
from aifactory_lab.lm.registry import Registry
from aifactory_lab.measure import Meter
from aifactory_lab.serve import llm, load
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.sampler import watch

logging.basicConfig(level=logging.DEBUG, filename="day.log")
words, (bundle, checkpoint) = os.environ["SECRETS"].split(","), sys.argv[1:]
del os.environ["SECRETS"]
row = {"temp": 1.0, "wind_gust": 2.0, "visib": 3.0}


def everybody_sees():
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_text(errors="replace")
        except OSError:
            continue
        assert not any(word in line for word in words), path


def wrong(work):
    try:
        work()
    except (FactoryError, httpx.HTTPError, ValueError) as error:
        print(repr(error), error)
    else:
        raise AssertionError(work)


with serve.start(bundle, threads=1) as server, llm.start(checkpoint, slots=1) as model:
    print(server, model, server.__dict__.keys())
    report = load.test(server.url, [row], requests=3, concurrency=1)
    print(report, report.to_dict(), load.tokens(model, ["import"], requests=1, max_tokens=2))
    print(httpx.get(server.url + "/model").text, httpx.get(server.url + "/metrics", headers=server.headers).text)
    print(httpx.post(model.url + "/v1/completions", headers={"authorization": "Bearer " + words[2]}).text)
    print(httpx.get(server.url + "/health", headers={"host": "x", "cookie": words[2]}).text)
    everybody_sees()
    key = "OUTSIDE_KEY"
    os.environ[key] = words[1]  # right, as it happens: the server elsewhere is our own
    with llm.start(model.url, key_variable=key, engine="external", slots=1) as passed_on:
        print(passed_on, httpx.get(passed_on.url + "/v1/models", headers=passed_on.headers).text)
        everybody_sees()
    os.environ[key] = words[2]
    wrong(lambda: llm.start(model.url, key_variable=key))
    with PrometheusSource("http://ann:" + words[3] + "@127.0.0.1:9/metrics?token=" + words[2]) as source:
        print(source.sample(), source.facts())
    with telemetry.export(port=0) as exporter:
        print(exporter, httpx.get(exporter.url, headers=exporter.headers).status_code)
here = fleet.Fleet("inline")
print(here.submit(pow, 2, 3).result(), here.jobs())
wrong(lambda: here.submit(int, "no number").result())
with Meter("etl") as meter:
    meter.rows = 3
print(meter.report, doctor.checkup(), doctor.checkup()._repr_html_())
print(Registry(os.environ["AIFACTORY_WORKSPACE"]).register(checkpoint))
"""


def test_a_working_day_leaves_none_of_its_secrets_behind(bundle, checkpoint, tmp_path):
    """Servers, clients, a load test, jobs, reports, the registry and the doctor, with secrets in what they are told."""
    words = [secrets.token_urlsafe(24) for _ in range(4)]
    places = {
        name: str(tmp_path / name.lower())
        for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "AIFACTORY_WORKSPACE", "AIFACTORY_FLEET", "AIFACTORY_CACHE")
    }
    for place in places.values():
        Path(place).mkdir(mode=0o700)
    told = {"AIFACTORY_TOKEN": words[0], "AIFACTORY_LLM_KEY": words[1], "SECRETS": ",".join(words)}
    command = [sys.executable, "-c", DAY, str(bundle.folder), str(checkpoint.folder)]
    environment = {**os.environ, **places, **told}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3_000:]
    left = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"day.log", "mlflow.db"} <= {Path(name).name for name in left}
    left |= {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    holding = {name for name, content in left.items() for word in words if word.encode() in content}
    assert holding == set()
