"""Announce: what a run is about to do, said before it begins, and what a dry run would do."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark import estimate, folds, listing, plan, record, request
from benchmark.progress import score_line
from jepakit.registry import datasets


def header(asked: request.Request, planned: plan.Plan, missing: int, jobs: int, root: Path, console: Console) -> None:
    """Which data ran, under which licence, from where: always said, never a silent fallback."""
    say = partial(console.print, soft_wrap=True, highlight=False)
    for name in asked.boards:
        short = folds.origin(asked.modality, name)
        origin = f"{asked.modality}/{short}"
        card = datasets[origin].make.card
        place = "embedded, no files" if request.is_embedded(origin) else str(root / origin)
        every = f" ({folds.count(asked.modality, short)} folds)" if name == short + folds.ALL else ""
        what = f"{asked.modality}/{name}{every}"
        say(f"data    {what}: {escape(card.title)} · licence {escape(card.licence)} · {escape(place)}")
    variant = planned.cells[0].variant if planned.cells else ""
    console.print(
        f"preset  {asked.preset}{' · ' + escape(variant) if variant else ''} · seeds {', '.join(map(str, asked.seeds))}"
    )
    console.print(
        f"cells   {len(planned.cells)}, {len(planned.cells) - missing} finished before, {missing} to run, jobs {jobs}"
    )
    for what, why in planned.skipped.items():
        say(f"skipped {what}: {escape(why)}")


def dry_run(planned: plan.Plan, cached: dict[int, Any], results: Path, jobs: int, console: Console) -> None:
    """The cells of a plan: which are finished, which would go on from a checkpoint, and how long the rest takes."""
    known = record.load_all(results)
    made = listing.table("cells", "data set", "method", "seed", "steps", "key", "state", "time")
    total, unknown = 0.0, 0
    for i, cell in enumerate(planned.cells):
        one = cached[i]
        guess = estimate.seconds(cell, known)
        if one is not None:
            state, time = f"cached: {score_line(one)}", ""
        else:
            started = (results / ".runs" / cell.key / "last.ckpt").exists()
            state, time = "resumes" if started else "to run", "unknown"
            if guess:
                total += guess[0]
                time = estimate.clock(guess[0]) + (" (scaled)" if guess[1] == "scaled" else "")
            else:
                unknown += 1
        made.add_row(cell.name, cell.method, str(cell.seed), str(cell.training.steps), cell.key, escape(state), time)
    console.print(made)
    more = f" and {unknown} cells of unknown length" if unknown else ""
    console.print(
        f"estimated time: {estimate.clock(total / jobs) if total or not unknown else 'unknown'}{more} with {jobs} jobs"
    )
