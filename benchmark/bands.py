"""Bands: does a small grid still score as it did? A score far better than ever is as suspect as one far worse.

``python -m benchmark.bands store`` runs the grid with five seeds and writes results/bands.csv; ``python -m benchmark.bands``
runs it with a sixth seed and says which scores lie outside of their band, on either side (exit code 1). A band holds one new
run with 95 % probability over all scores together (Student's prediction interval, Bonferroni), so a leak, a broken loss or
labels out of order show, noise does not. Only the headline task is judged: the more scores, the wider every band. Five seeds
say little of one row's spread, so the rows of a score share it.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from scipy import stats

from benchmark import metrics, plan, plugin, record, request
from benchmark.atomic import write_bytes
from benchmark.cell import Cell
from benchmark.grid import Options, choose_jobs, run_grid
from jepakit.types import UsageError

FILE = "bands.csv"
WORDS = (
    "ecg",
    "dataset=simulated",
    "method=ijepa,lejepa,mae,simclr,supervised,random_init,raw_features",
    "preset=smoke",
)
SEEDS, NEW = 5, 5  # seeds 0 to 4 make the bands, seed 5 is judged
LEVEL = 0.95
KEYS = ["dataset", "method", "task", "probe", "metric"]
TOO_GOOD, TOO_BAD = "too good", "too bad"


def cells(seeds: Iterable[int]) -> list[Cell]:
    """The grid at these seeds."""
    wanted = set(seeds)
    with tempfile.TemporaryDirectory() as empty:
        planned = plan.plan(request.parse([*WORDS, f"seeds={max(wanted) + 1}"]), None, Path(empty)).cells
    return [cell for cell in planned if cell.seed in wanted]


def scores(records: Iterable[record.Record]) -> pd.DataFrame:
    """A line per score of the headline task: KEYS, seed, value. Raises UsageError where a cell has none."""
    rows: list[dict[str, Any]] = []
    for one in records:
        if one["status"] not in ("ok", "collapsed"):
            raise UsageError(f"{one['method']} seed {one['seed']} has no score ({one['reason']}); mend that first")
        place = {"dataset": f"{one['modality']}/{one['dataset']}", "method": one["method"], "seed": one["seed"]}
        rows += [
            {**place, **{k: score[k] for k in ("task", "probe", "metric", "value")}}
            for score in one["scores"]
            if score["headline"] and np.isfinite(score["value"])
        ]
    return pd.DataFrame(rows)


def bands(frame: pd.DataFrame) -> pd.DataFrame:
    """KEYS, runs, mean, sd, low, high: where one new run lies with LEVEL over all lines together. sd: of a score over the
    seeds of all rows that draw something, 0 of a row that does not."""
    found = frame.groupby(KEYS)["value"].agg(runs="count", mean="mean", sd="std").reset_index()
    if (found["runs"] < 3).any():
        raise UsageError("a band needs three runs of every score or more; store them with more seeds")
    found["free"] = (found["runs"] - 1) * (found["sd"] > 0)
    score = [key for key in KEYS if key != "method"]
    squares = (found["free"] * found["sd"] ** 2).groupby([found[key] for key in score]).transform("sum")
    free = found.groupby(score)["free"].transform("sum")
    found["sd"] = np.sqrt(squares / free.clip(lower=1)) * (found["free"] > 0)
    t = stats.t.ppf(1 - (1 - LEVEL) / 2 / len(found), free.clip(lower=1))
    half = t * found["sd"] * np.sqrt(1 + 1 / found["runs"])
    found = found.drop(columns="free")
    return found.assign(low=found["mean"] - half, high=found["mean"] + half)


def judged(frame: pd.DataFrame, band: pd.DataFrame) -> pd.DataFrame:
    """The scores with their band and ``out_of_band``: too good, too bad, or nothing.

    A row without spread (it takes no step and draws nothing) is held to its value. Raises UsageError where a score has no
    band or a band no score.
    """
    both = frame.merge(band, on=KEYS, how="outer", indicator=True)
    odd = both[both["_merge"] != "both"]
    if len(odd):
        first = odd.iloc[0]
        raise UsageError(
            f"{first['method']}, {first['task']} by {first['probe']}: no score or no band; if the grid was changed on "
            "purpose: python -m benchmark.bands store"
        )
    slack = 1e-3 * both["high"].abs().clip(lower=math.ulp(1.0))
    lower = both["metric"].map(lambda name: not metrics.get(name).higher_is_better)
    above, below = both["value"] > both["high"] + slack, both["value"] < both["low"] - slack
    verdict = np.where(above, TOO_GOOD, np.where(below, TOO_BAD, ""))
    swapped = np.where(above, TOO_BAD, np.where(below, TOO_GOOD, ""))
    return both.drop(columns="_merge").assign(out_of_band=np.where(lower, swapped, verdict))


def run(chosen: Sequence[Cell], jobs: int | None) -> list[record.Record]:
    """Every cell anew, in a folder of its own."""
    done: list[record.Record] = []
    with tempfile.TemporaryDirectory() as folder:
        options = Options(Path(folder), device="cpu")
        record.preflight(options.results)
        run_grid(
            list(enumerate(chosen)), options, choose_jobs(jobs, len(chosen), "cpu"), lambda *_: None,
            lambda _, one: done.append(one),
        )  # fmt: skip
    return done


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("benchmark.bands", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("check", "store"), default="check")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--jobs", type=int)
    asked = parser.parse_args(words)
    plugin.everything()
    path = asked.results / FILE
    try:
        if asked.what == "store":
            found = bands(scores(run(cells(range(SEEDS)), asked.jobs)))
            write_bytes(path, found.to_csv(index=False, float_format="%.5g").encode())
            return 0
        if not path.is_file():
            raise UsageError(f"{path} is missing; write it with: python -m benchmark.bands store")
        found = judged(scores(run(cells([NEW]), asked.jobs)), pd.read_csv(path))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    outside = found[found["out_of_band"] != ""]
    console = Console()
    for line in outside.itertuples():
        console.print(
            f"{line.method}, {line.task} by {line.probe}: {line.metric} {line.value:.3f} is {line.out_of_band} "
            f"(band {line.low:.3f} to {line.high:.3f})"
        )
    console.print(f"{len(found)} scores, {len(outside)} outside of their band")
    return int(len(outside) > 0)


if __name__ == "__main__":
    sys.exit(main())
