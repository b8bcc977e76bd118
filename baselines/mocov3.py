"""MoCo v3 (Chen, Xie & He 2021): contrast a prediction with an EMA teacher's keys of the same batch.

Source: arXiv 2104.02057.
Kept: 2τ·cross-entropy summed over both directions, τ .2, projector of three layers and predictor of two, both with a
batch-normalised output without scale, momentum .99 → 1 on a cosine, in-batch negatives of the joint batch.
Differs: house encoder, patch embedding trained (frozen in the paper for long ViT runs); the teacher moves after the
step, which is the paper's move before the keys one step earlier in the schedule; momentum starts lower in runs under
1,000 steps; hidden width 4·dim; views come from the modality.
Published: ImageNet-1k linear ViT-S 73.2, ViT-B 76.7 [unverified]; CIFAR-10 ResNet-18,
1,000 epochs, online linear 93.10 (solo-learn).
Tests: test_pairwise.py, test_siamese.py, test_methods.py.
"""

from functools import partial

from jepakit.modality import Modality
from jepakit.pairwise import key_contrast
from jepakit.recipe import embedder
from jepakit.registry import methods
from jepakit.schedules import cosine, momentum
from jepakit.siamese import Taught, standardised
from jepakit.types import Size


@methods.register(
    "mocov3",
    family="contrastive",
    paper="Chen, Xie & He 2021, arXiv 2104.02057",
    augmentation="modality-specific",
    training={"weight_decay": (0.1, 0.1), "betas": (0.9, 0.999)},
    space={"recipe.temperature": (0.05, 0.8, "log")},
)
def mocov3(
    modality: Modality,
    size: Size,
    *,
    temperature: float = 0.2,
    ema: tuple[float, float] = (0.99, 1.0),
    out: int = 64,
    backbone: str = "vit",
) -> Taught:
    """temperature: of the softmax; ema: momentum range; out: projector output width;
    backbone: the house vit or one of timm."""
    encoder = embedder(modality, size, backbone)
    hidden = 4 * encoder.dim
    return Taught(
        modality,
        encoder,
        standardised(encoder.dim, hidden, hidden, out),
        standardised(out, hidden, out),
        partial(key_contrast, temperature=temperature),
        momentum(*ema, size.steps, shape=cosine),
    )
