r"""A stream of an engine on its way to a client: passed on as it is, read for what the meters want.

Server-sent events end with an empty line (https://html.spec.whatwg.org/multipage/server-sent-events.html). Each is
handed on whole; the one that holds only the usage is kept back from a client that did not ask for it. The exact counts
come from the usage, since several tokens may make one chunk; while the stream runs, chunks stand for tokens. This
module does not know sockets.

>>> stream = Stream(usage_wanted=False)
>>> stream.pass_on(b'data: {"choices":[{"text":"a","finish_reason":null}]}\n\ndata: {"choi', now=1.0)
b'data: {"choices":[{"text":"a","finish_reason":null}]}\n\n'
>>> stream.pass_on(b'ces":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}\n\ndata: [DONE]\n\n', now=2.0)
b'data: [DONE]\n\n'
>>> stream.tokens, stream.prompt_tokens, stream.done
(1, 3, True)
"""

from collections.abc import Callable
from typing import Any

import orjson

from aifactory_lab.serve.llm.meters import Meters
from aifactory_lab.serve.llm.refusals import Refusal

END = b"\n\n"
DATA = b"data: "
DONE = b"[DONE]"


class Stream:
    """What is known of one stream so far.

    Parameters
    ----------
    usage_wanted
        Whether the client asked for the usage.
    continuous
        Whether it asked for the usage with every chunk, which vLLM knows.
    collect
        Called with every chunk.
    meters
        Where tokens are counted as they come.
    started
        When the request came, in the clock of `now`.

    Attributes
    ----------
    reason
        Why it finished, ``""`` while it runs.
    tokens, prompt_tokens
        From the usage, once it came; `counted` chunks until then.
    done
        Whether the engine said that it was whole.
    """

    def __init__(
        self,
        *,
        usage_wanted: bool,
        continuous: bool = False,
        collect: Callable[[dict[str, Any]], None] | None = None,
        meters: Meters | None = None,
        started: float = 0.0,
    ) -> None:
        self.reason, self.done = "", False
        self.prompt_tokens = self.counted = 0
        self._usage_wanted, self._continuous, self._collect = usage_wanted, continuous, collect
        self._meters, self._last = meters, started
        self._exact: int | None = None
        self._rest = b""

    @property
    def tokens(self) -> int:
        """Tokens generated."""
        return self.counted if self._exact is None else self._exact

    @property
    def uncounted(self) -> int:
        """Tokens that did not come as chunks of their own."""
        return max(0, self.tokens - self.counted)

    def pass_on(self, data: bytes, now: float) -> bytes:
        """Return of what came the whole events that the client is to have."""
        data = self._rest + data if self._rest else data
        if b"\r" in data:  # the other end of a line that the standard knows, and some servers use
            data = data.replace(b"\r\n", b"\n")
        if data.endswith(END):
            self._rest = b""
        else:
            whole, end, self._rest = data.rpartition(END)
            data = whole + end
        events = data.split(END)
        passed = [self._read(event, now) if event else event for event in events]
        return END.join(event for event in passed if event is not None)

    def end(self, now: float) -> bytes:
        """Return the event that the engine left without an empty line behind it, if it did."""
        return self.pass_on(END, now) if self._rest.strip() else b""

    def _read(self, event: bytes, now: float) -> bytes | None:
        """Take note of an event; return it as the client is to have it, if it is."""
        told = _data(event)
        if told is None:
            return event  # a comment that keeps the connection alive, or a field that is not for us
        if told == DONE:
            self.done = True
            return event
        try:
            chunk: dict[str, Any] = orjson.loads(told)
            choices, usage = _choices(chunk), _usage(chunk)
        except (ValueError, AttributeError):
            return event
        if self._collect:
            self._collect(chunk)
        if "error" in chunk:
            self.reason = "error"
        for choice in choices:
            self._note(choice, now)
        if not usage:
            return event
        self.prompt_tokens, self._exact = usage["prompt_tokens"], usage["completion_tokens"]
        if choices:
            return event if self._continuous else self._apart(chunk)
        return event if self._usage_wanted else None

    def _apart(self, chunk: dict[str, Any]) -> bytes:
        """Return a last chunk that brings its usage along, as llama.cpp's does, as the two that OpenAI has."""
        usage = chunk.pop("usage")
        events = [DATA + orjson.dumps(chunk)]
        if self._usage_wanted:
            events.append(DATA + orjson.dumps({**chunk, "choices": [], "usage": usage}))
        return END.join(events)

    def _note(self, choice: dict[str, Any], now: float) -> None:
        self.reason = str(choice.get("finish_reason") or self.reason)
        if choice.get("text") or _told(choice.get("delta")):
            if self._meters:
                (self._meters.next if self.counted else self._meters.first)(now - self._last)
            self.counted += 1
            self._last = now


def _told(delta: dict[str, Any] | None) -> bool:
    """Tell whether a part of a message holds more than the role that opens it."""
    return isinstance(delta, dict) and any(value for name, value in delta.items() if name != "role")


def _data(event: bytes) -> bytes | None:
    """Return the data of an event, `None` if it has none."""
    if event.startswith(DATA) and b"\n" not in event:
        return event[len(DATA) :]
    lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _choices(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    found = chunk.get("choices")
    return [choice for choice in found if isinstance(choice, dict)] if isinstance(found, list) else []


def _usage(chunk: dict[str, Any]) -> dict[str, int]:
    """Return the counts of a usage: whole numbers from 0, whatever the engine says; nothing where there is none."""
    found = chunk.get("usage")
    if not found or not isinstance(found, dict):
        return {}
    return {name: count(found.get(name)) for name in ("prompt_tokens", "completion_tokens")}


def count(value: Any) -> int:
    """Return a count of tokens; 0 for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else 0


def interrupted(refusal: Refusal) -> bytes:
    """Return the event that says why a stream ends before it is whole; OpenAI's clients raise it."""
    return DATA + refusal.body() + END
