"""Figures: what is drawn of a board, each with the words that stand for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from benchmark import metrics
from benchmark.board import Board
from benchmark.leaderboard import around
from benchmark.lines import Line, Measure, Name
from benchmark.report import series
from benchmark.report.svg import FAMILIES, Drawing, draw, family, plain
from benchmark.terminal import tflop

WIDTH = 4.6  # inches of a figure: readable on a phone without scrolling
PANEL, MARGINS = (2.3, 2.3), (0.62, 0.42, 0.22)
LABEL = 7.5  # points
# Diagnostics drawn against the score, strongest first; the table beside them has all.
SCATTERS = 4


@dataclass(frozen=True)
class Bar:
    """One row of a forest plot: value with interval (None: none) and the values of single seeds."""

    label: str
    family: str
    value: float
    lo: float | None = None
    hi: float | None = None
    dots: tuple[float, ...] = ()


def forest(name: str, bars: Sequence[Bar], caption: str, unit: str, zero: float | None = None) -> Drawing:
    """Values with intervals, best on top; ``zero``: where a vertical line says "nothing gained"."""

    def paint(axes: Axes) -> None:
        for y, bar in enumerate(bars):
            colour, marker = family(bar.family)
            if bar.lo is not None and bar.hi is not None:
                axes.plot([bar.lo, bar.hi], [y, y], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="round")
            if bar.dots:
                axes.plot(bar.dots, [y] * len(bar.dots), "|", color=colour, markersize=7, markeredgewidth=1.1)
            axes.plot([bar.value], [y], marker, color=colour, markersize=5)
        if zero is not None:
            axes.axvline(zero, color=FAMILIES["reference"][0], linewidth=0.8, linestyle="--")
        axes.set_yticks(range(len(bars)), [plain(bar.label, 26) for bar in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel(plain(unit, 60))

    words = (f"{bar.label} {around(bar.value, bar.lo, bar.hi, '.3f')}" for bar in bars)
    return draw(name, (WIDTH, 0.75 + 0.2 * len(bars)), paint, caption, f"{unit}: {'; '.join(words)}.")


def seeds(name: str, board: Board, measure: Measure) -> Drawing | None:
    """Mean, interval and single seeds of every row."""
    runs = series.seeds(board, measure)
    bars = [
        Bar(_label(x), x.family, x.mean, x.ci95_lo, x.ci95_hi, tuple(runs.get((x.method, x.variant), {}).values()))
        for x in board.of(measure)
        if x.mean is not None
    ]
    caption = "Score: mean, 95 % interval (bar) and single seeds (ticks)."
    return forest(name, bars, caption, _score(measure)) if bars else None


def pareto(name: str, board: Board, measure: Measure, *, seconds: bool) -> Drawing | None:
    """Score against the FLOPs (or seconds) of pre-training with the front of what nothing beats; references are lines."""
    lines = [line for line in board.of(measure) if line.mean is not None]
    cost = {(x.method, x.variant): (x.device_s if seconds else tflop(x)) for x in lines if not x.reference}
    points = {
        (x.method, x.variant): (float(cost[x.method, x.variant] or 0), float(x.mean or 0))
        for x in lines
        if cost.get((x.method, x.variant))
    }
    if len(points) < 2:
        return None
    best = series.front(points, metrics.get(measure.base).higher_is_better)
    families = {(x.method, x.variant): x.family for x in lines}
    unit = "seconds of pre-training and features" if seconds else "TFLOP of pre-training"

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        _log_ticks(axes, [x for x, _ in points.values()])
        for line in lines:
            if line.reference:
                axes.axhline(float(line.mean or 0), color=family(line.family)[0], linewidth=0.9, linestyle=":")
                axes.annotate(
                    plain(line.method), (1, float(line.mean or 0)), xycoords=("axes fraction", "data"), fontsize=LABEL - 1,
                    ha="right", va="bottom", color=family(line.family)[0],
                )  # fmt: skip
        axes.plot(*zip(*(points[row] for row in best), strict=True), color=FAMILIES["reference"][0], linewidth=0.8)
        _scatter(axes, points, families)
        axes.set_xlabel(unit)
        axes.set_ylabel(_score(measure))

    words = "; ".join(f"{' '.join(row).strip()} {x:.3g}, {y:.3f}" for row, (x, y) in sorted(points.items()))
    front = ", ".join(" ".join(row).strip() for row in best)
    alt = f"{unit}, {_score(measure)} of every row: {words}. Nothing is better for as little than: {front}."
    caption = f"Score against {unit}; the line joins the rows that nothing beats for as little. Dotted: references."
    return draw(name, (WIDTH, 3.0), paint, caption, alt)


def curves(name: str, row: Name, kind: str, own: Mapping[str, series.Curve], losses: Mapping[str, series.Curve],
           span: tuple[float, float] | None, floor: float | None) -> Drawing:  # fmt: skip
    """Losses above, RankMe below, over the steps of one row. span: of RankMe on the board; floor: that of the untrained
    encoder."""
    ranks = own.get("rankme")

    def paint(axes: Axes) -> None:
        for i, (steps, values) in enumerate(losses.values()):
            axes.plot(steps, values, color=family(kind)[0], linestyle=("-", "--", ":", "-.")[i % 4], linewidth=1.2)
        axes.set_title(plain(" ".join(row).strip()))
        axes.set_ylabel("loss")
        below = axes.figure.axes[1]
        if ranks is not None:
            below.plot(*ranks, color=family(kind)[0], linewidth=1.2)
        if floor is not None:
            below.axhline(floor, color=FAMILIES["reference"][0], linewidth=0.8, linestyle=":")
        if span is not None:
            below.set_ylim(*span)
        below.set_ylabel("RankMe")
        below.set_xlabel("step")
        for one in (axes, below):
            one.xaxis.set_major_locator(MaxNLocator(3))
            one.yaxis.set_major_locator(MaxNLocator(3))

    parts = [(name, curve) for name, curve in [*losses.items(), *([("RankMe", ranks)] if ranks else [])] if curve]
    words = "; ".join(f"{what} from {y[0]:.3g} to {y[-1]:.3g}" for what, (_, y) in parts)
    legend = ", ".join(f"{what} {('solid', 'dashed', 'dotted', 'dash-dotted')[i % 4]}" for i, what in enumerate(losses))
    title = " ".join(row).strip()
    caption = f"{title}: {legend}" if len(losses) > 1 else title
    return draw(
        name,
        PANEL,
        paint,
        caption,
        f"{title}, mean over seeds: {words or 'nothing recorded'}.",
        rows=2,
        margins=MARGINS,
    )


def arms(
    name: str, board: Board, measure: Measure, found: Mapping[Name, Mapping[str, float]], unit: str
) -> Drawing | None:
    """Score over the arms of one sort (``shot`` or ``pct``), one line a row."""
    used = {row: {arm: value for arm, value in own.items() if arm.endswith(unit)} for row, own in found.items()}
    used = {row: own for row, own in used.items() if len(own) > 1}
    if not used:
        return None
    families = {(line.method, line.variant): line.family for line in board.of(measure)}
    names = {"shot": "labels per class", "pct": "% of the labels"}

    def paint(axes: Axes) -> None:
        axes.set_xscale("log")
        ends = {}
        for row, own in used.items():
            x = [int(arm.removesuffix(unit)) for arm in own]
            colour, marker = family(families.get(row, ""))
            axes.plot(x, list(own.values()), color=colour, marker=marker, markersize=3, linewidth=1)
            ends[row] = (float(x[-1]), list(own.values())[-1])
        _log_ticks(axes, [float(arm.removesuffix(unit)) for own in used.values() for arm in own], every=True)
        low, high = axes.get_xlim()
        axes.set_xlim(low, high * (high / low) ** 0.35)
        _names(axes, ends, families)
        axes.set_xlabel(names[unit])
        axes.set_ylabel(_score(measure))

    words = "; ".join(
        f"{' '.join(row).strip()} " + ", ".join(f"{arm} {value:.3f}" for arm, value in own.items())
        for row, own in sorted(used.items())
    )
    return draw(name, (WIDTH, 3.0), paint, f"Score with few labels, by {names[unit]}.", f"{_score(measure)}: {words}.")


def scatter(name: str, board: Board, measure: Measure, one: series.Association) -> Drawing:
    """A label-free diagnostic against the score."""
    families = {(line.method, line.variant): line.family for line in board.of(measure)}

    def paint(axes: Axes) -> None:
        for row, (x, y) in one.points.items():
            colour, marker = family(families[row])
            axes.plot([x], [y], marker, color=colour, markersize=4.5)
        axes.set_xlabel(one.name)
        axes.set_ylabel(_score(measure))
        axes.set_title(f"τ = {one.tau:+.2f}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_locator(MaxNLocator(4))

    words = "; ".join(f"{' '.join(row).strip()} {x:.3g}, {y:.3f}" for row, (x, y) in one.points.items())
    alt = f"{one.name}, {_score(measure)} of every row: {words}. Kendall's τ {one.tau:+.2f}."
    return draw(name, PANEL, paint, f"{one.name}: τ = {one.tau:+.2f} over {len(one.points)} rows", alt, margins=MARGINS)


def _score(measure: Measure) -> str:
    lower = "" if metrics.get(measure.base).higher_is_better else " (lower is better)"
    return f"{measure.task} {measure.metric}{lower}"


def _label(line: Line) -> str:
    return f"{line.method} {line.variant}".strip()


def _log_ticks(axes: Axes, values: Sequence[float], *, every: bool = False) -> None:
    """Few round ticks 1, 2, 3, 5 … with plain numbers; ``every``: the values themselves."""
    low, high = min(values), max(values)
    ticks = sorted(set(values))
    if not every:
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        wide = high > 30 * low
        ticks = [m * 10.0**d for d in decades for m in ((1,) if wide else (1, 2, 3, 5))]
        ticks = [tick for tick in ticks if low / 1.4 <= tick <= high * 1.4]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{tick:g}" for tick in ticks])
    if not every:
        axes.set_xlim(low / 1.4, high * 1.4)


def _scatter(axes: Axes, points: Mapping[Name, tuple[float, float]], families: Mapping[Name, str]) -> None:
    for row, (x, y) in points.items():
        colour, marker = family(families.get(row, ""))
        axes.plot([x], [y], marker, color=colour, markersize=5)
    _names(axes, points, families)


def _names(axes: Axes, points: Mapping[Name, tuple[float, float]], families: Mapping[Name, str]) -> None:
    """A name beside each point where one fits without covering another; the others are in the words and the table."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    where = {row: axes.transData.transform(point) for row, point in points.items()}
    scale = 72 / figure.get_dpi()
    left, right = (axes.bbox.x0 * scale, axes.bbox.x1 * scale)
    taken = [(x * scale - 3, y * scale - 3, x * scale + 3, y * scale + 3) for x, y in where.values()]
    for row in sorted(points, key=lambda row: (-where[row][1], where[row][0], row)):
        text = plain(" ".join(row).strip(), 22)
        wide, high = 0.6 * LABEL * len(text), 1.1 * LABEL
        x, y = where[row] * scale
        for dx, dy in (
            (5, -high / 2),
            (-5 - wide, -high / 2),
            (-wide / 2, 4),
            (-wide / 2, -4 - high),
            (5, 3),
            (5, -3 - high),
        ):
            box = (x + dx, y + dy, x + dx + wide, y + dy + high)
            clear = all(box[2] < o[0] or box[0] > o[2] or box[3] < o[1] or box[1] > o[3] for o in taken)
            if clear and left <= box[0] and box[2] <= right + 4:
                taken.append(box)
                axes.annotate(
                    text, points[row], (dx, dy + 0.25 * LABEL), textcoords="offset points", fontsize=LABEL,
                    color=family(families.get(row, ""))[0], annotation_clip=False,
                )  # fmt: skip
                break
