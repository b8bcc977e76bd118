"""Embeddings: where frozen features of test rows lie in the plane of most variance, for pictures on the page of results:
``python -m benchmark embed ecg dataset=simulated method=ecgjepa,mae seed=0``.

The encoders of finished rows come from ``results/.cache``; nothing is trained here, and ``make report`` only draws what this
command wrote. Features are centred, not scaled, as the first two principal components of all test rows say; a sample of
them is kept, each with its label and with the first factor that good features may ignore.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from sklearn.decomposition import PCA

from benchmark import features, record, request, trained
from benchmark.atomic import write_bytes
from benchmark.board import Record, row_variant
from benchmark.cache import Cache
from benchmark.cell import again
from benchmark.probes.heads import device_of_choice
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import Data, Task, UsageError

ROWS = 200  # of the test part: more cover each other in a small picture
# share_x, share_y: of the variance; task, label and nuisance, factor: names of two tasks and values of a row, empty where
# unknown.
COLUMNS = (
    "method", "variant", "family", "seed", "key", "share_x", "share_y", "x", "y", "task", "label", "nuisance", "factor",
)  # fmt: skip


def path(results: Path, modality: str, dataset: str, preset: str) -> Path:
    """The file of a board's pictures."""
    return results / f"embeddings_{modality}_{dataset}_{preset}.csv"


def plane(pooled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, d) features → their place (n, 2) in the plane of most variance, and the shares (2,) of the variance of its axes.
    Features without any variance all lie at the origin. The sign of an axis is that of scikit-learn's PCA."""
    wide = np.asarray(pooled, dtype=np.float64)
    if min(wide.shape) < 2 or not wide.var():
        return np.zeros((len(wide), 2)), np.zeros(2)
    made = PCA(2, svd_solver="full").fit(wide)
    return made.transform(wide), made.explained_variance_ratio_


def question(tasks: list[Task], *, nuisance: bool) -> Task | None:
    """The first task of this sort that gives a row one value."""
    return next((one for one in tasks if one.nuisance == nuisance and one.kind in ("class", "regression")), None)


def values(data: Data, task: Task | None, index: np.ndarray) -> list[object]:
    """What the rows at ``index`` answer: names of classes or numbers, None where unknown."""
    if task is None:
        return [None] * len(index)
    own = data.labels[task.name][index].cpu().numpy()
    if task.kind == "regression":
        return [None if np.isnan(value) else float(value) for value in own]
    names = task.classes or tuple(map(str, range(int(own.max()) + 1)))
    return [None if value < 0 else names[int(value)] for value in own]


def points(one: Record, modality: Modality, cache: Cache, device: str) -> pd.DataFrame | None:
    """The rows of the file for a finished record; None where its encoder is no longer in the cache."""
    encoder = trained.encoder(one, modality, cache)
    if encoder is None:
        return None
    data = modality.data("test")
    place, shares = plane(features.extract(encoder.eval(), modality, data, device=device).pooled)
    index = np.sort(np.random.default_rng(len(data)).permutation(len(data))[:ROWS])
    label, factor = (question(list(modality.tasks), nuisance=nuisance) for nuisance in (False, True))
    made = pd.DataFrame({"x": place[index, 0], "y": place[index, 1]})
    made["method"], made["variant"], made["family"] = one["method"], row_variant(one), one["family"]
    made["seed"], made["key"] = one["seed"], one["key"]
    made["share_x"], made["share_y"] = shares
    for task, name, column in ((label, "task", "label"), (factor, "nuisance", "factor")):
        made[name] = task.name if task else None
        made[column] = pd.Series(values(data, task, index), dtype=object)
    return made[list(COLUMNS)]


def run(chosen: argparse.Namespace, root: Path | None, console: Console) -> None:
    """Write the files of the boards in ``chosen.words`` and say where they are. Raises UsageError."""
    asked = request.parse(chosen.words)
    record.preflight(chosen.results)
    known = record.load_all(chosen.results, asked.modality)
    cache, device = Cache(chosen.results), device_of_choice()
    seeds = asked.seeds if any(word.startswith(("seed=", "seeds=")) for word in chosen.words) else (0,)
    for dataset in asked.datasets:
        name = f"{asked.modality}/{dataset}"
        again_with = f"run {asked.modality} dataset={dataset} preset={asked.preset}"
        own = [one for one in trained.wanted(known, name, asked.preset, asked.methods) if one["seed"] in seeds]
        own = [one for one in own if one["method"] != "raw_features"]  # no encoder's
        if not own:
            raise UsageError(f"{name} has no fresh row at preset {asked.preset}; run it first: {again_with}")
        modality = limited(datasets[name].make(root), again(own[0]).limit)
        parts = []
        for one in own:
            made = points(one, modality, cache, device)
            if made is None:
                console.print(
                    f"{one['method']} {escape(row_variant(one))} seed {one['seed']} on {dataset}: no encoder in the cache; "
                    f"run it again: {again_with} method={one['method']} --force",
                    soft_wrap=True, highlight=False,
                )  # fmt: skip
            else:
                parts.append(made)
        if not parts:
            raise UsageError(f"no encoder of these rows of {name} is in the cache; run them again with --force")
        out = path(chosen.results, asked.modality, dataset, asked.preset)
        write_bytes(out, pd.concat(parts).to_csv(index=False, float_format="%.4g").encode())
        console.print(f"written: {out}; make report draws it", soft_wrap=True, highlight=False)
