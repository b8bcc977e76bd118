"""my-method: predict an EMA teacher's features of hidden tokens from a random few, large errors counted linearly.

Source: a start by `python -m benchmark new`; say here which paper, section or code it follows.
Kept: teacher on the full input, targets LayerNormed without affine, hidden tokens never enter the encoder; smooth-L1.
Differs: uniformly random masks instead of blocks; house encoder and predictor (no biases, one register).
Not verified: any published number.
Tests: `python -m benchmark check` with this file.
"""

from functools import partial

from torch.nn import functional as F

from jepakit.masking import Subset
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Size


@methods.register(
    "my-method",
    family="jepa",
    paper="mine",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4)},
    space={"recipe.keep": (0.1, 0.5, "log")},
)
def my_method(
    modality: Modality, size: Size, *, keep: float = 0.25, beta: float = 1.0, ema: tuple[float, float] = (0.996, 1.0)
) -> MaskedJEPA:
    """keep: visible share of the tokens; beta: error from which the loss is linear; ema: momentum range."""
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Subset(modality.grid, keep),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=partial(F.smooth_l1_loss, beta=beta),
    )
