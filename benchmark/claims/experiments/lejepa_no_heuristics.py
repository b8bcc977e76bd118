"""LeJEPA (Balestriero & LeCun 2025): is one regulariser worth stop-gradient, moving teacher and predictor together?

Before an outcome was computed, shapes were taken out: their arms would take two hours of two cores.
"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import no_worse


@claims.register(
    "lejepa-no-heuristics",
    paper="Balestriero & LeCun 2025, arXiv 2511.08544",
    says="With SIGReg, views need no stop-gradient, no moving teacher and no predictor, and one weight that hardly matters.",
    fixed="data, views, encoder, batches, steps, probe; what holds the features apart moves",
    budget="`quick`, one to two minutes a run on one core",
)
def no_heuristics() -> Study:
    """LeJEPA against BYOL, which has all three; without what holds them, and with other weights, beside them."""
    arms = {
        "lejepa": Arm("lejepa"),
        "byol": Arm("byol"),
        "byol without predictor": Arm("byol", {"recipe.predictor": "false"}),
        "simsiam": Arm("simsiam"),
        "simsiam without stop": Arm("simsiam", {"recipe.stop_gradient": "false"}),
        "weight / 5": Arm("lejepa", {"recipe.weight": "0.01"}),
        "weight × 5": Arm("lejepa", {"recipe.weight": "0.25"}),
        "weight 0": Arm("lejepa", {"recipe.weight": "0"}),
    }
    return contrast(["ecg/simulated", "audio/simulated"], arms, "lejepa", "byol", no_worse(0.02))
