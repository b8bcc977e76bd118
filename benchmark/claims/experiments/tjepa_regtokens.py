"""T-JEPA's regularisation token (Thimonier et al. 2024): is a token that no column feeds what its features need?

The arms with a regulariser in place of the token were added after the others had been run; outcome and rule are as before.
"""

from __future__ import annotations

from benchmark.budget import SUITES
from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "tjepa-regtokens",
    paper="Thimonier et al. 2024, arXiv 2410.05016",
    says="T-JEPA needs its regularisation token: without it features collapse or predict worse.",
    fixed="tables, splits, encoder, predictor, masks, steps, batches, probe; the tokens move, or what stands in for them",
    budget="`quick`, about 15 s a run on one core",
)
def regularisation_tokens() -> Study:
    """None, one (published), two or four tokens on eight tables; no token but SIGReg or VICReg's terms beside them."""
    arms = {
        "one token": Arm("tjepa"),
        "none": Arm("tjepa", {"recipe.tokens": "0"}),
        "two": Arm("tjepa", {"recipe.tokens": "2"}),
        "four": Arm("tjepa", {"recipe.tokens": "4"}),
        "none, sigreg": Arm("tjepa-sigreg"),
        "none, vicreg": Arm("tjepa-vicreg"),
    }
    return contrast([f"tabular/{name}" for name in SUITES["tabular"]], arms, "one token", "none", Rule(worth=0.02))
