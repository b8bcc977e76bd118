"""Local aggregation: neighbours and their choice by slow loops, whose query asks whom, and the EMA of the head."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from waves import Waves

from jepakit.aggregation import Aggregated, Attend, LocalAggregation, most_similar, neighbours
from jepakit.recipe import vit
from jepakit.schedules import constant
from jepakit.targets import layer_norm
from jepakit.types import Batch, Size, UsageError


def test_neighbours_of_a_corner_wrap_around() -> None:
    """Rows of four: cell 0 touches the last row (12 …) and the last column (3, 7, 15)."""
    near = neighbours((4, 4))
    assert near.shape == (16, 8)
    assert near[0].tolist() == [1, 3, 4, 5, 7, 12, 13, 15]
    assert near[5].tolist() == [0, 1, 2, 4, 6, 8, 9, 10]
    assert neighbours((5,)).tolist() == [[1, 4], [0, 2], [1, 3], [2, 4], [0, 3]]


@pytest.mark.parametrize("grid", [(7,), (3, 5), (2, 4), (1, 6), (3, 4, 5), (2, 2, 2)])
def test_neighbours_against_a_loop_over_all_pairs(grid: tuple[int, ...]) -> None:
    cells = list(itertools.product(*map(range, grid)))
    near = neighbours(grid).tolist()
    for i, a in enumerate(cells):
        gaps = [[min((x - y) % s, (y - x) % s) for x, y, s in zip(a, b, grid, strict=True)] for b in cells]
        assert near[i] == [j for j, gap in enumerate(gaps) if j != i and max(gap) <= 1]


def test_a_single_cell_has_no_neighbours() -> None:
    with pytest.raises(UsageError, match="no neighbours"):
        neighbours((1, 1))


@pytest.mark.parametrize(("grid", "count"), [((6, 6), 4), ((9,), 2), ((3, 3, 3), 4)])
def test_the_most_similar_neighbours_against_a_slow_loop(grid: tuple[int, ...], count: int) -> None:
    torch.manual_seed(0)
    near = neighbours(grid)
    x = torch.randn(3, len(near), 5)
    found = most_similar(x, near, 4)
    assert found.shape == (3, len(near), count)
    for b, n in itertools.product(range(3), range(len(near))):
        cosine = {j: float(x[b, n] @ x[b, j] / x[b, n].norm() / x[b, j].norm()) for j in near[n].tolist()}
        assert found[b, n].tolist() == sorted(cosine, key=lambda j: -cosine[j])[:count]


def slow_attend(block: Attend, query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """One query and its set, head by head, softmax written out."""
    rows = block.norm(torch.cat([query[None], tokens]))
    asked, (read, value) = block.query(rows[:1]), block.pair(rows).chunk(2, -1)
    width = len(query) // block.heads
    parts = []
    for head in range(block.heads):
        own = slice(head * width, (head + 1) * width)
        weight = torch.exp(read[:, own] @ asked[0, own] / width**0.5)
        parts.append((weight / weight.sum()) @ value[:, own])
    x = query + block.out(torch.cat(parts))
    return x + block.mlp(block.mlp_norm(x))


def test_every_set_is_asked_by_the_mean_of_its_own_sample() -> None:
    """Against a loop over samples and tokens; the released code pairs set (b, n) with sample (b·n + n) mod b."""
    torch.manual_seed(0)
    head = LocalAggregation(8, 2)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x, near = torch.randn(3, 6, 8), neighbours((6,))
    sets = near.expand(3, -1, -1)
    got = head.around(x, sets)
    for b, n in itertools.product(range(3), range(6)):
        query = x[b].mean(0)
        for block in (head.first, head.second):
            query = slow_attend(block, query, x[b, near[n]])
        torch.testing.assert_close(got[b, n], head.norm(query), rtol=1e-4, atol=1e-5)
    alone = head.around(x[1:2], sets[:1])
    torch.testing.assert_close(got[1:2], alone, rtol=1e-4, atol=1e-5)


def test_the_students_side_adds_one_vector_to_all_tokens() -> None:
    torch.manual_seed(1)
    head = LocalAggregation(8, 2)
    x = torch.randn(2, 5, 8)
    assert head(x).shape == x.shape
    moved = head.first.attended(x.mean(1), x)
    assert moved.shape == (2, 8)
    order = torch.randperm(5)
    torch.testing.assert_close(head(x)[:, order], head(x[:, order]))
    with torch.no_grad():  # with a silent MLP the first block is a shift of the whole sample
        head.first.mlp[2].weight.zero_()
        head.first.mlp[2].bias.zero_()
        shifted = head.first.widen(x + moved[:, None])
    torch.testing.assert_close(shifted - x, moved[:, None].expand_as(x))


def test_encoder_and_head_follow_together_and_take_no_gradient() -> None:
    modality = Waves()
    backbone = vit(modality, Size(8, 1, 2))
    head = LocalAggregation(8, 2)
    target = Aggregated(backbone, head, (40,), constant(0.75), similar=4, norm=layer_norm)
    start = copy.deepcopy(target.head.state_dict())
    with torch.no_grad():
        for parameter in [*head.parameters(), *backbone.parameters()]:
            parameter.add_(4.0)
    batch = Batch(modality.data("train").x[:3])
    before = target(batch)
    target.update(0.0)
    for name, value in target.head.state_dict().items():
        torch.testing.assert_close(value, start[name] + 1.0)  # ¾·θ̄ + ¼·(θ̄ + 4)
    after = target(batch)
    assert before.shape == (3, 40, 8) and not torch.equal(before, after) and not after.requires_grad
    assert not any(parameter.requires_grad for parameter in target.parameters())
    assert "near" not in target.state_dict()
