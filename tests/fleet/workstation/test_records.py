"""The ledger: whoever looks every two seconds reads what has ended once, and what goes on anew."""

from dataclasses import replace

from aifactory_lab.fleet.orders import Order
from aifactory_lab.fleet.workstation.records import Ledger


def test_what_has_ended_is_read_once_and_what_goes_on_is_read_anew(tmp_path, monkeypatch):
    ledger = Ledger(tmp_path)
    first, second = (ledger.add(Order(name=name), {}) for name in ("first", "second"))
    ledger.save(replace(first, state="COMPLETED"))
    read: list[str] = []
    load = ledger.load
    monkeypatch.setattr(ledger, "load", lambda job_id: read.append(job_id) or load(job_id))
    assert [one.state for one in ledger.all()] == ["COMPLETED", "PENDING"]
    ledger.save(replace(second, state="RUNNING"))
    assert [one.state for one in ledger.all()] == ["COMPLETED", "RUNNING"]
    assert read == [first.id, second.id, second.id]
    for path in tmp_path.glob(f"{first.id}_*"):
        path.unlink()
    assert [one.id for one in ledger.all()] == [second.id], "a job whose files were swept away is gone"
