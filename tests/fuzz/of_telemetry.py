"""Readers of the plant: scraped metrics, journals, logs of trainings, recordings, and what processes share.

Each uses what it read as a board would: sampled, told as JSON, packed for the page.
"""

import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from aifactory_lab.telemetry import journal
from aifactory_lab.telemetry.metrics import GPU
from aifactory_lab.telemetry.packets import Packer, describe_facts
from aifactory_lab.telemetry.production import Production
from aifactory_lab.telemetry.prometheus.plant_families import Families
from aifactory_lab.telemetry.prometheus.scraping import Endpoint
from aifactory_lab.telemetry.prometheus.source import PrometheusSource
from aifactory_lab.telemetry.readings import Facts, Finding, Layout, Process, Snapshot
from aifactory_lab.telemetry.recordings.bands import Band
from aifactory_lab.telemetry.recordings.chunks import CHECK, KEY
from aifactory_lab.telemetry.recordings.recording import Recording
from aifactory_lab.telemetry.sharing import announced, documents
from aifactory_lab.telemetry.sharing.election import boot
from aifactory_lab.telemetry.sharing.ringfile import HEAD, RingFile
from aifactory_lab.telemetry.trainings import account
from aifactory_lab.telemetry.trainings.entries import Begun, End, Sample, Score, Step, write
from aifactory_lab.telemetry.trainings.source import TrainingSource
from aifactory_lab.telemetry.trainings.training import Follower, read
from tests.fuzz.contract import Target
from tests.fuzz.scratch import emptied, put
from tests.telemetry.pages import LanguageModel, dcgm, dcgm_labels, nvitop
from tests.telemetry.runs import T0, plant, recorded, snapshots

PLAIN, OPEN = "text/plain; version=0.0.4", "application/openmetrics-text; version=1.0.0"


class Scraped(Endpoint):
    """An endpoint whose answer is at hand: what HTTP does to it is another target's."""

    def __init__(self, data: bytes, kind: str) -> None:
        super().__init__("http://127.0.0.1:9")
        self.answer = data.decode("utf-8", errors="replace"), kind

    def fetch(self) -> tuple[str, str]:
        return self.answer


def scraped(data: bytes, kind: str = PLAIN) -> Snapshot:
    """Scrape a text twice, and show it: as packets, as JSON, and to another Prometheus."""
    with PrometheusSource("http://127.0.0.1:9") as source:
        source.endpoint = Scraped(data, kind)
        source.endpoint.scrape({})
        snapshots_ = [source.sample(), source.sample()]
        for snapshot in snapshots_:
            shown(snapshot, source.facts())
    return snapshots_[-1]


def shown(snapshot: Snapshot, facts: Any = ()) -> None:
    """Show a snapshot as boards and the exporter do."""
    packer = Packer(snapshot.layout)
    message, buffers = packer.tick(snapshot)
    assert sum(map(len, buffers)) == packer.bytes_per_tick
    json.dumps([packer.describe(), message, describe_facts(list(dict(facts).items()))]).encode()
    families = Families()
    families.add(snapshot)
    snapshot.frame()
    for row, states in enumerate(snapshot.states):
        assert np.isnan(snapshot.values[row][states > 0]).all()


def factory(data: bytes) -> Snapshot:
    """Follow a journal that another process wrote, as mission control does."""
    production = Production(files=(put("journal/production.jsonl", data),))
    with production:
        snapshot = production.sample()
        shown(snapshot, production.facts())
        json.dumps([production.flow(), production.bands()]).encode()
    return snapshot


def training(data: bytes) -> Any:
    """Read a log whole, follow it, and tell a board of it."""
    path = put("run/training.jsonl", data)
    found = read(path)
    follower = Follower(path)
    follower.look()
    json.dumps(account.words(follower), allow_nan=False).encode()
    with TrainingSource(path.parent) as source:
        shown(source.sample(), source.facts())
    return found


def recording(data: bytes) -> Any:
    """Open a recording, read all of it, and say what it is."""
    found = Recording.open(put("recordings/night.parquet", data))
    found.history()
    shown(found.at(found.stop))
    assert found._repr_html_()
    assert found.period >= 0
    return found.frame()


@cache
def _recorded(layouts: int = 1) -> bytes:
    samples = [*snapshots(plant(2), 7), *snapshots(plant(1, GPU[:3]), 3, start=T0 + 20)][: 7 if layouts == 1 else None]
    return Path(recorded(emptied("seed") / "run", samples, [Band("etl", T0, T0 + 2, 40, "rows", 3.0)])).read_bytes()


@cache
def _recorded_table() -> Any:
    return pq.read_table(put("recordings/seed.parquet", _recorded()))


def recording_head(data: bytes) -> Any:
    """Open a recording whose rows are sound and whose own words, with the right checksum, are the data."""
    told = {KEY: data, CHECK: str(zlib.crc32(data)).encode()}
    path = put("recordings/head.parquet", b"")
    pq.write_table(_recorded_table().replace_schema_metadata(told), path)
    return recording(path.read_bytes())


def _head() -> bytes:
    head: bytes = pq.read_metadata(put("recordings/seed.parquet", _recorded())).metadata[KEY]
    return head


def ring(data: bytes) -> Any:
    """Read what another process shares."""
    found = RingFile(put("shared/source.ring", data), key="fuzz")
    newest = found.newest()
    if newest is not None:
        shown(newest)
    return found.history()


@cache
def _ring() -> bytes:
    path = emptied("seed-ring") / "seed.ring"
    writer = RingFile.create(path, plant(2, GPU[:4]), key="fuzz", capacity=3)
    for snapshot in snapshots(plant(2, GPU[:4]), 5):
        writer.append(snapshot)
    return path.read_bytes()


def ring_head(data: bytes) -> Any:
    """Read a ring whose head is the data, as long as such a head makes it."""
    start = -(-(HEAD.size + len(data)) // 4096) * 4096
    whole = HEAD.pack(b"aifring\x01", len(data), start, 5) + data
    return ring(whole.ljust(start, b"\0") + _ring()[4096:])


def _ring_head() -> bytes:
    head = {"key": "fuzz", "boot": boot(), "capacity": 3, "period": 1.0}
    return json.dumps({**head, "layout": json.loads(documents.write_layout(plant(2, GPU[:4])))}).encode()


def layout(data: bytes) -> Layout:
    """Read a layout, and show a blank sample of it."""
    found = documents.read_layout(data)
    shown(Snapshot.blank(found, time=0.0))
    return found


def facts(data: bytes) -> Any:
    """Read facts, and tell a board of them."""
    found = documents.read_facts(data)
    json.dumps(describe_facts(list(found.items()))).encode()
    return found


def announcement(data: bytes) -> list[str]:
    """Look for endpoints in a folder with one announcement."""
    folder = emptied("endpoints")
    folder.chmod(0o700)
    put("endpoints/1.json", data)
    return announced.announced(folder)


FACTS = Facts((Process(7, "python", "ann", 1 << 30, 50.0),), (Finding("info", "x", "y"),), {"driver": "580"})
LOG = (
    Begun("tiny", {"parameters": 1000, "tokens": 4096, "device": "cpu", "peak_flops": 1e11}, time=1.0, pid=7, host="x"),
    *(Step(n, 4, 1024 * n, 7.0 / n, 1e-3, 900.0, 30.0, 3.0, time=float(n)) for n in (1, 2, 3)),
    Score("bits_per_byte", 3.0, 2, 2.5),
    Score("gzip", 1.9, None, 2.5),
    Sample("import os", 3, 3.5),
    End(time=4.0),
)
EVENTS = (
    journal.Event("begin", "etl", "7.1", "rows", time=1.0),
    journal.Event("progress", "etl", "7.1", "rows", 500, time=2.0),
    journal.Event("end", "etl", "7.1", "rows", 900, 2.0, 7.5, 0.5, time=3.0),
    journal.Event("begin", "train", "7.2", "rows", time=4.0),
)
OWN = (
    b'# TYPE aifactory_entity_up gauge\naifactory_entity_up{kind="gpu",site="a",rack="r",Hostname="n1",gpu="0"} 1.0\n'
    b'aifactory_entity_up{kind="host",site="a",rack="r",Hostname="n1"} 0.0\n'
    b'aifactory_station_made_total{station="etl",unit="rows",origin="simulated"} 9.0\n'
    b'aifactory_service_latency_seconds{site="a",rack="r",node="n",service="s",quantile="0.95"} 0.5\n'
    b'node_memory_MemTotal_bytes{Hostname="n1"} 1e9\nnode_load1{Hostname="n1"} 0.5\n'
)


@cache
def _vllm() -> bytes:
    model = LanguageModel("llama", "qwen")
    model.finish("llama", 3)
    text = model.text()
    return b"".join(line for line in text.splitlines(keepends=True) if b"_created" not in line and line[:1] != b"#")


def _lines(texts: Any) -> bytes:
    return b"".join(text + b"\n" for text in texts)


def targets() -> tuple[Target, ...]:
    """Return the readers of the plant."""
    gpus = dcgm(
        {"DCGM_FI_DEV_GPU_UTIL": [(dcgm_labels(0), 55.0)], "DCGM_FI_DEV_FB_USED": [(dcgm_labels(1), 9e4)]},
    )
    exposition = (_vllm(), nvitop(), gpus, OWN)
    words = (b"DCGM_FI_DEV_GPU_UTIL", b"vllm:num_requests_running", b'le="+Inf"', b"\\n", b"# TYPE", b"# EOF", b"1e308")
    open_metrics = tuple(text + b"# EOF\n" for text in (gpus.replace(b"unknown\n", b"gauge\n"), OWN))
    events = _lines(json.dumps(vars(event)).encode() for event in EVENTS)
    return (
        Target("Prometheus text", scraped, exposition, words=words),
        Target("OpenMetrics text", lambda data: scraped(data, OPEN), open_metrics, words=words),
        Target("production.jsonl", factory, (events,)),
        Target("training.jsonl", training, (_lines(map(write, LOG)),)),
        Target("recording", recording, (_recorded(), _recorded(layouts=2))),
        Target("recording's head", recording_head, (_head(),)),
        Target("ring file", ring, (_ring(),)),
        Target("ring's head", ring_head, (_ring_head(),)),
        Target("layout", layout, (documents.write_layout(plant(2)),)),
        Target("facts", facts, (documents.write_facts({"lab/gpu 0": FACTS}),)),
        Target("announcement", announcement, (b'{"url": "http://127.0.0.1:1/metrics", "pid": 1, "since": 2e9}',)),
    )
