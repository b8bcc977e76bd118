"""Showing: what a data set owes a method: tokens on its grid, views random yet seeded, nothing that tells the answer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark import metrics
from benchmark.contracts.reading import read, refusal
from benchmark.contracts.verdict import Doubt, Unasked, need
from benchmark.features import Features
from benchmark.probes import evaluate
from jepakit.modality import Modality
from jepakit.types import PARTS, Batch, Data, Part, Task, Tokens

DIM, ROWS = 16, 6
CANARY = {"train": 300, "val": 150, "test": 400}  # rows that the canary sings for
PROBE = "ridge"


def _batch(modality: Modality, data: Data) -> Batch:
    torch.manual_seed(0)
    return modality.crop(data.batch(torch.arange(min(ROWS, len(data)))))


def _windows(modality: Modality, data: Data) -> Data:
    return modality.windows(data.take(np.arange(min(ROWS, len(data)))))


def tokens(name: str, root: Path | None) -> str:
    """Training crops and probed windows become ∏ grid tokens of the asked width, with as many patches under them."""
    modality, found = read(name, root)
    n, axes = math.prod(modality.grid), len(modality.grid)
    torch.manual_seed(0)
    tokenizer = modality.tokenizer(DIM)
    windows = _windows(modality, found["test"])
    shown = {"a crop": _batch(modality, found["train"]), "a window": windows.batch(torch.arange(len(windows)))}
    for what, batch in shown.items():
        made: Tokens = tokenizer(batch)
        need(isinstance(made, Tokens), f"the tokenizer gives {type(made).__name__}; give jepakit.types.Tokens")
        need(
            made.x.shape == (len(batch), n, DIM),
            f"{what} becomes tokens of shape {tuple(made.x.shape)}, the grid {modality.grid} promises "
            f"{(len(batch), n, DIM)}; let grid and tokenizer agree",
        )
        need(
            made.pos.shape[:2] == (len(batch), n) and made.pos.shape[2] >= axes,
            f"positions have shape {tuple(made.pos.shape)}; give coordinates (b, {n}, {axes}) (modality.grid_positions)",
        )
        need(
            bool(made.x.isfinite().all()) and bool(made.pos.isfinite().all()),
            f"tokens of {what} are not finite; standardise the input and guard divisions",
        )
        patches = modality.patches(batch)
        need(
            patches.shape == (len(batch), n, modality.patch_values),
            f"patches of {what} have shape {tuple(patches.shape)}; give (b, {n}, {modality.patch_values}), the values under "
            "each token (patch_values)",
        )
    for task in modality.tasks:
        width = windows.labels[task.name].shape[1] if task.kind == "dense" else n
        need(width == n, f"the dense labels '{task.name}' have {width} places for {n} tokens; give one per token")
    made_by_hand = modality.handmade(shown["a window"])
    need(
        made_by_hand.ndim == 2 and len(made_by_hand) == len(windows) and bool(made_by_hand.isfinite().all()),
        f"handmade features have shape {tuple(made_by_hand.shape)} or are not finite; give finite numbers (b, f)",
    )
    return f"grid {'×'.join(map(str, modality.grid))}, {modality.patch_values} values each"


def views(name: str, root: Path | None) -> str:
    """Views keep shape and labels, differ from call to call, and are equal under an equal seed."""
    modality, found = read(name, root)
    batch = _batch(modality, found["train"])
    if modality.augmentation == "none":
        why = refusal(lambda: modality.views(batch))
        need(why, "it says augmentation = 'none' but gives views; say 'crop' or 'modality-specific'")
        return "none"

    def seeded(seed: int) -> Batch:
        torch.manual_seed(seed)
        return modality.views(batch)

    one, two, other = seeded(1), seeded(1), seeded(2)
    need(
        one.x.shape == batch.x.shape,
        f"a view has shape {tuple(one.x.shape)}, the input {tuple(batch.x.shape)}; bring views to the shape of the input",
    )
    need(bool(one.x.isfinite().all()), "a view is not finite; guard divisions and logarithms")
    need(torch.equal(one.x, two.x), "an equal seed gives another view; draw from torch's default generator")
    need(not torch.equal(one.x, other.x), "every view is the same; draw from torch's default generator at each call")
    fixed = [
        task.name for task in modality.tasks if task.kind != "dense"
    ]  # a turned scene turns the labels of its places
    for task, label in ((task, batch.labels[task]) for task in fixed):
        kept = task in one.labels and torch.equal(torch.nan_to_num(one.labels[task]), torch.nan_to_num(label))
        need(kept, f"a view changes the labels of '{task}'; return batch.with_x(…), or Batch with the same labels")
    lost = sorted(batch.extra.keys() - one.extra.keys() - {"whole"})  # the image before its crop is spent
    need(not lost, f"a view loses the side input {', '.join(lost)}; hand on batch.extra")
    if modality.actions:
        action = one.extra.get("action")
        need(
            action is not None and action.shape == (len(batch), len(modality.actions)),
            f"it names the actions {', '.join(modality.actions)}; let views report them in extra['action'] (b, "
            f"{len(modality.actions)}), or name none",
        )
    return f"{modality.augmentation}" + (f", actions {', '.join(modality.actions)}" if modality.actions else "")


def label_free(name: str, root: Path | None) -> None:
    """Tokens, patches, crops, views and hand-made features do not change with the labels, and no side input repeats one."""
    modality, found = read(name, root)
    data = found["train"]
    batch = data.batch(torch.arange(min(ROWS, len(data))))
    other = replace(batch, labels={task: label.flip(0) for task, label in batch.labels.items()})
    torch.manual_seed(0)
    tokenizer = modality.tokenizer(DIM)
    has_views = modality.augmentation != "none"
    shown: dict[str, Callable[[Batch], Tensor]] = {
        "crop": lambda b: modality.crop(b).x,
        "tokenizer": lambda b: tokenizer(modality.crop(b)).x,
        "patches": lambda b: modality.patches(modality.crop(b)),
        "handmade": lambda b: modality.handmade(modality.crop(b)),
        **({"views": lambda b: modality.views(modality.crop(b)).x} if has_views else {}),
    }
    for what, call in shown.items():
        results = []
        for asked in (batch, batch, other):
            torch.manual_seed(0)
            results.append(call(asked))
        one, again, two = results
        need(
            torch.equal(one, two) or not torch.equal(one, again),
            f"{what} depends on the labels; use batch.x and batch.extra alone",
        )
    for key, column in data.extra.items():
        for task, label in data.labels.items():
            same = column.shape == label.shape and torch.equal(
                column.double().nan_to_num(), label.double().nan_to_num()
            )
            need(
                not same,
                f"the side input '{key}' is the label of '{task}'; leave it out of Data.extra, methods read that",
            )


def told(name: str, root: Path | None) -> None:
    """No single hand-made feature is the answer itself."""
    modality, found = read(name, root)
    task = modality.tasks[0]
    if task.kind != "class":
        raise Unasked("the headline is no class")
    data = _some(modality, found["train"], "train")
    label = data.labels[task.name]
    x = modality.handmade(data.batch(torch.arange(len(data))))
    codes = label.unique()
    for column in range(x.shape[1]):
        values = [x[label == code, column] for code in codes]
        constant = all(bool((one == one[0]).all()) for one in values)
        if constant and len(codes) > 1 and len({float(one[0]) for one in values}) == len(codes):
            raise Doubt(
                f"the hand-made feature {column} alone tells '{task.name}' in train without an error; is it the answer in "
                "other clothes? If so, leave that input out"
            )


def canary(name: str, root: Path | None) -> str:
    """Labels that are dealt anew within each part are answered at chance by a probe on the hand-made features."""
    modality, found = read(name, root)
    task = next((one for one in modality.tasks if one.kind != "dense"), None)
    if task is None:
        raise Unasked("every task is dense")
    features: dict[Part, Features] = {}
    data: dict[Part, Data] = {}
    for number, part in enumerate(PARTS):
        dealt = _dealt(_known(found[part], task), task, number)
        some = _some(modality, dealt, part)
        x = modality.handmade(some.batch(torch.arange(len(some)))).float().numpy()
        if not np.isfinite(x).all():
            raise Unasked("asked when inputs are finite")
        features[part], data[part] = Features(x), replace(some, record=None)
    score = evaluate(PROBE, features, data, task, 0)
    metric = metrics.get(task.metric)
    chance = metric.chance(score.labels)
    margin = 4 / math.sqrt(len(score.labels)) * (float(np.std(score.labels)) if metric.name == "rmse" else 0.5)
    gain = score.value - chance if metric.higher_is_better else chance - score.value
    need(
        gain < margin,
        f"with shuffled labels {metric.name} of '{task.name}' is {score.value:.2f}, where {chance:.2f} is chance; let "
        "windows() carry on the labels it is handed, and no input repeat them",
    )
    return f"{metric.name} {score.value:.2f}, chance {chance:.2f}"


def _known(data: Data, task: Task) -> Data:
    label = data.labels[task.name]
    keep = (
        label >= 0 if task.kind == "class" else ~label.flatten(1).isnan().any(1) if label.ndim > 1 else ~label.isnan()
    )
    return data.take(keep.nonzero()[:, 0].numpy())


def _dealt(data: Data, task: Task, seed: int) -> Data:
    rng = np.random.default_rng([5, seed])
    some = data.take(rng.permutation(len(data)))
    order = torch.from_numpy(rng.permutation(len(some)))
    return replace(some, labels={**some.labels, task.name: some.labels[task.name][order]})


def _some(modality: Modality, data: Data, part: str) -> Data:
    """Some rows of a part as they are probed."""
    rows = np.random.default_rng(3).permutation(len(data))[: CANARY[part]]  # files are often sorted by class
    few = modality.windows(data.take(np.sort(rows)))
    return few.take(np.arange(min(CANARY[part], len(few))))
