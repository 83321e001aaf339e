"""What a token load test cost: processor time, joules, dollars; what is not known is said to be unknown.

>>> Cost(price_per_hour=3.6).dollars_per_million(tokens=1_000, seconds=1.0)
1.0
"""

import os
from dataclasses import dataclass, replace

from aifactory_lab import device, measure
from aifactory_lab.measure import StationReport
from aifactory_lab.serve.load.targets import Target

ELSEWHERE = "the server runs on another machine"


@dataclass(frozen=True)
class Cost:
    """What a test cost.

    Attributes
    ----------
    station
        Seconds, energy and memory of the test as a station; `None` if it was not metered. Its energy is that of the
        whole machine while the clients started, sent and read.
    server_cpu_seconds, client_cpu_seconds
        Processor time of the server with its children, and of the clients; `None` if not known.
    price_per_hour, price_note
        Dollars for one hour of the machine, and where that is from; `None` if nobody said.
    """

    station: StationReport | None = None
    server_cpu_seconds: float | None = None
    client_cpu_seconds: float | None = None
    price_per_hour: float | None = None
    price_note: str = "no price: say price_per_hour="

    def per_cpu_second(self, tokens: int) -> float | None:
        """Return tokens per second of the server's processor time, or `None`."""
        return tokens / self.server_cpu_seconds if self.server_cpu_seconds else None

    def client_microseconds(self, tokens: int) -> float | None:
        """Return the clients' processor time per token: what the measurement costs itself, or `None`."""
        return 1e6 * self.client_cpu_seconds / tokens if self.client_cpu_seconds is not None and tokens else None

    def per_joule(self, tokens: int) -> float | None:
        """Return tokens per joule of the whole machine, or `None` (`energy_note` says why)."""
        joules = self.station.joules if self.station else None
        return tokens / joules if joules else None

    @property
    def energy_note(self) -> str:
        """Why the energy is unknown; empty if it is known."""
        return self.station.energy_note if self.station else "not metered"

    def dollars_per_million(self, tokens: int, seconds: float) -> float | None:
        """Return dollars for a million tokens of a machine that was rented for these seconds, or `None`."""
        if self.price_per_hour is None or not tokens:
            return None
        return 1e6 * self.price_per_hour / 3600 * seconds / tokens

    def words(self, tokens: int, seconds: float) -> str:
        """Return tokens per joule and dollars per million tokens, or why not."""
        joule, price = self.per_joule(tokens), self.dollars_per_million(tokens, seconds)
        power = f"{joule:.3g} tokens/J" if joule is not None else f"tokens/J unknown ({self.energy_note})"
        return f"{power}, " + (f"${price:.3g} per million tokens" if price is not None else self.price_note)


def price(target: Target, price_per_hour: float | None) -> tuple[float | None, str]:
    """Return dollars for one hour of the server's machine, and where that is from.

    Without a word from the caller this machine costs its cores at `measure.dollars_per_core_hour`, an assumption; what
    a GPU or another machine costs, nobody here knows.
    """
    if price_per_hour is not None:
        return price_per_hour, f"${price_per_hour:g} an hour, as given"
    if not target.here:
        return None, f"no price: {ELSEWHERE}, say price_per_hour="
    if device.current(needs=()).kind == "gpu":
        return None, "no price: a GPU's is not known here, say price_per_hour="
    cores, each = os.cpu_count() or 1, measure.dollars_per_core_hour()
    return cores * each, f"{cores} cores at ${each:g} an hour, an assumption ({measure.PRICE_VARIABLE})"


def metered(station: StationReport, target: Target) -> StationReport:
    """Return the station's report with energy that is not the server's taken out."""
    return station if target.here else replace(station, joules=None, energy_note=ELSEWHERE)
