"""What a client may ask: the fields of OpenAI's two requests that are checked before an engine sees them.

Types and ranges are those of https://platform.openai.com/docs/api-reference. Fields that are not listed are let
through, because engines know more of them (``ignore_eos``, ``top_k``, ``response_format``). This module does not know
which models there are.

>>> read(Completion, b'{"model": "m", "prompt": "import", "max_tokens": 3}')["max_tokens"]
3
>>> read(Completion, b'{"model": "m", "prompt": "import", "temperature": "hot"}')
Traceback (most recent call last):
aifactory_lab.serve.llm.refusals.Refusal: temperature: Input should be a valid number (found 'hot')
"""

from typing import Annotated, Any, TypeAlias

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aifactory_lab.serve.llm.refusals import Refusal

Count: TypeAlias = Annotated[int, Field(ge=1)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]


class Checked(BaseModel):
    """A model of what is checked; everything else is let through."""

    model_config = ConfigDict(strict=True, extra="allow")


class StreamOptions(Checked):
    """How a stream ends."""

    include_usage: bool | None = None


class Sampling(Checked):
    """What both requests have in common."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    n: Count | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None


class Completion(Sampling):
    """``POST /v1/completions``: text goes on."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: int | bool | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: Count | None = None


class Message(Checked):
    """One turn of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(Sampling):
    """``POST /v1/chat/completions``: a conversation goes on."""

    messages: Annotated[list[Message], Field(min_length=1)]
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None


def read(kind: type[Sampling], body: bytes) -> dict[str, Any]:
    """Return the request as plain values, checked.

    Raises
    ------
    Refusal
        If it is not JSON, a field is missing or has a wrong type; the message names the field and the value.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}", code="invalid_json") from error
    try:
        kind.model_validate(found)
    except ValidationError as error:
        raise _refusal(error) from error
    return dict(found)


def _refusal(error: ValidationError) -> Refusal:
    """Name the field that is wrong; of one that may be of several types the failure that leads furthest into it."""
    first = max(error.errors(include_url=False), key=lambda found: len(found["loc"]))
    place = [str(part) for part in first["loc"] if not str(part).startswith(("list[", "function-"))]
    param = ".".join(part for part in place if part not in ("str", "int", "bool")) or None
    found = "" if first["type"] == "missing" else f" (found {_short(first['input'])})"
    return Refusal(400, f"{param or 'the body'}: {first['msg']}{found}", param=param, code="invalid_value")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
