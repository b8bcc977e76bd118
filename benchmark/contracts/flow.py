"""Flow: what may reach what. Hidden input never reaches the context, labels reach neither the loss nor the features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from benchmark.contracts.grids import GRIDS, made, seeded, some, starts
from benchmark.contracts.verdict import Unasked, need
from jepakit.masking import Columns
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.registry import methods
from jepakit.targets import EMA
from jepakit.types import Batch, Split

MAY_SEE_LABELS = ("supervised",)  # families


def masked(name: str, grid: str) -> MaskedJEPA:
    """The objective in evaluation mode (no dropped paths); Unasked for one that is not made on the template."""
    objective = made(name, grid).eval()
    if not isinstance(objective, MaskedJEPA):
        raise Unasked("not on the template of MaskedJEPA")
    return objective


class Seen:
    """Runs an objective's own forward on a fixed split and keeps what its encoder and predictor return."""

    def __init__(self, objective: MaskedJEPA, batch: Batch) -> None:
        self.objective, self.progress = objective, starts(objective)[-1]
        splits: list[Split] = []
        hook = objective.masker.register_forward_hook(lambda module, given, split: splits.append(split))
        seeded(objective, batch, self.progress)
        hook.remove()
        need(splits, "its masker is never called; let forward ask self.masker for the split")
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
        need(contexts and predictions, "its encoder or predictor is never called; let forward use both")
        return contexts, predictions


def noisy(modality: Modality, batch: Batch, flags: Tensor) -> Batch:
    """The batch with noise in the input under the tokens flagged in ``flags`` (b, n)."""
    x = batch.x.clone().requires_grad_()
    (modality.patches(batch.with_x(x)) * flags[..., None]).sum().backward()
    assert x.grad is not None
    return batch.with_x(torch.where(x.grad != 0, 30 * torch.randn_like(batch.x), batch.x))


def _equal(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(torch.equal(a, b) for a, b in zip(left, right))


def hides(name: str, grid: str) -> None:
    """Hidden input reaches the targets alone, visible input the predictions."""
    objective = masked(name, grid)
    batch, modality = some(grid), GRIDS[grid]()
    seen = Seen(objective, batch)
    visible = torch.zeros(len(batch), objective.masker.count).scatter(1, seen.split.context.flatten(1), 1.0)
    hidden = 1 - visible
    need((hidden.sum(1) > 0).all(), "the masker hides nothing; leave some tokens out of Split.context")
    need((visible.sum(1) > 0).all(), "the masker shows nothing; put some tokens into Split.context")
    contexts, predictions = seen.run(batch)
    changed = noisy(modality, batch, hidden)
    contexts_now, predictions_now = seen.run(changed)
    need(
        _equal(contexts, contexts_now),
        "hidden input leaks into the context; encode tokens.take(split.context) and nothing else",
    )
    need(
        _equal(predictions, predictions_now),
        "hidden input leaks into the predictions; give the predictor the context and the places alone",
    )
    need(
        not torch.equal(objective.target(batch), objective.target(changed)),
        "the targets do not see hidden input; compute them from the whole batch",
    )
    _, predictions_now = seen.run(noisy(modality, batch, visible))
    need(
        not any(torch.equal(a, b) for a, b in zip(predictions, predictions_now, strict=True)),
        "the predictions do not depend on visible input; give the predictor the encoded context",
    )


def parts_groups(name: str, grid: str) -> None:
    """Whatever the other groups ask for, the first one gets the same answer."""
    objective = masked(name, grid)
    if type(objective).predict is not MaskedJEPA.predict:
        raise Unasked("it predicts in an order of its own")
    batch = some(grid)
    seen = Seen(objective, batch)
    if seen.split.target.shape[2] < 2:
        raise Unasked("one group of targets")
    _, predictions = seen.run(batch)
    other = seen.split.target.clone()
    other[:, :, 1:] = other[:, :, :1]
    _, moved = seen.run(batch, Split(seen.split.context, other))
    for before, after in zip(predictions, moved, strict=True):
        need(
            torch.equal(before[:, :, 0], after[:, :, 0]),
            "what one group of targets is told depends on what the others ask; predict each group in a pass of its own",
        )
        need(
            not torch.equal(before[:, :, 1], after[:, :, 1]),
            "the predictor ignores which places are asked for; give it the positions of the queried tokens",
        )


def permutes(name: str, grid: str) -> None:
    """Permuted queries permute the predictions."""
    objective = masked(name, grid)
    batch = some(grid)
    seen = Seen(objective, batch)
    # A mask along the last axis is the same on every row, and its rows stay together.
    rows = 1 if not isinstance(objective.masker, Columns) else objective.masker.count // objective.masker.grid[-1]
    asked = seen.split.target.shape[-1] // rows
    order = torch.randperm(asked)
    order = (order + asked * torch.arange(rows)[:, None]).flatten()
    _, predictions = seen.run(batch)
    _, permuted = seen.run(batch, Split(seen.split.context, seen.split.target[..., order]))
    remedy = "tell the predictor where a query lies by its position, not by its rank"
    need(any(p.shape[-2] == len(order) for p in predictions), f"no prediction per queried token; {remedy}")
    for before, after in zip(predictions, permuted, strict=True):
        need(
            torch.allclose(after, before[..., order, :], rtol=1e-4, atol=1e-5),
            f"the order of the queries changes what is predicted at a place; {remedy}",
        )


def follows(name: str, grid: str) -> None:
    """After k updates by a fixed student with momentum m the teacher keeps m^k of its start; m stays in [0, 1]."""
    objective = masked(name, grid)
    if not isinstance(objective.target, EMA):
        raise Unasked("no EMA teacher")
    ends = [objective.target.momentum(progress) for progress in (0.0, 0.5, 1.0)]
    need(
        all(0 <= end <= 1 for end in ends),
        f"the momentum runs from {ends[0]:g} to {ends[-1]:g}; keep both ends in [0, 1] (schedules.momentum)",
    )
    need(ends[0] <= ends[-1], f"the momentum falls from {ends[0]:g} to {ends[-1]:g}; give the smaller end first")
    teacher, student = objective.target.teacher, objective.backbone
    start = [p.clone() for p in teacher.parameters()]
    need(
        all(torch.equal(a, b) for a, b in zip(start, student.parameters(), strict=True)),
        "the teacher does not start as its student; build EMA from the backbone after its weights are drawn",
    )
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    m = ends[1]
    for _ in range(3):
        objective.after_step(0.5)
    for now, before, fixed in zip(teacher.parameters(), start, student.parameters(), strict=True):
        need(
            torch.allclose(now, m**3 * before + (1 - m**3) * fixed.detach(), rtol=1e-5, atol=1e-6),
            "the teacher does not follow its student; call self.target.update(progress) once in after_step",
        )
    need(
        any(objective.encoder() is one for one in (teacher, student)),
        "encoder() is neither the teacher nor the backbone; return the network that was trained",
    )


def _relabelled(batch: Batch) -> Batch:
    return replace(batch, labels={task: label.flip(0) for task, label in batch.labels.items()})


def no_labels(name: str, grid: str) -> None:
    """The loss does not see labels, except that of supervised rows."""
    objective = made(name, grid)
    if not objective.trains or methods[name].info.get("family") in MAY_SEE_LABELS:
        raise Unasked("it takes no step, or says that it is supervised")
    batch = some(grid)
    for progress in starts(objective):
        remedy = "leave batch.labels alone, or register it with family='supervised'"
        one, again, two = (seeded(made(name, grid), asked, progress) for asked in (batch, batch, _relabelled(batch)))
        if not torch.equal(one, again):
            raise Unasked("asked when equal seeds give equal losses")
        need(torch.equal(one, two), f"the loss depends on the labels; {remedy}")


def encodes(name: str, grid: str) -> None:
    """The encoder gives finite features (b, d) that depend on the row alone: on no label, on no neighbour."""
    objective, batch = made(name, grid).eval(), some(grid)
    encoder = objective.encoder()
    bare = Batch(batch.x, {}, batch.extra)  # what a probe's features are computed from
    with torch.no_grad():
        whole, told = encoder.embed(bare), encoder.embed(_relabelled(batch))
        half = encoder.embed(Batch(batch.x[:3], {}, {key: column[:3] for key, column in batch.extra.items()}))
    need(
        whole.ndim == 2 and len(whole) == len(batch),
        f"encoder().embed gives {tuple(whole.shape)} for {len(batch)} rows; give one vector per row, (b, d)",
    )
    need(torch.isfinite(whole).all(), "encoder().embed gives values that are not finite; normalise with an epsilon")
    need(torch.equal(whole, told), "the features depend on the labels; encode batch.x and batch.extra alone")
    scale = whole.abs().max().clamp_min(1e-6)
    need(
        ((whole[:3] - half).abs().max() <= 1e-3 * scale),
        "the features of a row depend on the rows beside it; use no statistics of the batch in evaluation mode",
    )
