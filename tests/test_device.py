"""The device is probed at the driver's C interface: a small driver compiled here answers, or fails, as asked."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aifactory_lab import device
from aifactory_lab.errors import DeviceError

SOURCE = Path(__file__).with_name("fake_cuda.c")
ASK = """
import json, sys
from aifactory_lab import device
from aifactory_lab.errors import DeviceError
try:
    found = device.current(*sys.argv[1:])
except DeviceError as error:
    print(json.dumps({"error": error.what, "mend": error.mend}))
else:
    gpus = [[gpu.name, gpu.memory_bytes] for gpu in found.gpus]
    print(json.dumps({"kind": found.kind, "reason": found.reason, "gpus": gpus}))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory) -> Path:
    """A folder with a `libcuda.so.1` of our own."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here to build the stand-in for the CUDA driver (make system-deps brings gcc)")
    folder = tmp_path_factory.mktemp("driver")
    target = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", target, SOURCE], check=True)
    return folder


@pytest.fixture(scope="module")
def rapids(tmp_path_factory) -> Path:
    """A folder in which the RAPIDS packages can be found; the device asks for no more than that."""
    folder = tmp_path_factory.mktemp("rapids")
    for name in device.RAPIDS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").touch()
    return folder


@pytest.fixture
def ask(driver, rapids):
    """Ask the real `device.current` in a process that sees this driver, and the RAPIDS packages or not."""

    def ask(*prefer: str, installed: bool = True, **environment: str) -> dict[str, object]:
        kept = {k: v for k, v in os.environ.items() if k not in (device.VARIABLE, "CUDA_VISIBLE_DEVICES")}
        kept |= {"LD_LIBRARY_PATH": str(driver), **environment}
        kept |= {"PYTHONPATH": str(rapids)} if installed else {}
        line = [sys.executable, "-c", ASK, *prefer]
        done = subprocess.run(line, env=kept, capture_output=True, text=True, timeout=120, check=True)
        return json.loads(done.stdout)

    return ask


def test_two_gpus_and_rapids_are_a_gpu_with_the_reason(ask):
    assert ask() == {
        "kind": "gpu",
        "reason": "2 × NVIDIA H200, CUDA driver 12.8, RAPIDS installed",
        "gpus": [["NVIDIA H200", 1 << 37], ["NVIDIA H200", 2 << 37]],
    }


@pytest.mark.parametrize(("version", "words"), [("13010", "driver 13.1"), ("12000", "driver 12.0")])
def test_the_driver_version_is_read_as_nvidia_packs_it(ask, version, words):
    assert words in ask(FAKE_CUDA_VERSION=version)["reason"]


def test_cpu_is_taken_without_asking_the_driver_when_it_is_asked_for(ask):
    assert ask("cpu", FAKE_CUDA_CRASH="1") == {"kind": "cpu", "reason": "cpu was asked for by argument", "gpus": []}
    assert ask(AIFACTORY_DEVICE="cpu")["reason"] == "cpu was asked for by AIFACTORY_DEVICE"


def test_the_argument_outweighs_the_environment(ask):
    assert ask("gpu", AIFACTORY_DEVICE="cpu")["kind"] == "gpu"
    assert ask("cpu", AIFACTORY_DEVICE="gpu")["kind"] == "cpu"


def test_an_empty_variable_means_auto(ask):
    assert ask(AIFACTORY_DEVICE="")["kind"] == "gpu"


FAULTS = {
    "no gpu": ({"FAKE_CUDA_GPUS": "0"}, "the CUDA driver sees no GPU (CUDA_VISIBLE_DEVICES may hide it)"),
    "unknown": ({"FAKE_CUDA_INIT": "999"}, "the CUDA driver cannot start (cuInit returned 999, CUDA_ERROR_UNKNOWN)"),
    "nameless": ({"FAKE_CUDA_INIT": "803"}, "the CUDA driver cannot start (cuInit returned 803)"),
    "full": (
        {"FAKE_CUDA_MALLOC": "2"},
        "GPU 0 is listed but cannot be used (cuMemAlloc_v2 returned 2, CUDA_ERROR_OUT_OF_MEMORY)",
    ),
    "lost": (
        {"FAKE_CUDA_CONTEXT": "46"},
        "GPU 0 is listed but cannot be used (cuDevicePrimaryCtxRetain returned 46, CUDA_ERROR_DEVICE_UNAVAILABLE)",
    ),
    "segfault": ({"FAKE_CUDA_CRASH": "1"}, "the CUDA driver crashed while it was asked (SIGSEGV)"),
    "exit": ({"FAKE_CUDA_EXIT": "1"}, "the CUDA driver crashed while it was asked (exit 3)"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leads_to_the_cpu_and_its_reason(ask, fault):
    environment, reason = FAULTS[fault]
    found = ask(**environment)
    assert (found["kind"], found["reason"]) == ("cpu", reason)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_an_error_when_a_gpu_is_asked_for(ask, fault):
    environment, reason = FAULTS[fault]
    by_argument = ask("gpu", **environment)
    assert by_argument["error"] == f"a GPU was asked for by argument, but {reason}"
    assert by_argument["mend"] == "export AIFACTORY_DEVICE=cpu"
    by_variable = ask(AIFACTORY_DEVICE="gpu", **environment)
    assert by_variable["error"] == f"a GPU was asked for by AIFACTORY_DEVICE, but {reason}"


def test_a_driver_that_prints_is_still_understood(ask):
    assert ask(FAKE_CUDA_CHATTER="1")["kind"] == "gpu"


@pytest.mark.skipif(bool(device.find_spec("cuml")), reason="RAPIDS is installed here")
def test_a_gpu_without_rapids_is_reported_with_the_install_line(ask):
    found = ask(installed=False)
    assert found["kind"] == "cpu"
    assert found["gpus"]
    missing = ", ".join(device.RAPIDS)
    assert found["reason"] == f"2 × NVIDIA H200 is here, but {missing} is not installed: {device.INSTALL}"


def test_who_needs_other_packages_is_told_of_those(monkeypatch):
    found = device.Probe((device.Gpu("NVIDIA H200", 141 << 30),), driver="12.8")
    monkeypatch.setattr(device, "probe", lambda: found)
    monkeypatch.delenv(device.VARIABLE, raising=False)
    assert device.current(needs=("json",)).reason == "1 × NVIDIA H200, CUDA driver 12.8, json installed"
    assert device.current(needs=()).reason == "1 × NVIDIA H200, CUDA driver 12.8"
    missing = device.current(needs=("json", "nowhere_at_all"))
    expected = "1 × NVIDIA H200 is here, but nowhere_at_all is not installed: pip install nowhere_at_all"
    assert (missing.kind, missing.reason) == ("cpu", expected)


def test_an_unknown_word_is_refused_with_its_source(monkeypatch):
    with pytest.raises(DeviceError, match=r"unknown device 'tpu' \(from argument\)"):
        device.current("tpu")
    monkeypatch.setenv(device.VARIABLE, "cuda")
    with pytest.raises(DeviceError, match=rf"unknown device 'cuda' \(from {device.VARIABLE}\)"):
        device.current()


def test_without_a_driver_the_reason_is_that(tmp_path):
    """Where a real driver is installed, it is this machine's answer instead."""
    if device.probe().driver:
        assert device.current("auto").gpus or "sees no GPU" in device.current("auto").reason
    else:
        assert device.current("auto").reason == "no CUDA driver (libcuda.so.1 not found)"


def test_a_device_says_itself_in_words():
    assert str(device.Device("cpu", "no CUDA driver")) == "cpu (no CUDA driver)"
    assert device.kind("cpu") == "cpu"
