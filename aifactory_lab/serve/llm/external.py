"""Somebody else's server as an engine: NIM, vLLM, anything that speaks OpenAI's protocol, by its URL.

Its key comes from an environment variable of the gateway's process: it stands in no command line, log, error or repr.
The gateway in front gives such a server the same limits and metrics as any other. This module starts nothing.

>>> from aifactory_lab.serve.llm.engines import Plan
>>> start(Plan("http://127.0.0.1:9/v1"), "asked for by name")
Traceback (most recent call last):
aifactory_lab.errors.FactoryError: http://127.0.0.1:9 does not answer: ... cannot be reached: ...
  mend: curl http://127.0.0.1:9/v1/models
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import orjson

from aifactory_lab.errors import FactoryError, ModelError
from aifactory_lab.serve.llm.engines import Plan, Served
from aifactory_lab.serve.llm.streams import count
from aifactory_lab.serve.llm.upstream import Address, Unreachable, fetch


@dataclass
class External:
    """A server that runs elsewhere."""

    reason: str
    address: Address
    models: tuple[Served, ...]
    slots: int
    name: str = "external"
    metrics_path: str = ""
    hears_hangups: bool = True

    def prepare(self, path: str, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - an engine's method
        """Return the request as it is."""
        return request

    async def trouble(self) -> str:
        """Return why it does not answer, or nothing."""
        try:
            status, _ = await fetch(self.address, "/v1/models")
        except Unreachable as error:
            return str(error)
        return "" if status == 200 else f"it answers {status}"

    def stop(self) -> None:
        """Leave it alone: it is not ours."""


def start(plan: Plan, reason: str) -> External:
    """Return a server that answers, with the models it has.

    Raises
    ------
    FactoryError
        If it does not answer or refuses the key, or the variable of the key is not set.
    ModelError
        If it has no model of the name that was asked for.
    """
    address = Address.of(plan.model, key=_key(plan.key_variable))
    where = address.url
    try:
        status, body = asyncio.run(fetch(address, "/v1/models"))
    except Unreachable as error:
        msg = f"{where} does not answer: {error}"
        raise FactoryError(msg, mend=f"curl {where}/v1/models") from error
    if status != 200:
        msg = f"{where} answers {status} when it is asked for its models"
        mend = 'serve.llm.start(url, key_variable="NVIDIA_API_KEY")' if status in (401, 403) else ""
        raise FactoryError(msg, mend=mend)
    return External(reason, address, _models(body, where, plan.name), plan.slots)


def _key(variable: str) -> str:
    if not variable:
        return ""
    if not (key := os.environ.get(variable, "").strip()):
        msg = f"the environment variable {variable} holds no key"
        raise FactoryError(msg, mend=f"export {variable}=…")
    return key


def _models(body: bytes, where: str, name: str) -> tuple[Served, ...]:
    """Return the models of a server, the one that was asked for first."""
    try:
        cards = orjson.loads(body)["data"]
        found = [
            Served(str(card["id"]), card.get("parent"), count(card.get("max_model_len")) or None) for card in cards
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{where} answers, but not as an OpenAI-compatible server: {error}"
        raise FactoryError(msg, mend=f"curl {where}/v1/models") from error
    names = [model.id for model in found]
    if not found or (name and name not in names):
        msg = f"{where} has no model {name!r}; it has: {', '.join(names) or 'none'}"
        raise ModelError(msg, mend="serve.llm.start(url)")
    return tuple(sorted(found, key=lambda model: model.id != name))
