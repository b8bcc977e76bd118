"""EEG-VJEPA (Hojjati et al. 2025): is EEG better learnt as a video of electrodes than as what it is?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "eeg-as-video",
    paper="Hojjati et al. 2025, EEG-VJEPA",
    says="V-JEPA's masks over channels × time make better EEG features than masks in the space of electrodes.",
    fixed="data, tokens, encoder, batches, steps, probe; the masks and target of the method move",
    budget="`quick`, about half a minute a run on one core",
)
def eeg_as_video() -> Study:
    """EEG-VJEPA against the JEPA of the masking study; MAE and the untrained encoder beside them."""
    arms = {
        "eeg-vjepa": Arm("eeg-vjepa"),
        "eeg-jepa": Arm("eeg-jepa"),
        "mae": Arm("mae"),
        "untrained": Arm("random_init"),
    }
    return contrast(["eeg/simulated", "eeg/eegmat-folds"], arms, "eeg-vjepa", "eeg-jepa", Rule(worth=0.02), seeds=3)
