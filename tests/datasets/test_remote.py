"""Fetching: what is here already is used, what drops is carried on, what is wrong is not believed."""

import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace

import polars as pl
import pytest

from aifactory_lab import datasets
from aifactory_lab.datasets import entries, places
from aifactory_lab.datasets.download import BLOCK, Resumable
from aifactory_lab.datasets.remote import LOCK, RemoteFile, fetch, local
from aifactory_lab.errors import DataError
from tests.datasets.site import Site

BODY = b"".join(b"%d,%d\n" % (n, n * n) for n in range(60_000))  # about 1 MB
SIZE = len(BODY)
HALF = SIZE // 2
DIGEST = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(autouse=True)
def _no_store(monkeypatch):
    monkeypatch.delenv(places.VARIABLE, raising=False)


def remote(site, *, sha256=DIGEST, size=SIZE):
    return RemoteFile("trips.csv", site.url(), size, sha256)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def get(file, folder):
    return fetch(file, folder, progress=False, pause=0.01)


def test_a_file_is_fetched_once(tmp_path):
    with Site(BODY) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
        assert get(remote(site), tmp_path) == tmp_path / "trips.csv"
    assert site.asked == [("", 200)]
    assert left(tmp_path) == ["trips.csv"]


def test_a_dropped_connection_is_carried_on_where_it_broke(tmp_path):
    with Site(BODY, drops=2) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [200, 206, 206]
    starts = [int(asked.removeprefix("bytes=").removesuffix("-")) for asked, _ in site.asked[1:]]
    assert HALF - BLOCK < starts[0] <= HALF  # at most one unfinished block is asked for again
    assert starts[1] > 0.7 * len(BODY)


def test_a_server_that_ignores_ranges_sends_everything_again(tmp_path):
    with Site(BODY, drops=1, ranges=False) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [200, 200]


def test_a_file_that_changed_between_two_attempts_is_begun_again(tmp_path):
    with Site(b"x" * len(BODY), drops=9, etag='"old"') as site, pytest.raises(DataError):
        get(remote(site), tmp_path)
    with Site(BODY, etag='"new"') as fresh:
        note = tmp_path / ".trips.csv.partial.json"
        note.write_text(note.read_text().replace(site.url(), fresh.url()))
        assert get(remote(fresh), tmp_path).read_bytes() == BODY
    assert [status for _, status in fresh.asked] == [200]  # If-Range did not match


def test_a_partial_file_of_another_address_is_not_continued(tmp_path):
    (tmp_path / ".trips.csv.partial").write_bytes(b"something else")
    with Site(BODY) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert site.asked == [("", 200)]


def test_a_server_that_sends_another_range_is_asked_again(tmp_path):
    with Site(BODY, drops=1, shifted=True) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [200, 206, 200]


def test_a_server_without_etag_or_length_is_believed_by_sha256_alone(tmp_path):
    with Site(BODY, etag="", lengthless=True) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    with Site(BODY, etag="", lengthless=True, drops=1) as site, pytest.raises(DataError, match="sha256"):
        get(remote(site), tmp_path / "torn")  # a torn answer without a length looks whole


def test_the_number_of_attempts_is_bounded_and_the_next_call_carries_on(tmp_path):
    with Site(BODY, drops=5) as site:
        with pytest.raises(DataError, match="in 5 attempts") as caught:
            get(remote(site), tmp_path)
        assert len(site.asked) == 5
        assert str(tmp_path / "trips.csv") in caught.value.mend
        got = (tmp_path / ".trips.csv.partial").stat().st_size
        assert get(remote(site), tmp_path).read_bytes() == BODY
        assert site.asked[-1] == (f"bytes={got}-", 206)


def test_a_partial_file_longer_than_the_file_is_begun_again(tmp_path):
    with Site(BODY) as site:
        (tmp_path / ".trips.csv.partial").write_bytes(BODY + b"more")
        note = {"url": site.url(), "etag": site.etag, "total": len(BODY)}
        (tmp_path / ".trips.csv.partial.json").write_text(json.dumps(note))
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [416, 200]


def test_corrupted_bytes_are_an_error_that_keeps_nothing(tmp_path):
    with Site(BODY, corrupt=True) as site, pytest.raises(DataError, match=f"expected sha256 {DIGEST}"):
        get(remote(site), tmp_path)
    assert left(tmp_path) == []


def test_a_corrupted_file_in_the_cache_is_fetched_again(tmp_path):
    (tmp_path / "trips.csv").write_bytes(BODY[:-1] + b"X")
    with Site(BODY) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_not_repeated(tmp_path, code):
    with Site(BODY, codes=[code] * 9) as site, pytest.raises(DataError, match=f"HTTP {code}"):
        get(remote(site), tmp_path)
    assert len(site.asked) == 1
    assert left(tmp_path) == []


def test_a_busy_server_is_asked_again(tmp_path):
    with Site(BODY, codes=[429, 503, 500]) as site:
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [429, 503, 500, 200]


def test_offline_says_what_to_do_by_hand(tmp_path):
    with socket.socket() as taken:  # bound, never listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/trips.csv"
        with pytest.raises(DataError, match="Connection refused") as caught:
            get(RemoteFile("trips.csv", url, len(BODY), DIGEST), tmp_path)
    assert caught.value.mend == (
        f"download {url} on any machine and put it at {tmp_path / 'trips.csv'} (or anywhere under $AIFACTORY_DATA)"
    )
    (tmp_path / "trips.csv").write_bytes(BODY)  # as told
    assert get(RemoteFile("trips.csv", url, len(BODY), DIGEST), tmp_path).read_bytes() == BODY


def test_an_unknown_host_is_named(tmp_path):
    file = RemoteFile("trips.csv", "http://no-such-host.invalid/trips.csv", 1, DIGEST)
    with pytest.raises(DataError, match=r"no-such-host\.invalid did not give the whole file"):
        get(file, tmp_path)


def test_a_killed_download_is_carried_on(tmp_path):
    script = (
        "import sys; from pathlib import Path; from aifactory_lab.datasets.remote import RemoteFile, fetch\n"
        f"fetch(RemoteFile('trips.csv', sys.argv[1], {len(BODY)}, {DIGEST!r}), Path(sys.argv[2]), progress=False)"
    )
    partial = tmp_path / ".trips.csv.partial"
    with Site(BODY, seconds_per_block=0.2) as site:
        process = subprocess.Popen([sys.executable, "-c", script, site.url(), str(tmp_path)], stderr=subprocess.DEVNULL)
        while not (partial.exists() and partial.stat().st_size):
            assert process.poll() is None, "the download ended before it was killed"
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "trips.csv").exists()
        got = partial.stat().st_size
        site.seconds_per_block = 0.0
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert site.asked[-1] == (f"bytes={got}-", 206)


def test_without_a_known_sha256_the_first_download_is_pinned(tmp_path):
    with Site(BODY) as site:
        file = remote(site, sha256="")
        get(file, tmp_path)
        assert json.loads((tmp_path / LOCK).read_text()) == {"trips.csv": DIGEST}
        (tmp_path / "trips.csv").write_bytes(BODY[:-1] + b"X")
        assert local(file, tmp_path) is None
        assert get(file, tmp_path).read_bytes() == BODY  # the pinned one is demanded, and came
        (tmp_path / "trips.csv").unlink()
        site.corrupt = True
        with pytest.raises(DataError, match="does not have the expected sha256") as caught:
            get(file, tmp_path)
    assert f"delete trips.csv from {tmp_path / LOCK}" in caught.value.mend
    assert left(tmp_path) == [LOCK]


def test_without_a_known_sha256_another_size_is_refused(tmp_path):
    with Site(BODY) as site, pytest.raises(DataError, match="expected 7 bytes, found"):
        get(remote(site, sha256="", size=7), tmp_path)
    assert left(tmp_path) == []


def test_the_data_folder_is_searched_before_the_network(tmp_path, monkeypatch):
    store = tmp_path / "store" / "traces" / "2023"
    store.mkdir(parents=True)
    (store / "trips.csv").write_bytes(BODY)
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "store"))
    file = RemoteFile("trips.csv", "http://127.0.0.1:9/trips.csv", len(BODY), DIGEST)
    assert get(file, tmp_path / "cache") == store / "trips.csv"


def test_a_namesake_with_other_content_is_passed_over(tmp_path, monkeypatch):
    for folder, body in (("a", BODY[:-1] + b"X"), ("b", b"short"), ("c", BODY)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "trips.csv").write_bytes(body)
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    file = RemoteFile("trips.csv", "http://127.0.0.1:9/trips.csv", len(BODY), DIGEST)
    assert local(file) == tmp_path / "c" / "trips.csv"


def test_offline_names_the_files_that_were_found_but_not_believed(tmp_path, monkeypatch):
    (tmp_path / "trips.csv").write_bytes(b"short")
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    file = RemoteFile("trips.csv", "http://127.0.0.1:9/trips.csv", SIZE, DIGEST)
    with pytest.raises(DataError, match=f"not believed, for its content is another: {tmp_path}/trips.csv"):
        get(file, tmp_path / "cache")


def test_a_read_only_store_is_searched_but_never_written(tmp_path, monkeypatch):
    store = tmp_path / "store"
    store.mkdir()
    monkeypatch.setenv(places.VARIABLE, str(store))
    assert places.cache() == store
    store.chmod(0o555)  # root may write here all the same, and must not
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    try:
        assert places.cache() == tmp_path / "home" / "aifactory_lab"
    finally:
        store.chmod(0o755)


def test_a_data_folder_that_is_not_there_yet_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "new"))
    assert places.cache() == tmp_path / "new"
    assert (tmp_path / "new").is_dir()


def test_a_data_folder_that_is_a_file_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(places.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(DataError, match="is a file, not a folder"):
        places.cache()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with Site(BODY) as site, pytest.raises(DataError, match="cannot be written"):
        get(remote(site), tmp_path / "file" / "below")


def test_a_full_disk_is_an_error_and_what_came_is_kept_for_the_next_try(tmp_path):
    script = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from aifactory_lab.datasets.remote import RemoteFile, fetch; from aifactory_lab.errors import DataError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))\n"
        f"file = RemoteFile('trips.csv', sys.argv[1], {SIZE}, {DIGEST!r})\n"
        "try: fetch(file, Path(sys.argv[2]), progress=False)\n"
        "except DataError as error: print(error)"
    )
    with Site(BODY) as site:
        command = [sys.executable, "-c", script, site.url(), str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "trips.csv cannot be written: [Errno 27] File too large" in done.stdout
        assert get(remote(site), tmp_path).read_bytes() == BODY
    assert [status for _, status in site.asked] == [200, 206]


@pytest.mark.parametrize("name", [name for name, known in entries.ENTRIES.items() if known.files])
def test_a_remote_dataset_is_loaded_through_the_catalogue(tmp_path, monkeypatch, name):
    known = entries.ENTRIES[name]
    ((table, file),) = known.files
    body = io.BytesIO()
    frame = pl.DataFrame({"trip_distance": [0.5, 2.0]})
    frame.write_csv(body) if file.name.endswith(".csv") else frame.write_parquet(body)
    with Site(body.getvalue()) as site:
        here = replace(file, url=site.url(file.name), bytes=len(site.body), sha256="")
        monkeypatch.setitem(entries.ENTRIES, name, replace(known, files=((table, here),)))
        raw = datasets.load(name, folder=tmp_path)
    assert raw.paths == {table: (tmp_path / file.name,)}
    assert raw[table].collect().equals(frame)
    assert datasets.load(name, folder=tmp_path).content_hash() == raw.content_hash()  # without the server
    with pytest.raises(DataError, match="only the dataset 'flights' can be copied"):
        datasets.load(name, copies=2, folder=tmp_path)


def test_progress_is_drawn_from_where_it_carries_on(tmp_path, capsys):
    with Site(BODY, drops=1) as site:
        Resumable(tmp_path / ".trips.csv.partial", pause=0.01)(site.url(), tmp_path / "trips.csv")
    assert (tmp_path / "trips.csv").read_bytes() == BODY
    drawn = capsys.readouterr().err
    assert "trips.csv: 100%" in drawn
    assert drawn.count("trips.csv:   0%") == 1  # the second bar begins at about 50 %


def test_vendored_data_are_found_in_a_checkout_and_in_a_wheel(tmp_path, monkeypatch):
    wheel = tmp_path / "_vendored"
    (wheel / "flights").mkdir(parents=True)
    (wheel / "flights" / "README.md").write_text("# card")
    monkeypatch.setattr(places, "HOMES", (wheel, places.HOMES[1]))
    assert places.vendored("flights") == wheel / "flights"
    monkeypatch.setattr(places, "HOMES", (tmp_path / "elsewhere",))
    with pytest.raises(DataError, match="the vendored dataset 'flights' is not in"):
        places.vendored("flights")
