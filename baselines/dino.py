"""DINO (Caron et al. 2021): the student's view matches the centred, sharpened output of an EMA teacher on other views.

Source: arXiv 2104.14294.
Kept: three-layer head with GELU, unit bottleneck, weight-normalised prototypes of gain 1, student temperature .1, teacher
.04, centre with decay .9, cross-entropy over all pairs of a teacher's (global) and another of the student's views, weight
decay .04 → .4, gradient clipped at 3, momentum .996 → 1 on a cosine; the teacher is probed.
Differs: house encoder; 4,096 prototypes (65,536 on ImageNet), as on CIFAR; two global views and, if asked for, small crops;
prototypes are not frozen at first; momentum starts lower in runs under 2,500 steps; views come from the modality.
Published: ImageNet-1k ViT-S/16 linear 77.0 [unverified]; CIFAR-10 ResNet-18, 1,000 epochs, online linear 89.52 (solo-learn).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from jepakit.modality import Modality
from jepakit.nn import Embedder, initialise
from jepakit.objective import Objective
from jepakit.pairwise import Centre, distil
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.schedules import Schedule, cosine, momentum
from jepakit.siamese import others
from jepakit.targets import follow
from jepakit.types import Batch, Losses, Size


class Head(nn.Module):
    """dim → 4·dim → 4·dim → unit bottleneck → cosines with unit prototypes."""

    def __init__(self, dim: int, prototypes: int) -> None:
        super().__init__()
        w = 4 * dim
        self.mlp = nn.Sequential(nn.Linear(dim, w), nn.GELU(), nn.Linear(w, w), nn.GELU(), nn.Linear(w, dim))
        initialise(self.mlp, 0.02)
        self.prototypes = nn.Linear(dim, prototypes, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return linear(normalize(self.mlp(x), dim=-1), normalize(self.prototypes.weight, dim=-1))


class Dino(Objective):
    """Student and teacher, each encoder and head; a centre for the teacher."""

    def __init__(
        self, modality: Modality, backbone: Embedder, head: Head, prototypes: int, temperatures: tuple[float, float],
        local: int, ema: Schedule,
    ) -> None:  # fmt: skip
        super().__init__()
        self.modality, self.temperatures, self.local, self.momentum = modality, temperatures, local, ema
        self.backbone, self.head, self.centre = backbone, head, Centre(prototypes)
        self.teacher, self.teacher_head = copy.deepcopy((backbone, head))
        nn.ModuleList([self.teacher, self.teacher_head]).requires_grad_(False)

    def forward(self, batch: Batch, progress: float) -> Losses:
        views = [self.modality.views(batch) for _ in range(2)]
        with torch.no_grad():
            raw = [self.teacher_head(self.teacher.embed(view)).float() for view in views]
            taught = [output - self.centre.value for output in raw]
        views += [self.modality.local_views(batch) for _ in range(self.local)]
        said = [self.head(self.backbone.embed(view)) for view in views]
        pairs = others(2, len(views))
        loss = torch.stack([distil(said[s], taught[t], *self.temperatures) for t, s in pairs]).mean()
        self.centre.observe(torch.cat(raw))
        return Losses(loss, {"distillation": loss.detach()})

    def after_step(self, progress: float) -> None:
        self.centre.update()
        follow(self.teacher, self.backbone, self.momentum(progress))
        follow(self.teacher_head, self.head, self.momentum(progress))

    def encoder(self) -> Embedder:
        return self.teacher


@methods.register(
    "dino",
    family="contrastive",
    paper="Caron et al. 2021, arXiv 2104.14294",
    augmentation="modality-specific",
    training={"weight_decay": (0.04, 0.4), "betas": (0.9, 0.999), "clip": 3.0},
)
def dino(
    modality: Modality,
    size: Size,
    *,
    prototypes: int = 4096,
    temperatures: tuple[float, float] = (0.1, 0.04),
    local: int = 0,
    ema: tuple[float, float] = (0.996, 1.0),
    backbone: str = "vit",
) -> Dino:
    """prototypes: outputs of the head; temperatures: student's, teacher's; local: small crops; ema: momentum range;
    backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    schedule = momentum(*ema, size.steps, shape=cosine)
    return Dino(modality, encoder, Head(encoder.dim, prototypes), prototypes, temperatures, local, schedule)
