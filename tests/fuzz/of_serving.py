"""Readers of requests to our endpoints, and of what engines and foreign servers answer.

A request is answered as the service would, short of predicting; a stream is cut into pieces where its own first byte
says.
"""

import io
import json
from typing import Any

import numpy as np
import pyarrow as pa

from aifactory_lab.serve import answers
from aifactory_lab.serve.llm import external, refusals, requests
from aifactory_lab.serve.llm.meters import Meters
from aifactory_lab.serve.llm.refusals import Refusal
from aifactory_lab.serve.llm.streams import Stream
from aifactory_lab.serve.llm.wholes import Whole
from aifactory_lab.serve.load.streams import Answer, message
from aifactory_lab.serve.load.token_clients import outcome_of
from aifactory_lab.serve.schemas import RowSchema
from aifactory_lab.serve.service import READERS
from aifactory_lab.train.bundle import Feature
from tests.fuzz.contract import Target

SCHEMA = RowSchema([Feature("hour", 0, 23), Feature("distance", 80, 4983)])
ROWS = (
    b'{"rows": [{"hour": 7, "distance": 200.5}, {"distance": null, "hour": 1}, [3, 4], {"hour": "x", "distance": 1}]}'
)
CHAT = b'{"messages": [{"role": "user", "content": "Hi"}], "stream": true, "stream_options": {"include_usage": false}}'
COMPLETION = b'{"model": "m", "prompt": "import", "max_tokens": 3, "temperature": 0.5, "stop": ["a"], "seed": 1}'
CHUNKS = (
    b': alive\n\ndata: {"object": "text_completion", "choices": [{"index": 0, "text": "a", "finish_reason": null}]}'
    b'\n\ndata: {"object": "text_completion", "choices": [{"index": 0, "text": "b", "finish_reason": "length"}]}\n\n'
    b'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\ndata: [DONE]\n\n'
)
TOOLS = (
    b'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": '
    b'[{"index": 0, "function": {"name": "f", "arguments": "{"}}]}, "logprobs": {"content": []}}]}\n\n'
    b'data: {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, '
    b'"function": {"arguments": "}"}}]}, "finish_reason": "tool_calls"}]}\n\ndata: [DONE]\n\n'
)
METERS = Meters("fuzz", engine="fuzz")


def predictions(media_type: str, body: bytes) -> Any:
    """Answer a request for predictions with zeros."""
    parsed, single = READERS[media_type](SCHEMA, body)
    assert parsed.count == len(parsed.rows) + len(parsed.errors)
    assert np.isfinite(parsed.rows[~np.isnan(parsed.rows)]).all()
    zeros = np.zeros(len(parsed.rows), np.float32)
    encode = (
        answers.row
        if single
        else {"json": answers.rows, "stream": answers.arrow}.get(
            media_type.rpartition(".")[2].rpartition("/")[2], answers.float32
        )
    )
    return encode(parsed, zeros, 0.5, ()).body


def tokens(kind: type[requests.Sampling], body: bytes) -> Any:
    """Check a request for tokens."""
    return json.dumps(requests.read(kind, body)).encode()


class ClientsFaultError(Exception):
    """A refusal that blames the client, in OpenAI's form."""


def asked(kind: type[requests.Sampling], body: bytes) -> Any:
    """Check a request for tokens; a refusal must be the client's fault, and can be told."""
    try:
        return tokens(kind, body)
    except Refusal as error:
        refusal = error
    assert 400 <= refusal.status < 500
    assert json.loads(refusal.body())["error"]["message"]
    raise ClientsFaultError(refusal.message)


def streamed(data: bytes) -> Any:
    """Pass a stream on in pieces, for a client that wants its usage and for one that wants it whole."""
    size = 1 + (data[0] if data else 0)
    whole = Whole()
    for collect in (None, whole.add):
        stream = Stream(usage_wanted=True, collect=collect, meters=METERS)
        try:
            passed = [stream.pass_on(data[at : at + size], 1.0) for at in range(0, len(data), size)]
            passed.append(stream.end(2.0))
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            assert collect  # only what is put together may stumble: the gateway then answers 502
            raise refusals.senseless(error) from error
        METERS.finished(
            stream.reason or "stop", seconds=1.0, prompt_tokens=stream.prompt_tokens, tokens=stream.uncounted
        )
    return b"".join(passed)


def loaded(data: bytes) -> Any:
    """Read a stream as the load test does."""
    size = 1 + (data[0] if data else 0)
    answer = Answer.read((at, data[at : at + size]) for at in range(0, len(data), size))
    json.dumps([answer.chunks, answer.finish, answer.input_tokens, answer.output_tokens, answer.error]).encode()
    return outcome_of(200, answer, whole=True), message(data).encode()


def refused(data: bytes) -> Any:
    """Say in OpenAI's form what an engine refused with these words."""
    found = [refusals.of_engine(status, data) for status in (302, 400, 500)]
    return [json.loads(one.body()) for one in found if 400 <= one.status < 600]


def _arrow() -> bytes:
    table, sink = pa.table({"distance": [100.0, None], "hour": pa.array([3, 4], pa.int8())}), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue()


def targets() -> tuple[Target, ...]:
    """Return the readers of requests and answers."""
    json_, arrow, floats = READERS
    single = b'{"hour": 7, "distance": NaN}'
    cards = b'{"object": "list", "data": [{"id": "m", "max_model_len": 4096}, {"id": "a", "parent": "m"}]}'
    context = b'{"error": {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 9000, "n_ctx": 512}}'
    completion, chat = (lambda body, kind=kind: asked(kind, body) for kind in (requests.Completion, requests.Chat))
    words = (b"data: ", b"data:", b"\n\n", b"\r\n\r\n", b"event: x\n", b"[DONE]", b": ")
    return (
        Target("predictions, JSON", lambda body: predictions(json_, body), (ROWS, single, b"[[1, 2], [3, null]]")),
        Target("predictions, Arrow", lambda body: predictions(arrow, body), (_arrow(),)),
        Target("predictions, float32", lambda body: predictions(floats, body), (np.ones(4, "<f4").tobytes(),)),
        Target("request for a completion", completion, (COMPLETION,), refuses=(ClientsFaultError,)),
        Target("request for a chat", chat, (CHAT,), refuses=(ClientsFaultError,)),
        Target("engine's stream", streamed, (CHUNKS, TOOLS), refuses=(Refusal,), words=words),
        Target("stream of a load test", loaded, (CHUNKS, CHUNKS.replace(b"\n", b"\r\n")), words=words),
        Target("engine's refusal", refused, (context, b'{"detail": "no"}'), refuses=(Refusal,)),
        Target("foreign server's models", lambda data: external._models(data, "http://x", ""), (cards,)),
    )
