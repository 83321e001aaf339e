"""A base learns to answer: gains on what was held out, what it costs, and that nothing torn looks finished."""

import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aifactory_lab.errors import DataError, ModelError
from aifactory_lab.lm import adapters, examination, examples, finetune, gguf_file, lora, pairs, pretrained
from aifactory_lab.lm.tuned import Result
from aifactory_lab.telemetry import trainings
from tests.lm.conftest import QUICK


def test_what_was_held_out_is_answered_better(tuned):
    loss, stopped = tuned.scores["loss"], tuned.scores["stopped"]
    assert loss.change.high < -1
    assert stopped.before.value < 0.2
    assert stopped.after.value > 0.8
    assert tuned.scores["overlap"].after.value > tuned.overlap_by_chance + 0.03
    assert tuned.scores["overlap"].change.low > 0.2


def test_what_was_forgotten_is_measured(tuned):
    """So few parameters, trained on one sentence, predict the library worse than before."""
    old = tuned.scores["bits_per_byte"]
    assert old.change.low > 0
    assert old.items > 10
    assert old.groups > 2


def test_the_loss_is_that_of_transformers(tuned, base, questions):
    """The same number from transformers' own loss over base and adapter, one pair at a time."""
    row = tuned.answers.row(0, named=True)
    tokenizer = AutoTokenizer.from_pretrained(base)
    chat = tokenizer.apply_chat_template(pairs.turns(row["prompt"]), tokenize=False, add_generation_prompt=True)
    prompt, whole = tokenizer(chat)["input_ids"], tokenizer(f"{chat}{row['answer']}<|endoftext|>")["input_ids"]
    labels = torch.tensor([[-100] * len(prompt) + whole[len(prompt) :]])
    for model, column in (
        (AutoModelForCausalLM.from_pretrained(base), "loss_before"),
        (adapters.attach(base, tuned.folder), "loss_after"),
    ):
        with torch.no_grad():
            assert float(model(input_ids=torch.tensor([whole]), labels=labels).loss) == pytest.approx(
                row[column], rel=1e-4
            )


def test_the_answers_are_those_of_the_adapter(tuned, base):
    """Batched and filled up on the left, as one by one."""
    model, tokenizer = adapters.attach(base, tuned.folder), AutoTokenizer.from_pretrained(base)
    for prompt, said in tuned.answers.select("prompt", "after").head(4).iter_rows():
        chat = tokenizer.apply_chat_template(pairs.turns(prompt), tokenize=False, add_generation_prompt=True)
        ids = tokenizer(chat, return_tensors="pt")["input_ids"]
        out = model.generate(input_ids=ids, max_new_tokens=QUICK["longest_answer"], do_sample=False, pad_token_id=0)
        assert tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip() == said


def test_the_history_and_the_report_say_what_was_done(tuned):
    history, report = tuned.history, tuned.report
    assert history["step"].to_list() == list(range(1, QUICK["steps"] + 1))
    assert history["loss"].tail(10).mean() < history["loss"].head(10).mean() - 0.5
    assert history["learning_rate"].max() == pytest.approx(QUICK["learning_rate"], rel=0.05)
    assert (report.station, report.unit, report.made) == ("tune", "tokens", history["tokens"][-1])
    assert report.details["trained_parameters"] == tuned.adapter.parameters
    assert report.details["tokens_per_cpu_second"] > 0
    reloaded = Result.load(tuned.folder)
    assert reloaded.scores == tuned.scores
    assert str(reloaded).splitlines()[0].startswith("adapter of rank 16 over tiny")


def test_boards_can_follow_it(tuned):
    seen = trainings.read(tuned.folder)
    assert seen.state == "finished"
    assert seen.steps["loss"].to_list() == pytest.approx(tuned.history["loss"].to_list())
    assert seen.facts["rank"] == 16
    scores = dict(seen.scores.filter(name="answer_loss").select("step", "value").iter_rows())
    assert scores == {
        0: pytest.approx(tuned.scores["loss"].before.value),
        QUICK["steps"]: pytest.approx(tuned.scores["loss"].after.value),
    }
    assert seen.samples[-1].text.splitlines()[1] == tuned.answers["after"][0].splitlines()[0]


def test_the_same_seed_gives_the_same_adapter(base, questions, tmp_path):
    little = {"steps": 4, "batch": 4, "held_out": 4, "longest_answer": 4}
    one, again, other = (
        finetune.run(base, questions, tmp_path / str(number), seed=seed, **little)
        for number, seed in enumerate((0, 0, 1))
    )
    assert again.adapter.sha256 == one.adapter.sha256 != other.adapter.sha256
    assert again.scores == one.scores
    assert "bits_per_byte" not in again.scores


def test_seconds_end_it_too(base, questions, tmp_path):
    found = finetune.run(base, questions, tmp_path, seconds=0.5, held_out=2, longest_answer=2, batch=2)
    spent = found.history["cpu_seconds"].to_list()
    assert spent[-1] >= 0.5 > spent[-2]
    assert found.history["learning_rate"][-1] < 0.2 * found.history["learning_rate"].max()


def test_a_rate_that_is_too_high_is_said(base, questions, tmp_path):
    with pytest.raises(ModelError, match=r"(?s)the loss of step \d+ is nan.*learning_rate="):
        finetune.run(base, questions, tmp_path, steps=30, batch=2, held_out=2, longest_answer=2, learning_rate=1e30)
    assert trainings.read(tmp_path).state == "failed"
    with pytest.raises(ModelError, match="is not an adapter"):
        Result.load(tmp_path)


def test_what_cannot_be_tuned_says_why(base, questions, tmp_path):
    with pytest.raises(DataError, match="both splits are needed"):
        finetune.run(base, questions.filter(split="train"), tmp_path)
    with pytest.raises(DataError, match="pairs lack prompt"):
        finetune.run(base, questions.rename({"prompt": "question"}), tmp_path)
    long = questions.with_columns(prompt=pl.col("prompt") + " word" * 4000)
    with pytest.raises(DataError, match=r"none of \d+ pairs fits into 256 tokens"):
        finetune.run(base, long, tmp_path)
    with pytest.raises(ModelError, match="is not a model"):
        finetune.run(tmp_path, questions, tmp_path / "out")


RUN = """
import sys, polars as pl
from aifactory_lab.lm import finetune
finetune.run(sys.argv[1], pl.read_parquet(sys.argv[2]), sys.argv[3], steps=10_000, held_out=2, longest_answer=2)
"""


def test_kill_nine_leaves_nothing_that_looks_finished(base, questions, tmp_path):
    """Killed while it trains over the place of an earlier adapter."""
    out, written = tmp_path / "out", tmp_path / "pairs.parquet"
    log = out / "training.jsonl"
    questions.write_parquet(written)
    finetune.run(base, questions, out, steps=1, held_out=2, longest_answer=2)
    log.unlink()
    doomed = subprocess.Popen([sys.executable, "-c", RUN, str(base), str(written), str(out)])
    while doomed.poll() is None and not (log.exists() and log.read_text().count('"k": "step"') > 1):
        time.sleep(0.05)
    assert doomed.poll() is None, "it ended before it could be killed"
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    assert trainings.read(out).state == "dead"
    assert [path.name for path in out.iterdir()] == [log.name]
    with pytest.raises(ModelError, match="is not an adapter"):
        Result.load(out)


def test_llama_cpp_serves_the_adapter_as_it_is(tuned, base, llama_cpp, tmp_path):
    """The questions of the exam, asked over OpenAI's protocol, get the answers of the exam."""
    model = gguf_file.write(base, tmp_path / "model.gguf", "f32")
    client = llama_cpp(model, gguf_file.write_adapter(tuned.folder, base, tmp_path / "adapter.gguf"))
    for prompt, said in tuned.answers.filter("stopped_after").select("prompt", "after").head(4).iter_rows():
        body = {"messages": pairs.turns(prompt), "temperature": 0, "max_tokens": QUICK["longest_answer"]}
        choice = client.post("/v1/chat/completions", json=body).raise_for_status().json()["choices"][0]
        assert choice["message"]["content"].strip() == said
        assert choice["finish_reason"] == "stop"


def test_every_pair_is_learned_once_an_epoch():
    made = [examples.Example((n,), (n, 0)) for n in range(10)]
    drawn = examples.shuffled(made, 4, seed=3)
    first = [one.prompt[0] for _ in range(5) for one in next(drawn)]
    assert sorted(first[:10]) == sorted(first[10:]) == list(range(10))
    assert first[:10] != first[10:]


def test_windows_count_every_byte_once(base):
    text = "naïve 漢字 text with “quotes” and code: x = {1: 'é'}\n" * 40
    tokenizer = AutoTokenizer.from_pretrained(base)
    found = examples.windows(pl.DataFrame({"id": ["a"], "text": [text]}), tokenizer, 64, tokens=10**6)
    assert sum(window.bytes for window in found) == len(text.encode())
    assert {window.ids[0] for window in found} == {tokenizer.eos_token_id}
    assert max(len(window.ids) for window in found) == 64
    said = tokenizer.decode([token for window in found for token in window.ids[1:]])
    assert said == text


def test_bits_per_byte_of_a_base_that_knows_nothing(base):
    """A model of equal logits needs log2(vocabulary) bits a token."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    torch.nn.init.zeros_(model.lm_head.weight)
    windows = examples.windows(pl.DataFrame({"id": ["a"], "text": ["some text " * 30]}), tokenizer, 64, 100)
    tokens = [len(window.ids) - 1 for window in windows]
    assert examination.text_nats(model, windows) == pytest.approx(np.log(model.config.vocab_size) * np.array(tokens))


def test_only_the_adapter_learns(base, questions):
    settings = lora.Settings(steps=2, batch=2, rank=4)
    model = AutoModelForCausalLM.from_pretrained(base)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    over = lora.over(model, settings)
    trained = {name.split(".")[-3] for name, weight in over.named_parameters() if weight.requires_grad}
    assert trained == {"lora_A", "lora_B"}
    kept = {name.replace(".base_layer", ""): weight for name, weight in over.get_base_model().state_dict().items()}
    assert all(torch.equal(kept[name], weight) for name, weight in before.items())


def test_smollm2_is_told_apart_from_a_base_of_ours():
    """Its own chat template and end mark; the answer is learned, the question is not."""
    tokenizer = AutoTokenizer.from_pretrained(pretrained.smollm2().checkpoint())
    frame = pl.DataFrame({"prompt": ["Why?"], "answer": ["Because."]})
    _, (made,) = examples.encode(frame, tokenizer, 100)
    assert tokenizer.decode(made.prompt).endswith("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode(made.answer) == "Because.<|im_end|>"
