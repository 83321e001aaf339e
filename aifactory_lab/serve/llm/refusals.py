"""What is refused, in the form that OpenAI's clients read: message, type, param, code, and the HTTP status.

The official clients raise one exception class per status and show the message; `code` is what programs look at. The
form and the codes are those of https://platform.openai.com/docs/guides/error-codes and of vLLM's
``vllm/entrypoints/openai``. This module does not know why anything is refused.

>>> Refusal(404, "no such model", code="model_not_found", param="model").body()
b'{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}'
"""

from collections.abc import Sequence
from typing import Any

import orjson

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
CONTEXT = ("exceed_context_size_error", "context_length_exceeded")  # llama.cpp's type, OpenAI's code
CONTEXT_WORDS = ("maximum context length", "context size", "max_model_len")


class Refusal(Exception):  # noqa: N818 - OpenAI's word is error, the house's is refusal
    """A request that is not answered with tokens.

    Parameters
    ----------
    status
        HTTP's.
    message
        What was wrong, with the value found.
    param
        The field of the request that it is about.
    code
        The word for programs.
    headers
        To be sent with it.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = tuple(headers)

    @property
    def type(self) -> str:
        """OpenAI's class of errors, which follows from the status."""
        return TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")

    def body(self) -> bytes:
        """Return the error as JSON."""
        error = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})


def unknown_model(name: str, models: Sequence[str]) -> Refusal:
    """Refuse a model that is not served."""
    message = f"the model {name!r} does not exist here; there are: {', '.join(models)}"
    return Refusal(404, message, param="model", code="model_not_found")


def unsupported(field: str, why: str) -> Refusal:
    """Refuse a field that would otherwise be ignored in silence."""
    return Refusal(400, f"{field} is not supported: {why}", param=field, code="unsupported_parameter")


def busy(slots: int, waiting: int, retry_after: int) -> Refusal:
    """Refuse what would wait too long."""
    message = f"{slots} requests are running and {waiting} wait; try again in about {retry_after} s"
    headers = ((b"retry-after", str(retry_after).encode()),)
    return Refusal(429, message, code="rate_limit_exceeded", headers=headers)


def too_large(limit: int) -> Refusal:
    """Refuse a body above the limit; its connection cannot be used again, since the rest of it is not read."""
    message = f"the body is larger than {limit:,} bytes"
    return Refusal(413, message, code="request_too_large", headers=((b"connection", b"close"),))


def of_engine(status: int, body: bytes) -> Refusal:
    """Return what an engine refused, in OpenAI's form: llama.cpp, vLLM and NIM each have one of their own."""
    error = _error(body)
    message = str(error.get("message") or body[:500].decode(errors="replace") or f"the engine answered {status}")
    known = CONTEXT[0] == error.get("type") or any(words in message for words in CONTEXT_WORDS)
    if status == 400 and known:
        if isinstance(error.get("n_prompt_tokens"), int) and isinstance(error.get("n_ctx"), int):
            message = f"the prompt has {error['n_prompt_tokens']:,} tokens, the context holds {error['n_ctx']:,}"
        return Refusal(400, message, param="messages" if "messages" in message else "prompt", code=CONTEXT[1])
    code = error.get("code")
    param = None if error.get("param") is None else str(error["param"])
    code = code if isinstance(code, str) else None
    # A redirect, or whatever else an engine should not say, is its fault: of a proxy's "bad gateway".
    status = status if 400 <= status < 600 else 502
    return Refusal(
        status, message, param=None if param is None else str(param), code=code if isinstance(code, str) else None
    )


def senseless(error: Exception) -> Refusal:
    """Return that an engine's answer is not OpenAI's protocol."""
    return Refusal(502, f"the engine's answer makes no sense: {str(error)[:200]}", code="bad_engine_answer")


def _error(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except ValueError:
        return {}
    if not isinstance(found, dict):
        return {}
    inner = found.get("error", found)
    return inner if isinstance(inner, dict) else {"message": str(inner)}
