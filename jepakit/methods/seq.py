"""seq-JEPA (Ghaemi et al. 2025): predict the next view's features from a sequence of views and their actions.

Source: the paper (NeurIPS 2025) and its released code (github hafezgh/seq-jepa, MIT).
Kept: three seen views and a predicted one; relative actions through Linear and BatchNorm without affine to 128 numbers,
joined to each view's feature (zero for the last seen view, whose action the predictor is given); three-layer transformer
with a learned summary token and no positions; MLP predictor of width 1024 on [summary, next action]; 1 − cosine to the EMA
teacher's feature of the next view. The encoder's features are equivariant, the summary invariant: ``tap`` says which is
probed, of the trained encoder, not the teacher.
Differs: house encoder by default (released: ResNet-18, ``recipe.backbone=resnet18``), whose feature is the mean over tokens,
and its pre-norm blocks without dropout in the aggregator; momentum linear per step (released: cosine, per epoch) and lowered
at the start of short runs; a probed summary is that of a single view (paper: of up to five); views and their parameters are
the modality's.
Not verified: the nominal optimiser (AdamW, lr 4e-4, weight decay 1e-3; the code overwrites another one); that it learns in
short runs of the house encoder: under the budget ``quick`` its features fall to one or two directions and class scores end
below the untrained encoder, at a fifth of the learning rate and with a BatchNorm behind the encoder as well.
Published: 3DIEBench, ResNet-18: accuracy 87.4, rotation R² .71 (BYOL 82.9 and .12); CIFAR-100 52.9–60.2 (SimCLR 61.7).
Tests: test_methods_b.py, test_methods.py.
"""

import copy
from typing import Literal

import torch
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Embedder, Projector
from jepakit.objective import Objective
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.relative import Aggregator, Summary, acted, need_actions
from jepakit.schedules import Schedule, momentum
from jepakit.targets import follow
from jepakit.types import Batch, Losses, Size, UsageError


class SeqJEPA(Objective):
    """Encoder, aggregator, predictor, and an EMA teacher of the encoder."""

    def __init__(
        self, modality: Modality, backbone: Embedder, ema: Schedule, aggregator: Aggregator, hidden: int
    ) -> None:
        super().__init__()
        self.modality, self.backbone, self.ema, self.aggregator = modality, backbone, ema, aggregator
        self.teacher = copy.deepcopy(backbone).requires_grad_(False)
        self.predictor = Projector(backbone.dim + 2 * aggregator.width, hidden, backbone.dim)
        self.seen, self.tap = 3, "encoder"

    def forward(self, batch: Batch, progress: float) -> Losses:
        views, moves = acted(self.modality, batch, self.seen + 1)
        seen = self.backbone.embed(Batch(torch.cat([view.x for view in views[:-1]])))
        actions = self.aggregator.embed(moves)
        summary = self.aggregator(seen.unflatten(0, (self.seen, len(batch))).transpose(0, 1), actions[:, :-1])
        predicted = self.predictor(torch.cat([summary, actions[:, -1]], -1))
        with torch.no_grad():
            wanted = self.teacher.embed(views[-1])
        loss = 1 - F.cosine_similarity(predicted.float(), wanted.float(), dim=-1).mean()
        return Losses(loss, {"prediction": loss.detach()})

    def after_step(self, progress: float) -> None:
        follow(self.teacher, self.backbone, self.ema(progress))

    def encoder(self) -> Embedder:
        return self.backbone if self.tap == "encoder" else Summary(self.backbone, self.aggregator)


@methods.register(
    "seq",
    family="jepa",
    paper="Ghaemi et al. 2025, NeurIPS",
    augmentation="modality-specific",
    training={"weight_decay": (0.001, 0.001), "betas": (0.9, 0.999)},
)
def seq(
    modality: Modality,
    size: Size,
    *,
    seen: int = 3,
    action: int = 128,
    depth: int = 3,
    heads: int = 4,
    hidden: int = 1024,
    ema: tuple[float, float] = (0.996, 1.0),
    tap: Literal["encoder", "aggregate"] = "encoder",
    backbone: str = "vit",
) -> SeqJEPA:
    """seen: views before the predicted one; action: width of an action; depth, heads: of the aggregator; hidden: width of
    the predictor; ema: momentum range; tap: which of the two representations is probed; backbone: the house vit or
    one of timm."""
    actions = need_actions(modality, "seq")
    if seen < 1:
        raise UsageError(f"something must be seen before a view is predicted; recipe.seen={seen}")
    encoder = embedder(modality, size, backbone)
    aggregator = Aggregator(encoder.dim, actions, action, depth, heads)
    objective = SeqJEPA(modality, encoder, momentum(*ema, size.steps), aggregator, hidden)
    objective.seen, objective.tap = seen, tap
    return objective
