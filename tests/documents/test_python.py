"""Every Python block and every name in backticks is real: it compiles, its names exist, its calls bind."""

import pytest

from tests.documents import python
from tests.documents.links import ANY_FILE
from tests.documents.texts import every

DOCUMENTS = pytest.mark.parametrize("document", every(), ids=lambda document: document.name)


@DOCUMENTS
def test_blocks_are_python_that_would_run(document):
    reader, found = python.Reader(), {}
    for block in document.blocks("python"):
        found[str(block)] = reader.complaints(block.text)
    assert not {where: said for where, said in found.items() if said}


@DOCUMENTS
def test_names_in_backticks_exist(document):
    reader = python.Reader()
    for block in document.blocks("python"):
        reader.complaints(block.text)
    spans = [(line, span) for line, span in document.spans() if not ANY_FILE.fullmatch(span)]
    said = {f"line {line}": objection for line, span in spans if (objection := python.complaint(span, reader.names))}
    assert not said


STALE = {
    "from aifactory_lab import etl, trian": "aifactory_lab.trian",
    "from aifactory_lab.fleet import Flet": "Flet",
    "import aifactory_lab.nowhere": "nowhere",
    "from aifactory_lab import datasets\nraw = datasets.load('flights')\nraw.colums": "RawMaterial has no 'colums'",
    "from aifactory_lab import datasets\nraw = datasets.load()": "missing a required argument",
    "from aifactory_lab.fleet import Fleet\njob = Fleet().submit(print)\njob.explane()": "has no 'explane'",
    "from aifactory_lab.fleet import Fleet\nFleet('slurm', gpu=2)": "unexpected keyword argument 'gpu'",
    "from aifactory_lab import cluster\nwith cluster.start(workers=2) as c:\n    c.cliant": "Cluster has no 'cliant'",
    "from aifactory_lab import cluster\nfor n in range(2):\n    cluster.start(wrokers=n)": "'wrokers'",
    "x = [": "never closed",
}


@pytest.mark.parametrize(("text", "said"), STALE.items())
def test_stale_python_would_be_noticed(text, said):
    found = python.Reader().complaints(text)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "from aifactory_lab import datasets\ndatasets = 3\ndatasets.lode",  # another thing by now
        "import cudf\ncudf.read_parquet('x').anything(1)",  # only a GPU's environment has it
        "%load_ext aifactory_lab\nx = 1",
        "from aifactory_lab.etl import curation\ncuration.run(*things, **words)",
    ],
)
def test_what_cannot_be_known_is_not_judged(text):
    assert python.Reader().complaints(text) == []


@pytest.mark.parametrize(
    ("span", "said"),
    [
        ("etl.distribution(recipe)", None),
        ("etl.distribution()", "missing a required argument"),
        ("aifactory_lab.twin.mirror.of_this_machin()", "of_this_machin"),
        ("widgets.FleetBoards()", "FleetBoards"),
        ("serve.load.tokens(…, rate=20)", None),
        ("serve.load.tokens(…, rates=20)", "unknown keyword"),
        ("champion", None),
        ("gpu 3", None),
    ],
)
def test_a_stale_name_would_be_noticed(span, said):
    found = python.complaint(span)
    assert found is None if said is None else said in (found or "")
