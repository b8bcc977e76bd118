"""Versus: two rows of the boards against each other, task by task: where one is better, by how much, at what cost.

The difference is paired over common seeds and test units and tested as on a board (``benchmark.compare``): between two
ranked rows with the variances of the board's other pairs, else by itself. The verdicts of one question are corrected
together (Holm over its tasks), so that the chance of any wrong "better" or "worse" among them stays below 5 %. Nuisance
tasks are not compared: no side of them is the good one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from benchmark import leaderboard, metrics
from benchmark.board import Board
from benchmark.compare import ALPHA, Difference, compare, difference, holm
from benchmark.lines import Line, Measure
from benchmark.listing import table
from benchmark.terminal import tflop
from jepakit.registry import did_you_mean
from jepakit.types import UsageError

BETTER, WORSE, EQUAL, NONE = "better", "worse", "not told apart", "no test"
STYLE = {BETTER: "green", WORSE: "red", EQUAL: "", NONE: "dim"}
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}", **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """Row a against row b on one task of one board. found: a minus b in units of the metric, None where ``why`` says why
    there is no test; p_holm: corrected over all contrasts of the question."""

    place: str
    measure: Measure
    a: Line
    b: Line
    found: Difference | None
    why: str = ""
    p_holm: float | None = None

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` (row a, at 5 % after Holm), ``not told apart`` or ``no test``."""
        if self.found is None or self.p_holm is None:
            return NONE
        if self.p_holm >= ALPHA:
            return EQUAL
        return BETTER if metrics.get(self.measure.base).better(self.found.mean, 0.0) else WORSE


@dataclass(frozen=True)
class Versus:
    """All contrasts of two rows, in the order of the boards. a, b: the rows' names as boards show them."""

    a: str
    b: str
    contrasts: tuple[Contrast, ...]

    def summary(self) -> list[str]:
        """How often each verdict was reached, and where the rows were told apart."""
        counts = Counter(one.verdict for one in self.contrasts)
        boards = len({one.place for one in self.contrasts})
        words = [f"{verdict} on {counts[verdict]}" for verdict in (BETTER, WORSE, EQUAL, NONE) if counts[verdict]]
        total = len(self.contrasts)
        lines = [
            f"{self.a} against {self.b}: {', '.join(words)} of {_count(total, 'task')} ({_count(boards, 'board')})."
        ]
        for verdict in (BETTER, WORSE):
            told = [one for one in self.contrasts if one.verdict == verdict]
            told.sort(key=lambda one: -abs(one.found.mean) if one.found else 0.0)
            where = "; ".join(
                f"{one.place} {one.measure.task} ({one.measure.metric}) by {_difference(one)}" for one in told
            )
            if where:
                lines.append(f"{self.a} is {verdict} on {where}.")
        return lines


def versus(boards: Sequence[Board], a: str, b: str, probe: str = "linear") -> Versus:
    """Row ``a`` minus row ``b`` on every task that ``probe`` scored for both; names: a method, or "<method> <variant>".

    Raises UsageError for a name that no board has, for twice the same name, and where no board has both rows.
    """
    known = sorted({_name(line) for board in boards for line in board.lines if line.method != "chance"})
    for name in (a, b):
        if name not in known:
            raise did_you_mean("row", name, known)
    if a == b:
        raise UsageError(f"'{a}' is named twice; name two different rows")
    found = []
    for board in boards:
        for measure in board.measures:
            if measure.nuisance or measure.extra or measure.probe != probe:
                continue
            lines = {_name(line): line for line in board.of(measure)}
            if a in lines and b in lines:
                found.append(_contrast(board, measure, lines[a], lines[b]))
    if not found:
        raise UsageError(f"no board has both '{a}' and '{b}' with the probe '{probe}'; run both on one data set")
    tested = [one for one in found if one.found is not None]
    corrected = dict(zip(map(id, tested), holm([one.found.p for one in tested if one.found]), strict=True))
    return Versus(a, b, tuple(replace(one, p_holm=corrected.get(id(one))) for one in found))


def _contrast(board: Board, measure: Measure, a: Line, b: Line) -> Contrast:
    budget = f" {board.budget}" if board.budget else ""
    place = f"{board.modality}/{board.dataset} {board.preset}{budget}"
    rows = [board.sampled.get(measure, {}).get((line.method, line.variant)) for line in (a, b)]
    one, two = rows
    for line, row in zip((a, b), rows, strict=True):
        if line.mean is None:
            return Contrast(place, measure, a, b, None, f"{_name(line)} has no score ({line.status_counts})")
        if row is None:
            return Contrast(place, measure, a, b, None, f"the predictions of {_name(line)} are not stored")
    if a.stale != b.stale:
        return Contrast(place, measure, a, b, None, f"{_name(a if a.stale else b)} was made by older code")
    ranked = [line for line in board.of(measure) if line.rank is not None]
    try:
        if a in ranked and b in ranked:
            made = compare([board.sampled[measure].get((line.method, line.variant)) for line in ranked])
            found = made.between(ranked.index(a), ranked.index(b))
        else:
            found = difference(one, two) if one is not None and two is not None else None
    except ValueError as error:
        return Contrast(place, measure, a, b, None, str(error))
    return Contrast(place, measure, a, b, found, "" if found else "fewer than two common seeds or test units")


def _name(line: Line) -> str:
    return f"{line.method} {line.variant}".strip()


def flops(one: Contrast) -> float | None:
    """Pre-training operations of row a over those of row b; None where either has none."""
    return one.a.pflops / one.b.pflops if one.a.pflops and one.b.pflops else None


def seconds(one: Contrast) -> float | None:
    """Seconds of row a over those of row b; None unless both were measured on one device in one precision."""
    same = (one.a.device, one.a.precision) == (one.b.device, one.b.precision)
    return one.a.device_s / one.b.device_s if same and one.a.device_s and one.b.device_s else None


# --- as a table ------------------------------------------------------------------------------------------------------


def _heads(found: Versus) -> tuple[list[str], list[str]]:
    """Heads of the table of differences and of the table of costs."""
    scores = ["board", "task", "metric", found.a, found.b, "difference [95 %]", "p (Holm)", "verdict"]
    costs = ["board", f"TFLOP {found.a}", f"TFLOP {found.b}", "ratio", f"s {found.a}", f"s {found.b}", "ratio"]
    return scores, costs


def _rows(found: Versus) -> list[list[str]]:
    rows = []
    for one in found.contrasts:
        metric = metrics.get(one.measure.base)
        direction = "" if metric.higher_is_better else " (lower is better)"
        p = "" if one.p_holm is None else "<0.001" if one.p_holm < 0.001 else f"{one.p_holm:.3f}"
        verdict = one.verdict + (f": {one.why}" if one.why else "") + (" (older code)" if one.a.stale else "")
        means = [_text(line.mean, ".3f") for line in (one.a, one.b)]
        rows.append([one.place, one.measure.task, one.measure.metric + direction, *means, _difference(one), p, verdict])
    return rows


def _costs(found: Versus) -> list[list[str]]:
    rows = []
    for place, group in groupby(found.contrasts, lambda one: one.place):
        one = next(group)  # the cost of a row is the same for all tasks of a board
        rows.append([
            place, _text(tflop(one.a), ".3g"), _text(tflop(one.b), ".3g"), _text(flops(one), ".2f"),
            _text(one.a.device_s, ".1f"), _text(one.b.device_s, ".1f"), _text(seconds(one), ".2f"),
        ])  # fmt: skip
    return rows


def _difference(one: Contrast) -> str:
    return "" if one.found is None else leaderboard.around(one.found.mean, one.found.lo, one.found.hi, "+.3f")


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def draw(found: Versus) -> Group:
    """For the terminal."""
    heads, costs = _heads(found)
    scores = table(f"{escape(found.a)} minus {escape(found.b)}", *map(escape, heads))
    for one, row in zip(found.contrasts, _rows(found), strict=True):
        scores.add_row(*map(Text, row[:-1]), Text(row[-1], STYLE[one.verdict]))
    spent = table("cost: pre-training, and seconds of pre-training and features", *map(escape, costs))
    for row in _costs(found):
        spent.add_row(*map(Text, row))
    for made, first in ((scores, 3), (spent, 1)):
        _right(made, range(first, first + (3 if made is scores else 6)))
    return Group(scores, spent, *(Text(line) for line in found.summary()))


def _right(made: Table, columns: Sequence[int]) -> None:
    for column in columns:
        made.columns[column].justify = "right"


def markdown(found: Versus) -> str:
    """For a pull request: the verdicts, then both tables."""
    heads, costs = _heads(found)
    parts = [*map(leaderboard.escape, found.summary())]
    for head, rows, first in ((heads, _rows(found), 3), (costs, _costs(found), 1)):
        rule = ["---" if i < first or name == "verdict" else "---:" for i, name in enumerate(head)]
        lines = [head, *rows]
        text = ["| " + " | ".join(map(leaderboard.escape, line)) + " |" for line in lines]
        parts.append("\n".join([text[0], f"|{'|'.join(rule)}|", *text[1:]]))
    return "\n\n".join(parts) + "\n"


def latex(found: Versus) -> str:
    """For a paper: both tables with the rules of booktabs, the verdicts as comments."""
    heads, costs = _heads(found)
    parts = [r"% \usepackage{booktabs}", *(f"% {' '.join(line.split())}" for line in found.summary())]
    for head, rows, align in ((heads, _rows(found), "lllrrrrl"), (costs, _costs(found), "lrrrrrr")):
        parts += [rf"\begin{{tabular}}{{{align}}}", r"\toprule"]
        for i, line in enumerate([head, *rows]):
            parts.append(" & ".join(map(_tex, line)) + r" \\")
            if i == 0:
                parts.append(r"\midrule")
        parts += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join(parts) + "\n"


def _tex(text: str) -> str:
    """Text that no TeX takes for a command; a number gets a true minus sign."""
    plain = "".join(_LATEX.get(sign, sign) for sign in " ".join(text.split()))
    if text[:1] in ("+", "-") and text[1:2].isdigit():
        return f"${plain}$"
    return plain
