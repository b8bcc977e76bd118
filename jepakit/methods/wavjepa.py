"""WavJEPA (2025): predict an average of an EMA teacher's upper layers at spans of a waveform, from what longer spans
leave over.

Source: arXiv 2509.23238 and its released code (github labhamlet/wavjepa).
Kept: teacher on the full input; target = mean of its upper layers (8 of 12), each instance-normed over time without
affine, no final norm; the front end is the student's own, the teacher follows the transformer only; time-inverse masks,
four groups each predicted in a pass of its own; mean squared error; EMA .999 → .99999; betas (.9, .98), weight decay .04,
clipping at 5.
Differs: hidden tokens are dropped, not masked in attention, so sets have fixed sizes (spans.Spans) and the last legal
start of a span is drawn; pre-norm encoder and the board's tokenizer (modalities/audio/frontend.py); the loss is averaged
over groups of equal size; the momentum rises over the whole run (paper: 100k of 375k updates); in short runs the EMA
start is lowered (schedules.momentum); probed on the teacher (paper: the student).
Not verified: AudioSet, HEAR.
Published: HEAR, frozen: ESC-50 86.5 ± 3.3, Speech Commands 5h 90.0, NSynth 5h 34.4, CREMA-D 71.0, FSD50K 54.4.
Tests: test_spans.py, test_methods_audio.py, test_contracts.py.
"""

from torch.nn import functional as F

from jepakit.hearing import SharedFront, upper
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.spans import Spans
from jepakit.targets import instance_norm
from jepakit.types import Size


@methods.register(
    "wavjepa",
    family="jepa",
    paper="WavJEPA 2025, arXiv 2509.23238",
    augmentation="none",
    training={"weight_decay": (0.04, 0.04), "betas": (0.9, 0.98), "clip": 5.0},
    space={"recipe.hidden": (0.4, 0.8, "linear")},
)
def wavjepa(
    modality: Modality,
    size: Size,
    *,
    layers: int | None = None,
    groups: int = 4,
    target: float = 0.25,
    hidden: float = 0.65,
    length: int | None = None,
    ema: tuple[float, float] = (0.999, 0.99999),
) -> MaskedJEPA:
    """layers: how many of the teacher's last layers are averaged (two thirds by default); groups: of targets; target,
    hidden: shares of the sequence that the spans of a group, and those that the context avoids, add up to; length: of a
    span in tokens; ema: momentum range."""
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=Spans(modality.grid, groups=groups, target=target, hidden=hidden, length=length),
        target=SharedFront(backbone, momentum(*ema, size.steps), norm=instance_norm, layers=upper(size, layers)),
        distance=F.mse_loss,
    )
