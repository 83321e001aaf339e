"""Bits in words: NVIDIA's own names and numbers, none forgotten."""

import pynvml

from aifactory_lab.telemetry.nvml import throttle, xid
from aifactory_lab.telemetry.rules import THROTTLED


def test_every_reason_has_the_bit_that_the_bindings_give_it():
    for reason in throttle.REASONS:
        names = (f"nvmlClocksEventReason{reason.name}", f"nvmlClocksThrottleReason{reason.name}")
        assert reason.bit in {getattr(pynvml, name, None) for name in names}


def test_every_bit_of_the_bindings_has_words():
    bits = {
        value
        for name, value in vars(pynvml).items()
        if name.startswith("nvmlClocksEventReason") and not name.endswith(("All", "None"))
    }
    assert bits <= {reason.bit for reason in throttle.REASONS}


def test_what_rings_an_alert_is_what_is_worse_than_info():
    worse = (reason.bit for reason in throttle.REASONS if reason.severity in ("warning", "critical"))
    assert sum(worse) == THROTTLED


def test_words_come_in_the_order_of_the_bits():
    assert throttle.words(0x8 | 0x2) == ("clocks set by a user", "hardware slowdown")
    assert throttle.words(0x1 | 1 << 40) == ("idle", "reason 0x10000000000")


def test_an_unknown_xid_points_to_the_list():
    assert xid.meaning(48)[0] == "critical"
    assert xid.meaning(9_999) == ("warning", "see NVIDIA's list of Xid errors")
