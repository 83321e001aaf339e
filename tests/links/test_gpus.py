"""Which links of simulated GPUs are found, timed and promised; their speed is this machine's memory, and no claim."""

import json

import pytest

from tests.links.drivers import STRICT

HOST = ("from_host", "to_host", "from_host_pageable", "to_host_pageable")
ROUND = """
import ctypes, numpy as np
from aifactory_lab.links.cuda import Driver
driver = Driver.open()
gpus = [driver.gpu(index) for index in range(2)]
sent, back = np.arange(4096, dtype=np.uint8), np.zeros(4096, np.uint8)
size = ctypes.c_size_t(4096)
assert driver.peers(*gpus) and driver.peers(*gpus)
driver.use(gpus[1])
with driver.memory(4096) as far:
    driver.use(gpus[0])
    with driver.memory(4096) as near, driver.pinned(4096) as host, driver.clock() as clock:
        ctypes.memmove(host, sent.ctypes.data, 4096)
        there = clock.seconds(lambda: driver.call("cuMemcpyHtoDAsync_v2", near, host, size, clock.stream))
        over = (far, gpus[1].context, near, gpus[0].context, size, clock.stream)
        across = clock.seconds(lambda: driver.call("cuMemcpyPeerAsync", *over))
    driver.use(gpus[1])
    driver.call("cuMemcpyDtoH_v2", ctypes.c_void_p(back.ctypes.data), far, size)
assert (sent == back).all() and there >= 0 and across >= 0
print("the same bytes came back")
"""
WHOLE = """
import json, sys
from aifactory_lab import links, roofline
from aifactory_lab.links import gpus
gpus.measure.__kwdefaults__["size"] = 1 << 20  # simulated copies need not be large
first = links.measured(sys.argv[1], parts=("copy", "gpus"))
machine = roofline.measured(sys.argv[1])
floor = machine.floor_seconds(host_to_device_bytes=10**9)
print(json.dumps({"gpus": first.gpus, "copy": first.rate("memory_copy"), "notes": first.notes, "floor": floor,
                  "kept": machine.memory, "to": machine.host_to_device, "across": machine.device_to_device}))
"""


def test_bytes_go_round_through_both_gpus_and_all_memory_is_given_back(simulate):
    done = simulate(2).run(ROUND, **STRICT)
    assert done.stdout.strip() == "the same bytes came back", done.stderr
    assert done.returncode == 0, done.stderr


def test_every_direction_and_every_pair_is_measured(simulate):
    found, notes = simulate(3).measure()
    host = {f"gpu{gpu}_{way}" for gpu in range(3) for way in HOST}
    pairs = {f"gpu{one}_to_gpu{two}" for one in range(3) for two in range(3) if one != two}
    assert set(found) == host | pairs
    assert notes == ()
    for link in found.values():
        assert len(link.passes) == 3
        assert all(rate > 0 for rate in link.passes)
    assert found["gpu1_from_host"].what == "gpu 1, host to device, pinned, PCIe 5 × 16"
    assert found["gpu1_from_host"].promised_bytes_s == pytest.approx(63.015e9, rel=1e-4)


def test_a_link_that_runs_below_what_it_could_is_said_with_what_it_could(simulate):
    gpus = simulate(1)
    gpus.nvml.gpu(0).update(pcie_runs_generation=3, pcie_runs_width=8)
    link = gpus.measure()[0]["gpu0_to_host"]
    assert link.promised_bytes_s == pytest.approx(63.015e9, rel=1e-4)
    assert link.reason == "it runs as PCIe 3 × 8 now: 7.9 GB/s"


def test_nvlinks_to_a_switch_all_lead_to_every_gpu(simulate):
    gpus = simulate(2)
    gpus.nvml.all.update(nvlink_version=6, switched=1)
    link = gpus.measure()[0]["gpu0_to_gpu1"]
    assert link.what == "gpu 0 to gpu 1, peer access, NVLink 4 × 18"
    assert link.promised_bytes_s == 450e9


def test_nvlinks_between_gpus_are_shared_among_the_pairs(simulate):
    gpus = simulate(4)
    gpus.nvml.all.update(nvlink_version=4, links=12)
    found = gpus.measure()[0]
    assert found["gpu0_to_gpu3"].what == "gpu 0 to gpu 3, peer access, NVLink 3 × 4"
    assert {found[name].promised_bytes_s for name in found if "to_gpu" in name} == {100e9}


def test_without_nvlink_and_peer_access_the_copy_goes_through_the_host(simulate):
    gpus = simulate(2)
    gpus.nvml.all["links"] = 0
    gpus.nvml.gpu(1)["pcie_width"] = 8
    link = gpus.measure(FAKE_CUDA_PEERS="0")[0]["gpu0_to_gpu1"]
    assert link.what == "gpu 0 to gpu 1, no peer access: through the host, PCIe 5 × 8"
    assert link.reason == "no NVLink between them"


def test_a_gpu_on_a_grace_is_promised_c2c(simulate):
    gpus = simulate(1)
    gpus.nvml.gpu(0)["c2c"] = 1
    link = gpus.measure()[0]["gpu0_from_host"]
    assert (link.what, link.promised_bytes_s) == ("gpu 0, host to device, pinned, NVLink-C2C", 450e9)


def test_gpus_are_found_by_their_address_not_by_their_number(simulate):
    gpus = simulate(2)
    gpus.nvml.gpu(0)["pcie_width"] = 4
    found = gpus.measure(FAKE_CUDA_REVERSED="1")[0]
    assert found["gpu1_from_host"].what.endswith("PCIe 5 × 4")
    assert found["gpu0_from_host"].what.endswith("PCIe 5 × 16")


def test_without_the_management_library_nothing_is_promised_and_it_says_so(simulate):
    gpus = simulate(1)
    gpus.nvml.switches["init_rc"] = 9
    link = gpus.measure()[0]["gpu0_from_host"]
    assert link.promised_bytes_s is None
    assert link.reason == "the NVIDIA driver is installed, but not loaded"
    assert link.passes


def test_what_the_driver_refuses_is_said_for_that_link_alone(simulate):
    found = simulate(2).measure(FAKE_CUDA_PINNED="2")[0]
    assert found["gpu0_from_host"].passes == ()
    assert found["gpu0_from_host"].reason == "cuMemHostAlloc returned 2, CUDA_ERROR_OUT_OF_MEMORY"
    assert found["gpu0_from_host_pageable"].passes
    assert found["gpu0_to_gpu1"].passes
    full = simulate(1).measure(FAKE_CUDA_MEMORY="1024")[0]
    assert {link.reason for link in full.values()} == {"cuMemAlloc_v2 returned 2, CUDA_ERROR_OUT_OF_MEMORY"}


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"FAKE_CUDA_CRASH": "1"}, "SIGSEGV"),
        ({"FAKE_CUDA_EXIT": "1"}, "exit 3"),
        ({"FAKE_CUDA_INIT": "999"}, "cuInit returned 999, CUDA_ERROR_UNKNOWN"),
    ],
)
def test_a_driver_that_dies_takes_nobody_with_it(simulate, fault, words):
    found, notes = simulate(1).measure(**fault)
    assert found == {}
    assert len(notes) == 1
    assert notes[0].startswith("GPU links: could not be measured")
    assert words in notes[0]


def test_a_driver_that_prints_is_still_understood(simulate):
    assert len(simulate(1).measure(FAKE_CUDA_CHATTER="1")[0]) == len(HOST)


def test_a_gpu_that_appears_is_measured_beside_what_is_kept(simulate, tmp_path):
    gpus, folder = simulate(2), tmp_path / "run"
    folder.mkdir()
    without = json.loads(gpus.run(WHOLE, str(folder), AIFACTORY_DEVICE="cpu").stdout)
    assert (without["gpus"], without["to"], without["floor"]) == (0, None, 0.0)
    assert without["notes"] == ["GPU links: not yet measured (cpu was asked for by AIFACTORY_DEVICE)"]
    there = json.loads(gpus.run(WHOLE, str(folder)).stdout)
    assert there["gpus"] == 2
    assert there["kept"] == without["kept"]
    assert there["floor"] == pytest.approx(1e9 / there["to"])
    assert there["across"] > 0
    again = json.loads(gpus.run(WHOLE, str(folder), AIFACTORY_DEVICE="cpu").stdout)
    assert again == there
