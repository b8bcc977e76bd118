"""SimSiam (Chen & He 2021): predict the other view's projection behind a stop-gradient; no negatives, no teacher.

Source: arXiv 2011.10566.
Kept: −½·(cos + cos), three-layer projector whose output is batch-normalised without scale, bottleneck predictor of a
quarter of the width, stop-gradient on the target.
Differs: house encoder and AdamW (SGD in the paper), predictor under the same learning-rate schedule; hidden width and
output 4·dim; views come from the modality.
Published: ImageNet-1k ResNet-50 linear 71.3 at 800 epochs [unverified]; CIFAR-10 ResNet-18,
1,000 epochs, online linear 90.51 (solo-learn).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

from jaxtyping import Float
from torch import Tensor

from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.pairwise import cosine_gap
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.siamese import Taught, standardised
from jepakit.types import Size


def half_cosine(predicted: Float[Tensor, "b k"], wanted: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """−½·cos, so that both directions together reach −1."""
    return cosine_gap(predicted, wanted) / 4 - 0.5


@methods.register(
    "simsiam",
    family="contrastive",
    paper="Chen & He 2021, arXiv 2011.10566",
    augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
)
def simsiam(modality: Modality, size: Size, *, stop_gradient: bool = True, backbone: str = "vit") -> Taught:
    """stop_gradient: False only to show the collapse that it prevents; backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    width = 4 * encoder.dim
    return Taught(
        modality,
        encoder,
        standardised(encoder.dim, width, width, width),
        Projector(width, encoder.dim, width),
        half_cosine,
        momentum=None,
        stop=stop_gradient,
    )
