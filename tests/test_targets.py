"""Targets: stop-gradient, EMA algebra, normalisations with hand-computed values."""

import pytest
import torch
from waves import Waves

from jepakit.nn import Backbone
from jepakit.schedules import constant
from jepakit.targets import EMA, Frozen, Input, instance_norm, layer_norm, patch_norm
from jepakit.types import Batch


def student() -> Backbone:
    torch.manual_seed(0)
    return Backbone(Waves().tokenizer(16), 16, 2, 2)


def batch() -> Batch:
    return Batch(Waves().data("train").x[:4])


def test_normalisations_golden_values() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    torch.testing.assert_close(
        layer_norm(x)[0, 0], torch.tensor([-1.34164, -0.44721, 0.44721, 1.34164]), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(
        patch_norm(x)[0, 0], torch.tensor([-1.16190, -0.38730, 0.38730, 1.16190]), atol=1e-5, rtol=0
    )
    over_tokens = instance_norm(x.mT)
    torch.testing.assert_close(over_tokens[0, :, 0], layer_norm(x)[0, 0])


def test_initial_losses_against_normed_targets() -> None:
    """Zero prediction and independent normal prediction against LayerNormed targets."""
    from torch.nn import functional as F

    torch.manual_seed(0)
    target = layer_norm(torch.randn(8, 200, 1024))
    zero, noise = torch.zeros_like(target), torch.randn_like(target)
    for function, at_zero, at_noise in (
        (F.smooth_l1_loss, 0.4245, 0.7206), (F.l1_loss, 0.7976, 1.1289), (F.mse_loss, 1.0, 2.0),
    ):  # fmt: skip
        assert float(function(zero, target)) == pytest.approx(at_zero, rel=3e-3)
        assert float(function(noise, target)) == pytest.approx(at_noise, rel=3e-3)
    assert float(F.smooth_l1_loss(zero, target, beta=2.0)) == pytest.approx(0.2470, rel=3e-3)


def test_teacher_starts_as_the_student_and_carries_no_gradient() -> None:
    backbone = student()
    target = EMA(backbone, constant(0.9))
    for mine, theirs in zip(target.teacher.parameters(), backbone.parameters(), strict=True):
        assert torch.equal(mine, theirs) and not mine.requires_grad
    assert not target(batch()).requires_grad
    target.train()
    assert not target.teacher.training


def test_ema_algebra() -> None:
    """k updates towards a fixed student: θ̄_k = m^k θ̄_0 + (1 − m^k) θ; m = 1 freezes, m = 0 copies."""
    backbone = student()
    target = EMA(backbone, constant(0.8))
    before = [p.clone() for p in target.teacher.parameters()]
    with torch.no_grad():
        for p in backbone.parameters():
            p.add_(torch.randn_like(p))
    for _ in range(3):
        target.update(0.0)
    for old, new, now in zip(before, backbone.parameters(), target.teacher.parameters(), strict=True):
        torch.testing.assert_close(now, 0.8**3 * old + (1 - 0.8**3) * new)
    for m, wanted in ((1.0, [p.clone() for p in target.teacher.parameters()]), (0.0, list(backbone.parameters()))):
        target.momentum = constant(m)
        target.update(0.0)
        for now, want in zip(target.teacher.parameters(), wanted, strict=True):
            torch.testing.assert_close(now, want, rtol=0, atol=1e-7)


def test_ema_copies_buffers() -> None:
    backbone = student()
    backbone.register_buffer("seen", torch.zeros(1))
    target = EMA(backbone, constant(0.9))
    backbone.get_buffer("seen").fill_(5)
    target.update(0.0)
    assert float(target.teacher.get_buffer("seen")) == 5


def test_frozen_target_never_moves_and_averages_layers() -> None:
    backbone = student()
    target = Frozen(backbone, norm=instance_norm, layers=2)
    tokens = backbone.tokenize(batch())
    hidden = backbone.hidden(tokens, 2)
    torch.testing.assert_close(target(batch()), (instance_norm(hidden[0]) + instance_norm(hidden[1])) / 2)
    before = target(batch())
    target.update(0.5)
    assert torch.equal(before, target(batch()))


def test_the_mean_of_layers_is_normed_once_more() -> None:
    backbone = student()
    target = EMA(backbone, constant(0.9), norm=instance_norm, layers=2, final=layer_norm)(batch())
    torch.testing.assert_close(target.mean(-1), torch.zeros(4, 40), atol=1e-5, rtol=0)
    torch.testing.assert_close(target.var(-1, correction=0), torch.ones(4, 40), atol=1e-3, rtol=0)
    first, second = (h.detach() for h in backbone.hidden(backbone.tokenize(batch()), 2))
    normed = [
        (h - h.mean(1, keepdim=True)) / (h.var(1, correction=0, keepdim=True) + 1e-5).sqrt() for h in (first, second)
    ]
    mean = (normed[0] + normed[1]) / 2
    wanted = (mean - mean.mean(-1, keepdim=True)) / (mean.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(target, wanted, atol=1e-5, rtol=1e-4)


def test_input_target_is_the_normalised_patch() -> None:
    waves = Waves()
    values = Input(waves.patches, norm=patch_norm)(batch())
    assert values.shape == (4, 40, 4)
    torch.testing.assert_close(values.mean(-1), torch.zeros(4, 40), atol=1e-5, rtol=0)
