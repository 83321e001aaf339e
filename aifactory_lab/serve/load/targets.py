"""Which server a token load test asks: its address, its model, its process.

>>> Target.of("http://127.0.0.1:8000/v1", model="m").path("completions")
'/v1/completions'
"""

import os
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from aifactory_lab.errors import DataError, FactoryError

KEY_VARIABLE = "AIFACTORY_LLM_KEY"  # the key is read from the environment by who needs it, and is written nowhere
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Target:
    """A server that speaks OpenAI's API.

    Attributes
    ----------
    url
        Without a trailing ``/v1``.
    model
        The name that requests carry.
    pid
        Its process, if it is known and on this machine.
    """

    url: str
    model: str
    pid: int | None = None

    @classmethod
    def of(cls, server: Any, *, model: str | None = None, key_variable: str = KEY_VARIABLE) -> Self:
        """Return the target that a running server or its URL is.

        Raises
        ------
        FactoryError
            If it cannot be asked for its models.
        """
        url = str(getattr(server, "url", server)).rstrip("/").removesuffix("/v1")
        named = model or getattr(server, "model", None) or _first_model(url, key_variable)
        return cls(url, str(named), getattr(server, "pid", None))

    @property
    def here(self) -> bool:
        """Whether it runs on this machine: only then can its energy be read."""
        return urlsplit(self.url).hostname in LOOPBACK

    def path(self, route: str) -> str:
        """Return the path of a route: ``"completions"``, ``"chat/completions"``."""
        return f"{urlsplit(self.url).path}/v1/{route}"

    def place(self) -> tuple[str, int, bool]:
        """Return host, port, and whether the connection is encrypted."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        return parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80), secure


def _first_model(url: str, key_variable: str) -> str:
    import httpx

    key = os.environ.get(key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{url}/v1/models", headers=headers, timeout=10).raise_for_status().json()
        return str(answer["data"][0]["id"])
    except (httpx.HTTPError, LookupError, TypeError, ValueError) as error:
        msg = f"{url} does not say which models it has: {error}"
        raise FactoryError(msg, mend='load.tokens(url, prompts, model="name")') from error


def check_api(api: str) -> str:
    """Return the route of an API: ``"completions"`` or ``"chat"``.

    Raises
    ------
    DataError
        For any other.
    """
    routes = {"completions": "completions", "chat": "chat/completions"}
    if api not in routes:
        msg = f"api={api!r} is not one of {', '.join(routes)}"
        raise DataError(msg, mend='load.tokens(server, prompts, api="chat")')
    return routes[api]
