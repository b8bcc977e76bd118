"""ACT-JEPA on a pendulum: what is recorded, what a window holds, what each loss sees, and the verdict."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from benchmark.claims.claim import Evidence
from benchmark.claims.experiments.act_policy import judge
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED
from benchmark.claims.toys import act_policy
from benchmark.claims.toys.act_policy import CHUNK, LAST, LENGTH, Actor, Episodes, expert, roll, train, windows
from jepakit.types import UsageError

needs_control = pytest.mark.skipif(importlib.util.find_spec("gymnasium") is None, reason="the extra `control`")


def numbered(n: int = 2) -> Episodes:
    """Observation and action t of episode e hold 1000 e + t."""
    number = 1000.0 * np.arange(n)[:, None] + np.arange(LENGTH)
    return Episodes(np.repeat(number[..., None], 3, 2), number)


def test_a_window_holds_the_actions_from_now_and_the_observations_after() -> None:
    now, actions, later = windows(numbered())
    assert now.shape == (2 * (LENGTH - CHUNK), 3) and actions.shape[1] == later.shape[1] == CHUNK
    for at in (0, 57, LENGTH - CHUNK, 2 * (LENGTH - CHUNK) - 1):
        first = float(now[at, 0])
        assert actions[at].tolist() == [first + ahead for ahead in range(CHUNK)]
        assert later[at, :, 1].tolist() == [first + 1 + ahead for ahead in range(CHUNK)]


def test_success_is_staying_upright_to_the_end() -> None:
    angle = np.full((4, LENGTH), 0.1)
    angle[1, LENGTH - LAST] = 0.31
    angle[2, : LENGTH - LAST] = 2.0
    angle[3] = -0.1
    seen = np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1)
    assert Episodes(seen, angle).success.tolist() == [True, False, True, True]


def test_losses_by_hand_and_no_way_back_to_the_teacher() -> None:
    torch.manual_seed(0)
    model = Actor()
    now, actions, later = torch.randn(5, 3), torch.randn(5, CHUNK), torch.randn(5, CHUNK, 3)
    cloning, latent = model.losses(now, actions, later)
    seen = model.encoder(now)
    assert float(cloning.detach()) == pytest.approx(
        float((model.actions(seen) - actions).abs().mean().detach()), rel=1e-5
    )
    said = model.predictor(seen).reshape(5, CHUNK, -1)
    errors = [
        float(F.smooth_l1_loss(said[b, k], F.layer_norm(model.teacher(later[b, k]), said.shape[-1:])).detach())
        for b in range(5)
        for k in range(CHUNK)
    ]
    assert float(latent.detach()) == pytest.approx(np.mean(errors), rel=1e-4)
    (cloning + latent).backward()
    assert all(one.grad is None for one in model.teacher.parameters())
    assert all(one.grad is not None for one in model.encoder.parameters())


def test_arms_differ_by_the_weight_alone() -> None:
    """The action head of the arm without sees nothing of the predictor, which it has all the same."""
    angle = np.linspace(0, 6, 3 * LENGTH).reshape(3, LENGTH)
    demos = Episodes(np.stack([np.cos(angle), np.sin(angle), 0 * angle], -1), np.sin(angle))
    start, again = (train(demos, 0.0, 4, steps=1) for _ in range(2))
    other, longer = train(demos, 1.0, 4, steps=1), train(demos, 0.0, 4, steps=30)
    for name, value in start.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        if "predictor" not in name and "teacher" not in name:
            assert value.shape == other.state_dict()[name].shape
    now, actions, later = windows(demos)
    before, after = (float(model.losses(now, actions, later)[0].detach()) for model in (start, longer))
    assert after < 0.7 * before


@needs_control
def test_the_expert_swings_up_and_episodes_are_functions_of_the_seed() -> None:
    one, again, other = roll(expert, 8, 3), roll(expert, 8, 3), roll(expert, 8, 4)
    assert one.success.all()
    np.testing.assert_array_equal(one.seen, again.seen)
    assert (one.seen[:, 0] != other.seen[:, 0]).any()
    shaken = roll(expert, 8, 3, noise=0.5)
    np.testing.assert_array_equal(shaken.seen[:, 0], one.seen[:, 0])
    np.testing.assert_allclose(shaken.done[:, 5], expert(shaken.seen[:, 5])[:, 0])  # what the expert says is recorded
    assert (shaken.seen[:, 5] != one.seen[:, 5]).any()
    idle = roll(lambda seen: np.zeros((len(seen), 3)), 8, 3)
    assert not idle.success.any() and not idle.done.any()


def test_without_the_extra_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(act_policy.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"\[control\]"):
        roll(expert, 1, 0)


@pytest.mark.parametrize(
    ("gains", "verdict"),
    [((0.1, 0.2, 0.15), REPRODUCED), ((0.0, 0.01, -0.01), NOT_REPRODUCED), ((-0.3, 0.4, 0.1), INCONCLUSIVE)],
)
def test_verdicts(gains: tuple[float, ...], verdict: str) -> None:
    runs = [{"seed": seed, "with": 0.5 + gain, "without": 0.5, "expert": 1.0} for seed, gain in enumerate(gains)]
    found = judge(Evidence([], None, {"runs": runs, "rollouts": 100}))  # type: ignore[arg-type]
    assert found.verdict == verdict and found.seeds == 3 and found.effect is not None
    assert found.effect.mean == pytest.approx(np.mean(gains)) and "of 300 roll-outs" in found.says
