"""Is masked prediction as good without views as contrastive rows are with them (Assran et al. 2023)?

Before an outcome was computed, video was taken out: its cells take eight minutes of a core each.
"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import no_worse


@claims.register(
    "augmentation-dependence",
    paper="Assran et al. 2023, arXiv 2301.08243",
    says="Masked prediction of latents needs no hand-made views: it reaches what methods of views reach.",
    fixed="data, tokens, encoder, batches, steps, probe; the objective moves",
    budget="`quick`, about a minute a run on one core",
)
def augmentation_dependence() -> Study:
    """I-JEPA, which sees no views, against SimCLR; VICReg and MAE beside them."""
    arms = {"ijepa": Arm("ijepa"), "simclr": Arm("simclr"), "vicreg": Arm("vicreg"), "mae": Arm("mae")}
    places = ["image/shapes", "ecg/simulated", "audio/simulated"]
    return contrast(places, arms, "ijepa", "simclr", no_worse(0.02), seeds=3)
