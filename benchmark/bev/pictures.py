"""Figures: what heads on frozen tokens say about cells beside the truth, as maps seen from above (x up, y left)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("Agg")  # a file is written, no window opened

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Polygon

from benchmark import trained
from benchmark.atomic import atomic
from benchmark.bev import truth
from benchmark.bev.probes import Cells, Completion
from benchmark.bev.truth import Part, Plan, sides
from benchmark.board import Record, row_variant

if TYPE_CHECKING:
    from benchmark.bev.command import Study

COLOURS = ("#D9D9D9", "#0072B2", "#D55E00", "#009E73", "#7A4B2A", "#CC79A7", "#E69F00")  # of classes, the ground first
UNKNOWN = "#FFFFFF"
MOST = 3  # methods side by side


def painted(classes: np.ndarray) -> np.ndarray:
    """(…,) classes, −1 unknown → (…, 3) colours."""
    table = np.array([to_rgb(colour) for colour in (*COLOURS, UNKNOWN)])
    return np.asarray(table[np.where(classes < 0, len(COLOURS), classes % len(COLOURS))])


def turned(cells: np.ndarray, plan: Plan) -> np.ndarray:
    """A map (m, …) as an image: x upwards, y to the left."""
    return np.asarray(cells.reshape(*sides(plan), *cells.shape[1:])[::-1, ::-1])


def corners(box: np.ndarray) -> np.ndarray:
    """(4, 2): x and y of the corners of a box (class, x, y, z, l, w, h, yaw)."""
    along, across = np.array([1, 1, -1, -1]) * box[4] / 2, np.array([1, -1, -1, 1]) * box[5] / 2
    cos, sin = np.cos(box[7]), np.sin(box[7])
    return np.stack([box[1] + cos * along - sin * across, box[2] + sin * along + cos * across], -1)


def drawing(
    plan: Plan, classes: Sequence[str], panels: Sequence[Mapping[str, np.ndarray]], boxes: np.ndarray
) -> Figure:
    """One row per scene; ``panels``: images (rows, columns, 3) by title, in order; ``boxes`` (scenes, M, 8) are
    outlined."""
    titles = list(panels[0])
    figure, axes = plt.subplots(
        len(panels), len(titles), figsize=(2.6 * len(titles), 2.7 * len(panels) + 0.4), squeeze=False
    )
    extent = [
        plan.low[1] + plan.cell * sides(plan)[1],
        plan.low[1],
        plan.low[0],
        plan.low[0] + plan.cell * sides(plan)[0],
    ]
    for row, images in enumerate(panels):
        for column, title in enumerate(titles):
            place = axes[row, column]
            place.imshow(images[title], extent=extent, interpolation="nearest")
            for box in boxes[row][boxes[row][:, 0] >= 0]:
                place.add_patch(Polygon(corners(box)[:, ::-1], fill=False, edgecolor="#222222", lw=0.6))
            place.set_xticks([])
            place.set_yticks([])
            if row == 0:
                place.set_title(title, fontsize=8)
    shown = [Patch(color=COLOURS[k % len(COLOURS)], label=name) for k, name in enumerate(classes)]
    shown.append(Patch(facecolor=UNKNOWN, edgecolor="#999999", label="not in sight"))
    figure.legend(handles=shown, ncols=len(shown), loc="lower center", fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.4 / figure.get_figheight(), 1, 1))
    return figure


def measured_map(part: Part, patch: int) -> np.ndarray:
    """(n, tokens, patch²) grey levels of hand-made statistics: white where nothing was measured, darker with the
    height."""
    found = part.x.reshape(*part.x.shape[:2], patch**2, -1)
    return np.where(found[..., 0] > 0, np.clip(0.75 - 0.25 * found[..., 1], 0, 0.75), 1.0)


def write(study: Study, records: Sequence[Record], scenes: int, results: Path, preset: str) -> Path:
    """Draw ``scenes`` test scenes with the answers of the first seed of up to MOST methods; returns the file."""
    known, own = study.facts, study.own
    rows = np.linspace(0, len(own.data("test")) - 1, scenes).round().astype(int)
    test = own.data("test").take(rows)
    panels: list[dict[str, np.ndarray]] = [{} for _ in rows]

    def add(title: str, images: np.ndarray) -> None:
        for row, image in zip(panels, images, strict=True):
            row[title] = turned(image, known.plan)

    here = truth.truth(test)
    if hasattr(own, "cells"):
        (across, along), p = known.plan.grid, known.plan.patch
        tokens = measured_map(truth.handmade(own, test), p).reshape(len(rows), across, along, p, p)
        cells = tokens.transpose(0, 1, 3, 2, 4).reshape(len(rows), -1)
        add("measured: largest height", np.repeat(cells[..., None], 3, -1))
    add("truth", painted(here.cell_class))
    drawn: set[str] = set()
    for one in records:
        title = f"{one['method']} {row_variant(one)}".strip()
        encoder = None if title in drawn or len(drawn) == MOST else trained.encoder(one, study.own, study.cache)
        if encoder is None:
            continue
        drawn.add(title)
        train, val, shown = (
            truth.seen(encoder, own, data, study.device) for data in (own.data("train"), own.data("val"), test)
        )
        cells_head = Cells(train, val, known.plan, len(known.classes), one["seed"], study.device)
        add(f"{title}: cells", painted(cells_head.said(shown)))
        full = Completion(train, val, known.plan, one["seed"], study.device).said(shown)
        if len(drawn) == 1:
            add("truth: full", np.where(here.full[..., None], 0.2, 0.95) * np.ones(3))
        add(f"{title}: full", np.where(full[..., None] > 0, 0.2, 0.95) * np.ones(3))
    figure = drawing(known.plan, known.classes, panels, here.boxes)
    path = results / "figures" / f"bev_{own.name}_{own.dataset}_{preset}.png"
    with atomic(path) as file:
        figure.savefig(file, format="png", dpi=130)
    plt.close(figure)
    return path
