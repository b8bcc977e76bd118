"""Methods on mostly empty grids: AD-L-JEPA's checks (masks, unit maps, hinge, leaks, tokens), its losses against loops,
and the masked autoencoders of occupied cells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from plots import Plots
from tiles import Tiles
from torch import Tensor, nn
from torch.nn import functional as F

import baselines  # noqa: F401 - registers
from baselines.bevmae import BEVMAE
from baselines.occupancy_mae import OccupancyMAE, by_distance, focal_loss
from jepakit.methods.adlist import Sketched
from jepakit.methods.adljepa import ADLJEPA
from jepakit.nn import Backbone
from jepakit.occupancy import Still, cycled, encode_only, first, joint_mask, room, spread_hinge
from jepakit.pretrain import build
from jepakit.schedules import constant
from jepakit.types import Batch, Size, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)
PLOTS = Plots()


def some(rows: int = 8) -> Batch:
    return PLOTS.data("train").batch(torch.arange(rows))


def made(name: str, **settings: object) -> ADLJEPA:
    objective = build(name, PLOTS, SIZE, 0, settings).train()
    assert isinstance(objective, ADLJEPA)
    return objective


def seeded(function: Callable[..., object], *given: object) -> object:
    torch.manual_seed(3)
    return function(*given)


def moved(batch: Batch, tokens: Tensor) -> Batch:
    """The batch with other points in the flagged tokens (b, n), as many as before."""
    cells = batch.x.unflatten(1, (8, 2)).unflatten(3, (8, 2))  # b 8 2 8 2 3
    inside = tokens.unflatten(1, (8, 8))[:, :, None, :, None, None]
    other = torch.where(cells[..., :1] > 0, cells + torch.tensor([0.0, 5.0, 7.0]), cells)
    return batch.with_x(torch.where(inside, other, cells).flatten(3, 4).flatten(1, 2))


# Masks ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hide", [0.25, 0.5, 0.7, 0.75])
def test_occupied_cells_are_masked_jointly_and_exactly(hide: float) -> None:
    torch.manual_seed(0)
    counts, shares = set(), []
    for _ in range(50):
        filled = torch.rand(6, 40) < 0.3
        kept, masked = joint_mask(filled, hide)
        assert torch.equal(kept, ~masked)  # together every cell, none twice
        n = int(filled.sum())
        assert int((masked & filled).sum()) == n - int((1 - hide) * n + 1e-9)
        counts.add(int((masked & filled)[0].sum()) - round(hide * int(filled[0].sum())))
        shares.append(float((masked & ~filled).sum() / (~filled).sum()))
    assert len(counts) > 2, "a sample's own share fluctuates"
    assert np.mean(shares) == pytest.approx(hide, abs=0.02) and np.std(shares) > 0.01


def test_every_cell_is_masked_equally_often() -> None:
    torch.manual_seed(0)
    filled = torch.tensor([[True] * 5 + [False] * 5, [True] * 2 + [False] * 8])
    often = torch.stack([joint_mask(filled, 0.5)[1] for _ in range(2000)]).float().mean(0)
    # Of seven occupied cells ⌊3.5⌋ are kept: four in seven are masked.
    assert (often[filled] - 4 / 7).abs().max() < 0.05 and (often[~filled] - 0.5).abs().max() < 0.05


def test_fixed_lengths() -> None:
    flags = torch.tensor([[False, True, True, False], [False, False, False, False], [True, True, True, True]])
    index, valid = first(flags, 3)
    assert index[0, :2].tolist() == [1, 2] and valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    torch.manual_seed(0)
    turn = cycled(flags, 7)
    assert sorted(turn[0].tolist()) in ([1, 1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2, 2])
    assert len(set(turn[1].tolist())) == 1 and sorted(set(turn[2].tolist())) == [0, 1, 2, 3]
    assert room(100, 0.5) == 70 and room(3, 0.5) == 3 and room(1, 0.01) == 1  # 50 + 4 · 5; never more than there are


def test_the_encoder_sees_flagged_tokens_alone_and_each_lands_on_its_place() -> None:
    """Padding changes nothing: a slow loop encodes every sample's flagged tokens by themselves."""
    objective = made("adljepa").eval()
    backbone, tokens = objective.backbone, objective.backbone.tokenize(some())
    torch.manual_seed(0)
    flags = torch.rand(8, 64) < torch.linspace(0, 0.5, 8)[:, None]
    flags[0] = False
    found, reached = encode_only(backbone, tokens, flags, 64)
    assert torch.equal(reached, flags) and not found[~flags].any()
    for i in range(1, 8):
        index = flags[i].nonzero()[:, 0]
        if len(index):
            alone = backbone.encode(replace(tokens, x=tokens.x[i : i + 1, index], pos=tokens.pos[i : i + 1, index])).x
            torch.testing.assert_close(found[i, index], alone[0], rtol=1e-4, atol=1e-5)
    _, few = encode_only(backbone, tokens, flags, 4)
    assert (few <= flags).all() and few.sum(1).max() == 4, "a surplus takes no part"


# The hinge -----------------------------------------------------------------------------------------------------------


def test_hinge_of_isotropic_and_of_constant_unit_vectors() -> None:
    torch.manual_seed(0)
    isotropic = F.normalize(torch.randn(2, 4000, 256), dim=-1)
    every = torch.ones(2, 4000, dtype=torch.bool)
    assert 0 <= float(spread_hinge(isotropic, every)) < 5e-4
    constant_map = F.normalize(torch.randn(1, 1, 256), dim=-1).expand(2, 4000, -1)
    assert float(spread_hinge(constant_map, every)) == pytest.approx(1 / 16 - 0.01, abs=1e-6)


def test_hinge_against_a_loop_over_samples() -> None:
    torch.manual_seed(0)
    x, flags = 0.3 * torch.randn(5, 12, 6), torch.rand(5, 12) < 0.6
    flags[1], flags[2] = False, torch.arange(12) == 3  # none and one cell: no variance, left out
    values = []
    for sample, mask in zip(x.double().numpy(), flags.numpy()):
        if mask.sum() > 1:
            deviation = np.sqrt(sample[mask].var(0, ddof=1) + 1e-4)
            values.append(np.maximum(0, 6**-0.5 - deviation).mean())
    assert len(values) == 2 and float(spread_hinge(x, flags)) == pytest.approx(np.mean(values), rel=1e-5)
    assert float(spread_hinge(x, torch.zeros_like(flags))) == 0


# AD-L-JEPA -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["adljepa", "adljepa-sigreg"])
def test_maps_have_unit_length_in_every_cell(name: str) -> None:
    torch.manual_seed(0)
    context, predicted, target, seen, asked = made(name).maps(some())
    filled = some().extra["occupied"]
    for unit in (context, predicted, target):
        torch.testing.assert_close(unit.norm(dim=-1), torch.ones(8, 64))
    assert not (seen & asked).any() and (seen <= filled).all()
    assert torch.equal((seen | asked) & filled, filled)  # each occupied cell is on one side


def test_context_and_teacher_get_complementary_points() -> None:
    """Points in masked cells do not reach the context or the prediction, points in kept cells do not reach the
    target."""
    objective, batch = made("adljepa").eval(), some()
    context, predicted, target, seen, asked = seeded(objective.maps, batch)  # type: ignore[misc]
    filled = batch.extra["occupied"]
    now = seeded(objective.maps, moved(batch, asked & filled))
    assert torch.equal(context, now[0]) and torch.equal(predicted, now[1])  # type: ignore[index]
    assert not torch.equal(target, now[2])  # type: ignore[index]
    now = seeded(objective.maps, moved(batch, seen))
    assert torch.equal(target, now[2]) and not torch.equal(context, now[0])  # type: ignore[index]


@pytest.mark.parametrize("name", ["adljepa", "adljepa-sigreg"])
def test_loss_against_a_loop_over_cells(name: str) -> None:
    objective, batch = made(name), some()
    losses = seeded(objective, batch, 0.0)
    context, predicted, target, seen, asked = seeded(objective.maps, batch)  # type: ignore[misc]
    error: dict[bool, list[float]] = {True: [], False: []}
    for b in range(8):
        for n in range(64):
            if asked[b, n]:
                cosine = float(predicted[b, n].detach().double() @ target[b, n].detach().double())
                error[bool(batch.extra["occupied"][b, n])].append(1 - cosine)
    parts = {k: float(v) for k, v in losses.parts.items()}  # type: ignore[attr-defined]
    assert parts["occupied"] == pytest.approx(np.mean(error[True]), rel=1e-4)
    assert parts["empty"] == pytest.approx(np.mean(error[False]), rel=1e-4)
    weight = 1.0 if name == "adljepa" else 0.05
    total = 0.75 * parts["occupied"] + 0.25 * parts["empty"] + weight * parts["spread"]
    assert float(losses.total.detach()) == pytest.approx(total, rel=1e-5)  # type: ignore[attr-defined]
    if name == "adljepa":
        asked_filled = asked & batch.extra["occupied"]
        hinge = spread_hinge(context, seen) + spread_hinge(predicted, asked_filled)
        assert parts["spread"] == pytest.approx(float(hinge.detach()))


def test_mask_token_empty_token_and_features_stand_where_they_should() -> None:
    objective, batch = made("adljepa"), some()
    torch.manual_seed(3)
    kept, masked = joint_mask(batch.extra["occupied"], 0.5)
    context, _, target, seen, _ = seeded(objective.maps, batch)  # type: ignore[misc]
    mask, empty = (F.normalize(t, dim=0) for t in (objective.mask_token, objective.empty_token))
    filled = batch.extra["occupied"]
    torch.testing.assert_close(context[masked], mask.expand_as(context[masked]))
    torch.testing.assert_close(context[kept & ~filled], empty.expand_as(context[kept & ~filled]))
    torch.testing.assert_close(target[masked & ~filled], empty.expand_as(target[masked & ~filled]))
    assert torch.equal(seen, kept & filled)


def test_the_empty_token_learns_through_the_target_alone() -> None:
    """With hide near 1 the context keeps no empty cell; the token's gradient comes from masked empty cells."""
    objective, batch = made("adljepa", hide=0.999), some()
    torch.manual_seed(3)
    kept, _ = joint_mask(batch.extra["occupied"], 0.999)
    assert not (kept & ~batch.extra["occupied"]).any()
    seeded(objective, batch, 0.0).total.backward()  # type: ignore[attr-defined]
    assert objective.empty_token.grad is not None and objective.empty_token.grad.abs().sum() > 0


def test_the_teacher_follows_in_parameters_and_keeps_its_own_statistics() -> None:
    student = Backbone(nn.BatchNorm1d(3), 4, 1, 1)
    follower = Still(student, constant(0.75))
    mine, theirs = follower.teacher.tokenizer, student.tokenizer
    assert isinstance(mine, nn.BatchNorm1d) and isinstance(theirs, nn.BatchNorm1d)
    assert theirs.running_mean is not None and mine.running_mean is not None
    theirs.running_mean.fill_(5.0)
    theirs.weight.data.fill_(3.0)
    follower.update(0.0)
    assert mine.running_mean.tolist() == [0.0] * 3 and mine.weight.tolist() == [1.5] * 3


def test_without_a_teacher_the_encoder_is_its_own_and_gets_no_gradient_as_target() -> None:
    objective, batch = made("adljepa-sigreg"), some()
    assert isinstance(objective, Sketched) and objective.target is None and objective.encoder() is objective.backbone
    _, _, target, _, asked = seeded(objective.maps, batch)  # type: ignore[misc]
    (target * (asked & batch.extra["occupied"])[..., None]).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in objective.backbone.parameters())


def test_a_rectified_predictor_never_says_a_negative_number() -> None:
    assert (made("adljepa", rectify=True).maps(some())[1] >= 0).all()
    assert (made("adljepa").maps(some())[1] < 0).any()


@pytest.mark.parametrize("name", ["adljepa", "adljepa-sigreg", "occupancy-mae", "bevmae", "bevcontrast"])
def test_data_without_empty_tokens_are_refused_with_a_remedy(name: str) -> None:
    with pytest.raises(UsageError, match="occupied"):
        build(name, Tiles(), SIZE, 0)
    if name == "bevcontrast":
        return
    with pytest.raises(UsageError, match="hide"):
        build(name, PLOTS, SIZE, 0, {"hide": 1.0})


# Masked autoencoders --------------------------------------------------------------------------------------------------


def test_shares_fall_with_the_distance() -> None:
    share = by_distance((5, 5), (0.9, 0.7, 0.5)).reshape(5, 5)
    assert (
        share[2, 2] == 0.9 and share[0, 0] == 0.5 and torch.equal(share, share.flip(0)) and torch.equal(share, share.T)
    )
    # Distances in cells: 0, 1, √2, 2, √5, √8 = 2.83; thirds end at .94 and 1.89.
    assert share[2, 3] == pytest.approx(0.7) and share[1, 1] == pytest.approx(0.7) and share[2, 4] == 0.5


def test_focal_loss_by_hand() -> None:
    logit, wanted = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
    p = 1 / (1 + np.exp(-2.0))
    expected = [np.log(2) * 0.5**2, -np.log(1 - p) * p**2]
    assert focal_loss(logit, wanted, 2.0).tolist() == pytest.approx(expected, rel=1e-5)
    assert focal_loss(logit, wanted, 0.0).tolist() == pytest.approx([np.log(2), -np.log(1 - p)], rel=1e-5)


@pytest.mark.parametrize("masks", ["distance", "joint"])
def test_occupancy_is_asked_of_every_cell_under_hidden_tokens_alone(masks: str) -> None:
    objective, batch = build("occupancy-mae", PLOTS, SIZE, 0, {"masks": masks}), some()
    assert isinstance(objective, OccupancyMAE)
    objective.decoder.outward.weight.data.zero_()  # says one half everywhere
    assert float(seeded(objective, batch, 0.0).total) == pytest.approx(np.log(2), rel=1e-5)  # type: ignore[attr-defined]
    said = torch.randn(8, 1, 1, 64, 4)
    objective.decoder.register_forward_hook(lambda module, given, output: said)
    torch.manual_seed(3)
    hidden = objective.masked(batch.extra["occupied"])
    errors = []
    for b, n in hidden.nonzero().tolist():
        for cell in range(4):
            row, column = 2 * (n // 8) + cell // 2, 2 * (n % 8) + cell % 2
            p = 1 / (1 + np.exp(-float(said[b, 0, 0, n, cell])))
            errors.append(-np.log(p if batch.x[b, row, column, 0] > 0 else 1 - p))
    assert float(seeded(objective, batch, 0.0).total) == pytest.approx(np.mean(errors), rel=1e-4)  # type: ignore[attr-defined]


def test_bevmae_hides_points_but_not_their_places() -> None:
    objective = build("bevmae", PLOTS, SIZE, 0).eval()
    assert isinstance(objective, BEVMAE)
    batch, said = some(), []
    objective.decoder.register_forward_hook(lambda module, given, output: said.append(output.detach()))
    seeded(objective, batch, 0.0)
    torch.manual_seed(3)
    masked = joint_mask(batch.extra["occupied"], 0.7)[1] & batch.extra["occupied"]
    seeded(objective, moved(batch, masked), 0.0)
    assert torch.equal(said[0], said[1]), "hidden points leak"
    seeded(objective, moved(batch, ~masked), 0.0)
    assert not torch.equal(said[0], said[2])


def test_bevmae_against_a_loop_over_cells() -> None:
    objective, batch = build("bevmae", PLOTS, SIZE, 0), some()
    assert isinstance(objective, BEVMAE)
    said = torch.randn(8, 64, 12)
    objective.decoder.register_forward_hook(lambda module, given, output: said)
    losses = seeded(objective, batch, 0.0)
    torch.manual_seed(3)
    masked = joint_mask(batch.extra["occupied"], 0.7)[1] & batch.extra["occupied"]
    full = PLOTS.data("train").x.double().numpy().reshape(-1, 3)
    full = full[full[:, 0] > 0][:, 1:]
    density, height = [], []

    def smooth(gap: float) -> float:
        return 0.5 * gap**2 if abs(gap) < 1 else abs(gap) - 0.5

    for b, n in masked.nonzero().tolist():
        for cell in range(4):
            x = batch.x[b, 2 * (n // 8) + cell // 2, 2 * (n % 8) + cell % 2].double().numpy()
            density.append(smooth(float(said[b, n, 3 * cell]) - x[0]))
            if x[0] > 0:
                z = (x[1:] - full.mean(0)) / full.std(0)
                height += [smooth(float(said[b, n, 3 * cell + 1 + k]) - z[k]) for k in range(2)]
    assert float(losses.parts["density"]) == pytest.approx(np.mean(density), rel=1e-4)  # type: ignore[attr-defined]
    assert float(losses.parts["coordinates"]) == pytest.approx(np.mean(height), rel=1e-4)  # type: ignore[attr-defined]
