"""Simulate: boards whose truth is known, through the same bootstrap and tests as a real one.

``python -m benchmark.simulate`` writes results/simulation_power.csv and the table of docs/protocol.md that is read from it;
``--page`` only the table. A/A: rows of equal skill, so every win is false. A/B: one row is better by a known gap.

A prediction is right when a normal number is above a threshold; it is the sum of what a unit shares, what a row of data
shares over methods and seeds (hard examples), and noise of its own. Every run shifts the threshold by luck of its seed,
independently of other methods: pairing by seed then gains nothing, which is the cautious assumption.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

from benchmark import metrics, stats
from benchmark.atomic import write_bytes
from benchmark.compare import ALPHA, compare

ROOT = Path(__file__).resolve().parents[1]
FILE, PAGE = ROOT / "results" / "simulation_power.csv", ROOT / "docs" / "protocol.md"
START, END = "<!-- generated: power -->", "<!-- end -->"
ACCURACY = 0.75
UNIT, SHARED, OWN = 0.5, 0.8, 0.6  # deviations of the three parts
PER_UNIT = 4  # rows of a test unit
RESAMPLES = 200  # only a standard error is taken from them
WANTED = 0.8  # power


@dataclass(frozen=True)
class Setting:
    """One kind of board. seed_sd, gap: in points of accuracy; unstable: factor on seed_sd of one equal row."""

    seeds: int
    rows: int
    units: int
    seed_sd: float
    gap: float = 0.0
    unstable: float = 1.0


@dataclass(frozen=True)
class Rates:
    """Shares of boards. baseline: the best baseline is beaten by a row (A/B: by the better row); separated: some row is
    told apart by letters from another (A/B: the better row from the best baseline)."""

    boards: int
    baseline: float
    separated: float


def board(setting: Setting, rng: np.random.Generator) -> list[stats.Resampled]:
    """Rows of one simulated board: the better (or unstable) one first, the last two are its baselines."""
    spread = float(np.sqrt(UNIT**2 + SHARED**2 + OWN**2))
    n = setting.units * PER_UNIT
    units = np.repeat(np.arange(setting.units), PER_UNIT)
    common = rng.normal(0, UNIT, setting.units)[units] + rng.normal(0, SHARED, n)
    slope = norm.pdf(norm.ppf(ACCURACY)) / spread
    draws = stats.draw_units(setting.units, RESAMPLES, 0)
    rows = []
    for row in range(setting.rows):
        level = norm.ppf(ACCURACY + (setting.gap / 100 if row == 0 else 0.0)) * spread
        luck = setting.seed_sd / 100 / slope * (setting.unstable if row == 0 else 1.0)
        shift = level + rng.normal(0, luck, (setting.seeds, 1))
        right = common + shift + OWN * rng.standard_normal((setting.seeds, n), dtype=np.float32) > 0
        rows.append(resampled(right, units, draws))
    return rows


def resampled(right: np.ndarray, units: np.ndarray, draws: np.ndarray) -> stats.Resampled:
    """What ``stats.resample`` makes of right and wrong predictions (seeds, rows), without a thousand calls of a metric."""
    share = right.reshape(len(right), draws.shape[1], -1).mean(2)
    replicates = draws @ share.T / draws.shape[1]
    return stats.Resampled(share.mean(1), replicates, units, metrics.get("accuracy"), tuple(range(len(right))))


def rates(setting: Setting, boards: int, seed: int = 0) -> Rates:
    """How often such boards declare a difference after Holm at 5 %."""
    baseline = separated = 0
    for i in range(boards):
        rows = board(setting, np.random.default_rng([seed, i]))
        order = sorted(range(len(rows)), key=lambda row: -rows[row].values.mean())
        made = compare([rows[row] for row in order])
        best = next(place for place, row in enumerate(order) if row >= len(rows) - min(2, len(rows) - 1))
        corrected = made.against(best, range(len(rows)))
        winners = {place for place, p in corrected.items() if p < ALPHA and place < best}
        if setting.gap:
            better = order.index(0)
            baseline += better in winners
            separated += (min(better, best), max(better, best)) in made.different
        else:
            baseline += bool(winners)
            separated += bool(made.different)
    return Rates(boards, baseline / boards, separated / boards)


def settings() -> Iterator[tuple[Setting, int]]:
    """What the published table holds, with numbers of boards."""
    for seeds in (3, 5, 10):
        yield Setting(seeds, 8, 100, 1.0), 200
        yield Setting(seeds, 8, 100, 1.0, unstable=5.0), 200
    for units, sd in ((200, 1.0), (1000, 0.5), (1000, 1.0), (1000, 2.0)):
        for gap in (1.0, 2.0, 5.0):
            for seeds in (3, 5, 10, 20, 30) if gap == 1 else (3, 5, 10):
                yield Setting(seeds, 8, units, sd, gap), 50


def rows() -> Iterator[dict[str, str]]:
    """Lines of the file, computed."""
    for setting, boards in settings():
        yield _texts(setting, rates(setting, boards))


def _texts(setting: Setting, found: Rates) -> dict[str, str]:
    texts = {name: str(getattr(setting, name)) for name in _names(setting)}
    return texts | {
        "boards": str(found.boards),
        "baseline": f"{found.baseline:.3f}",
        "separated": f"{found.separated:.3f}",
    }


def _names(kind: object) -> list[str]:
    return [one.name for one in fields(kind)]  # type: ignore[arg-type]


def read(path: Path = FILE) -> list[tuple[Setting, Rates]]:
    """What was simulated."""
    whole = {"seeds", "rows", "units", "boards"}
    found = []
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            number = {name: int(text) if name in whole else float(text) for name, text in row.items()}
            parts = [{name: number[name] for name in _names(kind)} for kind in (Setting, Rates)]
            found.append((Setting(**parts[0]), Rates(**parts[1])))  # type: ignore[arg-type]
    return found


def table(found: list[tuple[Setting, Rates]]) -> str:
    """The part of docs/protocol.md between the marks."""
    counts = sorted({setting.seeds for setting, _ in found})
    by = dict(found)
    heads = "".join(f" {n} seeds |" for n in counts)
    out = [
        f"Simulated boards of eight rows, two of them baselines, {ACCURACY:.0%} accuracy; {PER_UNIT} rows per test unit. "
        "Rates are shares of boards on which a row beats the best baseline after Holm (in brackets: on which letters tell "
        "two rows apart; with a gap, the better row and the best baseline).",
        "",
        f"| gap, points | sd over seeds, points | test units | boards |{heads}",
        "|---|---|---|---|" + "---|" * len(counts),
    ]
    needs = []
    for setting in dict.fromkeys(replace(one, seeds=0) for one in by):
        cells = [by.get(replace(setting, seeds=n)) for n in counts]
        boards = max(one.boards for one in cells if one)
        sd = f"{setting.seed_sd:g}" + (
            f", one row {setting.seed_sd * setting.unstable:g}" if setting.unstable != 1 else ""
        )
        gap = f"{setting.gap:g}" if setting.gap else "none: false wins"
        shown = "".join(f" {one.baseline:.1%} ({one.separated:.1%}) |" if one else " |" for one in cells)
        out.append(f"| {gap} | {sd} | {setting.units} | {boards} |{shown}")
        if setting.gap == 1:
            enough = [n for n, one in zip(counts, cells, strict=True) if one and one.baseline >= WANTED]
            answer = f"{enough[0]} seeds" if enough else f"more than {counts[-1]} seeds"
            needs.append(f"{answer} with a deviation of {setting.seed_sd:g} points and {setting.units} test units")
    out += ["", f"To be found on {WANTED:.0%} of boards, a 1-point gap needs " + "; ".join(needs) + "."]
    return "\n".join(out)


def page(text: str, path: Path = FILE) -> str:
    """``text`` with the table of this file between its marks."""
    before, _, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"the page has no marks {START} … {END}")
    return f"{before}{START}\n{table(read(path))}\n{end}{after}"


def main(arguments: list[str]) -> None:
    """Simulate, unless only the page is asked for, and write the page."""
    if "--page" not in arguments:
        out = io.StringIO()
        writer = csv.DictWriter(out, [*_names(Setting), *_names(Rates)], lineterminator="\n")
        writer.writeheader()
        for row in rows():
            writer.writerow(row)
            print(*row.values(), flush=True)
        write_bytes(FILE, out.getvalue().encode())
    write_bytes(PAGE, page(PAGE.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main(sys.argv[1:])
