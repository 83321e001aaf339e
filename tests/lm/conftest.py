"""A small corpus from the standard library, and what is made of it: a tokenizer, shards, a tiny trained checkpoint."""

import contextlib
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest
import torch

from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm import finetune, model, pairs, place, shards, tokenizer
from aifactory_lab.lm.tuned import Result
from tests.leaving_out import leave_out

STEPS, BATCHES, BATCH, CONTEXT = 100, 2, 8, 64
QUICK = {"steps": 200, "batch": 8, "learning_rate": 1e-2, "rank": 16, "held_out": 16, "longest_answer": 12}
VERBS = {"get": "Return", "set": "Change", "del": "Remove", "log": "Print", "load": "Read"}
NOUNS = [
    "name",
    "size",
    "type",
    "path",
    "file",
    "line",
    "code",
    "value",
    "list",
    "time",
    "host",
    "port",
    "mode",
    "data",
    "text",
    "key",
    "test",
    "item",
    "date",
    "state",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without a GPU, or a PyTorch for it, leave out what trains on one."""
    found = place.chosen("auto")
    if found.kind == "cpu":
        leave_out(config, items, Path(__file__).parent, "gpu", f"no GPU to run on: {found}")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def documents() -> pl.DataFrame:
    """Thirty-odd modules of the standard library, half a megabyte; every eighth is held out."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[::6]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    return pl.DataFrame(
        {
            "id": [path.stem for path in paths],
            "path": [str(path) for path in paths],
            "kind": "code",
            "split": ["train" if number % 8 else "valid" for number in range(len(paths))],
            "text": texts,
        }
    )


@pytest.fixture(scope="session")
def words(documents) -> tokenizer.Tokenizer:
    """A tokenizer of 512 tokens."""
    return tokenizer.train(documents.filter(pl.col("split") == "train")["text"], vocabulary=512)


@pytest.fixture(scope="session")
def packed(documents, words, tmp_path_factory) -> shards.Shards:
    """The documents as shards."""
    return shards.write(documents, words, tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="session")
def checkpoint(packed, words, tmp_path_factory) -> checkpoints.Checkpoint:
    """A model of 140,000 parameters that knows 1,000 tokens by heart (about 3 CPU-seconds): it has opinions."""
    llama = model.Llama(model.shape(2, words.vocabulary, context=CONTEXT), seed=1)
    optimiser = torch.optim.AdamW(llama.parameters(), lr=5e-3)
    for step in range(STEPS):
        optimiser.zero_grad()
        llama.loss(*packed.batch("train", step % BATCHES, batch=BATCH, context=CONTEXT, seed=0)).backward()
        optimiser.step()
    return checkpoints.save(tmp_path_factory.mktemp("checkpoint"), llama, words, {"title": "tiny"})


@pytest.fixture(scope="session")
def base(packed, words, tmp_path_factory) -> Path:
    """A checkpoint with room for a question and its answer, after 200,000 tokens: what is fine-tuned here."""
    llama = model.Llama(model.shape(2, words.vocabulary, context=256), seed=1)
    optimiser = torch.optim.AdamW(llama.parameters(), lr=5e-3)
    for step in range(200):
        optimiser.zero_grad()
        llama.loss(*packed.batch("train", step, batch=4, context=256, seed=0)).backward()
        optimiser.step()
    return checkpoints.save(tmp_path_factory.mktemp("base"), llama, words, {"title": "tiny"}).folder


@pytest.fixture(scope="session")
def questions() -> pl.DataFrame:
    """A hundred functions whose names say what they do, one a file; every seventh is held out."""
    texts = [
        f'def {verb}_{noun}(self):\n    """{says} the {noun}."""\n' for noun in NOUNS for verb, says in VERBS.items()
    ]
    names = [f"{number}.py" for number in range(len(texts))]
    split = ["train" if number % 7 else "valid" for number in range(len(texts))]
    return pairs.docstrings(pl.DataFrame({"id": names, "path": names, "kind": "code", "split": split, "text": texts}))


@pytest.fixture(scope="session")
def tuned(base, questions, documents, tmp_path_factory) -> Result:
    """An adapter over it that says what a function does (about 8 CPU-seconds)."""
    return finetune.run(base, questions, tmp_path_factory.mktemp("tuned"), old=documents.filter(split="valid"), **QUICK)


@pytest.fixture
def llama_cpp() -> Iterator[Callable[..., httpx.Client]]:
    """Start llama.cpp's own server on a GGUF file; a client of it comes back."""
    import xllamacpp

    servers = []
    with contextlib.ExitStack() as clients:

        def start(path: Path, *adapters: Path) -> httpx.Client:
            params = xllamacpp.CommonParams()
            params.model.path = str(path)
            params.hostnames, params.port = ["127.0.0.1"], 0
            params.n_ctx, params.n_parallel, params.warmup = 256, 1, False
            params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
            # By default llama.cpp rounds what it remembers to 16 bits; these tests compare numbers.
            params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0) for adapter in adapters]
            servers.append(xllamacpp.Server(params))
            return clients.enter_context(httpx.Client(base_url=servers[-1].listening_address, timeout=60))

        yield start
    servers.clear()
