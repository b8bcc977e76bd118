"""Gallery: every board as one figure, from the committed leaderboards, as a page of the documentation's site.

The page is made when the site is (docs/hooks.py) and kept nowhere: no number of it can be out of date or typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd
from markupsafe import escape

from benchmark.report.figures import Bar, forest
from benchmark.report.ids import anchor
from benchmark.report.svg import FAMILIES, OTHER, SIGNS, Drawing

Line = Mapping[str, str]
# As the page of results has them: one drawing serves both of the site's schemes. Families keep their marks, too.
DARK = {"jepa": "#6db3f2", "mae": "#f0a35e", "contrastive": "#6cc893", "supervised": "#c79bea", "reference": "#a9a9a9",
        "other": "#ee8fae", "grid": "#2f333a"}  # fmt: skip
LIGHT = {name: colour for name, (colour, _) in FAMILIES.items()} | {"other": OTHER[0], "grid": "#e4e6ea"}
HEAD = """\
# Boards

Every committed board as one figure, made from `results/leaderboard_<modality>.csv` when this site was built: mean over
seeds on the headline task with the 95 % interval of a hierarchical bootstrap over seeds and test units. Rows that a test
cannot tell apart are no ranking, whatever their order; `chance` is left out. Marks: {marks}. All tasks, probes, costs and
diagnostics: `make report`.
"""


def page(results: Path) -> str:
    """The page as Markdown with inline SVG; without a leaderboard it says so."""
    files = sorted(results.glob("leaderboard_*.csv"))
    marks = ", ".join(f"{SIGNS[marker]} {name}" for name, (_, marker) in FAMILIES.items())
    parts = [HEAD.format(marks=marks)]
    rules: dict[str, str] = {}
    for path in files:
        modality = path.stem.removeprefix("leaderboard_")
        parts.append(f"## {modality}\n")
        for title, command, says, drawing in _boards(modality, path):
            rules |= drawing.rules
            caption = f"<figcaption>{says}</figcaption>" if says else ""
            figure = f'<figure class="board">{drawing.svg}{caption}</figure>'
            parts.append(f"### {title}\n\n{figure}\n\n`{command}`\n")
    if not files:
        parts.append("No board is committed.\n")
    return "\n".join([parts[0], _style(rules), *parts[1:]])


def _boards(modality: str, path: Path) -> Iterator[tuple[str, str, str, Drawing]]:
    """(title, command, caption, figure) of every board of the preset's own budget that has a fresh score."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    lines: list[Line] = [{str(key): str(value) for key, value in one.items()} for one in table.to_dict("records")]
    lines = [one for one in lines if not one["budget"]]
    for (dataset, preset), own in groupby(lines, lambda one: (one["dataset"], one["preset"])):
        main = headline(list(own))
        bars = [
            Bar(f"{one['method']} {one['variant']}".strip(), one["family"], float(one["mean"]), *_ends(one))
            for one in main
            if one["method"] != "chance"
        ]
        if not bars:
            continue
        place = f"{modality}/{dataset}"
        unit = f"{main[0]['task']}, {main[0]['probe']} {main[0]['metric']}"
        drawing = forest(f"gallery-{anchor(place, preset)}", bars, f"{place}: {unit}", unit)
        words = f"make bench MODALITY={modality} DATASET={dataset} PRESET={preset}"
        yield f"{place} · {preset}", words, _leading(main), drawing


def headline(lines: Sequence[Line]) -> list[Line]:
    """The fresh lines with a score of the first task and measure of a board that is no nuisance."""
    first = next((one for one in lines if one["nuisance"] != "yes"), None)
    if first is None:
        return []
    keys = ("task", "probe", "metric")
    return [
        one for one in lines if all(one[k] == first[k] for k in keys) and one["mean"] and one["stale"] != "yes"
    ]  # fmt: skip


def _ends(one: Line) -> tuple[float | None, float | None]:
    low, high = one["ci95_lo"], one["ci95_hi"]
    return (float(low), float(high)) if low and high else (None, None)


def _leading(lines: Sequence[Line]) -> str:
    """Who shares a tie letter with the first rank, in words that escape what a record may hold."""
    first = next((one for one in lines if one["rank"] == "1"), None)
    if first is None or not first["tie_group"]:
        return ""
    others = [
        f"{one['method']} {one['variant']}".strip()
        for one in lines
        if one is not first and one["method"] != "chance" and set(one["tie_group"]) & set(first["tie_group"])
    ]
    said = f"{first['method']} {first['variant']}".strip() + (
        f" is first, and no test tells it apart from: {', '.join(others)}." if others else " is first, apart from all."
    )
    return str(escape(said))


def _style(rules: Mapping[str, str]) -> str:
    def colours(of: Mapping[str, str]) -> str:
        return ";".join(f"--{name}:{colour}" for name, colour in of.items())

    shown = "".join(f".{name}{{{style}}}" for name, style in sorted(rules.items()))
    return (
        f"<style>:root{{{colours(LIGHT)}}}[data-md-color-scheme=slate]{{{colours(DARK)}}}"
        ".board{margin:0;max-width:100%}.board svg{max-width:100%;height:auto}.board text{fill:currentColor}"
        f"{shown}</style>\n"
    )
