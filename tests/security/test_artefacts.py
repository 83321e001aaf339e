"""Files that mean harm, given to every loader: none runs them, none lets its process be filled, each says why."""

import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from aifactory_lab import dash, fleet, serve
from aifactory_lab.blueprints import reading as blueprints
from aifactory_lab.blueprints import shipped
from aifactory_lab.errors import FactoryError, FleetError, ModelError
from aifactory_lab.lm import adapters
from aifactory_lab.lm import checkpoint as checkpoints
from aifactory_lab.lm.training_state import State, States
from aifactory_lab.serve import champions
from aifactory_lab.serve.llm import gguf_header
from aifactory_lab.train.bundle import MANIFEST, Bundle
from aifactory_lab.twin.usd import reading as usd
from aifactory_lab.workspace import file_hash

NAMES = [
    "../../evil",
    "/etc/passwd",
    "a\0b",
    "..",
    ".",
    "",
    "~root",
    "-rf",
    "a;touch evil",
    "$(touch evil)",
    "x" * 5_000,
]


class Evil:
    """Its pickle makes a file when it is read."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.fixture
def evil(tmp_path):
    """Bytes of a pickle that leaves a mark, which must not be there in the end."""
    mark = tmp_path / "it-was-run"
    yield pickle.dumps(Evil(mark))
    assert not mark.exists()


def bundled(folder: Path, kind: str, content: bytes) -> Path:
    """A model folder whose manifest vouches for its file, as an attacker's would."""
    file = folder / {"xgboost": "model.ubj", "sklearn": "model.skops"}[kind]
    folder.mkdir(exist_ok=True)
    file.write_bytes(content)
    feature = {"name": "temp", "minimum": -5.0, "maximum": 5.0, "missing_share": 0.0}
    told = {"kind": kind, "estimator": "x", "features": [feature], "target": "y", "threshold": 0.5, "metrics": {}}
    (folder / MANIFEST).write_text(json.dumps({**told, "lineage": {}, "format": 1, "sha256": file_hash(file)}))
    return folder


def test_the_pickle_of_these_tests_would_run(tmp_path):
    pickle.loads(pickle.dumps(Evil(tmp_path / "ran")))
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["xgboost", "sklearn"])
def test_no_model_is_read_from_a_pickle(kind, evil, tmp_path):
    with pytest.raises(ModelError, match="is not a"):
        Bundle.load(bundled(tmp_path / "model", kind, evil)).model()
    with pytest.raises(ModelError):
        serve.start(tmp_path / "model", where="thread", threads=1)


def _with_a_system_call() -> LogisticRegression:
    model = LogisticRegression()
    model.evil = os.system
    return model


@pytest.mark.parametrize("make", [_with_a_system_call, lambda: FunctionTransformer(os.system)])
def test_skops_reads_no_function_that_is_not_on_the_list(make, tmp_path):
    skops.io.dump(make(), tmp_path / "made")
    with pytest.raises(ModelError, match=r"not on the allow-list: .*\.system"):
        Bundle.load(bundled(tmp_path / "model", "sklearn", (tmp_path / "made").read_bytes())).model()


def test_a_skops_archive_may_not_hold_a_pickle_nor_lead_out(evil, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../evil.py", evil)
        archive.writestr("schema.json", json.dumps({"__class__": "x", "__module__": "y", "__loader__": "PickleNode"}))
    with pytest.raises(ModelError):
        Bundle.load(bundled(tmp_path / "model", "sklearn", packed.getvalue())).model()
    assert not list(tmp_path.rglob("evil.py"))


def written(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        path = folder / name.replace("_DOT_", ".")
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder


HEADERS = {
    "longer than the file": struct.pack("<Q", 2**63 - 1) + b"{}",
    "a gigabyte": struct.pack("<Q", 10**9) + b"{",
    "nested": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "a tensor of terabytes": struct.pack("<Q", 80)
    + json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).ljust(80).encode(),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_checkpoint_with_a_header_that_lies_is_refused(name, checkpoint, tmp_path):
    folder = copied(checkpoint.folder, tmp_path / "lies")
    (folder / "model.safetensors").write_bytes(HEADERS[name])
    (folder / "card.json").unlink()
    checkpoints.seal(folder, {"title": "lies"})
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        checkpoints.load(folder)


def copied(source: Path, target: Path) -> Path:
    target.mkdir()
    for path in source.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    return target


def test_no_checkpoint_brings_code_or_a_pickle(checkpoint, evil, tmp_path):
    folder = copied(checkpoint.folder, tmp_path / "model")
    told = json.loads((folder / "config.json").read_text())
    remote = {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}
    (folder / "config.json").write_text(json.dumps({**told, "auto_map": remote}))
    (folder / "evil.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'it-was-run')!r}).touch()")
    (folder / "card.json").unlink()
    checkpoints.seal(folder, {"title": "evil"})
    assert checkpoints.load(folder).model is not None, "its weights are sound, and its code is not looked at"
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    (folder / "pytorch_model.bin").write_bytes(evil)
    with pytest.raises(ModelError):
        checkpoints.load(folder)


def test_no_adapter_brings_a_pickle(evil, tmp_path):
    config = {"r": 4, "lora_alpha": 8, "peft_type": "LORA", "target_modules": ["q_proj"]}
    folder = written(tmp_path / "adapter", adapter_config_DOT_json=config, adapter_model_DOT_bin=evil)
    with pytest.raises(ModelError):
        adapters.Adapter.load(folder)


def test_a_training_goes_on_from_no_pickle(evil, tmp_path):
    states = States(tmp_path / "states", {"seed": 0})
    states.save(State(step=1, tensors={}, losses=[]))
    for path in (tmp_path / "states").iterdir():
        path.write_bytes(evil)
    assert states.load() is None, "it begins anew"


def test_numpy_and_gguf_run_nothing(evil, tmp_path):
    (tmp_path / "model.gguf").write_bytes(evil)
    with pytest.raises(ModelError, match="is not a GGUF file"):
        gguf_header.read(tmp_path / "model.gguf", ".context_length")
    np.save(tmp_path / "objects.npy", np.array([Evil(tmp_path / "it-was-run")], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        np.load(tmp_path / "objects.npy")


def header(kind: int, *words: int) -> bytes:
    head = struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind)
    return b"GGUF" + head + b"".join(struct.pack("<Q", word) for word in words)


GGUF = {
    "a string of exabytes": header(8, 2**60),
    "arrays in arrays": header(9) + struct.pack("<IQ", 9, 1) * 5_000,
    "an array of exabytes": header(9) + struct.pack("<IQ", 10, 2**63),
    "pairs without end": b"GGUF" + struct.pack("<IQQ", 3, 0, 2**64 - 1),
}


@pytest.mark.parametrize("name", GGUF)
def test_sizes_in_a_gguf_file_are_not_believed(name, tmp_path):
    (tmp_path / "model.gguf").write_bytes(GGUF[name])
    with pytest.raises(ModelError, match="is not a GGUF file"):
        gguf_header.read(tmp_path / "model.gguf", ".context_length")


def zeros(rows: int, compression: str | None) -> bytes:
    table = pa.table({name: np.zeros(rows, np.float32) for name in ("temp", "wind_gust", "visib")})
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, table.schema, options=options) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def test_a_few_kilobytes_of_arrow_do_not_become_gigabytes(bundle):
    """Compressed zeros grow twenty thousand times: 64 MB, which a body may have, to a terabyte."""
    headers = {"content-type": "application/vnd.apache.arrow.stream"}
    with serve.start(bundle.folder, threads=1, where="thread") as server:
        for compression in ("zstd", "lz4"):
            bomb = zeros(1_000_000, compression)
            assert len(bomb) < 100_000
            answer = httpx.post(f"{server.url}/predict", content=bomb, headers=headers)
            assert answer.status_code == 422
            assert "is compressed" in answer.text
        answer = httpx.post(f"{server.url}/predict", content=zeros(3, None), headers=headers)
        assert pa.ipc.open_stream(answer.content).read_all().num_rows == 3


YAML = {
    "a call": b"!!python/object/apply:os.system ['touch it-was-run']",
    "laughs": b"a: &a [x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n",
    "itself": b"&x [*x]",
    "a nest": b"[" * 100_000,
}


@pytest.mark.parametrize("name", YAML)
def test_a_blueprint_holds_plain_values_only(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FactoryError):
        blueprints.parse(YAML[name])
    assert not (tmp_path / "it-was-run").exists()


def test_openusd_reads_no_pickle(evil, tmp_path):
    for name in ("hall.usda", "hall.usdc", "hall.usdz"):
        (tmp_path / name).write_bytes(evil)
        with pytest.raises(FactoryError):
            usd.read(tmp_path / name)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    made = fleet.Fleet("inline", folder=tmp_path_factory.mktemp("fleet"))
    made.submit(pow, 2, 3)
    return made


@pytest.mark.parametrize("name", NAMES, ids=lambda name: name[:12])
def test_no_name_leads_out_of_where_it_belongs(name, jobs, evil):
    """A board, a blueprint, a job: names that somebody gives are looked up, never joined to a path unseen."""
    (jobs.engine.folder.parent / "evil_order.json").write_text("{}")
    (jobs.engine.folder.parent / "evil_0_result.pkl").write_bytes(evil)
    for look in (dash.command, shipped.path, jobs.attach):
        with pytest.raises(FactoryError, match=r"no (board|blueprint|job)"):
            look(name)


def test_the_result_of_a_job_is_read_only_where_nobody_else_can_write(jobs, evil):
    job = jobs.submit(pow, 2, 10)
    folder, file = jobs.engine.folder, Path(job.files.result_pickle)
    assert job.result() == 1_024
    assert folder.stat().st_mode & 0o777 == 0o700
    file.write_bytes(evil)
    folder.chmod(0o777)
    try:
        for look in (job.result, lambda: jobs.submit(pow, 2, 10)):
            with pytest.raises(FleetError, match="not yours alone") as error:
                look()
            assert f"chmod 700 {folder}" in error.value.mend
    finally:
        folder.chmod(0o700)


def test_a_link_to_somebody_elses_pickle_is_not_followed(jobs, evil, tmp_path):
    job = jobs.submit(pow, 2, 10)
    file = Path(job.files.result_pickle)
    (tmp_path / "elsewhere.pkl").write_bytes(evil)
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere.pkl")
    with pytest.raises(FleetError, match="it is not read"):
        job.result()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_pickle_of_another_user_is_not_read(jobs, evil):
    job = jobs.submit(pow, 2, 10)
    file = Path(job.files.result_pickle)
    file.write_bytes(evil)
    os.chown(file, 12_345, -1)
    with pytest.raises(FleetError, match="user 12345"):
        job.result()


@pytest.mark.parametrize("words", [b"", b"a\0b", b"\xff\xfe", b"x" * 10_000, b"two\nlines", b"\x1b[2J"])
def test_a_pointer_to_a_champion_is_a_path_or_nothing(words, tmp_path):
    (tmp_path / "champion").write_bytes(words)
    with pytest.raises(ModelError):
        Bundle.load(champions.find(tmp_path / "champion"))


def test_a_link_in_a_model_folder_gives_nothing_away(bundle, tmp_path):
    """A manifest vouches for the file's bytes, wherever a link takes them from; what it leads to is never shown."""
    folder = copied(bundle.folder, tmp_path / "model")
    (folder / "model.ubj").unlink()
    (folder / "model.ubj").symlink_to("/etc/passwd")
    with pytest.raises(ModelError, match="is damaged or was changed") as error:
        Bundle.load(folder)
    assert "root:" not in str(error.value)
