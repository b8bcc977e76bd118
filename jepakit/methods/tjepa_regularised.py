"""T-JEPA held apart by a regulariser in place of its regularisation token: SIGReg (LeJEPA) or VICReg's terms (C-JEPA).

Source: arXiv 2410.05016 for T-JEPA, 2511.08544 for SIGReg, 2410.19560 for the weights of VICReg's terms in a JEPA.
Kept: everything of ``tjepa`` but the token: column sets, encoder, predictor, EMA teacher, squared error, optimiser; SIGReg
with the weight of LeJEPA; the hinge weighs 25 and the covariance 1, both times .001, as in C-JEPA.
Differs: no regularisation token by default; no paper has this row: it asks whether the token does what a regulariser does.
Both act on the mean embedding of the columns that the student sees, in float32, without a projector; C-JEPA puts its terms
on predictions and adds an invariance term, which the prediction error already is.
Tests: test_methods_tabular.py, test_methods.py.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from jepakit.losses import SIGReg, vicreg_covariance, vicreg_variance
from jepakit.methods.tjepa import tjepa
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.registry import methods
from jepakit.types import Size

VARIANCE, COVARIANCE = 25.0, 1.0
FACTS: dict[str, Any] = {
    "family": "jepa",
    "augmentation": "none",
    "training": {"weight_decay": (0.0, 0.0), "betas": (0.9, 0.999)},
}


def spread(z: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """VICReg's terms but the invariance: 25 · hinge + 1 · covariance."""
    return VARIANCE * vicreg_variance(z) + COVARIANCE * vicreg_covariance(z)


def regularised(objective: MaskedJEPA, name: str, weight: float, function: Any) -> MaskedJEPA:
    """``objective`` with one more term on the mean context embedding; a module's state is saved with it."""
    objective.regularisers[name] = (weight, function)
    if isinstance(function, nn.Module):
        objective.add_module(f"regulariser_{name}", function)
    objective.least_batch = 2  # a spread over the rows of the batch
    return objective


@methods.register(
    "tjepa-sigreg",
    paper="control of Thimonier et al. 2024, arXiv 2410.05016",
    space={"recipe.weight": (0.005, 0.5, "log")},
    **FACTS,
)
def tjepa_sigreg(
    modality: Modality, size: Size, *, weight: float = 0.05, slices: int = 256, tokens: int = 0
) -> MaskedJEPA:
    """weight: of SIGReg beside the prediction error; slices: random directions a step; tokens: regularisation tokens."""
    return regularised(tjepa(modality, size, tokens=tokens), "sigreg", weight, SIGReg(slices))


@methods.register(
    "tjepa-vicreg",
    paper="control of Thimonier et al. 2024, arXiv 2410.05016",
    space={"recipe.beta": (1e-4, 1e-2, "log")},
    **FACTS,
)
def tjepa_vicreg(modality: Modality, size: Size, *, beta: float = 0.001, tokens: int = 0) -> MaskedJEPA:
    """beta: weight of VICReg's hinge and covariance together; tokens: regularisation tokens."""
    return regularised(tjepa(modality, size, tokens=tokens), "spread", beta, spread)
