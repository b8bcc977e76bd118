"""LeJEPA and VISReg: which views count where, other codebases' weights, numpy oracles, collapse, and timm's backbones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from tiles import Tiles
from torch import Tensor, nn
from waves import Waves

from jepakit.backbones import Timm
from jepakit.losses import SIGReg, distance_to_centre, full_rule
from jepakit.methods.lejepa import LeJEPA
from jepakit.methods.visreg import VISReg
from jepakit.modality import Modality
from jepakit.pretrain import Training, build, fit
from jepakit.types import Batch, Size, UsageError

SIZE = Size(32, 2, 2, 16, 2, 2, steps=50)


def made(name: str, modality: Modality | None = None, **settings: object) -> LeJEPA:
    objective = build(name, modality or Tiles(), SIZE, 0, settings).train()
    assert isinstance(objective, LeJEPA)
    return objective


def some(rows: int = 8) -> Batch:
    return Tiles().data("train").batch(torch.arange(rows))


def projections(objective: LeJEPA, batch: Batch) -> tuple[Tensor, dict[str, float], float]:
    """What the projector returned in one step, the parts and the total."""
    kept: list[Tensor] = []
    handle = objective.projector.register_forward_hook(lambda module, given, out: kept.append(out.detach()))
    losses = objective(batch, 0.0)
    handle.remove()
    assert len(kept) == 1
    return kept[0], {k: float(v) for k, v in losses.parts.items()}, float(losses.total.detach())


def epps_pulley(y: np.ndarray, limit: float, knots: int) -> float:
    """The statistic of one column without its factor N, by complex numbers and numpy's trapezoid on [−limit, limit]."""
    t = np.linspace(-limit, limit, knots)
    gap = np.abs(np.exp(1j * np.outer(t, y)).mean(1) - np.exp(-(t**2) / 2)) ** 2
    return float(np.trapezoid(gap * np.exp(-(t**2) / 2), t))


@pytest.mark.parametrize("name", ["lejepa", "visreg"])
def test_every_view_is_in_both_sums_and_only_global_views_make_the_centre(name: str) -> None:
    objective = made(name, views=2, local=3, weight=0.3)
    z, parts, total = projections(objective, some())
    assert z.shape == (5 * 8, 64)
    views = z.reshape(5, 8, 64).numpy().astype(np.float64)
    centre = views[:2].mean(0)
    assert parts["invariance"] == pytest.approx(((views - centre) ** 2).mean(), rel=1e-4)
    objective.regulariser.calls = 0  # the same directions again, for each view by itself
    alone = []
    for view in z.reshape(5, 8, 64):
        objective.regulariser.calls = 0
        alone.append(float(objective.regulariser(view)))
    (regulariser,) = set(parts) - {"invariance"}
    assert regulariser == {"lejepa": "sigreg", "visreg": "visreg"}[name]
    assert parts[regulariser] == pytest.approx(np.mean(alone), rel=1e-5)
    assert total == pytest.approx(0.7 * parts["invariance"] + 0.3 * parts[regulariser], rel=1e-5)


@pytest.mark.parametrize("name", ["lejepa", "visreg"])
def test_small_crops_are_seen_at_their_own_size_and_gradient_flows_through_all(name: str) -> None:
    shapes: list[tuple[int, ...]] = []

    class Watched(Tiles):
        def local_views(self, batch: Batch) -> Batch:
            crop = super().local_views(batch)
            crop.x.requires_grad_()
            shapes.append(tuple(crop.x.shape))
            crops.append(crop.x)
            return crop

    crops: list[Tensor] = []
    made(name, Watched(), local=2)(some(), 0.0).total.backward()
    assert shapes == [(8, 3, 8, 8)] * 2
    assert all(crop.grad is not None and crop.grad.any() for crop in crops)
    with pytest.raises(UsageError, match=r"recipe\.local=0"):
        made(name, Waves(), local=1)(Waves().data("train").batch(torch.arange(4)), 0.0)


@pytest.mark.parametrize("name", ["lejepa", "visreg"])
def test_impossible_weights_and_counts_are_refused(name: str) -> None:
    for weight in (-0.1, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            made(name, weight=weight)
    for counts in ({"views": 1}, {"views": 0, "local": 4}, {"views": 2, "local": -1}):
        with pytest.raises(UsageError, match="centre"):
            made(name, **counts)
    made(name, views=1, local=1)


def test_rule_chooses_the_quadrature() -> None:
    for rule, limits in (("half", (0.0, 3.0)), ("full", (-5.0, 5.0))):
        sigreg = made("lejepa", rule=rule).regulariser
        assert isinstance(sigreg, SIGReg)
        assert (float(sigreg.nodes[0]), float(sigreg.nodes[-1]), len(sigreg.nodes)) == (*limits, 17)


def test_eb_jepas_weight_is_four_lambda_n_over_one_minus_lambda() -> None:
    """Its BCS loss, written out in numpy: mean squared pair distance + w·½(T₁ + T₂), T without the factor N."""
    n, lam = 64, 0.0192
    z = torch.randn(2, n, 8, generator=torch.Generator().manual_seed(0))
    sigreg = SIGReg(6, full_rule(3.0, 10))
    directions = sigreg.directions(8, z.device).numpy()
    ours = (1 - lam) * float(distance_to_centre(z)) + lam * float(sigreg(z))
    weight = 4 * lam * n / (1 - lam)
    a, b = z.numpy().astype(np.float64)
    t = np.mean([[epps_pulley(view @ column, 3, 10) for column in directions.T] for view in (a, b)])
    theirs = np.mean((a - b) ** 2) + weight * t
    assert 4 / (1 - lam) * ours == pytest.approx(theirs, rel=1e-4)
    assert pytest.approx(10, rel=0.01) == 4 * 0.0097 * 256 / (1 - 0.0097)  # their published weight at batch 256


def test_stable_pretrainings_lambda_counts_the_views() -> None:
    """All V·N rows in one statistic, no (1 − λ): equal where views agree and λ'/(1 − λ') = V·λ."""
    views, lam = 8, 0.02
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(0)).expand(views, 32, 8)
    ours = views * lam / (1 + views * lam)
    assert ours == pytest.approx(0.138, abs=5e-4)
    flat, each = float(SIGReg(16)(z.reshape(-1, 8))), float(SIGReg(16)(z))
    assert flat == pytest.approx(views * each, rel=1e-4)
    assert lam * flat == pytest.approx(ours / (1 - ours) * each, rel=1e-4)


@pytest.mark.parametrize("n", [2, 5, 64])
def test_visreg_against_numpy(n: int) -> None:
    rng = np.random.default_rng(n)
    y = rng.normal(0.5, 2.0, (n, 3))
    wanted = []
    for column in y.T:
        std = math.sqrt(column.var() + 1e-4)
        quantiles = norm.ppf((np.arange(1, n + 1) - 0.5) / n)
        shape = np.mean((np.sort((column - column.mean()) / std) - quantiles) ** 2)
        wanted.append(column.mean() ** 2 + (std - 1) ** 2 + shape)
    found = VISReg(3).statistic(torch.from_numpy(y).float())
    torch.testing.assert_close(found, torch.tensor(wanted).float(), rtol=1e-4, atol=1e-5)


def test_visreg_by_hand() -> None:
    """[−1, 1]: mean 0, std 1, quantiles ∓.67449: (1 − .67449)² = .10596. Three times 2: 4 + (0.01 − 1)² + mean q²."""
    assert float(VISReg(1).statistic(torch.tensor([[1.0], [-1.0]]))[0]) == pytest.approx(0.10596, abs=1e-4)
    quantile = 0.967422  # of 5/6
    collapsed = float(VISReg(1).statistic(torch.full((3, 1), 2.0))[0])
    assert collapsed == pytest.approx(4 + 0.9801 + 2 / 3 * quantile**2, abs=1e-5)


def test_visregs_gradient_survives_near_collapse_and_sigregs_does_not() -> None:
    x = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))

    def pull(regulariser: nn.Module, scale: float) -> float:
        z = (scale * x).requires_grad_()
        regulariser(z).backward()
        assert z.grad is not None
        return float(z.grad.norm())

    assert pull(VISReg(64), 1e-2) > 0.5 * pull(VISReg(64), 1e-1)
    assert pull(SIGReg(64), 1e-2) < 0.2 * pull(SIGReg(64), 1e-1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "weight", "low", "high"), [
    ("lejepa", 0.0, 0.0, 0.3), ("lejepa", 0.05, 0.7, 1.3), ("visreg", 0.2, 0.7, 1.3),
])  # fmt: skip
def test_without_the_regulariser_projections_collapse_and_with_it_they_have_unit_scale(
    name: str, weight: float, low: float, high: float
) -> None:
    objective = made(name, weight=weight, out=16, slices=64)
    fit(objective, Tiles(), Training(steps=80, batch_size=64, lr=1e-2), seed=0, device="cpu")
    batch = Tiles().data("train").batch(torch.arange(128))
    with torch.no_grad():
        spread = objective.projector(objective.backbone.embed(batch)).std(0).mean()
    assert low <= float(spread) <= high


class Large(Tiles):
    """Tiles of 96 pixels a side, small crops of 48."""

    def crop(self, batch: Batch) -> Batch:
        return batch.with_x(nn.functional.interpolate(batch.x, scale_factor=6.0))

    def views(self, batch: Batch) -> Batch:
        return self.crop(super().views(batch))

    def local_views(self, batch: Batch) -> Batch:
        return self.crop(super().local_views(batch))


@pytest.mark.parametrize("name", ["lejepa", "visreg"])
@pytest.mark.parametrize("backbone", ["resnet18", "convnext_atto"])
def test_convolutional_backbones_train_with_small_crops(name: str, backbone: str) -> None:
    modality = Tiles() if backbone == "resnet18" else Large()
    objective = made(name, modality, local=1, backbone=backbone)
    encoder = objective.encoder()
    assert isinstance(encoder, Timm) and objective.backbone is encoder
    losses = objective(some(4), 0.0)
    losses.total.backward()
    assert torch.isfinite(losses.total)
    assert all(p.grad is not None for p in objective.parameters())
    encoder.eval()
    batch = modality.crop(some(4))
    tokens = encoder.tokens(batch)
    torch.testing.assert_close(encoder.embed(batch), tokens.x.mean(1))
    assert tokens.x.shape[2] == encoder.dim == {"resnet18": 512, "convnext_atto": 320}[backbone]


def test_resnet_has_the_small_image_stem_and_tells_where_its_tokens_lie() -> None:
    encoder = made("lejepa", backbone="resnet18").encoder().eval()
    assert isinstance(encoder, Timm)
    stem = encoder.model.conv1
    assert isinstance(stem, nn.Conv2d) and (stem.kernel_size, stem.stride, stem.padding) == ((3, 3), (1, 1), (1, 1))
    assert isinstance(encoder.model.maxpool, nn.Identity)
    tokens = encoder.tokens(some(2))  # 16 pixels → stride 8 → 2×2, spread over a grid of 8×8
    assert tokens.x.shape == (2, 4, 512)
    assert tokens.pos[0].tolist() == [[1.5, 1.5], [1.5, 5.5], [5.5, 1.5], [5.5, 5.5]]
    wide = made("lejepa", Large(), backbone="resnet18").encoder()
    assert isinstance(wide, Timm) and isinstance(wide.model.conv1, nn.Conv2d) and wide.model.conv1.stride == (2, 2)


def test_token_backbones_drop_their_prefix_and_take_one_size_only() -> None:
    objective = made("lejepa", backbone="vit_tiny_patch16_224", local=1)
    encoder = objective.encoder().eval()
    tokens = encoder.tokens(some(2))  # one patch of 16 pixels, without the class token
    assert tokens.x.shape == (2, 1, 192) and tokens.pos[0].tolist() == [[3.5, 3.5]]
    with pytest.raises(UsageError, match=r"recipe\.local=0"):
        objective(some(2), 0.0)


def test_channels_last_maps_are_read_in_order() -> None:
    encoder = made("lejepa", backbone="resnet18").encoder()

    class Map(nn.Module):
        num_features = 3
        output_fmt = "NHWC"

        def forward(self, x: Tensor) -> Tensor:
            return x.permute(0, 2, 3, 1)

    assert isinstance(encoder, Timm)
    last = Timm(Map(), (8, 8)).tokens(some(2))
    torch.testing.assert_close(last.x[:, 17], some(2).x[:, :, 1, 1])
    assert last.pos[0, 17].tolist() == [0.25, 0.25]


def test_wrong_backbones_are_refused_with_a_remedy() -> None:
    with pytest.raises(UsageError, match="did you mean 'resnet18'"):
        made("lejepa", backbone="resnet_18")
    with pytest.raises(UsageError, match="did you mean 'vit'"):
        made("lejepa", backbone="vitt")
    with pytest.raises(UsageError, match="resnet18") as caught:
        made("lejepa", backbone="qqqqqqqq")
    assert len(str(caught.value)) < 200
    wide = made(
        "lejepa", Large(), backbone="mobilenetv3_small_050"
    ).encoder()  # 288 channels, 1,024 before its classifier
    assert wide.embed(Large().crop(some(2))).shape == (2, wide.dim) == (2, 1024)
    with pytest.raises(UsageError, match="at least 32 pixels a side"):
        made("lejepa", backbone="convnext_atto")(some(2), 0.0)
    with pytest.raises(UsageError, match=r"toy/waves has shape \(160,\); use recipe\.backbone=vit"):
        made("visreg", Waves(), backbone="resnet18")
