"""DMT-JEPA (Mo & Yun 2024): I-JEPA whose targets are aggregated from the neighbours that resemble each token.

Source: arXiv 2405.17995 and its released code (github DMTJEPA).
Kept: an aggregation head (two pre-norm blocks of cross-attention and MLP, no layer scale, final affine norm) on both sides:
on the EMA teacher's normed output it describes every token by the four of its eight neighbours with the largest cosine
(the grid wraps, the token itself is left out), asked by the sample's mean token; before the predictor it adds what the mean
token reads from the context to every context token. EMA of encoder and head; masks, smooth-L1, EMA .996 → 1 and weight
decay .04 → .4 of I-JEPA.
Differs: everything that I-JEPA's file says; the query of a set is the mean of that set's own sample (the release pairs sets
with other samples' queries); any grid side and two neighbours on grids of one axis, 26 on three (release: 36, 196 or 256
tokens); the head has the encoder's heads.
Not verified: the gains that the paper claims over I-JEPA (ImageNet-1k, ADE20K, COCO, DAVIS).
The target's norm is learned, so its scale can drift: it is logged as ``target_std``.
Tests: test_aggregation.py, test_methods_b.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.aggregation import Aggregated, LocalAggregation
from jepakit.masking import Blocks
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import layer_norm
from jepakit.types import Batch, Losses, Size, Tokens, gather


class DMTJEPA(MaskedJEPA):
    """The template with the head between encoder and predictor."""

    head: LocalAggregation

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens, target = self.backbone.tokenize(batch), self.target(batch)
        split = self.masker(tokens, target, progress)
        context = self.backbone.encode(tokens.take(split.context))
        mixed = Tokens(self.head(context.x), context.pos, context.valid)
        loss = self.distance(self.predict(mixed, tokens, split), gather(target, split.target))
        return Losses(loss, {"prediction": loss.detach(), "target_std": target.flatten(0, 1).float().std(0).mean()})


@methods.register(
    "dmt",
    family="jepa",
    paper="Mo & Yun 2024, arXiv 2405.17995",
    augmentation="none",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999)},
    space={"recipe.keep": (0.125, 0.5, "log")},
)
def dmt(
    modality: Modality,
    size: Size,
    *,
    similar: int = 4,
    targets: int = 4,
    target_scale: tuple[float, float] = (0.15, 0.20),
    keep: float = 0.25,
    ema: tuple[float, float] = (0.996, 1.0),
) -> DMTJEPA:
    """similar: neighbours per token; targets: number of blocks; target_scale: their share of the grid; keep: visible share;
    ema: momentum range."""
    backbone, head, rate = vit(modality, size), LocalAggregation(size.dim, size.heads), momentum(*ema, size.steps)
    objective = DMTJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Blocks(modality.grid, targets=targets, target_scale=target_scale, keep=keep),
        target=Aggregated(backbone, head, modality.grid, rate, similar=similar, norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
    objective.head = head
    return objective
