"""point2vec (Abou Zeid et al. 2023): data2vec on points, whose student never sees where the hidden points are.

Source: arXiv 2303.16570 and its released code (github kabouzeid/point2vec).
Kept: the student sees the visible 35 % of the tokens alone, mask tokens with positions enter only a decoder behind it;
positions are added at every block; the teacher sees everything; target = mean of its upper half of layers (6–11 of 12),
each LayerNormed without affine, then LayerNormed again; smooth-L1 with β = 2; EMA .9998 → .99999, weight decay .05.
Differs: tokens of a grid instead of neighbourhoods of sampled centres, sine-cosine positions instead of an MLP of the
centre, house encoder and predictor; EMA start lowered in short runs and the momentum rises over the whole run (paper: a
quarter of it).
``leak=true`` asks at hidden *occupied* places alone, as the paper does, whose centres lie on points: the queries then
tell the decoder where the hidden object is (as many queries as before: places repeat). By default every hidden place is
asked for.
Not verified: ModelNet40 and ScanObjectNN, none of whose rows was run here.
Published: fine-tuned, ModelNet40 94.65, ScanObjectNN (hardest) 87.47, ShapeNetPart class mIoU 84.59.
Tests: test_methods_places.py, test_methods.py.
"""

from functools import partial

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.masking import Subset
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.occupancy import cycled, need_occupied, occupied
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Batch, Losses, Size, Split, Tokens, UsageError, gather


class HiddenOccupied(Subset):
    """A random share stays visible; of the hidden tokens those flagged in ``tokens.valid`` are asked for, over and over
    up to the number of hidden ones."""

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        split = super().forward(tokens, target, progress)
        if tokens.valid is None:
            return split
        hidden = split.target[:, 0, 0]
        again = cycled(tokens.valid.gather(1, hidden), hidden.shape[1])
        return Split(split.context, hidden.gather(1, again)[:, None, None])


class Point2Vec(MaskedJEPA):
    """The template, with a masker that is told which tokens are occupied."""

    leak: bool = False

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens, target = self.backbone.tokenize(batch), self.target(batch)
        split = self.masker(Tokens(tokens.x, tokens.pos, occupied(batch) if self.leak else None), target, progress)
        predicted = self.predict(self.backbone.encode(tokens.take(split.context)), tokens, split)
        loss = self.distance(predicted, gather(target, split.target))
        return Losses(loss, {"prediction": loss.detach()})


@methods.register(
    "point2vec",
    family="jepa",
    paper="Abou Zeid et al. 2023, arXiv 2303.16570",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.keep": (0.2, 0.5, "linear")},
)
def point2vec(
    modality: Modality,
    size: Size,
    *,
    keep: float = 0.35,
    layers: int | None = None,
    leak: bool = False,
    ema: tuple[float, float] = (0.9998, 0.99999),
) -> Point2Vec:
    """keep: visible share; layers: how many of the teacher's last layers are averaged (half of them by default); leak:
    ask at hidden occupied places alone; ema: momentum range."""
    top = max(1, size.depth // 2) if layers is None else layers
    if not 1 <= top <= size.depth:
        raise UsageError(f"recipe.layers is 1 to {size.depth} (size.depth), not {top}")
    if leak:
        need_occupied(modality, "point2vec")
    backbone = vit(modality, size, every=True)
    objective = Point2Vec(
        backbone=backbone,
        predictor=narrow(size, every=True),
        masker=HiddenOccupied(modality.grid, keep),
        target=EMA(backbone, momentum(*ema, size.steps), norm=layer_norm, layers=top, final=layer_norm),
        distance=partial(F.smooth_l1_loss, beta=2.0),
    )
    objective.leak = leak
    return objective
