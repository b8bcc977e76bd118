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

from torch import nn

from jepakit.methods.wavjepa import SharedFront, wavjepa
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.registry import methods
from jepakit.types import Batch, Size, Tokens


class FirstChannel(nn.Module):
    """A tokenizer that hears the first channel in all of them."""

    def __init__(self, tokenizer: nn.Module) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, batch: Batch) -> Tokens:
        tokens: Tokens = self.tokenizer(batch.with_x(batch.x[:, :1].expand_as(batch.x)))
        return tokens


@methods.register(
    "wavjepa-nat",
    family="jepa",
    paper="WavJEPA-Nat 2025, arXiv 2509.23238",
    augmentation="none",
    training={"weight_decay": (0.04, 0.04), "betas": (0.9, 0.98), "clip": 5.0},
    space={"recipe.hidden": (0.4, 0.8, "linear")},
)
def natural(
    modality: Modality, size: Size, *, clean: bool = True, first: bool = False, hidden: float = 0.65
) -> MaskedJEPA:
    """clean: the teacher hears the source alone where the data set has it; first: both hear the first channel only;
    hidden: as in ``wavjepa``."""
    objective = wavjepa(modality, size, hidden=hidden)
    target = objective.target
    assert isinstance(target, SharedFront)
    target.hears = "clean" if clean else None
    if first:
        for backbone in (objective.backbone, target.teacher):
            backbone.tokenizer = FirstChannel(backbone.tokenizer)
    return objective
