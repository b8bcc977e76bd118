"""The loop: exact resume, interruption, divergence, schedules and decay as they reach the optimiser, and its batches."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor
from waves import Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from jepakit.objective import Objective
from jepakit.pretrain import Diverged, Fit, Pretrain, Training, build, decay_groups, fit
from jepakit.randomness import batch_index, mix, reseed
from jepakit.types import Batch, Losses, Size

SIZE = Size(16, 2, 2, 8, 1, 2, steps=12)
TRAINING = Training(steps=12, batch_size=16, warmup=0.25, weight_decay=(0.1, 0.3))


def weights(objective: Objective) -> dict[str, Tensor]:
    return {k: v for k, v in objective.state_dict().items() if isinstance(v, Tensor)}


def same(a: Objective, b: Objective) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def go(objective: Objective, folder: Path | None = None, **more: object) -> Fit:
    return fit(objective, Waves(), TRAINING, seed=7, folder=folder, watch_every=4, device="cpu", **more)  # type: ignore[arg-type]


class Bomb(Exception):
    pass


RESUMED = ["cjepa", "data2vec", "ecgjepa", "ecgjepa-kim", "ijepa", "lejepa", "mae", "salt", "simclr", "visreg"]


@pytest.mark.parametrize("name", RESUMED)
@pytest.mark.parametrize("step", [5, 8])
def test_a_cell_stopped_at_any_step_resumes_to_the_same_bits(name: str, step: int, tmp_path: Path) -> None:
    undisturbed = build(name, Waves(), SIZE, 3)
    expected = go(undisturbed)

    def stop(done: int) -> None:
        if done == step:
            os.kill(os.getpid(), signal.SIGINT)

    def every_step(objective: Objective) -> None:
        after = objective.after_step
        counter = iter(range(1, 100))

        def counted(progress: float) -> None:
            after(progress)
            stop(next(counter))

        objective.after_step = counted  # type: ignore[method-assign]

    first = build(name, Waves(), SIZE, 3)
    every_step(first)
    with pytest.raises(KeyboardInterrupt):
        go(first, tmp_path)
    assert (tmp_path / "last.ckpt").exists()
    assert not list(tmp_path.glob("*.tmp"))
    resumed = build(name, Waves(), SIZE, 99)  # other initial weights: all must come from the checkpoint
    outcome = go(resumed, tmp_path)
    assert same(undisturbed, resumed)
    assert outcome.history == expected.history and outcome.steps == 12


def test_killed_run_resumes_from_its_periodic_checkpoint(tmp_path: Path) -> None:
    undisturbed, first, second = (build("ecgjepa", Waves(), SIZE, s) for s in (3, 3, 4))
    go(undisturbed)

    def die(step: int, losses: dict[str, float], objective: Objective) -> None:
        if step == 8:
            raise Bomb

    with pytest.raises(Bomb):
        go(first, tmp_path, checkpoint_every=3, watch=die)
    go(second, tmp_path, checkpoint_every=3)
    assert same(undisturbed, second)


def test_two_runs_of_one_seed_are_equal_and_another_seed_is_not() -> None:
    a, b, c = (build("ecgjepa", Waves(), SIZE, 3) for _ in range(3))
    go(a), go(b)
    fit(c, Waves(), TRAINING, seed=8, device="cpu")
    assert same(a, b) and not same(a, c)


class Explodes(Objective):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = build("random_init", Waves(), SIZE, 0).backbone

    def forward(self, batch: Batch, progress: float) -> Losses:
        loss = self.backbone.embed(batch).square().mean()
        return Losses(loss * float("nan") if progress >= 0.4 else loss)


def test_divergence_is_raised_with_its_step() -> None:
    with pytest.raises(Diverged, match=r"train\.lr") as caught:
        go(Explodes())
    assert 5 <= caught.value.step <= 8


def test_reference_rows_take_no_step() -> None:
    reference = build("random_init", Waves(), SIZE, 0)
    before = {k: v.clone() for k, v in weights(reference).items()}
    assert go(reference).steps == 0
    assert all(torch.equal(v, before[k]) for k, v in weights(reference).items())


def test_optimiser_receives_the_schedules_and_decays_only_matrices() -> None:
    seen: list[tuple[float, float, float]] = []

    class Spy(Pretrain):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            optimizer = super().configure_optimizers()
            optimizer.register_step_pre_hook(
                lambda o, *_: seen.append(
                    (o.param_groups[0]["lr"], o.param_groups[0]["weight_decay"], o.param_groups[1]["weight_decay"])
                )
            )
            return optimizer

    import jepakit.pretrain as module

    original = module.Pretrain
    module.Pretrain = Spy  # type: ignore[misc]
    try:
        go(build("ecgjepa", Waves(), SIZE, 0))
    finally:
        module.Pretrain = original  # type: ignore[misc]
    lr = [row[0] for row in seen]
    assert len(seen) == 12 and max(lr) == lr[2] == pytest.approx(1e-3)  # warm-up ends at step 3 of 12
    assert lr[-1] == pytest.approx(1e-6) and seen[-1][1] == pytest.approx(0.3)
    assert all(row[2] == 0 for row in seen)


def test_accumulation_equals_the_large_batch() -> None:
    """Two micro-batches of eight see the rows of one batch of sixteen; for a loss without draws the step is equal."""

    class Plain(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = build("random_init", Waves(), SIZE, 0).backbone

        def forward(self, batch: Batch, progress: float) -> Losses:
            return Losses(self.backbone.embed(batch).square().mean())

    whole, halves = Plain(), Plain()
    fit(whole, Waves(), Training(steps=4, batch_size=16), seed=1, device="cpu")
    fit(halves, Waves(), Training(steps=4, batch_size=8, accumulate=2), seed=1, device="cpu")
    for a, b in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_batches_cover_every_row_once_an_epoch_and_are_a_function_of_the_step() -> None:
    rows = torch.cat([batch_index(5, step, 40, 8) for step in range(10)])
    assert torch.equal(rows[:40].sort().values, torch.arange(40)) and torch.equal(
        rows[40:].sort().values, torch.arange(40)
    )
    assert not torch.equal(rows[:40], rows[40:])
    assert torch.equal(batch_index(5, 7, 40, 8), rows[56:64])
    assert len(batch_index(5, 0, 3, 8)) == 8
    crossing = torch.cat([batch_index(5, step, 10, 4) for step in range(5)])
    assert torch.equal(crossing[:10].sort().values, torch.arange(10))


def test_reseed_is_a_function_of_seed_and_step() -> None:
    reseed(1, 5)
    a = torch.rand(3)
    reseed(1, 6)
    b = torch.rand(3)
    reseed(1, 5)
    assert torch.equal(a, torch.rand(3)) and not torch.equal(a, b)
    assert len({mix(s, t) for s in range(50) for t in range(50)}) == 2500


def test_watch_and_progress_are_called() -> None:
    watched: list[int] = []
    told: list[int] = []
    outcome = go(build("mae", Waves(), SIZE, 0), watch=lambda s, losses, o: watched.append(s), progress=told.append)
    assert watched == [4, 8, 12] and told[-1] == 12
    assert [row["step"] for row in outcome.history] == [4, 8, 12]
    assert outcome.samples_per_s > 0 and 0 <= outcome.data_wait <= 1


def test_optimiser_holds_no_teacher_parameter_and_the_checkpoint_holds_the_teacher() -> None:
    objective = build("ecgjepa", Waves(), SIZE, 0)
    held = {id(p) for group in decay_groups(objective) for p in group}
    teacher = {id(p) for p in objective.encoder().parameters()}
    assert held and teacher and not held & teacher
    assert {id(p) for p in objective.backbone.parameters()} <= held
    assert [name for name in objective.state_dict() if name.startswith("target.teacher.transformer")]
