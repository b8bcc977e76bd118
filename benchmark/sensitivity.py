"""Sensitivity: which columns of a table frozen features depend on, where it is known which of them matter:
``python -m benchmark columns tabular dataset=made_linear``.

The share of a column is its total-effect index (Jansen 1999): half the mean squared change of the features when the column
is drawn anew from its marginal distribution, over their variance. Shares need no label. On made tables the columns have
roles: the area under the curve says how well shares tell the relevant columns from those of noise, and relevant and
redundant ones together from noise; 0.5 is what an encoder gets that treats all columns alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sklearn.metrics import roc_auc_score

from benchmark import features, record, request, trained
from benchmark.atomic import write_bytes
from benchmark.board import row_variant
from benchmark.cache import Cache
from benchmark.cell import again
from benchmark.listing import table
from benchmark.probes.heads import device_of_choice
from benchmark.subset import limited
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.randomness import reseed
from jepakit.registry import datasets
from jepakit.table import table_of
from jepakit.types import UsageError

ROLES = ("relevant", "redundant", "noise")
COLUMNS = (
    "modality", "dataset", "preset", "method", "variant", "family", "seed", "auc_relevant", "auc_signal",
    *(f"share_{role}" for role in ROLES),
)  # fmt: skip
SEED = 0x636F6C73


def shares(encoder: Embedder, modality: Modality, *, device: str) -> np.ndarray:
    """The share of every column (columns,) in the features of the test rows; may sum to more than 1.

    Raises UsageError for a modality without columns.
    """
    own = table_of(modality)
    data = modality.data("test")
    clean = features.extract(encoder, modality, data, device=device).pooled.astype(np.float64)
    spread = float(clean.var(0).sum())
    found = []
    with torch.random.fork_rng([]):
        reseed(SEED, 0, torch.device("cpu"))
        whole = data.batch(torch.arange(len(data)))
        for column in range(len(own.sizes)):
            hit = torch.zeros_like(whole.x, dtype=torch.bool)
            hit[:, column] = True
            drawn = own.corrupted(whole, hit)
            other = type(data)(drawn.x, {}, data.unit, extra=drawn.extra)
            moved = features.extract(encoder, modality, other, device=device).pooled.astype(np.float64)
            found.append(float(((moved - clean) ** 2).sum(1).mean() / 2))
    return np.array(found) / max(spread, np.finfo(np.float64).tiny)


def areas(found: np.ndarray, roles: Sequence[str]) -> tuple[float, float]:
    """(relevant against noise, relevant and redundant against noise): areas under the curve of the shares."""
    role = np.array(roles)
    out = []
    for signal in (("relevant",), ("relevant", "redundant")):
        kept = np.isin(role, (*signal, "noise"))
        out.append(float(roc_auc_score(role[kept] != "noise", found[kept])))
    return out[0], out[1]


def roles_of(modality: Modality, name: str) -> list[str]:
    """The role of every column, in token order. Raises UsageError for a table whose columns are not known."""
    known: Mapping[str, str] | None = modality.roles() if hasattr(modality, "roles") else None
    if known is None:
        having = [one for one in datasets if hasattr(datasets[one].make, "roles")]
        raise UsageError(f"nobody knows which columns of {name} matter; known are those of: {', '.join(having)}")
    return [known[column.name] for column in modality.table().columns]  # type: ignore[attr-defined]


def run(chosen: argparse.Namespace, root: Path | None, console: Console) -> None:
    """Measure the encoders that are asked for, print the table and write ``columns_<modality>_<preset>.csv``."""
    asked = request.parse(chosen.words)
    record.preflight(chosen.results)
    known = record.load_all(chosen.results, asked.modality)
    named = any(word.startswith("dataset=") for word in chosen.words)
    names = asked.datasets if named else [one for one in asked.datasets if _has(f"{asked.modality}/{one}")]
    lines: list[dict[str, object]] = []
    cache, device = Cache(chosen.results), device_of_choice()
    for dataset in names:
        name = f"{asked.modality}/{dataset}"
        own = trained.wanted(known, name, asked.preset, asked.methods)
        if not own:
            raise UsageError(
                f"{name} has no fresh row at preset {asked.preset}; run it first: run {asked.modality} dataset={dataset} "
                f"preset={asked.preset}"
            )
        modality = limited(datasets[name].make(root), again(own[0]).limit)
        roles = roles_of(modality, name)
        for one in own:
            encoder = trained.encoder(one, modality, cache)
            if encoder is None:
                console.print(
                    f"{one['method']} {escape(row_variant(one))} seed {one['seed']} on {dataset}: no encoder in the cache; "
                    f"run it again: run {asked.modality} dataset={dataset} method={one['method']} "
                    f"preset={asked.preset} --force",
                    soft_wrap=True, highlight=False,
                )  # fmt: skip
                continue
            found = shares(encoder.eval(), modality, device=device)
            means = [float(found[np.array(roles) == role].mean()) for role in ROLES]
            place = (asked.modality, dataset, asked.preset, one["method"], row_variant(one), one["family"], one["seed"])
            lines.append(dict(zip(COLUMNS, (*place, *areas(found, roles), *means), strict=True)))
    if not lines:
        raise UsageError("no encoder of these rows is in the cache; run them again with --force")
    made = pd.DataFrame(lines, columns=list(COLUMNS))
    console.print(draw(made))
    if not named:
        path = chosen.results / f"columns_{asked.modality}_{asked.preset}.csv"
        write_bytes(path, made.to_csv(index=False, float_format="%.5g").encode())
        console.print(f"written: {path}", soft_wrap=True, highlight=False)


def _has(name: str) -> bool:
    return hasattr(datasets[name].make, "roles")


def draw(made: pd.DataFrame) -> Table:
    """Rows by how well their shares tell signal from noise, mean over data sets and seeds with the lowest and highest."""
    names = list(dict.fromkeys(made["dataset"]))
    shown = table(
        f"{made['modality'].iloc[0]} · {made['preset'].iloc[0]} · which columns features depend on",
        "method", "relevant from noise", "with redundant", *(f"share {role}" for role in ROLES), "runs",
    )  # fmt: skip
    for column in shown.columns[1:]:
        column.justify = "right"
    groups = sorted(made.groupby(["method", "variant"]), key=lambda one: -float(one[1]["auc_signal"].mean()))
    for (method, variant), part in groups:
        ends = [
            f"{part[key].mean():.2f} ({part[key].min():.2f} to {part[key].max():.2f})"
            for key in ("auc_relevant", "auc_signal")
        ]
        means = [f"{part[f'share_{role}'].mean():.3f}" for role in ROLES]
        shown.add_row(escape(f"{method} {variant}".strip()), *ends, *means, str(len(part)))
    shown.caption = (
        f"area under the curve, 0.5: all columns alike; mean over {', '.join(names)} and seeds (lowest to highest) · share: "
        "of the variance of features, per column"
    )
    return shown
