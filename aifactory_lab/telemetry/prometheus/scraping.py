"""A URL that answers with metrics: fetched within a time and a size, and shown without its credentials.

What goes wrong becomes one `TelemetryError` that says what was wrong, where, and what to do. It does not know
what is in the text.

>>> Endpoint("http://ann:pw@gpu-7:9400")
Endpoint('http://***@gpu-7:9400/metrics')
"""

import re
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

import httpx

from aifactory_lab.errors import TelemetryError
from aifactory_lab.telemetry.prometheus.exposition import PATHS, Known, Samples, parse

MOST_BYTES = 16 << 20
# Every product speaks the plain format, and its parser forgives more; OpenMetrics is read where it is all there is.
ACCEPT = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1"
SECRET = re.compile(r"token|key|secret|passw|auth|sig|credential", re.IGNORECASE)


@dataclass
class Endpoint:
    """A URL that answers with metrics.

    Parameters
    ----------
    url
        http or https; without a path, ``/metrics`` is read.
    timeout
        Seconds that one scrape may take.

    Attributes
    ----------
    label
        The URL as it may be shown, without credentials.

    Raises
    ------
    TelemetryError
        If the URL is not one of http or https.
    """

    url: str
    timeout: float = 0.8
    label: str = field(init=False)
    _client: httpx.Client | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = _split(self.url)
        self.url = self.url if parts.path not in ("", "/") else parts._replace(path="/metrics").geturl()
        self.label = redacted(self.url)

    def __repr__(self) -> str:
        return f"Endpoint({self.label!r})"

    def scrape(self, known: Known) -> Samples:
        """Fetch and parse.

        Raises
        ------
        TelemetryError
            If it cannot be reached in time, or the answer is not metrics: what was wrong, and what to do.
        """
        text, kind = self.fetch()
        try:
            return parse(text, known=known, openmetrics_text="openmetrics-text" in kind)
        except TelemetryError as error:
            msg = f"{self.label} {error.what}"
            raise TelemetryError(msg, mend=error.mend) from error

    def fetch(self) -> tuple[str, str]:
        """Return the text and its content type; errors as in `scrape`."""
        deadline = time.monotonic() + self.timeout
        try:
            url, who = _parted(self.url)
            with self._open().stream("GET", url, auth=who, headers={"accept": ACCEPT}) as answer:
                self._check(answer)
                body = b"".join(self._chunks(answer, deadline))
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            msg = f"{self.label} {_why(error, self.timeout)}"
            raise TelemetryError(msg, mend=f"curl {self.label}") from error
        kind = answer.headers.get("content-type", "")
        return body.decode("utf-8", errors="replace"), kind.lower()

    def close(self) -> None:
        """Let go of the connection; may be called twice."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> httpx.Client:
        if self._client is None:
            # No proxy and no .netrc out of the environment: what is scraped stands in the next rack, not outside.
            verify = ssl.create_default_context() if self.url.lower().startswith("https") else False
            each = httpx.Timeout(self.timeout / 2)
            limits = httpx.Limits(max_connections=1, keepalive_expiry=3.0)
            self._client = httpx.Client(
                verify=verify, timeout=each, limits=limits, trust_env=False, follow_redirects=True, max_redirects=3
            )
        return self._client

    def _check(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in (401, 403):
            msg = f"{self.label} answered {status}: it wants credentials"
            raise TelemetryError(msg, mend="PrometheusSource('http://user:password@host:port/metrics')")
        if status != 200:
            msg = f"{self.label} answered {status} {answer.reason_phrase}".rstrip()
            raise TelemetryError(msg, mend=f"another path? {PATHS}")
        if "html" in answer.headers.get("content-type", "").lower():
            msg = f"{self.label} answered with a web page, not with metrics"
            raise TelemetryError(msg, mend=f"another path? {PATHS}")

    def _chunks(self, answer: httpx.Response, deadline: float) -> Iterable[bytes]:
        size = 0
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > MOST_BYTES:
                msg = f"{self.label} answers with more than {MOST_BYTES >> 20} MiB"
                raise TelemetryError(msg, mend="scrape the exporters behind it one by one")
            if time.monotonic() > deadline:
                msg = f"{self.label} did not finish its answer within {self.timeout:g} s"
                raise TelemetryError(msg, mend=f"PrometheusSource({self.label!r}, period=15.0)")
            yield chunk


def redacted(url: str) -> str:
    """Return a URL without what should not be seen: user, password, and parameters that look like secrets.

    >>> redacted("https://ann:pw@gpu-7:9400/metrics?token=abc&match=up")
    'https://***@gpu-7:9400/metrics?token=***&match=up'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(a URL that cannot be read)"
    place = parts.netloc.rpartition("@")
    query = parse_qsl(parts.query, keep_blank_values=True)
    shown = [(name, "***" if SECRET.search(name) else value) for name, value in query]
    netloc = f"***@{place[2]}" if place[1] else parts.netloc
    return parts._replace(netloc=netloc, query=urlencode(shown, safe="*[]{}"), fragment="").geturl()


def _parted(url: str) -> tuple[httpx.URL, tuple[str, str] | None]:
    """Return a URL without its credentials, and them: httpx writes the URLs that it asks into its log."""
    whole = httpx.URL(url)
    who = (whole.username, whole.password) if whole.userinfo else None
    return whole.copy_with(username=None, password=None), who


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        sound = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        sound = False
    if not sound:
        msg = f"{redacted(url)!r} is not a URL of http or https"
        raise TelemetryError(msg, mend="PrometheusSource('http://localhost:9400/metrics')")
    return parts


def _why(error: Exception, timeout: float) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"did not answer within {timeout:g} s"
    if isinstance(error, httpx.ConnectError):
        return f"cannot be reached: {error}"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return f"broke off in the middle of its answer: {error}"
    return f"cannot be read: {type(error).__name__}: {error}"
