"""What every registered method owes, on grids of one, two and three axes: no method is named here, new ones are covered.

A method that cannot run on a grid refuses with UsageError; that is its contract there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from chips import Chips
from plots import Plots
from torch import Tensor, nn
from waves import Bodies, Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from jepakit.masking import Columns
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA, Objective
from jepakit.pretrain import Training, build, decay_groups, fit
from jepakit.registry import datasets, methods
from jepakit.targets import EMA, Frozen
from jepakit.types import Batch, Size, Split, UsageError

GRIDS: dict[str, Callable[[], Modality]] = {
    "1d": lambda: Waves(grid=(40,)),
    "2d": Chips,  # images stored as intensities: every method that wants images runs on them
    "3d": lambda: Bodies(grid=(2, 6, 6)),  # of some rows tokens are background
    "cells": Plots,  # says which tokens are empty; only for methods that need it
    "table": lambda: datasets["tabular/made_linear"].make(
        None
    ),  # numbers and categories; only for methods that need them
}
NEEDS = {"cells": "occupied", "table": "table"}


def grids(name: str) -> list[str]:
    """The grids that a method owes an answer on."""
    return [grid for grid in GRIDS if NEEDS.get(grid) in (None, methods[name].info.get("needs"))]


CASES = [pytest.param(name, grid, id=f"{name}-{grid}") for name in methods for grid in grids(name)]
SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


class Bomb(Exception):
    """The process dies here."""


def made(name: str, grid: str, seed: int = 0) -> Objective:
    return build(name, GRIDS[grid](), SIZE, seed).train()


def some(grid: str, rows: int = 8) -> Batch:
    modality = GRIDS[grid]()
    return modality.crop(modality.data("train").batch(torch.arange(rows)))


@functools.cache
def refusal(name: str, grid: str) -> str | None:
    """Why the method does not run on the grid, or None when it does."""
    try:
        objective = made(name, grid)
        if objective.trains:
            objective(some(grid), 0.0)
    except UsageError as error:
        return str(error)
    return None


def starts(objective: Objective) -> list[float]:
    """The progress at which each stage begins."""
    return [sum(objective.stages[:i], 0.0) for i in range(len(objective.stages))]


def seeded(objective: Objective, batch: Batch, progress: float, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    return objective(batch, progress).total


def reached(objective: Objective) -> set[str]:
    """Names of parameters with a gradient that is not all zero, under every name that they have."""
    named = objective.named_parameters(remove_duplicate=False)
    return {name for name, p in named if p.grad is not None and bool(p.grad.abs().sum() > 0)}


def teachers(objective: Objective) -> Iterator[tuple[str, Frozen]]:
    return ((name, module) for name, module in objective.named_modules() if isinstance(module, Frozen))


@pytest.mark.parametrize("name", list(methods))
def test_every_method_runs_somewhere_and_says_why_not_elsewhere(name: str) -> None:
    reasons = {grid: refusal(name, grid) for grid in grids(name)}
    assert None in reasons.values(), f"{name} runs on no grid: {reasons}"
    for grid, reason in reasons.items():
        assert reason is None or len(reason.split()) > 5, f"{name} on {grid} refuses without a reason: '{reason}'"


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_loss_is_finite_and_its_gradient_reaches_what_is_trained_and_no_teacher(name: str, grid: str) -> None:
    if refusal(name, grid):
        return
    objective = made(name, grid)
    if not objective.trains:
        with pytest.raises(RuntimeError, match="no loss"):
            objective(some(grid), 0.0)
        return
    every: set[str] = set()
    moments = [begin + part * share for begin, share in zip(starts(objective), objective.stages) for part in (0, 0.95)]
    for progress in moments:
        objective.zero_grad(set_to_none=True)
        losses = objective(some(grid), progress)
        assert torch.isfinite(losses.total) and losses.parts
        assert all(torch.isfinite(part).all() and not part.requires_grad for part in losses.parts.values())
        losses.total.backward()
        every |= reached(objective)
    missed = {n for n, p in objective.named_parameters() if p.requires_grad} - every
    assert not missed, f"no gradient reaches {sorted(missed)}"
    # Of the last stage: an earlier one may train what is then frozen.
    last = reached(objective)
    assert any(n.startswith("backbone.") for n in last), "the backbone learns nothing"
    for where, target in teachers(objective):
        assert not {f"{where}.{n}" for n, _ in target.named_parameters()} & last, f"{where} has a gradient"


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_loss_falls_on_one_batch(name: str, grid: str) -> None:
    """One batch under one draw, teachers kept still: a moving target may make a healthy loss rise."""
    if refusal(name, grid) or not made(name, grid).trains:
        return
    batch = some(grid)
    for stage in range(len(made(name, grid).stages)):
        objective = made(name, grid)
        progress = starts(objective)[stage]
        optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=3e-3)
        curve = []
        for _ in range(30):
            loss = seeded(objective, batch, progress)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.detach())
        assert torch.stack(curve[-3:]).mean() < 0.95 * torch.stack(curve[:3]).mean(), f"stage {stage}: {curve}"


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_same_seed_same_numbers_and_state_round_trip(name: str, grid: str) -> None:
    if refusal(name, grid):
        return
    a, b, other = made(name, grid), made(name, grid), made(name, grid, seed=1)
    batch = some(grid)
    if a.trains:
        last = starts(a)[-1]
        assert torch.equal(seeded(a, batch, last), seeded(b, batch, last)), "equal seeds give unequal losses"
        assert not torch.equal(seeded(a, batch, last), seeded(other, batch, last))
    other.load_state_dict(a.state_dict())
    if a.trains:  # on a fresh pair of generators: whatever a forward counts is part of the state
        assert torch.equal(seeded(a, batch, last, 5), seeded(other, batch, last, 5)), "the state is incomplete"
    features = a.eval().encoder().embed(batch)
    assert torch.equal(features, other.eval().encoder().embed(batch))
    assert features.shape[0] == len(batch) and torch.isfinite(features).all()


@pytest.mark.parametrize("name", list(methods))
def test_a_killed_run_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    resume(name, next(grid for grid in GRIDS if refusal(name, grid) is None), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "grid"), CASES)
def test_a_killed_run_resumes_to_the_same_bits_on_every_grid(name: str, grid: str, tmp_path: Path) -> None:
    resume(name, grid, tmp_path)


def resume(name: str, grid: str, tmp_path: Path) -> None:
    """Killed in the middle of every stage, and resumed by an objective with other initial weights."""
    if refusal(name, grid) or not made(name, grid).trains:
        return
    shares = made(name, grid).stages
    steps = 4 if len(shares) == 1 else 12
    training = Training(steps=steps, batch_size=max(8, made(name, grid).least_batch), warmup=0.25)

    def go(objective: Objective, folder: Path | None = None, kill: int | None = None) -> None:
        def watch(step: int, losses: dict[str, float], objective: Objective) -> None:
            if kill is not None and step > kill:
                raise Bomb

        every = kill or 1
        fit(objective, GRIDS[grid](), training, seed=7, folder=folder, device="cpu", checkpoint_every=every, watch=watch,
            watch_every=1)  # fmt: skip

    undisturbed = made(name, grid)
    go(undisturbed)
    wanted = undisturbed.state_dict()
    for stage, (begin, share) in enumerate(zip(starts(undisturbed), shares)):
        folder, resumed = tmp_path / str(stage), made(name, grid, seed=9)
        with pytest.raises(Bomb):
            go(made(name, grid), folder, kill=max(1, round((begin + share / 2) * steps)))
        go(resumed, folder)
        state = resumed.state_dict()
        assert state.keys() == wanted.keys()
        for key, value in wanted.items():
            same = torch.equal(state[key], value) if isinstance(value, Tensor) else state[key] == value
            assert same, f"{key} differs after a resume in stage {stage}"


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_teachers_are_still_undecayed_and_saved(name: str, grid: str) -> None:
    if refusal(name, grid):
        return
    objective = made(name, grid)
    held = {id(p) for group in decay_groups(objective) for p in group}
    assert not objective.trains or {id(p) for p in objective.backbone.parameters()} <= held
    assert all(p.requires_grad for p in objective.backbone.parameters()) or not objective.trains
    modes: list[bool] = []
    for _, target in teachers(objective):
        norm = target.teacher.transformer.norm
        norm.register_forward_hook(lambda module, given, output: modes.append(module.training))
    if objective.trains:  # an earlier stage may train what is frozen in the last
        seeded(objective, some(grid), starts(objective)[-1])
    assert not any(modes), "a teacher is in training mode"
    for where, target in teachers(objective):
        names = {f"{where}.{n}" for n, _ in target.named_parameters()}
        assert names and names <= objective.state_dict().keys(), "a checkpoint lacks the teacher"
        if len(objective.stages) == 1:  # of several stages, an early one may train the teacher
            assert not {id(p) for p in target.parameters()} & held, "the optimiser holds a teacher"


# Information flow, for methods on the template of MaskedJEPA ---------------------------------------------------------


def masked(name: str, grid: str) -> MaskedJEPA | None:
    """The objective in evaluation mode (no dropped paths), if it follows the template and runs on the grid."""
    if refusal(name, grid):
        return None
    objective = made(name, grid).eval()
    return objective if isinstance(objective, MaskedJEPA) else None


class Seen:
    """Runs an objective's own forward on a fixed split and keeps what its encoder and predictor return."""

    def __init__(self, objective: MaskedJEPA, batch: Batch) -> None:
        self.objective, self.progress = objective, starts(objective)[-1]
        splits: list[Split] = []
        hook = objective.masker.register_forward_hook(lambda module, given, split: splits.append(split))
        seeded(objective, batch, self.progress)
        hook.remove()
        self.split = splits[-1]

    def run(self, batch: Batch, split: Split | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """(outputs of the context encoder, of the predictor) in order of their calls."""
        contexts: list[Tensor] = []
        predictions: list[Tensor] = []

        def keep(into: list[Tensor]) -> Callable[[nn.Module, object, Tensor], None]:
            return lambda module, given, output: into.append(output.detach())

        hooks = [
            self.objective.masker.register_forward_hook(lambda module, given, output: split or self.split),
            self.objective.backbone.transformer.norm.register_forward_hook(keep(contexts)),
            self.objective.predictor.register_forward_hook(keep(predictions)),
        ]
        try:
            seeded(self.objective, batch, self.progress)
        finally:
            for hook in hooks:
                hook.remove()
        assert contexts and predictions
        return contexts, predictions


def noisy(modality: Modality, batch: Batch, flags: Tensor) -> Batch:
    """The batch with noise in the input under the tokens flagged in ``flags`` (b, n)."""
    x = batch.x.clone().requires_grad_()
    (modality.patches(batch.with_x(x)) * flags[..., None]).sum().backward()
    assert x.grad is not None
    return batch.with_x(torch.where(x.grad != 0, 30 * torch.randn_like(batch.x), batch.x))


def equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right))


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_hidden_input_reaches_the_targets_alone_and_visible_input_the_predictions(name: str, grid: str) -> None:
    objective = masked(name, grid)
    if objective is None:
        return
    batch, modality = some(grid), GRIDS[grid]()
    seen = Seen(objective, batch)
    tokens = objective.masker.count
    visible = torch.zeros(len(batch), tokens).scatter(1, seen.split.context.flatten(1), 1.0)
    hidden = 1 - visible
    assert (hidden.sum(1) > 0).all() and (visible.sum(1) > 0).all()
    contexts, predictions = seen.run(batch)
    changed = noisy(modality, batch, hidden)
    contexts_now, predictions_now = seen.run(changed)
    assert equal(contexts, contexts_now), "hidden input leaks into the context"
    assert equal(predictions, predictions_now), "hidden input leaks into the predictions"
    assert not torch.equal(objective.target(batch), objective.target(changed)), "targets do not see hidden input"
    _, predictions_now = seen.run(noisy(modality, batch, visible))
    assert not any(torch.equal(a, b) for a, b in zip(predictions, predictions_now, strict=True))


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_target_groups_are_predicted_independently(name: str, grid: str) -> None:
    """Whatever the other groups ask for, the first one gets the same answer."""
    objective = masked(name, grid)
    if objective is None or type(objective).predict is not MaskedJEPA.predict:
        return
    batch = some(grid)
    seen = Seen(objective, batch)
    if seen.split.target.shape[2] < 2:
        return
    _, predictions = seen.run(batch)
    other = seen.split.target.clone()
    other[:, :, 1:] = other[:, :, :1]
    _, moved = seen.run(batch, Split(seen.split.context, other))
    for before, after in zip(predictions, moved, strict=True):
        assert torch.equal(before[:, :, 0], after[:, :, 0]) and not torch.equal(before[:, :, 1], after[:, :, 1])


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_permuted_queries_permute_the_predictions(name: str, grid: str) -> None:
    objective = masked(name, grid)
    if objective is None:
        return
    batch = some(grid)
    seen = Seen(objective, batch)
    # A mask along the last axis is the same on every row, and its rows stay together.
    rows = 1 if not isinstance(objective.masker, Columns) else objective.masker.count // objective.masker.grid[-1]
    asked = seen.split.target.shape[-1] // rows
    order = torch.randperm(asked)
    order = (order + asked * torch.arange(rows)[:, None]).flatten()
    _, predictions = seen.run(batch)
    _, permuted = seen.run(batch, Split(seen.split.context, seen.split.target[..., order]))
    assert any(p.shape[-2] == len(order) for p in predictions)
    for before, after in zip(predictions, permuted, strict=True):
        torch.testing.assert_close(after, before[..., order, :], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "grid"), CASES)
def test_a_teacher_starts_as_its_student_and_follows_it(name: str, grid: str) -> None:
    """After k updates by a fixed student with momentum m: m^k of the start, the rest of the student."""
    objective = masked(name, grid)
    if objective is None or not isinstance(objective.target, EMA):
        return
    teacher, student = objective.target.teacher, objective.backbone
    start = [p.clone() for p in teacher.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(start, student.parameters(), strict=True))
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    m = objective.target.momentum(0.5)
    for _ in range(3):
        objective.after_step(0.5)
    for now, before, fixed in zip(teacher.parameters(), start, student.parameters(), strict=True):
        torch.testing.assert_close(now, m**3 * before + (1 - m**3) * fixed.detach(), rtol=1e-5, atol=1e-6)
    assert objective.encoder() in (teacher, student)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "grid"), CASES)
def test_no_step_waits_for_the_device(name: str, grid: str) -> None:
    if refusal(name, grid):
        return
    objective = made(name, grid).to("cuda")
    if not objective.trains:
        return
    modality, index = GRIDS[grid](), torch.arange(8)
    batch = modality.data("train").to("cuda").batch(index)
    objective(batch, 0.0).total.backward()  # the first call sets up handles and workspaces
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for progress in starts(objective):
            objective(batch, progress).total.backward()
            objective.after_step(progress)
    finally:
        torch.cuda.set_sync_debug_mode("default")
