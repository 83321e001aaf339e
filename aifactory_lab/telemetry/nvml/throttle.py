"""Why a GPU runs at lower clocks than it could: NVML's bit mask in words.

The bits are `nvmlClocksEventReason*` of nvml.h (before driver 535: `nvmlClocksThrottleReason*`), where NVIDIA says
what each means. This module does not know who read the mask.

>>> words(0x4 | 0x40)
('software power cap', 'hardware thermal slowdown')
>>> [reason.bit for reason in REASONS if reason.severity == "critical"]
[8, 64, 128]
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Severity = Literal["", "info", "warning", "critical"]


@dataclass(frozen=True)
class Reason:
    """One bit of the mask.

    Attributes
    ----------
    bit, name, words
        The bit, NVIDIA's name for it after ``nvmlClocksEventReason``, and what it says on screen.
    severity
        Empty where it is how a healthy GPU lives.
    meaning
        What is behind it and what helps.
    """

    bit: int
    name: str
    words: str
    severity: Severity
    meaning: str


REASONS = (
    Reason(0x1, "GpuIdle", "idle", "", "nothing runs, the clocks rest"),
    Reason(0x2, "ApplicationsClocksSetting", "clocks set by a user", "info", "nvidia-smi -rac lifts it"),
    Reason(0x4, "SwPowerCap", "software power cap", "info", "the board would need more than its power limit"),
    Reason(0x8, "HwSlowdown", "hardware slowdown", "critical", "half the clocks or less: too hot, or too much power"),
    Reason(0x10, "SyncBoost", "sync boost", "info", "held to the clocks of the slowest GPU of its group"),
    Reason(0x20, "SwThermalSlowdown", "software thermal slowdown", "warning", "at its highest operating temperature"),
    Reason(0x40, "HwThermalSlowdown", "hardware thermal slowdown", "critical", "too hot: check fans, airflow, coolant"),
    Reason(0x80, "HwPowerBrakeSlowdown", "power brake", "critical", "the power supply of the server asked for it"),
    Reason(0x100, "DisplayClockSetting", "display clocks", "info", "a display on this GPU limits its clocks"),
    Reason(0x200, "BoardLimit", "board limit", "info", "the board's own limit"),
    Reason(0x400, "Reliability", "reliability voltage", "info", "held below the highest voltage to live long"),
)


def reasons(mask: int) -> Iterator[Reason]:
    """Yield the reasons whose bits are set."""
    return (reason for reason in REASONS if mask & reason.bit)


def words(mask: int) -> tuple[str, ...]:
    """Return the reasons in words; a bit that nobody has named yet is given as a number.

    Examples
    --------
    >>> words(0)
    ()
    >>> words(0x1000)
    ('reason 0x1000',)
    """
    known = sum(reason.bit for reason in REASONS)
    rest = mask & ~known
    return (*(reason.words for reason in reasons(mask)), *((f"reason {rest:#x}",) if rest else ()))
