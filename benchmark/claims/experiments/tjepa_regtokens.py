"""T-JEPA's regularisation token (Thimonier et al. 2024): is a token that no column feeds what its features need?

The other claims of this file were written after the first had been run and judged, those about signals after the second
too; nothing of their rows was seen. The paper speaks of tables; that signals are asked as well is ours.
"""

from __future__ import annotations

from benchmark.budget import SUITES
from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule

PAPER = "Thimonier et al. 2024, arXiv 2410.05016"
NONE = Arm("tjepa", {"recipe.tokens": "0"})
ARMS = {
    "one token": Arm("tjepa"),
    "none": NONE,
    "two": Arm("tjepa", {"recipe.tokens": "2"}),
    "four": Arm("tjepa", {"recipe.tokens": "4"}),
}
REGULARISED = {"sigreg": Arm("tjepa-sigreg"), "none": NONE, "vicreg": Arm("tjepa-vicreg")}
RULE = Rule(worth=0.02)
PLACES = tuple(f"tabular/{name}" for name in SUITES["tabular"])
SIGNALS = ("ecg/simulated", "ecg/mitbih", "ecg/ludb", "audio/simulated")


@claims.register(
    "tjepa-regtokens",
    paper=PAPER,
    says="T-JEPA needs its regularisation token: without it features collapse or predict worse.",
    fixed="tables, splits, encoder, predictor, masks, steps, batches, probe; the number of tokens moves alone",
    budget="`quick`, about 15 s a run on one core",
)
def regularisation_tokens() -> Study:
    """None, one (published), two or four tokens on eight tables."""
    return contrast(PLACES, ARMS, "one token", "none", RULE)


@claims.register(
    "tjepa-regtokens-signals",
    paper=PAPER,
    says="What T-JEPA says of tables holds of signals: without its token features collapse or predict worse.",
    fixed="signals, splits, encoder, predictor, masks, steps, batches, probe; the number of tokens moves alone",
    budget="`quick`, about a minute a run on one core",
)
def regularisation_tokens_on_signals() -> Study:
    """The same arms where a token is a stretch of time: two modalities besides tables."""
    return contrast(SIGNALS, ARMS, "one token", "none", RULE)


@claims.register(
    "tjepa-regularised",
    paper=f"{PAPER}; Balestriero & LeCun 2025, arXiv 2511.08544 (SIGReg)",
    says="Without a token, a regulariser of the features does its work: with SIGReg they predict better than with nothing.",
    fixed="tables, splits, encoder, predictor, masks, steps, batches, probe; no token; what holds the features moves",
    budget="`quick`, about 15 s a run on one core",
)
def regularised() -> Study:
    """SIGReg or VICReg's terms in place of the token, on eight tables."""
    return contrast(PLACES, REGULARISED, "sigreg", "none", RULE)


@claims.register(
    "tjepa-regularised-signals",
    paper=f"{PAPER}; Balestriero & LeCun 2025, arXiv 2511.08544 (SIGReg)",
    says="Without a token, SIGReg makes features of signals predict better than nothing in its place does.",
    fixed="signals, splits, encoder, predictor, masks, steps, batches, probe; no token; what holds the features moves",
    budget="`quick`, about a minute a run on one core",
)
def regularised_on_signals() -> Study:
    """The same arms on ECG and sound."""
    return contrast(SIGNALS, REGULARISED, "sigreg", "none", RULE)
