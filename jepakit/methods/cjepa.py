"""C-JEPA (Mo & Tong 2024): I-JEPA with VICReg's three terms on the mean prediction of each target block.

Source: arXiv 2410.19560; no released code.
Kept: I-JEPA's masks, teacher and smooth-L1, plus β·(25·invariance + 25·variance + covariance) with β = .001: invariance is
the squared error of a block's mean-pooled prediction to its mean-pooled target, variance and covariance are those of the
pooled predictions over the images of the batch (of all processes), block by block, then averaged over blocks.
Differs: everything that I-JEPA's file says; no projector before the three terms.
Not verified: whether the paper averages or sums over blocks (a public re-implementation takes 2/M of the sum, and pools over
rows that mix images with blocks).
Published: gains over I-JEPA on ImageNet-1k are claimed; no small setting.
Tests: test_losses.py, test_distributed.py, test_methods_masked.py, test_methods.py.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.losses import vicreg_covariance, vicreg_variance
from jepakit.masking import Blocks
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Batch, Losses, Size, gather


def pooled(x: Float[Tensor, "b m t q e"]) -> Float[Tensor, "g b e"]:
    """The mean over each target block, one group of b images per block."""
    return x.mean(-2).flatten(1, 2).transpose(0, 1)


class CJEPA(MaskedJEPA):
    """The template with a second look at predictions and targets."""

    beta: float

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens, target = self.backbone.tokenize(batch), self.target(batch)
        split = self.masker(tokens, target, progress)
        predicted = self.predict(self.backbone.encode(tokens.take(split.context)), tokens, split).float()
        wanted = gather(target, split.target).float()
        blocks = pooled(predicted)
        parts = {
            "prediction": self.distance(predicted, wanted),
            "invariance": F.mse_loss(blocks, pooled(wanted)),
            "variance": vicreg_variance(blocks),
            "covariance": vicreg_covariance(blocks),
        }
        vicreg = 25 * parts["invariance"] + 25 * parts["variance"] + parts["covariance"]
        return Losses(parts["prediction"] + self.beta * vicreg, {name: value.detach() for name, value in parts.items()})


@methods.register(
    "cjepa",
    family="jepa",
    paper="Mo & Tong 2024, arXiv 2410.19560",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999)},
    space={"recipe.beta": (1e-4, 1e-2, "log")},
)
def cjepa(
    modality: Modality,
    size: Size,
    *,
    beta: float = 0.001,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.20),
    keep: float = 0.25,
    ema: tuple[float, float] = (0.996, 1.0),
) -> CJEPA:
    """beta: weight of VICReg's terms; targets: number of blocks; target_scale: their share of the grid; keep: visible share;
    ema: momentum range."""
    backbone = vit(modality, size)
    objective = CJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Blocks(modality.grid, targets=targets, target_scale=target_scale, keep=keep),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
    objective.beta = beta
    objective.least_batch = 2  # a variance over the images of the batch
    return objective
