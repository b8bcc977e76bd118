"""spread-jepa: I-JEPA whose context features are also kept apart from sample to sample; a variant and the row it varies.

Source: Assran et al. 2023, arXiv 2301.08243 (blocks, EMA teacher, smooth-L1); Bardes et al. 2022, arXiv 2105.04906 (the
variance term, on the mean of the visible tokens).
Kept: everything of `ijepa`; recipe.weight=0 is that row again.
Differs: one added term; an example, not a paper.
Not verified: any published number.
Tests: `python -m benchmark check` with this file.
"""

from jepakit.losses import vicreg_variance
from jepakit.methods.ijepa import ijepa
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.registry import methods
from jepakit.types import Size


@methods.register(
    "spread-jepa",
    family="jepa",
    paper="mine",
    augmentation="none",
    training=methods["ijepa"].info["training"],
    space={"recipe.weight": (0.01, 1.0, "log")},
)
def spread_jepa(modality: Modality, size: Size, *, weight: float = 0.1) -> MaskedJEPA:
    """weight: of the variance term."""
    objective = ijepa(modality, size)
    objective.regularisers["spread"] = (weight, vicreg_variance)
    return objective
