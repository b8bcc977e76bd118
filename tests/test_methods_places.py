"""point2vec's queries and targets, and the contrast of places that two views of a plan share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plots import Plots
from torch import Tensor
from torch.nn import functional as F

import baselines  # noqa: F401 - registers
from baselines.bevcontrast import BEVContrast, moved, read
from jepakit.methods.point2vec import Point2Vec
from jepakit.modality import grid_positions
from jepakit.objective import Objective
from jepakit.pretrain import build
from jepakit.types import Batch, Size, Split

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)
PLOTS = Plots()


def some(rows: int = 8) -> Batch:
    return PLOTS.data("train").batch(torch.arange(rows))


def loss(objective: Objective, batch: Batch) -> float:
    torch.manual_seed(3)
    return float(objective(batch, 0.0).total.detach())


# point2vec -----------------------------------------------------------------------------------------------------------


def asked_of(leak: bool, batch: Batch) -> Split:
    objective = build("point2vec", PLOTS, SIZE, 0, {"leak": leak})
    assert isinstance(objective, Point2Vec)
    splits: list[Split] = []
    objective.masker.register_forward_hook(lambda module, given, output: splits.append(output))
    loss(objective, batch)
    return splits[0]


def test_point2vec_asks_for_every_hidden_place_or_with_the_leak_for_occupied_ones_alone() -> None:
    batch = some()
    filled = batch.extra["occupied"]
    plain, leaking = asked_of(False, batch), asked_of(True, batch)
    assert torch.equal(plain.context, leaking.context) and plain.context.shape == (8, 1, 22)  # int(.35 · 64)
    for b in range(8):
        hidden = set(range(64)) - set(plain.context[b, 0].tolist())
        assert sorted(plain.target[b, 0, 0].tolist()) == sorted(hidden)
        objects = {n for n in hidden if filled[b, n]}
        assert objects and set(leaking.target[b, 0, 0].tolist()) == objects
    assert leaking.target.shape == plain.target.shape


def test_point2vec_target_is_the_normed_mean_of_normed_upper_layers() -> None:
    objective = build("point2vec", PLOTS, Size(16, 4, 2, 8, 1, 2, steps=50), 0)
    assert isinstance(objective, Point2Vec)
    batch, kept = some(4), []
    for block in objective.target.teacher.transformer.blocks:  # type: ignore[union-attr]
        block.register_forward_hook(lambda module, given, output: kept.append(output[:, 1:].double().numpy()))
    found = objective.target(batch).numpy()

    def norm(x: np.ndarray) -> np.ndarray:
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)

    assert len(kept) == 4
    np.testing.assert_allclose(found, norm((norm(kept[2]) + norm(kept[3])) / 2), rtol=1e-3, atol=1e-4)


# Contrast of places ---------------------------------------------------------------------------------------------------


def test_places_are_found_again_in_a_view() -> None:
    """Quarter turns and mirror images bring tokens onto tokens: what lies at a place is read where it has gone."""
    batch = some()
    place = grid_positions((8, 8)) - 3.5
    for draw in range(12):
        torch.manual_seed(draw)
        view = PLOTS.views(batch)
        at = moved(place, view.extra["action"], PLOTS.policy.angle, PLOTS.policy.scale)
        found = read(view.extra["occupied"][..., None].float(), at, (8, 8))[..., 0]
        torch.testing.assert_close(found, batch.extra["occupied"].float(), atol=1e-4, rtol=0)


def test_a_place_by_hand() -> None:
    """(2, 1), mirrored to (2, −1), larger by a tenth, turned by +90°: (1.1, 2.2)."""
    action = torch.tensor([[0.5, 1.0, 1.0]])
    torch.testing.assert_close(moved(torch.tensor([[2.0, 1.0]]), action, 180.0, 0.1), torch.tensor([[[1.1, 2.2]]]))
    maps = torch.arange(12.0).reshape(1, 12, 1)  # 3 × 4: the middle lies between 5 and 6
    at = torch.tensor([[[0.0, 0.0], [0.0, 0.5], [1.0, -1.5], [5.0, 0.0]]])
    assert read(maps, at, (3, 4)).flatten().tolist() == pytest.approx([5.5, 6, 8, 0])


def test_contrast_is_low_where_tokens_say_their_place_in_the_scene_and_high_where_they_say_nothing() -> None:
    objective, batch = build("bevcontrast", PLOTS, SIZE, 0, {"pairs": 64}), some()
    assert isinstance(objective, BEVContrast)
    names = F.normalize(torch.randn(8, 64, 32, generator=torch.Generator().manual_seed(0)), dim=-1)

    def look(view: Batch) -> tuple[Tensor, Tensor]:
        """The name of the place of the scene that has come to each token."""
        x = torch.zeros_like(names)
        at = moved(grid_positions((8, 8)) - 3.5, view.extra["action"], PLOTS.policy.angle, PLOTS.policy.scale) + 3.5
        index = at.round().long() @ torch.tensor([8, 1])
        return x.scatter(1, index[..., None].expand_as(names), names), view.extra["occupied"]

    objective.look = look  # type: ignore[method-assign]
    assert loss(objective, batch) < 0.2
    objective.look = lambda view: (torch.ones_like(names), view.extra["occupied"])  # type: ignore[method-assign]
    assert loss(objective, batch) == pytest.approx(np.log(64), abs=0.1)
