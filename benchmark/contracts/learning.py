"""Learning: what the steps of a method owe on each grid: a loss that falls, gradients where they belong, equal bits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from benchmark.contracts.grids import GRIDS, grids, made, refusal, seeded, some, starts
from benchmark.contracts.verdict import Fault, Unasked, need
from jepakit.objective import Objective
from jepakit.pretrain import Training, decay_groups, fit
from jepakit.targets import Frozen


class _Bomb(Exception):
    """The process dies here."""


def untrained(objective: Objective) -> None:
    """Leaves a check that asks about steps when the method takes none."""
    if not objective.trains:
        raise Unasked("it takes no step")


def reached(objective: Objective) -> set[str]:
    """Names of parameters with a gradient that is not all zero, under every name that they have."""
    named = objective.named_parameters(remove_duplicate=False)
    return {name for name, p in named if p.grad is not None and bool(p.grad.abs().sum() > 0)}


def teachers(objective: Objective) -> Iterator[tuple[str, Frozen]]:
    """Every frozen or following network of the method with its place."""
    return ((name, module) for name, module in objective.named_modules() if isinstance(module, Frozen))


def runs(name: str) -> str:
    """The method runs on one grid at least and says why not on the others."""
    reasons = {grid: refusal(name, grid) for grid in grids(name)}
    able = [grid for grid, reason in reasons.items() if reason is None]
    first = next((reason for reason in reasons.values() if reason), "")
    need(
        able,
        f"it runs on no grid of one, two or three axes ({first}); say needs='occupied' or needs='table' in the "
        "registration if it wants data of that kind",
    )
    for grid, reason in reasons.items():
        need(
            reason is None or len(reason.split()) > 5,
            f"on {grid} it refuses without a reason ('{reason}'); say in the UsageError what is missing and what to use",
        )
    refused = [grid for grid in reasons if grid not in able]
    return f"on {', '.join(able)}" + (f", not on {', '.join(refused)}" if refused else "")


def moments(objective: Objective) -> list[float]:
    """Begin and near end of every stage, as progress."""
    return [begin + part * share for begin, share in zip(starts(objective), objective.stages) for part in (0, 0.95)]


def finite(name: str, grid: str) -> None:
    """The loss is a finite number with a gradient, and so are its parts, without one."""
    objective = made(name, grid)
    if not objective.trains:
        try:
            objective(some(grid), 0.0)
        except RuntimeError as error:
            need("no loss" in str(error), f"a row that takes no step says it has no loss, not '{error}'")
            return
        raise Fault("it says trains = False but gives a loss; raise RuntimeError as jepakit.objective.Reference does")
    for progress in moments(objective):
        losses = objective(some(grid), progress)
        need(
            torch.isfinite(losses.total),
            f"the loss is {float(losses.total.detach()):g} at progress {progress:g}; guard divisions, logarithms and "
            "roots with an epsilon",
        )
        need(losses.parts, "Losses.parts is empty; name at least one part, for the records")
        for part, value in losses.parts.items():
            need(torch.isfinite(value).all(), f"the part '{part}' of the loss is not finite; guard it with an epsilon")
            need(
                not value.requires_grad, f"the part '{part}' still has a gradient; detach() what goes into Losses.parts"
            )
        need(losses.total.requires_grad, "the loss has no gradient; do not detach it or compute it under no_grad")


def learns(name: str, grid: str) -> None:
    """The gradient reaches all that is trained, and no teacher."""
    objective = made(name, grid)
    untrained(objective)
    every: set[str] = set()
    for progress in moments(objective):
        objective.zero_grad(set_to_none=True)
        objective(some(grid), progress).total.backward()
        every |= reached(objective)
    missed = sorted({n for n, p in objective.named_parameters() if p.requires_grad} - every)
    need(
        not missed,
        f"no gradient reaches {', '.join(missed[:3])}; use it in the loss or freeze it with requires_grad_(False)",
    )
    # Of the last stage: an earlier one may train what is then frozen.
    last = reached(objective)
    need(any(n.startswith("backbone.") for n in last), "the backbone learns nothing; let the loss depend on its output")
    for where, target in teachers(objective):
        held = {f"{where}.{n}" for n, _ in target.named_parameters()} & last
        need(not held, f"the teacher in {where} has a gradient; call it through Target or under torch.no_grad()")


def falls(name: str, grid: str) -> None:
    """The loss falls on one batch under one draw, teachers kept still: a moving target may make a healthy loss rise."""
    untrained(made(name, grid))
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
        first, last = float(torch.stack(curve[:3]).mean()), float(torch.stack(curve[-3:]).mean())
        need(
            last < 0.95 * first,
            f"in 30 steps on one batch the loss goes from {first:.4g} to {last:.4g}; look at the sign of the loss and at "
            "what is detached",
        )


def repeats(name: str, grid: str) -> None:
    """Equal seeds give equal losses, and a saved state holds everything."""
    a, b, other = made(name, grid), made(name, grid), made(name, grid, seed=1)
    batch = some(grid)
    if a.trains:
        last = starts(a)[-1]
        need(
            torch.equal(seeded(a, batch, last), seeded(b, batch, last)),
            "equal seeds give unequal losses; draw from torch's default generators and keep no state outside the module",
        )
        need(
            not torch.equal(seeded(a, batch, last), seeded(other, batch, last)),
            "another seed gives the same loss; draw the initial weights from torch's default generator",
        )
    other.load_state_dict(a.state_dict())
    lacking = "; register what changes as a buffer, or keep it in get_extra_state"
    if a.trains:  # on a fresh pair of generators: whatever a forward counts is part of the state
        need(
            torch.equal(seeded(a, batch, last, 5), seeded(other, batch, last, 5)),
            f"the state is incomplete: a loaded copy gives another loss{lacking}",
        )
    features, again = a.eval().encoder().embed(batch), other.eval().encoder().embed(batch)
    need(torch.equal(features, again), f"the state is incomplete: a loaded copy gives other features{lacking}")


def resumes(name: str, grid: str) -> None:
    """Killed in the middle of every stage and resumed by an objective with other initial weights: the same bits."""
    untrained(made(name, grid))
    shares = made(name, grid).stages
    steps = 4 if len(shares) == 1 else 12
    training = Training(steps=steps, batch_size=max(8, made(name, grid).least_batch), warmup=0.25)

    def go(objective: Objective, folder: Path | None = None, kill: int | None = None) -> None:
        def watch(step: int, losses: dict[str, float], objective: Objective) -> None:
            if kill is not None and step > kill:
                raise _Bomb

        every = kill or 1
        fit(objective, GRIDS[grid](), training, seed=7, folder=folder, device="cpu", checkpoint_every=every, watch=watch,
            watch_every=1)  # fmt: skip

    undisturbed = made(name, grid)
    go(undisturbed)
    wanted = undisturbed.state_dict()
    for stage, (begin, share) in enumerate(zip(starts(undisturbed), shares)):
        with tempfile.TemporaryDirectory() as folder:
            try:
                go(made(name, grid), Path(folder), kill=max(1, round((begin + share / 2) * steps)))
            except _Bomb:
                pass
            else:
                raise Fault("a run of the method could not be stopped in the middle; leave the loop to the suite")
            resumed = made(name, grid, seed=9)
            go(resumed, Path(folder))
        state = resumed.state_dict()
        for key in sorted(wanted.keys() | state.keys()):
            left, right = wanted.get(key), state.get(key)
            same = torch.equal(left, right) if isinstance(left, Tensor) and isinstance(right, Tensor) else left == right
            need(same, f"{key} differs after a resume in stage {stage}; keep all that a step changes in the state dict")


def stills(name: str, grid: str) -> None:
    """Teachers are in evaluation mode, out of the optimiser and in the checkpoint; the backbone is in the optimiser."""
    objective = made(name, grid)
    held = {id(p) for group in decay_groups(objective) for p in group}
    if objective.trains:
        need(
            {id(p) for p in objective.backbone.parameters()} <= held,
            "some parameters of the backbone are frozen; leave requires_grad of the backbone as it is",
        )
    modes: list[bool] = []
    for _, target in teachers(objective):
        norm = target.teacher.transformer.norm
        norm.register_forward_hook(lambda module, given, output: modes.append(module.training))
    if objective.trains:  # an earlier stage may train what is frozen in the last
        seeded(objective, some(grid), starts(objective)[-1])
    need(not any(modes), "a teacher runs in training mode; do not call train() on it")
    for where, target in teachers(objective):
        names = {f"{where}.{n}" for n, _ in target.named_parameters()}
        need(
            names and names <= objective.state_dict().keys(),
            f"a checkpoint lacks the teacher in {where}; keep it as a submodule and leave state_dict alone",
        )
        if len(objective.stages) == 1:  # of several stages, an early one may train the teacher
            need(
                not {id(p) for p in target.parameters()} & held,
                f"the optimiser holds the teacher in {where}; freeze it with requires_grad_(False)",
            )


def on_device(name: str, grid: str) -> None:
    """On a GPU no step waits for it."""
    if not torch.cuda.is_available():
        raise Unasked("no GPU here")
    objective = made(name, grid).to("cuda")
    untrained(objective)
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
