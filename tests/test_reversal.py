"""The toy of the reversal curse: facts and their split, what chance gives, and what the arms differ in."""

from __future__ import annotations

import pytest
import torch

from benchmark.claims.toys.reversal import Facts, Reader, by_chance, facts, loss, reciprocal_rank, train


def test_the_reverse_of_group_b_is_never_taught() -> None:
    data = facts(0, both=40, one=20, relations=3)
    taught = {tuple(row) for row in data.train.tolist()}
    assert len(taught) == len(data.train) == 3 * (2 * 20 + 10)
    assert {tuple(row) for row in data.forward.tolist()} <= taught
    for subject, relation, other in data.reverse.tolist():
        assert relation % 2 == 1 and (subject, relation, other) not in taught
        assert (other, relation - 1, subject) in taught  # the forward direction is, so every answer has been seen
    both = {(s, r, o) for s, r, o in taught if max(s, o) < 40}
    assert {(o, r ^ 1, s) for s, r, o in both} == both  # group A in both directions


def test_a_guess_scores_what_chance_says() -> None:
    assert by_chance(256) == pytest.approx(0.024, abs=5e-4)
    assert by_chance(3200) == pytest.approx(0.0027, abs=5e-5)
    torch.manual_seed(0)
    found = []
    for seed in range(20):
        data = facts(seed, both=2, one=100, relations=2)
        found.append(reciprocal_rank(Reader(data.entities, 2, own=True), data.reverse))
    assert sum(found) / 20 == pytest.approx(by_chance(102), rel=0.15)


def test_a_small_set_is_learnt_as_taught() -> None:
    data = facts(0, both=16, one=8, relations=1)
    model = train("concepts", data, 0, steps=150)
    assert reciprocal_rank(model, data.train) > 0.9


def test_batch_negatives_are_each_counted_once() -> None:
    torch.manual_seed(0)
    model = Reader(10, 1, own=False)
    rows = torch.tensor([[0, 0, 5], [1, 0, 5], [2, 0, 7]])
    answers, table = model(rows[:, :2]), model.objects()[[5, 7]]
    by_hand = -(answers @ table.T).log_softmax(1)[[0, 1, 2], [0, 0, 1]].mean()
    assert loss(model, rows, full=False).item() == pytest.approx(by_hand.item(), rel=1e-5)
    whole = -(answers @ model.objects().T).log_softmax(1)[[0, 1, 2], [5, 5, 7]].mean()
    assert loss(model, rows, full=True).item() == pytest.approx(whole.item(), rel=1e-5)


def test_training_is_a_function_of_its_seed() -> None:
    data: Facts = facts(0, both=8, one=4, relations=1)
    state = torch.random.get_rng_state()
    runs = [train("tokens", data, seed, steps=3).concepts.weight for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
    assert torch.equal(torch.random.get_rng_state(), state)
