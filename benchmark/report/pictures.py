"""Pictures: what the page shows that records do not hold: masks and embeddings, as ``show-masks`` and ``embed`` left them in
the results. Nothing is computed here that would need an encoder or a data set."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from PIL import Image

from benchmark import embeddings
from benchmark.board import Board
from benchmark.report.ids import anchor
from benchmark.report.svg import FAMILIES, Drawing, draw, plain

PANEL, MARGINS = (2.0, 2.0), (0.06, 0.3, 0.24)
# Of classes, by how often they occur: told apart on light and dark; further classes share the grey of references.
COLOURS = ("#3b82c4", "#d07a2d", "#2f9a6b", "#b65aa0", "#9a8a1e", "#7a6fd0", "#c9504f")
WIDTH, SHADES = 900, 96  # pixels and colours of a picture of masks
BINS = 5  # of a number, from pale to full


@dataclass(frozen=True)
class Picture:
    """An image within the page: its address (``data:``), the words that stand for it, and its caption."""

    address: str
    alt: str
    caption: str


def masks(results: Path, method: str) -> list[Picture]:
    """The pictures ``results/figures/masks_<method>_<modality>_<dataset>.png``, by name."""
    found = []
    for path in sorted((results / "figures").glob("masks_*.png")):
        own = re.fullmatch(rf"masks_{re.escape(method)}_([a-z]+)_(.+)", path.stem)
        if own is None:
            continue
        where = f"{own[1]}/{own[2]}"
        content = base64.b64encode(_small(path)).decode("ascii")
        alt = f"Samples of {where} as {method} sees them: the input, what is visible, what is asked for."
        found.append(Picture(f"data:image/png;base64,{content}", alt, f"What {method} sees and asks for on {where}."))
    return found


def _small(path: Path) -> bytes:
    """A picture as a PNG of at most WIDTH pixels across and few colours: the page has to stay light."""
    with Image.open(path) as whole:
        made = whole.convert("RGB")
    made.thumbnail((WIDTH, 10 * WIDTH))
    out = io.BytesIO()
    made.quantize(SHADES, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        out, format="PNG", optimize=True
    )
    return out.getvalue()


def dataset_of(board: Board) -> str:
    """The data set whose features stand for a board: its own, of a board of folds the first."""
    return str(board.records[0]["dataset"])


def of_embeddings(results: Path, board: Board, id: str) -> list[Drawing]:
    """Two panels for each row of a board whose features were projected: by label and by nuisance. Rows whose record is
    gone, or was made again since, are left out."""
    path = embeddings.path(results, board.modality, dataset_of(board), board.preset)
    if board.budget or not path.is_file():
        return []
    table = pd.read_csv(
        path, keep_default_na=False, na_values=[""], dtype={"label": str, "factor": str, "variant": str}
    )
    keys = {one["key"] for one in board.records}
    made = []
    for key, own in table[table["key"].isin(keys)].groupby("key", sort=False):
        row = " ".join(own[["method", "variant"]].iloc[0].dropna().astype(str))
        for task, column in (("task", "label"), ("nuisance", "factor")):
            asked = " ".join(own[task].iloc[:1].dropna().astype(str))
            if asked and own[column].notna().any():
                made.append(_panel(f"{id}-{anchor('plane', str(key), column)}", row, asked, own, column))
    return made


def _panel(name: str, row: str, asked: str, own: pd.DataFrame, column: str) -> Drawing:
    groups = _groups(own[column])

    def paint(axes: Axes) -> None:
        for _, index, colour, alpha in groups:
            x, y = (own[axis].to_numpy(float)[index] for axis in ("x", "y"))
            gap = np.full_like(x, np.nan)
            # Lines of no length with round ends are dots, in a fraction of the bytes of markers.
            axes.plot(
                np.stack([x, x, gap], 1).ravel(), np.stack([y, y, gap], 1).ravel(), color=colour, alpha=alpha,
                linewidth=3.2, solid_capstyle="round",
            )  # fmt: skip
        axes.set_title(plain(f"{row}: {asked}"))
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.set_xlabel(f"{own['share_x'].iloc[0]:.0%} × {own['share_y'].iloc[0]:.0%} of the variance", fontsize=7.5)

    words = ", ".join(f"{label} ({len(index)})" for label, index, _, _ in groups)
    sort = "nuisance " if column == "factor" else ""
    return draw(
        name, PANEL, paint, f"{row}, by {sort}{asked}: {words}",
        f"{len(own)} test rows in the first two principal components of the features of {row}, by {sort}{asked}: {words}.",
        margins=MARGINS,
    )  # fmt: skip


def _groups(values: pd.Series[str]) -> list[tuple[str, np.ndarray, str, float]]:
    """(name, places, colour, opacity) of what is drawn alike: classes, or fifths of a number."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum() and numbers.nunique() > BINS + 2:
        fifth = np.ceil(numbers.rank(pct=True) * BINS)
        blue = FAMILIES["jepa"][0]
        parts = [(int(bin), np.flatnonzero(fifth == bin)) for bin in range(1, BINS + 1)]
        return [
            (_ends(numbers.iloc[index]), index, blue, round(bin / BINS, 2)) for bin, index in parts if len(index)
        ]  # fmt: skip
    counts = values.value_counts(sort=False).sort_index().sort_values(ascending=False, kind="stable")
    often = [str(name) for name in counts.index]
    colours = [*COLOURS, *[FAMILIES["reference"][0]] * len(often)]
    return [(name, np.flatnonzero(values == name), colours[place], 0.85) for place, name in enumerate(often)]


def _ends(numbers: pd.Series[float]) -> str:
    return f"{numbers.min():.3g} to {numbers.max():.3g}"
