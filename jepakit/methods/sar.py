"""SAR-JEPA (Li et al. 2024): predict multi-scale gradients by ratio of hidden tokens inside small windows; no teacher.

Source: the released code (github SAR-JEPA).
Kept: four random windows per sample, each a sequence of its own with 80 % of its tokens asked for; fixed targets: for
half-windows of 5, 9, 13 and 17 pixels the log ratios of the mean intensities above and below, left and right of a pixel
(mirrored border, + .01), their Euclidean norm, four maps per token; squared error on hidden tokens; weight decay .05.
Differs: hidden tokens are dropped before the encoder and asked for by the house predictor (release: mask tokens through the
encoder, relative positions, a decoder 8 × 512); windows are half of each axis (7 of 14) on any grid; half-windows that do
not fit a small input are left out; channels are averaged.
Not verified: whether the release normalises the targets further.
Published: few-shot accuracies on MSTAR, FUSAR-Ship and SAR-ACD after pre-training on radar images; none on photographs.
Tests: test_gradients.py, test_methods_b.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.gradients import RatioGradients
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.targets import Input
from jepakit.types import Size
from jepakit.windows import LocalWindows


@methods.register(
    "sar",
    family="jepa",
    paper="Li et al. 2024, SAR-JEPA (github SAR-JEPA)",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.hide": (0.5, 0.9, "linear")},
)
def sar(
    modality: Modality,
    size: Size,
    *,
    windows: tuple[int, ...] | None = None,
    crops: int = 4,
    side: int | None = None,
    hide: float = 0.8,
) -> MaskedJEPA:
    """windows: half-windows of the gradients in pixels; crops: windows of tokens per sample; side: their length in tokens;
    hide: the hidden share of each."""
    gradients = RatioGradients(modality, windows)
    return MaskedJEPA(
        backbone=vit(modality, size),
        predictor=narrow(size, out=gradients.width),
        masker=LocalWindows(modality.grid, count=crops, side=side, hide=hide),
        target=Input(gradients),
        distance=F.mse_loss,
    )
