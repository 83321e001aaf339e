"""This machine's own links, really measured: disk and memory, the page cache's part in it, what is left behind."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from aifactory_lab.links import disk, memory

SMALL = 8 << 20


def test_the_page_cache_let_the_file_go_or_the_link_says_so(tmp_path):
    read = next(link for link in disk.through(tmp_path, size=SMALL, passes=2) if link.name == "disk_read")
    assert len(read.passes) == 2
    held = tmp_path / "held"
    held.write_bytes(b"1" * SMALL)
    with held.open("rb+") as stream:
        os.fsync(stream.fileno())
    assert (disk._drop(held) <= disk.STAYED) == (read.reason == "")


def test_a_file_system_in_memory_is_caught_at_it():
    read = next(link for link in disk.through("/dev/shm", size=SMALL, passes=1) if link.name == "disk_read")
    assert read.reason == "the page cache kept 100% of the file: this is partly memory"


def test_around_the_cache_is_measured_or_refused_with_the_reason(tmp_path):
    for folder in (tmp_path, "/dev/shm"):
        for link in disk.around(folder, size=SMALL, passes=2):
            assert len(link.passes) == 2 or link.reason.startswith("O_DIRECT is refused here")


def test_residency_is_the_kernels_word(tmp_path):
    """A file that was just read is in the cache; the one that was dropped is not, or the file system ignores that."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SMALL))
    subprocess.run(["sync", path], check=True)
    after = disk._drop(path)
    path.read_bytes()
    import mmap

    with path.open("rb+") as stream, mmap.mmap(stream.fileno(), 0) as pages:
        assert disk._resident(pages) == 1.0
    assert 0.0 <= after <= 1.0


def test_nothing_is_left_and_what_a_killed_one_left_goes(tmp_path):
    code = f"from aifactory_lab.links import disk\nwhile True: disk.through({str(tmp_path)!r}, size={SMALL}, passes=9)"
    with subprocess.Popen([sys.executable, "-c", code]) as victim:
        deadline = time.monotonic() + 120
        while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    assert [path.name for path in tmp_path.iterdir()] == [f".links.partial-{victim.pid}"]
    disk.through(tmp_path, size=SMALL, passes=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError, match="absent"):
        disk.through(tmp_path / "absent", size=SMALL)


@pytest.mark.parametrize("kernel", memory.KERNELS)
def test_kernels_compute_what_stream_computes(kernel):
    rng = np.random.default_rng(3)
    first, second, out = (rng.random(10_001) for _ in range(3))
    memory.KERNELS[kernel][0]()(first, second, out)
    np.testing.assert_array_equal(out, first if kernel == "copy" else first + 3.0 * second)


def test_memory_by_one_thread_and_by_all():
    found = [memory.copy(size=SMALL, passes=2), *memory.stream(size=SMALL, passes=2)]
    names = ["memory_copy", "memory_triad", *(["memory_copy_all", "memory_triad_all"] if memory.cores() > 1 else [])]
    assert [link.name for link in found] == names
    assert all(rate > 1e6 for link in found for rate in link.passes)


def test_arrays_outgrow_the_largest_cache(tmp_path):
    for level, size in enumerate(("32K", "1024K", "384M")):
        (tmp_path / f"index{level}").mkdir()
        (tmp_path / f"index{level}" / "size").write_text(f"{size}\n")
    assert memory.array_bytes(tmp_path) == memory.MOST
    (tmp_path / "index2" / "size").write_text("36608K\n")
    assert memory.array_bytes(tmp_path) == 4 * (36608 << 10)
    assert memory.array_bytes(tmp_path / "none") == memory.LEAST


def test_a_thread_that_fails_lets_nobody_wait(monkeypatch):
    """Memory that runs out in one thread must not leave the others at the barrier."""
    calls = []

    def full(*arguments):
        calls.append(1)
        if len(calls) > 1:
            raise MemoryError
        return np.ones(4)

    monkeypatch.setattr(memory.np, "full", full)
    with pytest.raises(MemoryError):
        memory._rates(lambda *_: None, 16, 2, 2, 2)
