"""Terminal tables: a board at a glance, methods by family, references set apart, in 120 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from benchmark import folds
from benchmark.board import Board, Line, Measure, Record, Stale, boards
from benchmark.budget import about
from benchmark.lines import coverage
from benchmark.overall import compared

WIDTH = 120
FAMILIES = ("jepa", "mae", "contrastive", "supervised", "reference")
NAME, SCORE, TIES = 20, 11, 3  # widths of a method's name, of a score and of tie letters
# What the columns take that are always there, each with a gap of two; the rest is for scores.
FIXED = (2 + TIES + 2) + (NAME + 2) + (5 + 2) + (5 + 2) + (1 + 2) + (7 + 2) + (6 + 2)
# rich's SIMPLE_HEAD with a rule between sections
BOX = box.Box("    \n    \n ── \n    \n ── \n    \n    \n    \n")


def table(
    records: Iterable[Record],
    results: Path | None = None,
    *,
    stale: Stale | None = None,
    dataset: str | None = None,
    preset: str | None = None,
    arms: bool = True,
) -> Table | Group:
    """The board that these records make (those of ``dataset`` and ``preset``, if named); several boards come as a group.

    ``dataset`` is the name of a board; the name of one fold shows that fold by itself.

    ``results`` is the folder that holds their predictions; without it there are scores but no intervals. ``stale``:
    whether a record was made by older code (default: ``benchmark.cell.is_stale``). ``arms``: with boards that compare
    no methods (``overall.compared``); without them, unless there are no others, a last line says how many there are.
    """
    kept = [r for r in records if preset in (None, r.get("preset")) and dataset in (None, *_names(r))]
    apart = dataset is not None and not dataset.endswith(folds.ALL)
    if stale is None:
        from benchmark.cell import is_stale

        stale = is_stale
    here = boards(kept, results, stale, apart=apart)
    shown = [board for board in here if arms or compared(board)] or here
    drawn: list[Any] = [draw(board) for board in shown]
    if left := len(here) - len(shown):
        drawn.append(
            Text(
                f"{left} more in the CSV that compare no methods: one row under a budget of its own, or a claim's data"
            )
        )
    if not drawn:
        empty = Table(box=None, show_header=False)
        empty.add_row("no records yet")
        return empty
    return drawn[0] if len(drawn) == 1 else Group(*drawn)


def _names(record: Record) -> tuple[str, str]:
    """The data set of a record, and the name of its board."""
    return record.get("dataset", ""), folds.board(record.get("modality", ""), record.get("dataset", ""))


def draw(board: Board) -> Table:
    """A board as a table: score ± half width of its interval, one column per task and probe, headline task first.

    Columns that do not fit are named in the caption. ✗: collapsed in some seed; †: made by older code; ‡: tuned with
    fewer trials than another row; status in place of a score that does not exist.
    """
    measures = _order(board.measures)
    shown = measures[: (WIDTH - FIXED) // (SCORE + 2)]
    title = f"{board.modality}/{board.dataset} · {board.preset}" + (f" · {board.budget}" if board.budget else "")
    art = Table(title=escape(title), box=BOX, caption=_caption(board, measures[len(shown) :]), padding=(0, 1, 0, 0))
    art.add_column("#", justify="right", no_wrap=True)
    art.add_column("method", no_wrap=True, overflow="ellipsis", max_width=NAME)
    for measure in shown:
        head = "\n".join(_clip(word) for word in (measure.task, measure.probe, measure.metric))
        art.add_column(head, justify="right", no_wrap=True, overflow="ellipsis", width=SCORE)
    for head in ("seeds", "Rank\nMe", "", "TFLOP", "s"):
        art.add_column(head, justify="right", no_wrap=True)
    if not shown:
        return art
    by_row = {m: {(line.method, line.variant): line for line in board.of(m)} for m in shown}
    first = board.of(shown[0])
    groups = _groups(first)
    for i, lines in enumerate(groups):
        for line in lines:
            key = (line.method, line.variant)
            cells = [_score(by_row[measure].get(key)) for measure in shown]
            art.add_row(*_head(line, first), *cells, *_tail(line), style="dim" if line.method == "chance" else None)
        if i + 1 < len(groups):
            art.add_section()
    return art


def _clip(word: str) -> str:
    return escape(word if len(word) <= SCORE else word[: SCORE - 1] + "…")


def _order(measures: Sequence[Measure]) -> list[Measure]:
    """Headline task with every probe, then the other tasks with their first probe, then the rest."""
    first: dict[str, Measure] = {}
    for measure in measures:
        first.setdefault(measure.task, measure)
    return sorted(measures, key=lambda m: (m.extra, m.minor and first[m.task] is not m, m))


def _groups(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines by family, the family of the best method first, references last."""
    entrants: dict[str, list[Line]] = {}
    for line in lines:
        if not line.reference:
            entrants.setdefault(line.family, []).append(line)
    order = sorted(entrants, key=lambda f: (FAMILIES.index(f) if f in FAMILIES else len(FAMILIES), f))
    references = [line for line in lines if line.reference]
    return [entrants[family] for family in order] + ([references] if references else [])


def leads(line: Line, lines: Sequence[Line]) -> bool:
    """Whether a row is first and shares no tie letter with another: only such a row is set in bold."""
    ranked = [other for other in lines if other.rank is not None]
    if line.rank != 1 or not line.tie_group:
        return False
    return len(ranked) > 1 and not any(set(line.tie_group) & set(o.tie_group) for o in ranked if o is not line)


def fewer_trials(line: Line, lines: Sequence[Line]) -> bool:
    """Whether a row that can be tuned had fewer trials than another row of its board."""
    return line.family != "reference" and line.hpo_trials < max(other.hpo_trials for other in lines)


def _head(line: Line, lines: Sequence[Line]) -> tuple[str, str]:
    marks = (" †" if line.stale else "") + (" ‡" if fewer_trials(line, lines) else "")
    marks += (" ≠" if line.verified is False else "") + (" §" if line.test_seen else "")
    name = escape(f"{line.method} {line.variant}".strip()) + marks
    rank = "" if line.rank is None else str(line.rank)
    letters = line.tie_group if len(line.tie_group) <= TIES else line.tie_group[: TIES - 1] + "…"
    rank += letters
    return (f"[bold]{rank}[/]", f"[bold]{name}[/]") if leads(line, lines) else (rank, name)


def _tail(line: Line) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    mark = "[red]✗[/]" if line.collapsed_frac else ""
    seeds = str(line.n_seeds or "")
    return seeds, number(line.rankme, ".1f"), mark, number(tflop(line), ".3g"), number(line.device_s, ".1f")


def tflop(line: Line) -> float | None:
    """10¹² operations of pre-training: what people read, as a CPU's boards lie far below the PFLOP of the files."""
    return None if line.pflops is None else 1e3 * line.pflops


def _score(line: Line | None) -> str:
    if line is None:
        return ""
    if line.mean is None:
        if coverage(line):
            return f"[yellow]{coverage(line)}[/]"
        failed = [part.partition(":")[0] for part in line.status_counts.split() if not part.startswith("ok")]
        return f"[red]{escape(failed[0])}[/]" if failed else ""
    if line.ci95_lo is None or line.ci95_hi is None:
        return f"{line.mean:.3f}      "
    half = max(line.mean - line.ci95_lo, line.ci95_hi - line.mean)
    return f"{line.mean:.3f} [dim]±{f'{half:.3f}'.removeprefix('0')}[/]"


def _caption(board: Board, hidden: Sequence[Measure]) -> str:
    what = f"mean over {board.folds} folds ± half of the 95 % interval (seeds, folds and test units)"
    words = [what if board.folds > 1 else "score ± half of the 95 % interval (seeds and test units)"]
    if about(board.budget):
        words.append(about(board.budget).replace("`", ""))
    if any(line.tie_group for line in board.lines):
        words.append("a shared letter is a tie")
    if any(line.collapsed_frac for line in board.lines):
        words.append("✗ collapsed in some seed")
    if any(line.stale for line in board.lines):
        words.append("† older code")
    if any(line.pflops is not None for line in board.lines):
        words.append("TFLOP of pre-training")
    if any(fewer_trials(line, board.lines) for line in board.lines):
        words.append(f"‡ fewer than {max(line.hpo_trials for line in board.lines)} trials of tuning")
    if any(line.verified is False for line in board.lines):
        words.append("≠ predictions that give another score")
    if any(line.test_seen for line in board.lines):
        words.append("§ pre-training saw rows of test, or of their units")
    if hidden:
        words.append(f"{len(hidden)} more columns in the CSV")
    return " · ".join(words)
