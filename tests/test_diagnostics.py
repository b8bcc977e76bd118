"""Diagnostics: closed-form values, planted collapses that must be flagged, healthy features that must not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from waves import Waves

from benchmark import diagnostics
from benchmark.diagnostics import Look, Looker, geometry, spectrum, tokens
from benchmark.diagnostics.measures import NAMES
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.types import UsageError


def measure(z: np.ndarray, **more: object) -> dict[str, float | None]:
    return diagnostics.measure(Look(z, **more))


def verdict(z: np.ndarray) -> str | None:
    return diagnostics.verdict(Look(z))


def test_isotropic_features_use_every_dimension():
    d = 7
    z = np.concatenate([np.eye(d), -np.eye(d)]).astype(np.float32)
    found = measure(z)
    assert found["rankme"] == pytest.approx(d)
    assert found["rankme_norm"] == pytest.approx(1)
    assert found["std_min"] == pytest.approx(np.sqrt(2 / (2 * d)))
    # Among the other 2d − 1 samples one is opposite, all others are orthogonal.
    assert found["mean_cosine"] == pytest.approx(-1 / (2 * d - 1))


def test_rank_one_and_constant_features():
    z = np.outer(np.linspace(-1, 1, 50), np.arange(1, 9)) + 3
    assert measure(z)["rankme"] == pytest.approx(1)
    flat = measure(np.full((50, 8), 2.5))
    assert (flat["rankme"], flat["std_mean"]) == (0, 0)
    assert flat["mean_cosine"] == pytest.approx(1)


def test_rankme_of_two_known_singular_values():
    # Singular values 3 : 1, so p = ¾, ¼ and rankme = exp(−¾ ln ¾ − ¼ ln ¼).
    z = np.array([[3, 0], [-3, 0], [0, 1], [0, -1]]) / np.sqrt(2)
    assert measure(z)["rankme"] == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_rankme_does_not_see_an_offset_but_cosine_does():
    z = np.random.default_rng(0).normal(size=(400, 16))
    assert measure(z + 100)["rankme"] == pytest.approx(measure(z)["rankme"])
    assert measure(z + 100)["mean_cosine"] > 0.999
    assert abs(measure(z)["mean_cosine"]) < 0.01


def planted(kind: str, rng: np.random.Generator) -> np.ndarray:
    n, d = 500, 64
    if kind == "constant":
        return np.tile(rng.normal(size=d), (n, 1))
    if kind == "zero":
        return np.zeros((n, d))
    if kind == "position only":  # the same for every sample up to float32 rounding of another batch
        return np.tile(rng.normal(size=d), (n, 1)) * (1 + 1e-6 * rng.normal(size=(n, d)))
    rank = int(kind[-1])
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + 1e-3 * rng.normal(size=(n, d)) + 2


@pytest.mark.parametrize("kind", ["constant", "zero", "position only", "rank 1", "rank 2"])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_planted_collapses_are_flagged_at_every_scale(kind: str, scale: float):
    z = (planted(kind, np.random.default_rng(0)) * scale).astype(np.float32)
    assert verdict(z) is not None


def healthy(kind: str, rng: np.random.Generator) -> np.ndarray:
    z = rng.normal(size=(300, 48))
    if kind == "power law":
        return z * np.arange(1, 49) ** -1.0 @ np.linalg.qr(rng.normal(size=(48, 48)))[0]
    if kind == "large offset":
        return z + 30 * rng.normal(size=48)
    if kind == "mixed scales":  # hand-made features in different units, one constant
        return np.concatenate([z * 10.0 ** rng.uniform(-3, 3, 48), np.full((300, 1), 360.0)], 1)
    if kind == "sparse":
        return np.maximum(z - 1.5, 0)
    if kind == "few samples":
        return z[:6]
    if kind == "two dimensions":
        return z[:, :2]
    return z


@pytest.mark.parametrize(
    "kind", ["normal", "power law", "large offset", "mixed scales", "sparse", "few samples", "two dimensions"]
)
@pytest.mark.parametrize("seed", range(5))
def test_healthy_features_are_never_flagged(kind: str, seed: int):
    assert verdict(healthy(kind, np.random.default_rng(seed)).astype(np.float32)) is None


def test_bad_input():
    z = np.random.default_rng(0).normal(size=(10, 4))
    z[3, 2] = np.nan
    assert verdict(z) == "features are not finite"
    with pytest.raises(ValueError, match="not finite"):
        measure(z)
    with pytest.raises(ValueError, match="n ≥ 2"):
        measure(z[:1])


# Variances 9 : 1 along two axes; what each number is then follows by hand.
CROSS = np.array([[3, 0], [-3, 0], [0, 1], [0, -1]]) + np.array([7.0, -5.0])


def test_ranks_of_two_known_variances() -> None:
    found = measure(CROSS)
    assert found["participation"] == pytest.approx(100 / 82)  # (9 + 1)² / (81 + 1)
    assert found["nesum"] == pytest.approx(10 / 9)
    assert found["participation_norm"] == pytest.approx(50 / 82)
    assert found["nesum_norm"] == pytest.approx(5 / 9)
    # std √(18/4) and √(2/4); root mean squares with the offset √(49 + 4.5) and √(25 + .5).
    assert found["std_min"] == pytest.approx(np.sqrt(0.5))
    assert found["std_mean"] == pytest.approx((np.sqrt(4.5) + np.sqrt(0.5)) / 2)
    assert found["std_min_norm"] == pytest.approx(np.sqrt(0.5 / 25.5))
    assert found["std_mean_norm"] == pytest.approx((np.sqrt(0.5 / 25.5) + np.sqrt(4.5 / 53.5)) / 2)
    assert found["alpha_req"] is None and found["lda_rank"] is None and found["position_share"] is None


def test_uniformity_and_cosine_of_a_cross() -> None:
    # On the sphere: two pairs of opposites (distance² 4), four of orthogonals (distance² 2).
    wanted = np.log((2 * np.exp(-8) + 4 * np.exp(-4)) / 6)
    found = measure(CROSS)
    assert found["uniformity"] == pytest.approx(wanted) and found["uniformity_norm"] == pytest.approx(wanted)
    assert found["mean_cosine_norm"] == pytest.approx(-1 / 3)  # opposites −1, the rest 0


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_alpha_req_of_an_exact_power_law(alpha: float) -> None:
    hadamard = np.ones((1, 1))
    while len(hadamard) < 64:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    columns = hadamard[:, 1:]  # orthogonal, mean 0
    z = columns * np.arange(1, 64) ** (-alpha / 2)
    found = measure(z)
    assert found["alpha_req"] == pytest.approx(alpha)
    assert found["alpha_req_r2"] == pytest.approx(1)
    assert found["alpha_req_norm"] == pytest.approx(0, abs=1e-9)  # standardised, all eigenvalues are 1
    assert measure(z[:, :20])["alpha_req"] is None  # ranks 5 … 5 make no line
    assert measure(columns[:, :4] @ np.ones((4, 40)))["alpha_req"] is None  # empty ranks


@pytest.mark.parametrize(
    ("column", "golden"), [([0.0, 0.0], 0.402048), ([-1, 1], 0.205659 / 2), ([-1, 0, 1], 0.0329465 / 3)]
)
def test_sigreg_per_row(column: list[float], golden: float) -> None:
    """Golden values of the statistic along one axis (17 knots on [0, 3]); in one dimension every direction is ±1."""
    assert geometry.sigreg(np.array(column)[:, None]) == pytest.approx(golden, rel=2e-5)


def test_sigreg_of_features_does_not_see_offset_and_its_norm_not_scale() -> None:
    z = np.array([[-5.0], [5.0]]) + 70
    assert measure(z)["sigreg_norm"] == pytest.approx(0.205659 / 2, rel=2e-5)
    assert measure(np.array([[69.0], [71.0]]))["sigreg"] == pytest.approx(0.205659 / 2, rel=2e-5)


def views_around(means: np.ndarray, spread: tuple[float, float]) -> np.ndarray:
    """Four views of each sample, ± along both axes."""
    offsets = np.array([[spread[0], 0], [-spread[0], 0], [0, spread[1]], [0, -spread[1]]])
    return means[:, None] + offsets


def test_lda_rank_of_known_covariances() -> None:
    # Equal spread of views: the variances of the means, 9 : 1, decide: p = .9, .1.
    rank, _ = spectrum.lda_rank(views_around(CROSS, (0.5, 0.5)))
    assert rank == pytest.approx(np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1)))
    # Views spread 3 : 1 like the means: both directions tell samples apart equally well (the ridge is 1e-4 of the mean).
    rank, ratio = spectrum.lda_rank(views_around(CROSS, (0.3, 0.1)))
    assert rank == pytest.approx(2, abs=1e-3)
    # S_b = diag(18, 2)/3, S_w = 4 · diag(2 · .09, 2 · .01)/12: the ratio is 100 in each direction.
    assert ratio == pytest.approx(100, rel=1e-3)
    for scale in (1e-3, 1e3):
        assert spectrum.lda_rank(scale * views_around(CROSS, (0.3, 0.1)) + 5)[0] == pytest.approx(rank)
    # Views that never differ leave the spectrum of the means; samples that never differ leave nothing.
    assert spectrum.lda_rank(views_around(CROSS, (0, 0)))[0] == pytest.approx(
        np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))
    )
    assert spectrum.lda_rank(views_around(np.ones((6, 2)), (1, 1)))[0] == 0


def test_dealt_views_have_no_class() -> None:
    rng = np.random.default_rng(0)
    means = rng.normal(size=(100, 3))
    views = means[:, None] + 0.01 * rng.normal(size=(100, 4, 3))
    dealt = spectrum.permuted(views)
    for j in range(4):
        assert {tuple(row) for row in dealt[:, j]} == {tuple(row) for row in views[:, j]}
    assert not (dealt[:, 1:] == views[:, 1:]).all(-1).any()
    assert spectrum.lda_rank(views)[1] > 1_000 > 1 > spectrum.lda_rank(dealt)[1]
    found = measure(means, views=views, positives="views")
    assert found["lda_rank_norm"] == pytest.approx(found["lda_rank"] / 3)
    assert found["lda_rank_null"] == pytest.approx(spectrum.lda_rank(dealt)[0])


def test_alignment_is_of_views_only() -> None:
    # Means 0; first views at 0° and 180°, second ones at 90° and 270°: every pair is orthogonal, distance² 2.
    views = np.array([[[2.0, 0], [0, 1]], [[-2.0, 0], [0, -1]]])
    found = measure(CROSS, views=views + 3, positives="views")
    assert found["alignment"] == pytest.approx(2) and found["alignment_norm"] == pytest.approx(2)
    assert measure(CROSS, views=np.repeat(views[:, :1], 2, 1), positives="views")["alignment"] == pytest.approx(0)
    halves = measure(CROSS, views=views, positives="halves")
    assert halves["alignment"] is None and halves["lda_rank"] is not None


def test_position_share_by_hand() -> None:
    # Places at ±2 and content ±1: variance 4 + 1, of which position explains 4.
    x = np.array([[3.0], [1], [-1], [-3]]) + 100
    place = np.array([0, 0, 1, 1])
    assert tokens.position_share(x, place) == pytest.approx(0.8)
    # A second dimension, ten times as large, all content: (4 + 0) / (5 + 100) as it is, half of .8 after standardising.
    both = np.concatenate([x, np.array([[10.0], [-10], [10], [-10]])], 1)
    found = measure(CROSS, tokens=both, place=place)
    assert found["position_share"] == pytest.approx(4 / 105)
    assert found["position_share_norm"] == pytest.approx(0.4)
    assert tokens.position_share(x, np.zeros(4, int)) is None  # one place
    assert tokens.position_share(x, np.arange(4)) is None  # no place twice
    assert tokens.position_share(np.ones((4, 2)), place) is None  # no variance


class Mute(Waves):
    def views(self, batch):  # type: ignore[no-untyped-def]
        raise UsageError("no views")


@pytest.mark.parametrize(("modality", "positives"), [(Waves(), "views"), (Mute(), "halves")])
def test_a_look_is_the_same_twice_and_leaves_everything_as_it_was(modality: Modality, positives: str) -> None:
    encoder = Backbone(modality.tokenizer(16), 16, 1, 2).train()
    val = modality.data("val")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    looker = Looker(modality, val, "cpu", viewed=20)
    one, two = looker(encoder), Looker(modality, val, "cpu", viewed=20)(encoder)
    assert torch.equal(before, torch.get_rng_state()) and encoder.training
    assert one.positives == positives and one.views is not None and one.views.shape == (16, 4, 16)
    assert one.tokens is not None and one.tokens.shape == (64 * 40, 16)
    assert one.place is not None and (one.place.reshape(64, 40) == np.arange(40)).all()
    for name in ("pooled", "tokens", "place", "views"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    with torch.inference_mode():
        whole = encoder.eval().tokens(val.batch(torch.arange(64))).x
    np.testing.assert_allclose(one.tokens, whole.reshape(-1, 16).numpy(), atol=1e-5)
    found = diagnostics.measure(one)
    assert set(NAMES) <= set(found) and (found["alignment"] is None) == (positives == "halves")
