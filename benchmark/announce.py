"""Announce: what a run is about to do, said before it begins, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark import cost, estimate, folds, forecast, listing, loggers, plan, record, request
from benchmark.progress import score_line
from benchmark.run import folder_of
from jepakit.registry import datasets

VARIANTS = 3  # that are named; more are counted


def header(
    requests: Sequence[request.Request], planned: plan.Plan, missing: int, jobs: int, root: Path, console: Console
) -> None:
    """Which data ran, under which licence, from where: always said, never a silent fallback."""
    say = partial(console.print, soft_wrap=True, highlight=False)
    for modality, name in dict.fromkeys((asked.modality, name) for asked in requests for name in asked.boards):
        short = folds.origin(modality, name)
        origin = f"{modality}/{short}"
        card = datasets[origin].make.card
        place = "embedded, no files" if request.is_embedded(origin) else str(root / origin)
        every = f" ({folds.count(modality, short)} folds)" if name == short + folds.ALL else ""
        what = f"{modality}/{name}{every}"
        say(f"data    {what}: {escape(card.title)} · licence {escape(card.licence)} · {escape(place)}")
    variants = list(dict.fromkeys(cell.variant for cell in planned.cells if cell.variant))
    variant = ", ".join(variants) if len(variants) <= VARIANTS else f"{len(variants)} variants"
    presets = ", ".join(dict.fromkeys(asked.preset for asked in requests))
    seeds = ", ".join(map(str, sorted({seed for asked in requests for seed in asked.seeds})))
    console.print(f"preset  {presets}{' · ' + escape(variant) if variant else ''} · seeds {seeds}")
    console.print(
        f"cells   {len(planned.cells)}, {len(planned.cells) - missing} finished before, {missing} to run, jobs {jobs}"
    )
    for what, why in planned.skipped.items():
        say(f"skipped {what}: {escape(why)}")


def logs(chosen: Sequence[str], asked: Sequence[str] | None, results: Path, console: Console) -> None:
    """Where the curves of what is trained can be seen."""
    ways = {
        "tensorboard": f"tensorboard --logdir {loggers.logs(results)}",
        "wandb": "wandb",
        "mlflow": f"mlflow ui --backend-store-uri {loggers.tracking(results)}",
    }
    words = " · ".join(ways[name] for name in chosen)
    if not chosen and asked is None:
        words = "none, as tensorboardX is not installed: .venv/bin/pip install -c constraints.txt tensorboardX"
    if words:
        console.print(f"curves  {words}", soft_wrap=True, highlight=False, markup=False)


def dry_run(
    planned: plan.Plan,
    cached: dict[int, Any],
    results: Path,
    jobs: int,
    console: Console,
    device: str,
    *,
    calibrate: bool,
) -> None:
    """The cells of a plan: which are finished, which would go on from a checkpoint, and what the rest takes.

    ``device``: what the cells will run on; records of another kind of device foretell nothing. ``calibrate``: take a few
    steps of every row that never ran on this very processor or GPU.
    """
    known = [one for one in record.load_all(results) if one["cost"].get("device", device) == device]
    hardware = cost.hardware(device)
    rates: dict[estimate.Row, forecast.Rate] = {}
    if calibrate:
        todo = [cell for i, cell in enumerate(planned.cells) if cached[i] is None]
        with console.status("a few steps of every row") as status:
            rates = forecast.calibrate(
                forecast.unseen(todo, known, hardware), planned.modalities, device, status.update
            )
    made = listing.table("cells", "data set", "method", "seed", "steps", "key", "state", "time")
    found: list[forecast.Forecast] = []
    for i, cell in enumerate(planned.cells):
        one = cached[i]
        if one is not None:
            state, time = f"cached: {score_line(one)}", ""
        else:
            started = (folder_of(results, cell) / "last.ckpt").exists()
            found.append(forecast.forecast(cell, known, results, rates.get(estimate.row(cell)), hardware))
            state, time = "resumes" if started else "to run", estimate.clock(found[-1].seconds)
            time += f" ({found[-1].how})" if found[-1].how not in ("measured", "unknown") else ""
        row = f"{cell.method} {cell.variant}".strip()
        made.add_row(cell.name, escape(row), str(cell.seed), str(cell.training.steps), cell.key, escape(state), time)
    console.print(made)
    for line in _needs(found, jobs):
        console.print(line)


def _needs(found: list[forecast.Forecast], jobs: int) -> list[str]:
    """Time, memory and disk of all cells to run, in a line each."""
    times = [one.seconds for one in found if one.seconds is not None]
    unknown = len(found) - len(times)
    more = f" and {unknown} cells of unknown length (--calibrate takes a few steps of each row)" if unknown else ""
    time = estimate.clock(forecast.together(sorted(times, reverse=True), jobs) if times or not unknown else None)
    lines = [f"estimated time: {time}{more} with {jobs} jobs"]
    peaks = sorted((one.memory_mib for one in found if one.memory_mib is not None), reverse=True)[:jobs]
    sizes = [one.disk_mib for one in found if one.disk_mib is not None]
    if peaks:
        lines.append(f"estimated memory: {sum(peaks) / 1024:.1f} GiB, {len(peaks)} cells at a time")
    if sizes:
        lines.append(f"estimated disk: {sum(sizes):.0f} MiB of records, predictions and encoders")
    return lines
