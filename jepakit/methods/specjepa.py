"""Spectrogram JEPA (Riou et al. 2024): the teacher sees the target tiles alone, and unstructured masks beat blocks on sound.

Source: arXiv 2405.08679 and its released code (github SonyCSLParis/audio-representations).
Kept: log-mel spectrogram cut into tiles; the target encoder sees only the tiles that are asked for; targets LayerNormed
without affine; smooth-L1; unstructured random masks (``masks="blocks"``: the image-type multi-block masks they were found
to beat); EMA .99995 → .99999; weight decay .05.
Differs: house encoder and predictor; with blocks every block is a target set of its own for the teacher; in short runs
the EMA start is lowered (schedules.momentum); on grids of two axes that are no spectrogram the tokens are the modality's
own.
Not verified: the visible share of unstructured masks; AudioSet.
Published: no small number.
Tests: test_methods_audio.py, test_contracts.py.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from jepakit.masking import Blocks, Masker, Subset
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.targets import EMA, layer_norm
from jepakit.types import Batch, Losses, Size, UsageError


class TargetsAlone(EMA):
    """An EMA teacher that is shown each target set without the rest of the input."""

    def at(self, batch: Batch, index: Int[Tensor, "b m t q"]) -> Float[Tensor, "b m t q e"]:
        """Normed features of the tokens at ``index``, each group encoded by itself."""
        with torch.no_grad():
            tokens = self.teacher.tokenize(batch).take(index.flatten(1, 2))
            return layer_norm(self.teacher.encode(tokens).x).unflatten(0, index.shape[:3])


class SpectrogramJEPA(MaskedJEPA):
    """The template with masks drawn before the targets, since the teacher sees nothing but them."""

    target: TargetsAlone

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens = self.backbone.tokenize(batch)
        split = self.masker(tokens, tokens.x.detach(), progress)
        predicted = self.predict(self.backbone.encode(tokens.take(split.context)), tokens, split)
        loss = self.distance(predicted, self.target.at(batch, split.target))
        return Losses(loss, {"prediction": loss.detach()})


def spectral(modality: Modality) -> Modality:
    """The modality on a grid of two axes: its spectrogram where it has one. Raises UsageError where there is none."""
    if hasattr(modality, "spectral"):
        own: Modality = modality.spectral()
        return own
    if len(modality.grid) == 2:
        return modality
    raise UsageError(
        f"{modality.name}/{modality.dataset} has no spectrogram and its tokens form no grid of two axes; methods on "
        "spectrograms cannot run on it"
    )


@methods.register(
    "specjepa",
    family="jepa",
    paper="Riou et al. 2024, arXiv 2405.08679",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
    space={"recipe.keep": (0.125, 0.5, "log")},
)
def specjepa(
    modality: Modality,
    size: Size,
    *,
    masks: Literal["random", "blocks"] = "random",
    keep: float = 0.25,
    ema: tuple[float, float] = (0.99995, 0.99999),
) -> SpectrogramJEPA:
    """masks: unstructured, or multi-block as for images; keep: visible share; ema: momentum range."""
    modality = spectral(modality)
    masker: Masker = Subset(modality.grid, keep) if masks == "random" else Blocks(modality.grid, keep=keep)
    backbone = vit(modality, size)
    return SpectrogramJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=masker,
        target=TargetsAlone(backbone, momentum(*ema, size.steps), norm=layer_norm),
        distance=F.smooth_l1_loss,
    )
