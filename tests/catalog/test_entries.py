"""What stands in the catalogue: told by the rooms, found by name, and honest about what is missing."""

import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aifactory_lab import blueprints, catalog, dash, datasets, etl
from aifactory_lab.catalog.entry import KINDS
from aifactory_lab.catalog.shelves import SHELVES
from aifactory_lab.errors import FactoryError
from aifactory_lab.lm import sizes
from aifactory_lab.train import estimators
from aifactory_lab.twin import hardware
from tests.catalog.conftest import NOWHERE

WORDS = ["llama", "flights", "GPU", "nvidia", "pypi", "the", "cc0", "zebra", "tokens", "board"]
ALL = catalog.entries(workspace=NOWHERE)


def names(kind: str) -> list[str]:
    return [entry.name for entry in ALL if entry.kind == kind]


def test_nothing_is_forgotten_and_nothing_invented():
    assert {"flights", "taxi", *datasets.recordings()} <= set(names("datasets"))
    assert set(names("datasets")) == {*datasets.catalogue()["name"], *datasets.recordings(), "standard-library"}
    assert names("recipes") == [*etl.recipes.names(), "curation"]
    trained = [*estimators.names(), *(size.name for size in sizes.SIZES)]
    assert names("models") == [*trained, "smollm2-135m-instruct"]
    assert names("dashboards") == dash.boards()
    assert names("blueprints") == blueprints.names()
    assert names("twins") == [*hardware.names("node"), *hardware.names("rack")]
    assert names("lessons")[0] == "00_start_here"
    assert names("lessons") == sorted(names("lessons"))
    assert list(SHELVES) == list(KINDS)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.address)
def test_an_entry_says_what_it_is_what_it_needs_and_how_it_is_run(entry):
    assert entry.title
    assert entry.needs
    assert entry.command.startswith("aifactory ")
    compile(entry.python, entry.address, "exec")
    assert catalog.find(entry.address, workspace=NOWHERE) == entry
    assert entry.ready or entry.state.mend
    assert entry.address in str(entry)
    assert "<script" not in entry._repr_html_()


def test_addresses_are_unique_and_a_shared_name_asks_which():
    addresses = [entry.address for entry in ALL]
    assert len(set(addresses)) == len(addresses)
    with pytest.raises(FactoryError, match="'flights' is the name of 3 things: datasets/flights, recipes/flights"):
        catalog.find("flights")
    assert catalog.find("gpus").kind == "dashboards"


def test_a_wrong_name_is_told_its_neighbours():
    with pytest.raises(FactoryError, match="called 'xgbost'") as told:
        catalog.find("xgbost")
    assert told.value.mend == "aifactory catalog show models/xgboost"
    with pytest.raises(FactoryError, match="the catalogue has no 'modells'; it has: datasets, recipes, models"):
        catalog.entries("modells")
    with pytest.raises(FactoryError, match=re.escape("is called '../../etc/passwd'")):
        catalog.run("../../etc/passwd")


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from(WORDS), max_size=3))
def test_a_search_narrows_with_every_word(words):
    found = catalog.entries(query=" ".join(words), workspace=NOWHERE)
    assert set(found) <= set(ALL)
    for word in words:
        assert set(found) <= set(catalog.entries(query=word.upper(), workspace=NOWHERE))
    assert words or found == ALL


def test_an_endpoint_without_a_champion_says_what_to_run_first():
    entry = catalog.find("predictions", workspace=NOWHERE)
    assert not entry.ready
    assert entry.state.mend == "aifactory run --line decisions"
    with pytest.raises(FactoryError, match="endpoints/predictions cannot run here: no champion in") as told:
        catalog.run("predictions", workspace=NOWHERE)
    assert told.value.mend == "aifactory run --line decisions"


def test_what_is_not_installed_is_told_with_the_line_that_installs_it():
    """In a Python that does not see the packages of the token line."""
    blind = (
        "import importlib.metadata as m; real = m.version\n"
        "def version(name):\n"
        "    if name in ('torch', 'xllamacpp'): raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\n"
        "from aifactory_lab import catalog\n"
        "entry = catalog.find('pocket-4'); print(entry.ready, entry.state.words, '|', entry.state.mend)\n"
        "print(*(catalog.find(name).ready for name in ('models/xgboost', '07_tokens', '01_raw_material')))\n"
        "import sys; print('torch' in sys.modules or 'mlflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", blind], capture_output=True, text=True, check=True)
    missing, others, heavy = done.stdout.splitlines()
    assert missing.startswith("False torch is not installed")
    assert missing.endswith("| pip install 'aifactory-lab[lm]'")
    assert others == "True False True"
    assert heavy == "False", "a list needs neither PyTorch nor MLflow"


def test_sizes_say_their_parameters_as_they_are():
    from aifactory_lab.lm import model

    for size in sizes.SIZES[:2]:
        count = model.Llama(model.shape(size.depth, sizes.VOCABULARY)).count
        assert size.parameters == f"{count / 1e6:.1f} million"
