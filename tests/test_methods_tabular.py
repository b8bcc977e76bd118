"""Methods for tables: sizes, places and losses against what the papers' text says, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from baselines.binrecon import BinRecon
from baselines.scarf import one_way
from jepakit.columns import ColumnSets, ReleasedSets, base_hundred
from jepakit.methods.tjepa_regularised import spread
from jepakit.modality import Modality
from jepakit.pretrain import build
from jepakit.registry import datasets
from jepakit.table import ColumnLoss, groups, some
from jepakit.types import Size, Split, Tokens, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)
JANNIS = (0.136, 0.368), (0.156, 0.622)  # of 54 columns: 7-20 and 8-34


@pytest.fixture(scope="module")
def made() -> Modality:
    modality: Modality = datasets["tabular/made_linear"].make(None)
    return modality


def split(masker: ColumnSets, rows: int, seed: int = 0) -> Split:
    torch.manual_seed(seed)
    count = masker.count
    return masker(Tokens(torch.zeros(rows, count, 1), torch.zeros(rows, count, 1)), torch.zeros(rows, count, 1), 0.0)


def test_set_sizes_are_those_of_the_paper_for_jannis() -> None:
    masker = ColumnSets((54,), *JANNIS)
    assert masker.context == (7, 20) and masker.target == (8, 34)
    torch.manual_seed(0)
    drawn = np.array([masker.draw() for _ in range(4000)])
    assert drawn.min(0).tolist() == [7, 8] and drawn.max(0).tolist() == [20, 34]
    assert drawn.sum(1).max() <= 54
    # The end values have half the probability of those between: 1/13 of the range is 7.5 … 8.5.
    counts = np.bincount(drawn[:, 0], minlength=21)
    assert 0.35 < counts[7] / counts[8:19].mean() < 0.7


def test_every_column_is_seen_and_asked_for_equally_often_and_never_both() -> None:
    masker = ColumnSets((12,), (0.25, 0.25), (0.25, 0.25))
    found = split(masker, 20_000)
    seen = torch.zeros(12).scatter_add(0, found.context.flatten(), torch.ones(found.context.numel()))
    asked = torch.zeros(12).scatter_add(0, found.target.flatten(), torch.ones(found.target.numel()))
    np.testing.assert_allclose(seen / 20_000, 0.25, atol=0.01)
    np.testing.assert_allclose(asked / 80_000, 0.25, atol=0.01)
    both = (found.context[:, :, None, :, None] == found.target[..., None, :]).any()
    assert not both
    assert (found.target[:, 0, 0] != found.target[:, 0, 1]).any(), "the four sets are drawn apart"
    for row in found.target[:50, 0].flatten(0, 1):
        assert len(set(row.tolist())) == 3


def test_released_sets_never_reach_the_last_column_and_are_four_times_the_same() -> None:
    found = split(ReleasedSets((12,), (0.25, 0.25), (0.25, 0.25)), 2000)
    # Tokens are [REG, 1 … 12]: index 12, the last column, is in neither list, and REG (0) is in both.
    for index in (found.context, found.target):
        assert int(index.max()) == 11 and int(index.min()) == 0
    for k in range(1, 4):
        assert torch.equal(found.target[:, :, 0], found.target[:, :, k])


def test_positions_have_base_hundred() -> None:
    code = base_hundred(torch.tensor([[3.0]]), 4)
    np.testing.assert_allclose(code[0], [math.sin(3), math.cos(3), math.sin(0.3), math.cos(0.3)], atol=1e-6)


@pytest.mark.parametrize("tokens", [0, 1, 2, 4])
def test_regularisation_tokens_are_seen_by_every_pass_and_never_hidden(made: Modality, tokens: int) -> None:
    objective = build("tjepa", made, SIZE, 0, {"tokens": tokens})
    batch = made.data("train").batch(torch.arange(8))
    assert len(objective.backbone.registers) == tokens
    assert objective.encoder().tokens(batch).x.shape[1] == 20
    loss = objective(batch, 0.0).total
    loss.backward()
    for register in objective.backbone.registers:
        assert bool(register.grad.abs().sum() > 0)


def test_a_regulariser_in_place_of_the_token_adds_its_term_and_nothing_else(made: Modality) -> None:
    batch = made.data("train").batch(torch.arange(16))
    plain = build("tjepa", made, SIZE, 0, {"tokens": 0})
    for name, term, settings in (
        ("tjepa-sigreg", "sigreg", {"weight": 0.3}),
        ("tjepa-vicreg", "spread", {"beta": 0.3}),
    ):
        objective = build(name, made, SIZE, 0, settings)
        assert objective.least_batch == 2 and not len(objective.backbone.registers)
        losses = []
        for one in (plain, objective):
            one.load_state_dict(plain.state_dict(), strict=False)
            torch.manual_seed(0)
            losses.append(one(batch, 0.0))
        assert float(losses[1].parts["prediction"]) == pytest.approx(float(losses[0].total.detach()), rel=1e-5)
        whole = float(losses[0].total.detach()) + 0.3 * float(losses[1].parts[term])
        assert float(losses[1].total.detach()) == pytest.approx(whole, rel=1e-5)


def test_the_spread_of_rows_by_hand() -> None:
    z = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 1.0], [0.0, -1.0]])
    # Standard deviations .01 (√ε) and above 1: mean hinge (1 − .01) / 2; no covariance.
    assert float(spread(z)) == pytest.approx(25 * 0.99 / 2, rel=1e-4)
    both = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0], [-1.0, -1.0]]) * 3
    assert float(spread(both)) == pytest.approx(2 * 12.0**2 / 2, rel=1e-4)  # covariance 36 / 3, twice, over 2


def test_the_released_row_has_one_more_token(made: Modality) -> None:
    objective = build("tjepa", made, SIZE, 0, {"released": True})
    batch = made.data("train").batch(torch.arange(8))
    assert objective.encoder().tokens(batch).x.shape[1] == 21
    objective(batch, 0.0).total.backward()
    with pytest.raises(UsageError, match="one regularisation token"):
        build("tjepa", made, SIZE, 0, {"released": True, "tokens": 2})


def test_the_column_loss_is_squared_error_and_cross_entropy() -> None:
    loss = ColumnLoss((0, 3))
    out = torch.tensor([[[0.5, 9.0, 9.0], [1.0, 2.0, 0.0]], [[2.0, 9.0, 9.0], [0.0, 0.0, 0.0]]])
    wanted = torch.tensor([[1.0, 1.0], [0.0, 2.0]])
    surprise = math.log(math.e + math.e**2 + 1) - 2
    every = [0.25, surprise, 4.0, math.log(3)]
    asked = torch.tensor([[True, True], [True, True]])
    assert float(loss(out, wanted, asked)) == pytest.approx(sum(every) / 4, rel=1e-6)
    asked = torch.tensor([[True, False], [False, True]])
    assert float(loss(out, wanted, asked)) == pytest.approx((0.25 + math.log(3)) / 2, rel=1e-6)


def test_exactly_so_many_columns_are_drawn_everywhere_alike() -> None:
    torch.manual_seed(0)
    hit = some(torch.Size((20_000, 10)), 6, torch.device("cpu"))
    assert (hit.sum(1) == 6).all()
    np.testing.assert_allclose(hit.float().mean(0), 0.6, atol=0.015)


def test_scarf_is_cross_entropy_over_cosines_and_sees_the_corrupted_view() -> None:
    anchor, view = np.random.default_rng(0).standard_normal((2, 5, 3))
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (anchor, view)]
    logits = unit[0] @ unit[1].T / 0.7
    by_hand = float(np.mean([np.log(np.exp(logits[i]).sum()) - logits[i, i] for i in range(5)]))
    a, b = torch.tensor(anchor), torch.tensor(view)
    assert float(one_way(a, b, 0.7)) == pytest.approx(by_hand, rel=1e-5)
    # The popular port multiplies the clean embeddings with themselves: its loss would not change here.
    assert float(one_way(a, b.flip(0), 0.7)) != pytest.approx(by_hand, rel=1e-2)


def test_scarf_leaves_the_anchor_clean_and_takes_six_tenths(made: Modality) -> None:
    objective = build("scarf", made, SIZE, 0)
    batch = made.data("train").batch(torch.arange(256))
    torch.manual_seed(0)
    clean, view = objective.pair(batch)
    assert torch.equal(clean.x, batch.x)
    assert int((view.x != batch.x).sum(1).max()) <= 12 and float((view.x != batch.x).float().mean()) > 0.5


def test_groups_overlap_by_three_quarters() -> None:
    # 64 columns: groups of 16 and 12 of the neighbour, 28 wide, every 12.
    assert groups(64, 0.75) == [(0, 28), (12, 40), (24, 52), (36, 64)]
    for columns in range(4, 70):
        found = groups(columns, 0.75)
        assert {column for a, b in found for column in range(a, b)} == set(range(columns))
        assert len({b - a for a, b in found}) == 1


def test_bins_are_equally_filled_and_standardised(made: Modality) -> None:
    objective = build("binrecon", made, SIZE, 0)
    assert isinstance(objective, BinRecon)
    train = made.data("train")
    whole = torch.tensor(made.sizes) == 0
    known = ~train.extra["missing"].any(1)
    wanted = objective.wanted(train.x.float()[known])[:, whole]
    values = sorted(set(wanted.flatten().tolist()))
    # Ten values from −4.5/√8.25 to 4.5/√8.25.
    np.testing.assert_allclose(values, (np.arange(10) - 4.5) / math.sqrt(8.25), atol=1e-5)
    share = (wanted == wanted.min()).float().mean()
    assert 0.07 < float(share) < 0.13


def test_vime_asks_for_what_really_changed(made: Modality) -> None:
    objective = build("vime", made, SIZE, 0, {"corrupt": 0.0})
    batch = made.data("train").batch(torch.arange(64))
    torch.manual_seed(0)
    parts = objective(batch, 0.0).parts
    logits = objective.mask_head(objective.backbone.embed(batch))[..., 0]
    assert float(parts["mask"]) == pytest.approx(float(torch.log1p(logits.exp()).mean().detach()), rel=1e-4)


@pytest.mark.parametrize("name", ["ijepa", "lejepa", "mae", "simclr", "supervised", "vicreg", "data2vec"])
def test_methods_that_know_nothing_of_tables_run_on_them(made: Modality, name: str) -> None:
    objective = build(name, made, SIZE, 0).train()
    loss = objective(made.data("train").batch(torch.arange(16)), 0.0).total
    loss.backward()
    assert bool(loss.isfinite()) and bool(objective.backbone.tokenizer.weight.grad.abs().sum() > 0)


def test_what_is_no_table_is_refused() -> None:
    for name in ("column-mae", "scarf", "vime", "subtab", "binrecon"):
        with pytest.raises(UsageError, match="no table"):
            build(name, datasets["image/mnist5k"].make(None), SIZE, 0)
