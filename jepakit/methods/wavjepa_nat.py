"""WavJEPA-Nat (2025): WavJEPA on several microphones in rooms and noise; the teacher hears the source alone.

Source: arXiv 2509.23238 and its released code (github labhamlet/wavjepa).
Kept: everything of ``wavjepa`` and a front end that reads all channels; scenes of simulated rooms and noise, whose target
is the clean sound or, with ``clean=false``, the scene itself.
Differs: as ``wavjepa``; data sets that store no clean sound have the scene as the target. ``first=true`` is the control of
equal size and equal augmentation: student and teacher hear the first microphone in every channel.
Not verified: the published scenes (Ambisonics, two binaural channels) and Nat-HEAR.
Published: no small number.
Tests: test_audio_scenes.py, test_contracts.py.
"""

from torch.nn import functional as F

from jepakit.hearing import FirstChannel, SharedFront, upper
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.spans import Spans
from jepakit.targets import instance_norm
from jepakit.types import Size


@methods.register(
    "wavjepa-nat",
    family="jepa",
    paper="WavJEPA-Nat 2025, arXiv 2509.23238",
    augmentation="none",
    training={"weight_decay": (0.04, 0.04), "betas": (0.9, 0.98), "clip": 5.0},
    space={"recipe.hidden": (0.4, 0.8, "linear")},
)
def natural(
    modality: Modality,
    size: Size,
    *,
    clean: bool = True,
    first: bool = False,
    layers: int | None = None,
    groups: int = 4,
    target: float = 0.25,
    hidden: float = 0.65,
    length: int | None = None,
    ema: tuple[float, float] = (0.999, 0.99999),
) -> MaskedJEPA:
    """clean: the teacher hears the source alone where the data set has it; first: both hear the first channel only; all
    else as in ``wavjepa``."""
    backbone = vit(modality, size)
    if first:
        backbone.tokenizer = FirstChannel(backbone.tokenizer)
    hears = "clean" if clean else None
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Spans(modality.grid, groups=groups, target=target, hidden=hidden, length=length),
        target=SharedFront(
            backbone, momentum(*ema, size.steps), norm=instance_norm, layers=upper(size, layers), hears=hears
        ),
        distance=F.mse_loss,
    )
