"""Loss formulas against closed forms and golden tables computed independently in numpy."""

import math

import pytest
import torch
from torch.nn import functional as F

from jepakit.losses import SIGReg, distance_to_centre, full_rule, half_rule, nt_xent

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


@pytest.mark.parametrize(("scale", "shift", "slope"), [(0.5, 0, 0.15119), (2.0, 0, 0.23609), (1.0, 1, 0.44434)])
def test_sigreg_slopes_for_wrong_gaussians(scale: float, shift: float, slope: float) -> None:
    torch.manual_seed(0)
    y = torch.randn(40_000, 1) * scale + shift
    assert float(SIGReg(1).statistic(y)[0]) / 40_000 == pytest.approx(slope, rel=0.03)


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
