"""S-JEPA (Guetschel et al. 2024): predict the latent features of the channels around a centre from the channels elsewhere.

Source: arXiv 2403.11772 and its released code (in braindecode).
Kept: tokens of one channel and stretch of time, masks that hide a block of neighbouring channels at all times, L1 on an EMA
teacher's output.
Differs: house encoder and predictor on linear patches instead of a convolutional local encoder and post-norm layers; the
block is given as a share of the montage's extent; one centre per batch, so that all samples hide equally many channels; in
short runs the EMA start is lowered (schedules.momentum).
Not verified: the distance, the momentum and the block's size, for which the paper found no influence; the published numbers.
Published: OpenBMI, seven test subjects: ERP 97 %, SSVEP 94 % (Riemannian 89.4), motor imagery 65 % (Riemannian 84.7).
Tests: test_spheres.py, test_contracts.py, test_methods.py.
"""

from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.schedules import momentum
from jepakit.spheres import ChannelBlocks, channel_places, distances, spatial
from jepakit.targets import EMA
from jepakit.types import Size


@methods.register(
    "sjepa",
    family="jepa",
    paper="Guetschel et al. 2024, arXiv 2403.11772",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.block": (0.3, 0.9, "linear")},
)
def sjepa(
    modality: Modality,
    size: Size,
    *,
    block: float = 0.6,
    least: int = 1,
    ema: tuple[float, float] = (0.996, 1.0),
) -> MaskedJEPA:
    """block: diameter of the hidden block as a share of the largest distance between two channels; least: channels that
    stay visible; ema: momentum start and end."""
    modality = spatial(modality)
    backbone = vit(modality, size)
    place = channel_places(modality, backbone)
    radius = 0.5 * block * float(distances(place).max())
    return MaskedJEPA(
        backbone=backbone,
        predictor=narrow(size),
        masker=ChannelBlocks(modality.grid, place, radius=radius, least=least),
        target=EMA(backbone, momentum(*ema, size.steps)),
        distance=F.l1_loss,
    )
