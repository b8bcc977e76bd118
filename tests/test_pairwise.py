"""Losses of two embedded views against values computed by hand and slow loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from jepakit.pairwise import (
    Centre,
    Whitening,
    barlow,
    columns,
    cosine_gap,
    distil,
    key_contrast,
    mixed_barlow,
    vicreg,
    whiten,
)

X = torch.tensor([[2.0, 0.0], [0.0, 1.0], [-1.0, 1.0], [-1.0, -2.0]])
Y = torch.tensor([[1.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, -1.0]])


def test_cosine_gap_of_equal_orthogonal_and_opposite_vectors() -> None:
    a = torch.tensor([[3.0, 0.0]])
    for b, wanted in (([1.0, 0.0], 0.0), ([0.0, 5.0], 2.0), ([-2.0, 0.0], 4.0)):
        assert float(cosine_gap(a, torch.tensor([b]))) == pytest.approx(wanted, abs=1e-6)


def test_moco_v3_golden_values_one_direction_and_sum() -> None:
    eye = torch.eye(2)
    one = float(key_contrast(eye, eye, 0.2))
    assert one == pytest.approx(0.00268614, abs=1e-8)
    assert one + float(key_contrast(eye, eye, 0.2)) == pytest.approx(0.00537228, abs=1e-8)


def test_barlow_golden_values() -> None:
    assert float(barlow(X, Y, 0.0051)) == pytest.approx(0.2169902, abs=2e-6)
    assert float(barlow(X, Y, 0.0)) == pytest.approx(0.2123153, abs=2e-6)
    assert float(barlow(X, Y, 1.0)) - float(barlow(X, Y, 0.0)) == pytest.approx(0.9166439, abs=2e-6)
    assert float(barlow(X, X, 0.0051)) == pytest.approx(2.8333e-4, rel=1e-3)
    assert float(barlow(X, X, 0.0)) == pytest.approx(0.0, abs=1e-8)


def test_barlow_ignores_scale_and_shift_of_a_dimension() -> None:
    assert float(barlow(7 * X + 3, Y, 0.0051)) == pytest.approx(float(barlow(X, Y, 0.0051)), abs=1e-4)


def test_vicreg_golden_values_of_the_released_convention() -> None:
    assert float(vicreg(X, Y, 25.0, 25.0, 1.0)) == pytest.approx(20.452069, abs=2e-5)
    assert float(vicreg(X, Y, 1.0, 0.0, 0.0)) == pytest.approx(0.75)
    # solo-learn weighs both hinges in full: twice ours.
    assert float(vicreg(X, Y, 25.0, 50.0, 1.0)) == pytest.approx(21.598583, abs=2e-5)
    # eb_jepa: weights 1, hinges in full, mean of squared off-diagonal entries: for a width of 2 the sum is over 2 pairs.
    assert float(vicreg(X, Y, 1.0, 2.0, 1.0)) == pytest.approx(1.397277, abs=2e-6)


def test_mixed_barlow_against_a_numpy_loop_and_its_zero() -> None:
    random = np.random.default_rng(0)
    a, b, m = (random.standard_normal((9, 3)) for _ in range(3))
    partner, share = random.permutation(9), 0.3

    def standard(z: np.ndarray) -> np.ndarray:
        return (z - z.mean(0)) / np.sqrt(z.var(0, ddof=1) + 1e-5)

    za, zb, zm = standard(a), standard(b), standard(m)
    wanted = 0.0
    for view in (za, zb):
        for i in range(3):
            for j in range(3):
                seen = sum(zm[n, i] * view[n, j] for n in range(9)) / 9
                ideal = sum((share * za[n, i] + (1 - share) * zb[partner[n], i]) * view[n, j] for n in range(9)) / 9
                wanted += (seen - ideal) ** 2
    tensors = [torch.from_numpy(z).float() for z in (m, a, b)]
    found = mixed_barlow(*tensors, torch.from_numpy(partner), share)
    assert float(found) == pytest.approx(wanted, rel=1e-4)
    # A mixture of two embeddings that are alike and standardised embeds as their mixture.
    z, same = columns(tensors[1], unbiased=True), torch.arange(9)
    assert float(mixed_barlow(z, z, z, same, 0.4)) == pytest.approx(0.0, abs=1e-6)


def test_dino_of_uniform_distributions_is_log_k_and_teacher_entropy_bounds_it() -> None:
    flat = torch.zeros(3, 256)
    assert float(distil(flat, flat, 0.1, 0.04)) == pytest.approx(5.5451774, abs=1e-5)
    teacher = torch.randn(5, 7)
    p = (teacher / 0.04).softmax(-1)
    entropy = float(-(p * p.clamp_min(1e-30).log()).sum(-1).mean())
    assert float(distil(teacher * 0.1 / 0.04, teacher, 0.1, 0.04)) == pytest.approx(entropy, abs=1e-5)
    assert float(distil(torch.randn(5, 7), teacher, 0.1, 0.04)) > entropy


def test_centre_is_a_running_mean_and_part_of_the_state() -> None:
    centre = Centre(2)
    rows = torch.tensor([[1.0, 4.0], [3.0, 0.0]])
    centre.observe(rows)
    centre.update()
    torch.testing.assert_close(centre.value, torch.tensor([0.2, 0.2]))
    centre.observe(rows[:1]), centre.observe(rows[1:])
    centre.update()
    torch.testing.assert_close(centre.value, torch.tensor([0.38, 0.38]))
    assert "value" in centre.state_dict()


def test_whitened_rows_have_identity_covariance() -> None:
    z = torch.randn(3, 40, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 2
    white = whiten(z)
    for group in white.numpy():
        np.testing.assert_allclose(np.cov(group, rowvar=False), np.eye(5), atol=1e-9)
        np.testing.assert_allclose(group.mean(0), 0, atol=1e-9)


def test_whitening_of_one_dimension_by_hand() -> None:
    z = torch.tensor([[[1.0], [2.0], [3.0]]])  # mean 2, unbiased variance 1
    torch.testing.assert_close(whiten(z), torch.tensor([[[-1.0], [0.0], [1.0]]]))


def test_whitening_loss_uses_the_same_rows_of_both_views_and_fresh_ones_each_call() -> None:
    torch.manual_seed(0)
    a, b = torch.randn(32, 3), torch.randn(32, 3)
    loss = Whitening(8, eps=0.0)
    assert float(loss(a, a)) == pytest.approx(0.0, abs=1e-5)
    state = loss.state_dict()
    first, second = float(loss(a, b)), float(loss(a, b))
    assert first != second
    again = Whitening(8, eps=0.0)
    again.load_state_dict(state)
    assert float(again(a, b)) == first
    order = torch.rand(32, generator=torch.Generator().manual_seed(1)).argsort()
    slow = []
    for rows in order.chunk(4):
        white = []
        for z in (a, b):
            centred = (z[rows] - z[rows].mean(0)).double()
            factor = torch.linalg.cholesky(torch.cov(centred.T))
            white.append(torch.linalg.inv(factor) @ centred.T)
        slow.append(2 - 2 * F.cosine_similarity(white[0].T, white[1].T).mean())
    assert first == pytest.approx(float(torch.stack(slow).mean()), rel=1e-4)


def test_losses_run_in_float32_under_autocast() -> None:
    a, b = torch.randn(16, 4), torch.randn(16, 4)
    losses = [
        lambda: cosine_gap(a, b),
        lambda: key_contrast(a, b, 0.2),
        lambda: barlow(a, b, 0.0051),
        lambda: vicreg(a, b, 25.0, 25.0, 1.0),
        lambda: distil(a, b, 0.1, 0.04),
        lambda: mixed_barlow(a, b, a, torch.arange(16).flip(0), 0.5),
    ]
    for loss in losses:
        wanted = float(loss())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert float(loss()) == wanted
    assert math.isfinite(wanted)
