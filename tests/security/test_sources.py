"""The package's own source: whatever could run what it reads is on a list, each with the reason why it is there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aifactory_lab

PACKAGE = Path(aifactory_lab.__file__).parent
MODULES = {
    "pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "pickletools",
    "telnetlib",
    "ftplib",
}
CALLS = {
    *("eval", "exec", "compile", "__import__", "input"),
    *("os.system", "os.popen", "torch.load", "np.load", "numpy.load", "skops.io.load", "tempfile.mktemp"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "hashlib.md5", "hashlib.sha1"),
}
METHODS = {
    *("pickle_load", "extractall", "unpack_archive", "read_pickle", "load_module", "exec_module", "loads_pickle"),
    "cloudpickle_dump",
}
SWITCHES = {
    *(("shell", True), ("allow_pickle", True), ("weights_only", False), ("verify", False), ("trust_remote_code", True)),
    *(("verify_ssl", False), ("check_hostname", False), ("trust_env", True)),
}
OF_FLEET = "a job is a function of the user's, in a folder that only they can write (fleet.folders); see test_pickles"
ALLOWED = {
    ("cells.py", "exec"): "%%meter runs the user's own cell, in the user's own kernel, as IPython would",
    ("cells.py", "eval"): "the same: the value of the cell's last line",
    ("fleet/calls.py", "pickle"): f"asks whether a function can be sent: dumps, loads nothing; {OF_FLEET}",
    ("fleet/inline.py", "pickle_load"): OF_FLEET,
    ("fleet/inline.py", "cloudpickle_dump"): OF_FLEET,
    ("fleet/jobs.py", "pickle_load"): OF_FLEET,
    ("fleet/slurm/standing.py", "pickletools"): "reads the first word of a result without running it",
    ("fleet/workstation/processes.py", "pickle"): "for the name of an error that pickletools raises",
    ("fleet/workstation/processes.py", "pickletools"): "reads the first word of a result without running it",
    ("serve/load/predictions.py", "np.load"): "what our own child process wrote; numpy refuses pickles by default",
    ("train/boosting.py", "np.load"): "an array from the user's own Dask worker, with allow_pickle=False",
    ("train/bundle.py", "skops.io.load"): "after every type in it was found on the allow-list",
}


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(tree: ast.AST) -> Iterator[str]:
    """Yield what in a module could run what it reads, or trust what it should not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield node.module
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            yield from (found for found in (name,) if found in CALLS)
            yield from (found for found in (last,) if found in METHODS)
            for word in node.keywords:
                if isinstance(word.value, ast.Constant) and (word.arg, word.value.value) in SWITCHES:
                    yield f"{word.arg}={word.value.value}"


def test_nothing_in_the_package_runs_what_it_reads_but_what_is_listed_with_its_reason():
    found = {
        (path.relative_to(PACKAGE).as_posix(), danger)
        for path in sorted(PACKAGE.rglob("*.py"))
        for danger in dangers(ast.parse(path.read_text()))
    }
    assert found - set(ALLOWED) == set(), "new: find another way, or list it with its reason"
    assert set(ALLOWED) - found == set(), "gone: take it off the list"


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "torch.load(path)",
        "subprocess.run(text, shell=True)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=False)",
        "httpx.get(url, verify=False)",
        "yaml.load(text)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "archive.extractall(folder)",
        "frame = pd.read_pickle(path)",
    ],
)
def test_the_search_finds_what_it_is_for(line):
    assert list(dangers(ast.parse(line)))
