"""AD-L-JEPA (Zhu et al. 2026): context and teacher get complementary occupied cells of a scene; cosine on the map.

Source: arXiv 2501.04969 and its released code (github HaoranZhuExplorer/AD-L-JEPA-Release).
Kept: occupied cells are permuted over the whole batch and ⌊(1 − hide)·count⌋ kept, empty ones each with probability 1 −
hide; the encoder sees kept occupied cells, the EMA teacher masked occupied cells only; a mask token at every masked
cell of the context, an empty token at every kept empty one and, not detached, at masked empty cells of the target; both
N(0, 1), all maps of unit length; .75 · (1 − cos) over masked occupied and .25 over masked empty cells of the batch; β ·
variance hinge at 1/√d per sample on context and prediction; EMA .996 → 1 on parameters only, weight decay .01, clipping
at 10; the context encoder is probed.
Differs: house encoder on tokens of 4 × 4 cells instead of sparse convolutions; occupied tokens of a sample are padded
to one length (``Tokens.valid``), a surplus of the fullest draws takes no part; the last of the predictor's three [3 × 3
convolution, BatchNorm, ReLU] has no ReLU (``rectify``), since targets behind a LayerNorm have both signs and the
release's are rectified; EMA start lowered in short runs; no pasted objects from labelled boxes.
Not verified: KITTI, ONCE and Waymo; β is 1 in the KITTI and 10 in the Waymo configuration.
Published: KITTI val moderate mAP 67.92 (paper), 67.40 and 66.41 when run again, from scratch 66.36.
Tests: test_methods_lidar.py, test_methods.py.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit import occupancy
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.types import Batch, Losses, Size, UsageError

OCCUPIED, EMPTY = 0.75, 0.25  # weights of the two kinds of masked cells


class ADLJEPA(Objective):
    backbone: Backbone

    def __init__(
        self, modality: Modality, size: Size, hide: float, weight: float, rectify: bool, ema: tuple[float, float] | None
    ) -> None:
        super().__init__()
        most = occupancy.need_occupied(modality, "adljepa")
        if not 0 < hide < 1:
            raise UsageError(f"recipe.hide is the masked share of the cells in (0, 1), not {hide}")
        self.hide, self.weight = hide, weight
        self.seen, self.asked = occupancy.room(most, 1 - hide), occupancy.room(most, hide)
        self.backbone = vit(modality, size)  # its own teacher without ``ema``
        self.target = None if ema is None else occupancy.Still(self.backbone, momentum(*ema, size.steps))
        self.predictor = occupancy.Convolutions(modality.grid, size.dim, 3, rectify=rectify)
        self.mask_token, self.empty_token = (nn.Parameter(torch.randn(size.dim)) for _ in range(2))

    def maps(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Bool[Tensor, "b n"], Bool[Tensor, "b n"]]:
        """(context, prediction, target) (b, n, d); cells that the context saw; masked cells that have a target."""
        filled, tokens = occupancy.occupied(batch), self.backbone.tokenize(batch)
        kept, masked = occupancy.joint_mask(filled, self.hide)
        x, seen = occupancy.encode_only(self.backbone, tokens, kept & filled, self.seen)
        gaps = torch.where((kept & ~filled)[..., None], self.empty_token, self.mask_token)
        context = F.normalize(torch.where(seen[..., None], x, gaps), dim=-1)
        with torch.no_grad():
            teacher = self.backbone if self.target is None else self.target.teacher
            y, known = occupancy.encode_only(teacher, teacher.tokenize(batch), masked & filled, self.asked)
        target = F.normalize(torch.where(known[..., None], y, self.empty_token), dim=-1)
        return context, F.normalize(self.predictor(context), dim=-1), target, seen, known | (masked & ~filled)

    def forward(self, batch: Batch, progress: float) -> Losses:
        context, predicted, target, seen, asked = self.maps(batch)
        filled, error = occupancy.occupied(batch), 1 - (predicted * target).sum(-1).float()
        kinds = {"occupied": asked & filled, "empty": asked & ~filled}
        parts = {name: occupancy.mean_over(error, cells) for name, cells in kinds.items()}
        parts["spread"] = self.spread(context, predicted, seen, asked & filled)
        total = OCCUPIED * parts["occupied"] + EMPTY * parts["empty"] + self.weight * parts["spread"]
        return Losses(total, {name: value.detach() for name, value in parts.items()})

    def spread(self, context: Tensor, predicted: Tensor, seen: Tensor, asked: Tensor) -> Float[Tensor, ""]:
        """What keeps features apart: the hinge on seen cells of the context and asked occupied ones of the prediction."""
        return occupancy.spread_hinge(context, seen) + occupancy.spread_hinge(predicted, asked)

    def after_step(self, progress: float) -> None:
        if self.target is not None:
            self.target.update(progress)


@methods.register(
    "adljepa",
    family="jepa",
    paper="Zhu et al. 2026, arXiv 2501.04969",
    augmentation="none",
    training={"weight_decay": (0.01, 0.01), "betas": (0.9, 0.99), "clip": 10.0},
    space={"recipe.hide": (0.25, 0.75, "linear")},
    needs="occupied",
)
def adljepa(
    modality: Modality, size: Size, *, hide: float = 0.5, beta: float = 1.0, rectify: bool = False,
    ema: tuple[float, float] = (0.996, 1.0),
) -> ADLJEPA:  # fmt: skip
    """hide: masked share of the cells; beta: weight of the hinge; rectify: the predictor ends in a ReLU; ema: momentum."""
    return ADLJEPA(modality, size, hide, beta, rectify, ema)
