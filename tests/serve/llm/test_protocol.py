"""OpenAI's own client finds what it expects: models, answers, streams, usage, errors."""

import asyncio

import openai
import pytest
import torch

from aifactory_lab.lm import pretrained
from aifactory_lab.serve import llm
from tests.serve.llm.conftest import CONTEXT, PROMPT, long

TALK = [{"role": "user", "content": "def closing"}]


def likeliest(checkpoint, prompt: str, tokens: int) -> str:
    """What the model goes on with, computed by PyTorch."""
    ids = checkpoint.tokenizer.encode(prompt)
    start = len(ids)
    with torch.no_grad():
        for _ in range(tokens):
            ids.append(int(checkpoint.model(torch.tensor([ids]))[0, -1].argmax()))
    return checkpoint.tokenizer.decode(ids[start:])


def test_the_answer_is_what_the_checkpoint_says(official, checkpoint):
    for prompt in (PROMPT, "def __exit__(self", "class ExitStack"):
        found = official.completions.create(model="tiny", prompt=prompt, max_tokens=24, temperature=0)
        assert found.choices[0].text == likeliest(checkpoint, prompt, 24)
        assert found.choices[0].finish_reason == "length"
        prompt_tokens = len(checkpoint.tokenizer.encode(prompt))
        assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (prompt_tokens, 24)


def test_a_conversation_goes_through_the_template_of_the_checkpoint(official, checkpoint):
    found = official.chat.completions.create(model="tiny", messages=TALK, max_completion_tokens=12, temperature=0)
    said = likeliest(checkpoint, "### user\ndef closing\n### assistant\n", 12)
    assert found.choices[0].message.content == said.strip() or said.startswith(found.choices[0].message.content)
    assert found.choices[0].message.role == "assistant"
    assert found.usage.completion_tokens == 12


def test_the_models_are_listed(official, server):
    assert [model.id for model in official.models.list()] == ["tiny"]
    assert (server.model, server.models, server.engine) == ("tiny", ("tiny",), "llama.cpp")
    assert official.models.list().data[0].max_model_len == CONTEXT


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_says_what_the_whole_answer_says(official, usage):
    options = {"stream_options": {"include_usage": True}} if usage else {}
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 40, "temperature": 0}
    whole = official.completions.create(**asked)
    chunks = list(official.completions.create(**asked, **options, stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]
    counts = [chunk.usage.completion_tokens for chunk in chunks if not chunk.choices]
    assert counts == ([40] if usage else [])


def test_a_conversation_streams(official):
    asked = {"model": "tiny", "messages": TALK, "max_completion_tokens": 20, "temperature": 0}
    whole = official.chat.completions.create(**asked)
    chunks = list(official.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage or chunks[-1].usage.completion_tokens == 20


def test_a_stop_sequence_ends_the_answer_before_it(official):
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 40, "temperature": 0}
    text = official.completions.create(**asked).choices[0].text
    stop = text[12:16]
    found = official.completions.create(**asked, stop=[stop, "never"])
    assert found.choices[0].text == text[: text.index(stop)]
    assert found.choices[0].finish_reason == "stop"
    streamed = list(official.completions.create(**asked, stop=stop, stream=True))
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == text[: text.index(stop)]


def test_the_same_seed_gives_the_same_answer_and_another_one_another(official):
    def drawn(seed):
        asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 30, "temperature": 1.5, "seed": seed}
        return official.completions.create(**asked).choices[0].text

    assert drawn(1) == drawn(1)
    assert len({drawn(seed) for seed in range(5)}) == 5


def test_at_temperature_zero_company_does_not_change_the_answer(server):
    """Computed alone or in a batch of four: the same text."""

    async def ask(count):
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 30, "temperature": 0}
            return [
                a.choices[0].text
                for a in await asyncio.gather(*(client.completions.create(**asked) for _ in range(count)))
            ]

    assert len({*asyncio.run(ask(1)), *asyncio.run(ask(4))}) == 1


def test_several_streams_at_once_do_not_mix(server, official):
    prompts = ["def ", "class ", "import ", "    return "]
    alone = [
        official.completions.create(model="tiny", prompt=prompt, max_tokens=30, temperature=0).choices[0].text
        for prompt in prompts
    ]

    async def one(client, prompt):
        asked = {"model": "tiny", "prompt": prompt, "max_tokens": 30, "temperature": 0, "stream": True}
        return "".join([c.choices[0].text async for c in await client.completions.create(**asked) if c.choices])

    async def together():
        async with openai.AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
            return await asyncio.gather(*(one(client, prompt) for prompt in prompts))

    assert asyncio.run(together()) == alone


def test_errors_are_of_the_clients_own_classes(official):
    with pytest.raises(openai.NotFoundError, match="'gpt-9' does not exist here; there are: tiny") as missing:
        official.completions.create(model="gpt-9", prompt=PROMPT)
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError, match=f"the context holds {CONTEXT:,}") as long_prompt:
        official.completions.create(model="tiny", prompt="x" * 20_000)
    assert long_prompt.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="temperature") as hot:
        official.completions.create(model="tiny", prompt=PROMPT, temperature=3.0)
    assert (hot.value.param, hot.value.type) == ("temperature", "invalid_request_error")
    for field in ({"n": 2}, {"echo": True}, {"best_of": 2}, {"suffix": "x"}, {"logprobs": 2}):
        with pytest.raises(openai.BadRequestError, match=f"{next(iter(field))} is not supported") as refused:
            official.completions.create(model="tiny", prompt=PROMPT, **field)
        assert refused.value.code == "unsupported_parameter"


def test_probabilities_come_with_a_conversation(official):
    asked = {"model": "tiny", "messages": TALK, "max_completion_tokens": 3, "temperature": 0}
    found = official.chat.completions.create(**asked, logprobs=True, top_logprobs=3)
    tokens = found.choices[0].logprobs.content
    assert len(tokens) == 3
    assert all(token.logprob == max(other.logprob for other in token.top_logprobs) for token in tokens)


def test_a_completion_that_does_not_say_has_sixteen_tokens(official):
    assert official.completions.create(model="tiny", prompt=PROMPT).usage.completion_tokens <= 16
    asked = long(ignore_eos=None, max_tokens=None)
    found = official.completions.create(
        model="tiny", prompt=asked["prompt"], temperature=0, extra_body={"ignore_eos": True}
    )
    assert found.usage.completion_tokens == 16


def test_a_prompt_may_be_token_ids(official, checkpoint):
    ids = checkpoint.tokenizer.encode(PROMPT)
    asked = {"model": "tiny", "max_tokens": 10, "temperature": 0}
    as_text = official.completions.create(**asked, prompt=PROMPT).choices[0].text
    assert official.completions.create(**asked, prompt=ids).choices[0].text == as_text
    assert official.completions.create(**asked, prompt=[PROMPT]).choices[0].text == as_text


def test_no_character_is_broken_between_two_tokens():
    """A real model repeats what takes several tokens a character; every chunk is whole."""
    with llm.start(pretrained.smollm2(), context=256, slots=1) as server:
        assert server.model == "smollm2-135m-instruct"
        with openai.OpenAI(base_url=server.base_url, api_key="none") as client:
            prompt = "你好，世界。你好，世界。你好，世界。你好，"
            asked = {"model": server.model, "prompt": prompt, "max_tokens": 12, "temperature": 0}
            chunks = list(client.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
            pieces = [chunk.choices[0].text for chunk in chunks if chunk.choices and chunk.choices[0].text]
    assert "".join(pieces).startswith("世界")
    assert "\ufffd" not in "".join(pieces)
    assert chunks[-1].usage.completion_tokens > len(pieces)  # so some characters did take several tokens
