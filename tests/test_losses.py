"""Loss formulas against closed forms and golden tables computed independently in numpy."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from jepakit.losses import (
    SIGReg,
    distance_to_centre,
    full_rule,
    half_rule,
    nt_xent,
    vicreg_covariance,
    vicreg_variance,
)

RULES = {"half": half_rule(), "full": full_rule()}


def one_slice(values: list[float], rule: str) -> float:
    return float(SIGReg(1, RULES[rule]).statistic(torch.tensor(values)[:, None].double().float())[0])


@pytest.mark.parametrize(
    ("values", "half", "full"),
    [
        ([0.0], 0.402048, 0.408921),
        ([0.5], 0.61674, 0.62370),
        ([1.0], 1.18601, 1.19305),
        ([2.0], 2.64285, 2.64973),
        ([5.0], 3.93996, 3.94100),
        ([-1.0, 1.0], 0.205659, 0.218714),
        ([-1.0, 0.0, 1.0], 0.0329465, 0.0350585),
    ],
)
def test_epps_pulley_golden_values(values: list[float], half: float, full: float) -> None:
    assert one_slice(values, "half") == pytest.approx(half, rel=2e-5)
    assert one_slice(values, "full") == pytest.approx(full, rel=2e-5)
    n = 7  # n equal copies: the statistic grows with the batch
    assert one_slice(values * n, "half") == pytest.approx(n * half, rel=2e-5)


def test_epps_pulley_against_fine_numerical_integration() -> None:
    y = torch.tensor([0.3, -1.2, 0.8, 2.0], dtype=torch.float64)
    t = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    phi = torch.exp(1j * t[:, None] * y).mean(1)
    gap = (phi - torch.exp(-t.square() / 2)).abs().square() * torch.exp(-t.square() / 2)
    exact = 4 * float(torch.trapezoid(gap, t))
    assert one_slice(y.tolist(), "full") == pytest.approx(exact, rel=0.02)


def test_sigreg_of_a_normal_batch_is_about_one_not_zero() -> None:
    torch.manual_seed(0)
    sigreg = SIGReg(256)
    values = [float(sigreg(torch.randn(1024, 64))) for _ in range(20)]
    assert sum(values) / 20 == pytest.approx(1.0525, abs=0.08)
    assert all(abs(v - 1.0525) < 0.35 for v in values)


def test_expectation_under_the_normal_law() -> None:
    """E|φ̂ − φ|² = (1 − φ²)/N, so E[T] is ∫(1 − e^(−t²)) e^(−t²/2) dt: √(2π)(1 − 1/√3) on the whole line, whatever N."""
    whole = math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3))
    assert whole == pytest.approx(1.05943, abs=1e-5)
    for (nodes, weights), wanted in (
        (half_rule(), 1.05246), (full_rule(), 1.05942), (full_rule(3.0, 10), 1.0503),  # the last: eb_jepa's BCS
    ):  # fmt: skip
        assert float((weights * (1 - torch.exp(-nodes.square()))).sum()) == pytest.approx(wanted, abs=2e-5)


def test_law_of_one_slice_under_the_normal_law() -> None:
    """sd about .95, 5–95 % range .14–2.9: a single slice says little, the mean over 256 a lot."""
    y = torch.randn(256, 4000, generator=torch.Generator().manual_seed(0))
    values = torch.cat([SIGReg(1).statistic(part) for part in y.split(500, dim=1)])
    assert float(values.mean()) == pytest.approx(1.0525, abs=0.06)
    assert float(values.std()) == pytest.approx(0.95, abs=0.07)
    low, high = values.quantile(torch.tensor([0.05, 0.95])).tolist()
    assert low == pytest.approx(0.14, abs=0.02) and high == pytest.approx(2.9, abs=0.25)


@pytest.mark.parametrize(
    ("draw", "half", "full"),
    [
        (lambda y: 0.5 * y, 0.15119, 0.15169),
        (lambda y: 2 * y, 0.23609, 0.24128),
        (lambda y: y + 1, 0.44434, 0.44434),
        (lambda y: math.sqrt(12) * (torch.special.ndtr(y) - 0.5), 0.01609, 0.01621),  # uniform of unit variance
        (lambda y: y.sign(), 0.10283, 0.10936),
        (lambda y: -y.sign() * (2 * torch.special.ndtr(-y.abs())).log() / math.sqrt(2), 0.01638, 0.01657),  # Laplace
    ],
)
def test_statistic_grows_with_the_batch_for_every_other_law(
    draw: Callable[[Tensor], Tensor], half: float, full: float
) -> None:
    """Value per sample of a batch that lies at the quantiles of the law."""
    n = 20_000
    y = draw(torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n))[:, None].float()
    assert float(SIGReg(1).statistic(y)[0]) / n == pytest.approx(half, rel=4e-3)
    assert float(SIGReg(1, full_rule()).statistic(y)[0]) / n == pytest.approx(full, rel=4e-3)


def test_spread_of_sigreg_over_draws_comes_from_the_sample_that_slices_share() -> None:
    torch.manual_seed(0)
    sigreg = SIGReg(256)
    values = torch.tensor([float(sigreg(torch.randn(256, 64))) for _ in range(60)])
    assert float(values.std()) == pytest.approx(0.09, abs=0.03)


def test_sigreg_directions_are_unit_fresh_and_continue_after_reload() -> None:
    sigreg = SIGReg(16)
    first = sigreg.directions(8, torch.device("cpu"))
    torch.testing.assert_close(first.norm(dim=0), torch.ones(16))
    z = torch.randn(32, 8)
    sigreg(z), sigreg(z)
    state = sigreg.state_dict()
    other = SIGReg(16)
    other.load_state_dict(state)
    assert float(other(z)) == float(sigreg(z))
    assert float(SIGReg(16)(z)) != float(sigreg(z))


def test_sigreg_gradient_vanishes_at_zero_and_not_elsewhere() -> None:
    z = torch.zeros(16, 4, requires_grad=True)
    SIGReg(8)(z).backward()
    assert z.grad is not None and not z.grad.any()
    z = torch.ones(16, 4, requires_grad=True)
    SIGReg(8)(z).backward()
    assert z.grad is not None and z.grad.abs().max() > 0
    torch.testing.assert_close(z.grad, z.grad[:1].expand_as(z))


def test_sigreg_ignores_autocast_and_row_order() -> None:
    z = torch.randn(64, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = float(SIGReg(8)(z))
    assert low == float(SIGReg(8)(z))
    assert float(SIGReg(8)(z.flip(0))) == pytest.approx(low, rel=1e-5)


def test_distance_to_centre_is_a_quarter_of_the_pair_distance() -> None:
    z = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 1.0]]])
    assert float(distance_to_centre(z)) == pytest.approx(0.25)
    assert float(F.mse_loss(z[0], z[1])) == pytest.approx(1.0)
    z = torch.randn(5, 7, 3)
    pairs = sum(float((z[a] - z[b]).square().mean()) for a in range(5) for b in range(5)) / (2 * 25)
    assert float(distance_to_centre(z)) == pytest.approx(pairs, rel=1e-5)


def test_centre_is_that_of_the_global_views_and_carries_gradient() -> None:
    """Views 0 and 2 are global, 10 is local: μ = 1, ((1−0)² + (1−2)² + (1−10)²)/3; the gradient runs through μ."""
    z = torch.tensor([0.0, 2.0, 10.0]).reshape(3, 1, 1).requires_grad_()
    loss = distance_to_centre(z, 2)
    assert float(loss.detach()) == pytest.approx(83 / 3)
    loss.backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad.flatten(), torch.tensor([-11 / 3, -7 / 3, 6.0]))


X = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 1.0], [-1.0, -2.0]])
Y = torch.tensor([[1.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, -1.0]])


def test_vicreg_terms_golden_values_in_three_conventions() -> None:
    invariance = float(F.mse_loss(X, Y))
    hinges, covariances = [float(vicreg_variance(z)) for z in (X, Y)], [float(vicreg_covariance(z)) for z in (X, Y)]
    assert invariance == 0.75
    assert hinges == pytest.approx([0.0, 0.0917211], abs=1e-6)
    assert covariances == pytest.approx([0.222222 / 2, 0.888889 / 2], abs=1e-6)
    both = torch.stack([X, Y])
    official = 25 * invariance + 25 * vicreg_variance(both) + 2 * vicreg_covariance(both)
    assert float(official) == pytest.approx(20.452069, abs=2e-5)
    solo_learn = 25 * invariance + 25 * 2 * vicreg_variance(both) + 2 * vicreg_covariance(both)
    assert float(solo_learn) == pytest.approx(21.598583, abs=2e-5)
    eb_jepa = invariance + 2 * vicreg_variance(both) + 2 * vicreg_covariance(both) / (2 - 1)
    assert float(eb_jepa) == pytest.approx(1.397277, abs=2e-5)


def test_vicreg_hinge_of_a_collapsed_batch_and_its_float32() -> None:
    same = torch.full((6, 5), 3.0)
    assert float(vicreg_variance(same)) == pytest.approx(0.99)
    assert float(vicreg_covariance(same)) == 0
    z = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = float(vicreg_covariance(z)), float(vicreg_variance(z))
    assert low == (float(vicreg_covariance(z)), float(vicreg_variance(z)))


def test_nt_xent_golden_values() -> None:
    eye = torch.eye(2)
    assert float(nt_xent(eye, eye, 0.5)) == pytest.approx(0.2395448, abs=1e-6)
    assert float(nt_xent(eye, eye, 0.2)) == pytest.approx(0.0133859, abs=1e-6)
    same = torch.ones(4, 3)
    assert float(nt_xent(same, same, 0.5)) == pytest.approx(math.log(7), abs=1e-6)


def test_smooth_l1_convention_is_torchs() -> None:
    e, zero = torch.tensor([0.5, -2.0, 0.0, 1.0]), torch.zeros(4)
    assert float(F.smooth_l1_loss(e, zero)) == pytest.approx(0.53125)
    assert float(F.smooth_l1_loss(e, zero, beta=2.0)) == pytest.approx(0.328125)
    assert float(F.l1_loss(e, zero)) == pytest.approx(0.875)
