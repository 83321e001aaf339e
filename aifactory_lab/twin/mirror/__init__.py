"""The twin of the machine that it runs on: fitted to what the machine did, then asked what it will do.

`observe` takes load tests of a running server and the telemetry beside them; `fit` fits the twin's figures, with
intervals; `forecast` and `replay` predict loads that were not seen; `compare` lays them beside what was then measured.
`follow` fits again and again over a stream; `of_this_machine` measures and fits in one call, and `trial` then asks for
loads that were not seen. Power is fitted where something measures it.

>>> from aifactory_lab.twin import mirror
>>> mirror.follow.__name__, mirror.of_this_machine.__name__
('follow', 'of_this_machine')
"""

from aifactory_lab.twin.mirror.comparisons import compare, errors
from aifactory_lab.twin.mirror.drift import follow
from aifactory_lab.twin.mirror.estimates import Estimate
from aifactory_lab.twin.mirror.fitted import Mirror
from aifactory_lab.twin.mirror.fitting import fit
from aifactory_lab.twin.mirror.forecasts import forecast
from aifactory_lab.twin.mirror.machine import Machine, shape_of, this_machine, unfitted
from aifactory_lab.twin.mirror.observations import Observations, observe
from aifactory_lab.twin.mirror.replays import Replay, replay
from aifactory_lab.twin.mirror.replica import Replica
from aifactory_lab.twin.mirror.sweeps import sweep
from aifactory_lab.twin.mirror.trials import Trial, of_this_machine, trial
from aifactory_lab.twin.mirror.watts import Watts

__all__ = [
    "Estimate",
    "Machine",
    "Mirror",
    "Observations",
    "Replay",
    "Replica",
    "Trial",
    "Watts",
    "compare",
    "errors",
    "fit",
    "follow",
    "forecast",
    "observe",
    "of_this_machine",
    "replay",
    "shape_of",
    "sweep",
    "this_machine",
    "trial",
    "unfitted",
    "watts",
]
