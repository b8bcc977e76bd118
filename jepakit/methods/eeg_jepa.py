"""EEG-JEPA (masking study 2026): predict the latent features of spheres on the head for a while, by cross-attention alone.

Source: arXiv 2609.33487 and its released code (github PierreGtch/eeg-fm-masking).
Kept: tokens of one channel and stretch of time with the electrode's coordinates as position, spherical space-time masks of
9 cm and two tokens that hide .55 with the paper's number of draws, encoder on the visible tokens only, cross-attention
predictor, MSE on the teacher's output without normalisation, EMA .999 → 1, gradient clipped at 3.
Differs: house encoder (GELU, LayerNorm and one register instead of GEGLU and RMSNorm), whose final norm the target passes;
patches do not overlap; context and queries are brought to fixed lengths at random; on tokens without an electrode's place
the radius is in steps of the grid; in short runs the EMA start is lowered (schedules.momentum).
Not verified: the published numbers, which need the paper's corpus.
Published: OpenEEGBench ridge probe, five seeds, 12.7 M parameters: arithmetic .737 ± .013 (MAE .716, REVE-69M .740), TUAB
.805 ± .001 (MAE .808), PhysioNet motor imagery .533 (MAE .568), mean of eleven classification sets .616 (MAE .6135).
Tests: test_spheres.py, test_contracts.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.crossing import CrossPredictor
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.spheres import Spheres, spatial
from jepakit.targets import EMA
from jepakit.types import Size


@methods.register(
    "eeg-jepa",
    family="jepa",
    paper="EEG masking study 2026, arXiv 2609.33487",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999), "clip": 3.0},
    space={"recipe.ratio": (0.4, 0.8, "linear")},
)
def spheres(
    modality: Modality,
    size: Size,
    *,
    ratio: float = 0.55,
    radius: float = 9.0,
    length: int = 2,
    ema: tuple[float, float] = (0.999, 1.0),
) -> MaskedJEPA:
    """ratio: hidden share; radius, length: of a block in the unit of places and in tokens; ema: momentum start and end."""
    modality = spatial(modality)
    backbone = vit(modality, size)
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size, kind=CrossPredictor),
        masker=Spheres(modality.grid, ratio=ratio, radius=radius, length=length),
        target=EMA(backbone, momentum(*ema, size.steps)),
        distance=F.mse_loss,
    )
