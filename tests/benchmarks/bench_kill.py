"""Kill both lines many times, at moments drawn from a seed: which stations were met, what was left, what differs.

``python -m tests.benchmarks kill``: 120 kills, 30 with ``--quick``. A trial is one workspace, killed five times over
its run (the run alone, or all that it started), taken up again each time, and compared at its end with a run that
nobody disturbed. A failure, a difference or a leftover is a defect.
"""

import tempfile
from collections import Counter
from pathlib import Path

from tests.benchmarks.harness import Table
from tests.survival import campaign, killing, thin_run
from tests.survival.campaign import Outcome

TRIALS, QUICK_TRIALS, KILLS = 24, 6, 5


def main(*, quick: bool) -> list[Table]:
    """Run the campaign."""
    with tempfile.TemporaryDirectory(prefix="aifactory-kills-") as root:
        material = thin_run.make(Path(root))
        calm = Path(root) / "calm"
        spoken = killing.run(campaign.command(calm, material), calm)
        assert spoken.code == 0, spoken.lines[-5:]
        expected, found = campaign.products(calm / "ws"), []
        for seed in range(QUICK_TRIALS if quick else TRIALS):
            kills = killing.plan(spoken, KILLS, seed)
            found.append(campaign.trial(Path(root) / str(seed), material, kills, expected))
            print(_sentence(seed, found[-1]), flush=True)
    return [_table(found)]


def _sentence(seed: int, outcome: Outcome) -> str:
    met = ", ".join(f"{at} ({'all' if kill.whole else 'the run'})" for kill, at in outcome.kills)
    return f"trial {seed}: killed at {met}; {'; '.join(_wrong(outcome)) or 'the same products, nothing left'}"


def _wrong(outcome: Outcome) -> list[str]:
    return [*outcome.failures, *(f"differs: {name}" for name in outcome.different), *outcome.left]


def _table(outcomes: list[Outcome]) -> Table:
    met = Counter(at for outcome in outcomes for _, at in outcome.kills)
    wrong = [words for outcome in outcomes for words in _wrong(outcome)]
    rows = [{"killed at": at, "kills": count} for at, count in sorted(met.items())]
    rows.append({"killed at": f"all, in {len(outcomes)} runs", "kills": met.total()})
    told = "Every run ended with the same products as one that nobody disturbed, and left nothing."
    return Table("Both lines under kill -9", rows, wrong or [told])
