"""A stream is passed on whole, wherever it is cut, and counted exactly; the gate before it keeps its order."""

import asyncio
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from aifactory_lab.serve.llm.admission import Admission, Full
from aifactory_lab.serve.llm.refusals import Refusal
from aifactory_lab.serve.llm.streams import Stream
from aifactory_lab.serve.llm.wholes import Whole


def event(**fields) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def chunk(text: str, reason: str | None = None, **fields) -> bytes:
    return event(choices=[{"text": text, "finish_reason": reason, "index": 0}], **fields)


USAGE = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
# Four tokens in three chunks, one of which looks like what is searched for, a comment, and the usage apart.
CHUNKS = [chunk("a"), b": still here\n\n", chunk('"usage": {"x": 1}\n\ndata: [DONE]'), chunk("ü"), chunk("", "stop")]
APART, DONE = event(choices=[], usage=USAGE), b"data: [DONE]\n\n"
# The same as llama.cpp ends a completion: with the usage in the last chunk.
TOGETHER = [*CHUNKS[:-1], chunk("", "length", usage=USAGE)]


def passed(data: bytes, cuts, **options) -> tuple[Stream, bytes]:
    stream, places = Stream(**options), sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    pieces = [data[start:stop] for start, stop in pairwise(places)]
    return stream, b"".join(stream.pass_on(piece, now=float(n)) for n, piece in enumerate(pieces))


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_however_it_is_cut_the_client_gets_what_it_asked_for(cuts, wanted):
    stream, found = passed(b"".join([*CHUNKS, APART, DONE]), cuts, usage_wanted=wanted)
    assert found == b"".join([*CHUNKS, *([APART] if wanted else []), DONE])
    assert (stream.tokens, stream.prompt_tokens, stream.reason, stream.done) == (4, 5, "stop", True)
    assert (stream.counted, stream.uncounted) == (3, 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=30), st.booleans())
def test_usage_in_the_last_chunk_is_set_apart(cuts, wanted):
    stream, found = passed(b"".join([*TOGETHER, DONE]), cuts, usage_wanted=wanted)
    events = [json.loads(line[6:]) for line in found.decode().split("\n\n") if line.startswith("data: {")]
    assert [e.get("usage") for e in events if not e["choices"]] == ([USAGE] if wanted else [])
    assert not any(e.get("usage") for e in events if e["choices"])
    assert events[3]["choices"][0]["finish_reason"] == "length"
    assert found.endswith(DONE)
    assert (stream.tokens, stream.reason) == (4, "length")


def test_whoever_asks_for_the_usage_with_every_chunk_keeps_it():
    data = chunk("a", usage=USAGE) + chunk("b", "stop", usage=USAGE) + DONE
    assert passed(data, [], usage_wanted=True, continuous=True)[1] == data


def test_an_engine_that_stops_in_an_event_does_not_send_half_of_it():
    stream, found = passed(CHUNKS[0] + CHUNKS[2][:20], [], usage_wanted=False)
    assert found == CHUNKS[0]
    assert (stream.tokens, stream.reason, stream.done) == (1, "", False)


def test_the_role_that_opens_a_message_is_no_token():
    opening = event(choices=[{"delta": {"role": "assistant", "content": None}, "finish_reason": None}])
    words = event(choices=[{"delta": {"content": "hi"}, "finish_reason": None}])
    call = event(choices=[{"delta": {"tool_calls": [{"index": 0}]}, "finish_reason": None}])
    assert passed(opening + words + call, [], usage_wanted=False)[0].counted == 2


def test_the_calls_of_tools_are_put_together_by_their_index():
    whole = Whole()
    for name, arguments, index in (("add", "", 0), (None, '{"a":', 0), ("sub", "{}", 1), (None, " 1}", 0)):
        function = {"arguments": arguments} | ({"name": name} if name else {})
        call = {"index": index, "function": function} | ({"id": f"call-{index}", "type": "function"} if name else {})
        delta = {"role": "assistant", "content": None, "tool_calls": [call]}
        whole.add({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    whole.add(
        {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    )
    answer = ChatCompletion.model_validate({"id": "1", "created": 1, "model": "m", **whole.answer()}, strict=True)
    told = [(call.id, call.function.name, call.function.arguments) for call in answer.choices[0].message.tool_calls]
    assert told == [("call-0", "add", '{"a": 1}'), ("call-1", "sub", "{}")]
    assert (answer.object, answer.choices[0].finish_reason) == ("chat.completion", "tool_calls")
    with pytest.raises(Refusal, match="out of memory"):
        whole.add({"error": {"code": 500, "message": "out of memory"}})


@settings(deadline=None)
@given(st.lists(st.sampled_from(["come", "leave", "give up"]), max_size=60), st.integers(1, 3), st.integers(0, 4))
def test_the_gate_keeps_its_order_and_loses_no_slot(steps, slots, waiting):
    """Whoever comes, leaves or gives up: never too many, first come first served, empty at the end."""

    async def run():
        gate, inside, outside, served = Admission(slots=slots, waiting=waiting), [], [], []

        async def guest(number, leave):
            async with gate.slot():
                served.append(number)
                await leave.wait()

        for number, step in enumerate(steps):
            if step == "come":
                leave = asyncio.Event()
                task = asyncio.create_task(guest(number, leave))
                await asyncio.sleep(0)
                full = task.done()
                assert full == (len(inside) == slots and len(outside) == waiting)
                if full:
                    assert isinstance(task.exception(), Full)
                else:
                    (inside if len(inside) < slots else outside).append((number, task, leave))
            elif step == "leave" and inside:
                inside.pop(0)[2].set()
                inside += [outside.pop(0)] if outside else []
            elif step == "give up" and outside:
                outside.pop()[1].cancel()
            for _ in range(4):
                await asyncio.sleep(0)
            assert (gate.running, gate.waiting) == (len(inside), len(outside))
            assert served[-1:] == [] or served == sorted(served)
        for _, _, leave in inside + outside:
            leave.set()
        await asyncio.gather(*(task for _, task, _ in inside + outside))
        assert (gate.running, gate.waiting) == (0, 0)

    asyncio.run(run())


def test_a_slot_given_to_one_who_leaves_at_that_moment_goes_on():
    async def run():
        gate, leave = Admission(slots=1, waiting=3), asyncio.Event()

        async def guest():
            async with gate.slot():
                await leave.wait()

        inside, leaving, next_one = (asyncio.create_task(guest()) for _ in range(3))
        await asyncio.sleep(0)
        leave.set()
        while gate.waiting == 2:  # until the slot is the leaving one's, which has not woken yet
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait_for(next_one, 5)
        await inside
        assert leaving.cancelled()
        assert (gate.running, gate.waiting) == (0, 0)

    asyncio.run(run())
