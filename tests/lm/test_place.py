"""Where language models compute: a GPU needs a driver and a PyTorch built for it, not RAPIDS."""

import pytest
import torch

from aifactory_lab import device
from aifactory_lab.errors import DeviceError
from aifactory_lab.lm import place


@pytest.fixture(autouse=True)
def one_gpu(monkeypatch):
    """A driver that answers: what `tests/test_device.py` proves with a real library stands in for it here."""
    monkeypatch.delenv(device.VARIABLE, raising=False)
    found = device.Probe((device.Gpu("NVIDIA H100", 80 << 30),), driver="13.0")
    monkeypatch.setattr(device, "probe", lambda: found)


def test_a_gpu_with_a_pytorch_for_it_is_used_without_rapids(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert str(place.chosen()) == "gpu (1 × NVIDIA H100, CUDA driver 13.0, torch installed)"


def test_a_gpu_without_a_pytorch_for_it_is_not_used(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    found = place.chosen()
    assert (found.kind, "built for the CPU" in found.reason) == ("cpu", True)
    with pytest.raises(DeviceError, match=r"a GPU was asked for: 1 × NVIDIA H100, .* but PyTorch"):
        place.chosen("gpu")


def test_the_environment_is_obeyed(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv(device.VARIABLE, "cpu")
    assert place.chosen().kind == "cpu"
