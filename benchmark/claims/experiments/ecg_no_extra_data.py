"""ECG-JEPA (Weimann & Conrad 2024): is pre-training worth it where there are no data beyond the labelled ones?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "ecg-no-extra-data",
    paper="Weimann & Conrad 2024, ECG-JEPA",
    says="Pre-trained on the labelled recordings alone, a frozen JEPA with a linear head beats training on the labels.",
    fixed="data, splits, tokens, encoder, batches, steps; what is learnt from moves",
    budget="`quick`, one to two minutes a run on one core",
)
def no_extra_data() -> Study:
    """ECG-JEPA against the same encoder trained with labels; untrained, MAE and hand-made features beside it."""
    arms = {
        "ecgjepa": Arm("ecgjepa"),
        "supervised": Arm("supervised"),
        "mae": Arm("mae"),
        "untrained": Arm("random_init"),
        "hand-made": Arm("raw_features"),
    }
    places = ["ecg/simulated", "ecg/mitbih", "ecg/ludb"]
    return contrast(places, arms, "ecgjepa", "supervised", Rule(worth=0.02), seeds=3)
