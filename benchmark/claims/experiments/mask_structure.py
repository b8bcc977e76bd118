"""Do the places of masks matter? The same share hidden in blocks and token by token (Riou et al. 2024 say: not on sound).

Before an outcome was computed, video was taken out, whose cells are long; both papers speak of images and sound.
"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "mask-structure",
    paper="Assran et al. 2023, arXiv 2301.08243 (images); Riou et al. 2024 (sound)",
    says="Prediction of latents needs masks in blocks: token by token the same share teaches less.",
    fixed="data, encoder, teacher, shares hidden and asked for, steps, batches, probe; the side of a block moves",
    budget="`quick`, about a minute a run on one core",
)
def mask_structure() -> Study:
    """data2vec 2 with its blocks and with blocks of one token; MAE's two masks beside it."""
    arms = {
        "blocks": Arm("data2vec"),
        "tokens": Arm("data2vec", {"recipe.block": "1"}),
        "mae blocks": Arm("mae"),
        "mae tokens": Arm("mae", {"recipe.random": "0.25"}),
    }
    return contrast(["image/shapes", "audio/simulated"], arms, "blocks", "tokens", Rule(worth=0.02))
