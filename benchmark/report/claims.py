"""Claims: papers' claims as experiments on the page: where each stands, and one figure of the outcome where it was run.

What is shown comes from ``claims.csv`` and ``claims_lines.csv``, which ``python -m benchmark claims`` writes: judging all
claims takes minutes, a page seconds. An outcome of cells that are partly there is no verdict and is not shown as one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from benchmark.claims import command
from benchmark.claims.claim import NOT_RUN, PARTLY_RUN
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Rule
from benchmark.leaderboard import around
from benchmark.report.figures import LABEL, WIDTH
from benchmark.report.ids import anchor
from benchmark.report.svg import FAMILIES, Drawing, draw, plain
from benchmark.report.tables import Cell, Column, Row, View, interval, number, text
from benchmark.report.tables import plain as table
from jepakit.types import UsageError

ORDER = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, PARTLY_RUN, NOT_RUN)
POOLED = "all together"


@dataclass(frozen=True)
class Claim:
    """A section about one claim. complete: all that it asks for was run; figure: of its outcome, None where that is not so
    or nothing was estimated; facts: (name, words)."""

    id: str
    name: str
    says: str
    state: str
    complete: bool
    facts: tuple[tuple[str, str], ...]
    figure: Drawing | None


def claims(results: Path) -> tuple[list[Claim], View | None]:
    """The sections and their index, verdicts first; nothing where there is no file. Raises UsageError for a damaged one."""
    found = read(results / command.FILE, command.COLUMNS)
    found.sort(key=lambda one: (_place(one["state"]), one["claim"]))
    lines: dict[str, list[Mapping[str, str]]] = {}
    for one in read(results / command.LINES, command.LINE_COLUMNS):
        lines.setdefault(one["claim"], []).append(one)
    made = [_claim(one, lines.get(one["claim"], [])) for one in found]
    return made, _index(found) if found else None


def read(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The lines of a file as texts; none where it is not there. Raises UsageError for another kind of file."""
    if not path.is_file():
        return []
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False)[list(columns)]
        numbers = found[[name for name in columns if name in _NUMBERS]]
        numbers.replace("", "nan").astype(float)
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} is not what `claims` writes ({type(error).__name__}); run python -m benchmark claims"
        ) from None
    return [{str(key): str(value) for key, value in one.items()} for one in found.to_dict("records")]


_NUMBERS = ("effect", "lo", "hi", "detectable", "replicates", "seeds", "runs", "runs_needed", "cost_s", "pflop")


def _float(words: str) -> float | None:
    return float(words) if words else None


def _ends(one: Mapping[str, str]) -> tuple[float | None, float | None, float | None]:
    """An effect and its interval."""
    return _float(one["effect"]), _float(one["lo"]), _float(one["hi"])


def _place(state: str) -> int:
    return ORDER.index(state) if state in ORDER else len(ORDER)


def _complete(one: Mapping[str, str]) -> bool:
    return one["state"] not in (PARTLY_RUN, NOT_RUN)


def _claim(one: Mapping[str, str], lines: Sequence[Mapping[str, str]]) -> Claim:
    complete = _complete(one)
    id = anchor("claim", one["claim"])
    facts = [("Paper", one["paper"]), ("Outcome", one["outcome"]), ("Rule, written first", one["rule"])]
    runs = f"{one['runs']} of {one['runs_needed']}, {float(one['cost_s'] or 0):,.0f} s of one process"
    facts.append(("Runs", runs))
    if complete:
        facts += [("Seeds", one["seeds"]), ("Found", one["found"])]
        if one["detectable"]:
            facts.append(("Detectable", f"{float(one['detectable']):.2g}: the smallest true effect that would be found with "
                                        "80 % power"))  # fmt: skip
    figure = _figure(f"{id}-outcome", one, lines) if complete and one["effect"] else None
    return Claim(id, one["claim"], one["says"], one["state"], complete, tuple(facts), figure)


def _figure(name: str, one: Mapping[str, str], lines: Sequence[Mapping[str, str]]) -> Drawing:
    """The outcome with its interval on top, what it is the mean of below. Dashed: no effect; dotted: one that the sentence
    is worth something with; neither where the rule is of another kind."""
    rows = [(POOLED, one), *((line["what"], line) for line in lines)]
    values = [(label, *_ends(row)) for label, row in rows]
    shown = [(label, mean, low, high) for label, mean, low, high in values if mean is not None]
    rule = Rule.read(one["rule"])
    grey, blue = FAMILIES["reference"][0], FAMILIES["jepa"][0]

    def paint(axes: Axes) -> None:
        for y, (label, mean, low, high) in enumerate(shown):
            colour, size = (blue, 6.5) if label == POOLED else (grey, 4.0)
            if low is not None and high is not None:
                axes.plot([low, high], [y, y], color=colour, linewidth=2.2, alpha=0.55, solid_capstyle="round")
            axes.plot([mean], [y], "D" if label == POOLED else "o", color=colour, markersize=size)
        if rule is not None:
            axes.axvline(0, color=grey, linewidth=0.8, linestyle="--")
        if rule is not None and rule.worth:
            axes.axvline(rule.worth, color=blue, linewidth=0.9, linestyle=":")
            axes.annotate(
                f"worth {rule.worth:g}", (rule.worth, 1), xycoords=("data", "axes fraction"), fontsize=LABEL - 1,
                ha="center", va="bottom", color=blue,
            )  # fmt: skip
        axes.set_yticks(range(len(shown)), [plain(label, 30) for label, *_ in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("outcome")

    words = "; ".join(f"{label} {around(mean, low, high, '.3g')}" for label, mean, low, high in shown)
    caption = f"{one['outcome']}. Bars: 95 % intervals." + (" Dashed: no effect" if rule else "")
    caption += "; dotted: the smallest one that the sentence is worth something with." if rule and rule.worth else ""
    return draw(name, (WIDTH, 0.85 + 0.19 * len(shown)), paint, caption, f"{one['outcome']}: {words}.")


def _index(found: Sequence[Mapping[str, str]]) -> View:
    columns = (
        Column("state", number=False), Column("what is said", number=False, wrap=True),
        Column("outcome", "with its 95 % interval; of complete claims alone"),
        Column("detectable", "smallest true effect that would be found with 80 % power"),
        Column("replicates", "what the interval is over: data sets, modalities or seeds"),
        Column("runs"), Column("needed"), Column("rule", number=False),
    )  # fmt: skip
    rows = []
    for one in found:
        complete, id = _complete(one), anchor("claim", one["claim"])
        outcome, detectable, replicates = Cell(), Cell(), Cell()
        if complete:
            outcome = interval(*_ends(one), ".3g")
            detectable = number(_float(one["detectable"]) or None, ".2g")
            replicates = number(_float(one["replicates"]), ".0f")
        cells = (
            Cell(one["state"], float(_place(one["state"]))), text(one["says"]), outcome, detectable, replicates,
            number(_float(one["runs"]), ".0f"), number(_float(one["runs_needed"]), ".0f"), text("rule", id),
        )  # fmt: skip
        rows.append(Row(one["claim"], id, "", cells, (), "" if complete else "stale"))
    return table("claims-index", "papers' claims as experiments", "claim", columns, rows)
