"""A stream put together again, for a client that wants its answer whole.

llama.cpp notices that the client of a stream has gone at its next token; with a whole answer it looks only when nothing
was computed for a second, which on a busy server is never. So the gateway asks it for streams alone, and joins what a
client wants whole. What a chunk adds to is told by OpenAI's reference: text and arguments are strung together, the
calls of tools are kept apart by their index. This module does not know where the chunks come from.

>>> whole = Whole()
>>> for text, reason in (("im", None), ("port", "stop")):
...     whole.add({"object": "text_completion", "choices": [{"index": 0, "text": text, "finish_reason": reason}]})
>>> whole.answer()["choices"]
[{'index': 0, 'text': 'import', 'finish_reason': 'stop', 'logprobs': None}]
"""

from typing import Any

from aifactory_lab.serve.llm.refusals import Refusal

STRUNG = ("content", "reasoning_content", "arguments", "text")  # the rest is told once


class Whole:
    """One answer with a single choice, as it grows."""

    def __init__(self) -> None:
        self._fields: dict[str, Any] = {}
        self._choice: dict[str, Any] = {"index": 0}

    def add(self, chunk: dict[str, Any]) -> None:
        """Take in a chunk.

        Raises
        ------
        Refusal
            If the engine failed in the middle.
        """
        if error := chunk.get("error"):
            raise Refusal(500, str(error.get("message", error) if isinstance(error, dict) else error))
        self._fields.update((name, value) for name, value in chunk.items() if name != "choices")
        for choice in chunk.get("choices") or ():
            if probabilities := (choice.get("logprobs") or {}).get("content"):
                self._choice.setdefault("logprobs", {"content": []})["content"] += probabilities
            add(self._choice, {name: value for name, value in choice.items() if name not in ("index", "logprobs")})

    def answer(self) -> dict[str, Any]:
        """Return the answer as the engine would have sent it."""
        choice = dict(self._choice)
        message = choice.pop("delta", None)
        if message is None:
            choice.setdefault("logprobs", None)
        else:
            choice["message"] = {"role": "assistant", "content": None, **message}
            for call in choice["message"].get("tool_calls", ()):
                call.pop("index", None)
        return {**self._fields, "object": str(self._fields["object"]).removesuffix(".chunk"), "choices": [choice]}


def add(known: dict[str, Any], more: dict[str, Any]) -> None:
    """Add the fields of a chunk to what is known of the same thing."""
    for name, value in more.items():
        if value is None:
            continue
        if isinstance(value, dict):
            add(known.setdefault(name, {}), value)
        elif isinstance(value, list):
            _add_list(known.setdefault(name, []), value)
        elif name in STRUNG and known.get(name) is not None:
            known[name] += value
        else:
            known[name] = value


def _add_list(known: list[Any], more: list[Any]) -> None:
    """Add items that name their index to the one of that index."""
    for item in more:
        place = item.get("index") if isinstance(item, dict) else None
        same = next((own for own in known if place is not None and own.get("index") == place), None)
        if same is None:
            known.append(item)
        else:
            add(same, item)
