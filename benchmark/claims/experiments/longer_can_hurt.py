"""Does a longer run of a JEPA with a moving teacher end with worse features than a short one?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "longer-can-hurt",
    paper="said of EMA JEPAs in their trackers and in Garrido et al. 2023, arXiv 2210.02885 (rank falls late in training)",
    says="Pre-training of a JEPA for longer can make its features worse.",
    fixed="data, tokens, encoder, batches, probe, schedules as shares of the run; the number of steps moves",
    budget="the longest arm four times `quick`: two to six minutes a run on one core",
)
def longer_can_hurt() -> Study:
    """A fourth of the steps of `quick`, all, four times as many."""
    arms = {
        "short": Arm("ijepa", {"train.steps": "112"}),
        "quick": Arm("ijepa"),  # 450 steps on these data sets
        "long": Arm("ijepa", {"train.steps": "1800"}),
    }
    places = ["ecg/simulated", "eeg/simulated", "audio/simulated", "lidar/scenes"]
    return contrast(places, arms, "quick", "long", Rule(worth=0.02), seeds=3)
