"""docs/fidelity.md from the method files and the committed boards: what each method keeps of its paper, what it does
otherwise, what was published for it, what it reached here, which test says so.

``python -m benchmark.fidelity`` writes the page; with ``--check`` it only compares and exits 1 when it is out of date.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark import CHECKOUT
from benchmark.atomic import write_bytes
from benchmark.overall import aside
from jepakit.registry import Entry, methods

PAGE = CHECKOUT / "docs" / "fidelity.md"
FIELDS = ("Source", "Kept", "Differs", "Conventions", "Not verified", "Published", "Tests")
RESULTS = CHECKOUT / "results"
HEAD = """# Fidelity

What each method keeps of its paper and what it does otherwise. Generated from the first lines of the method files and the
boards in `results/` by `python -m benchmark.fidelity`; edit the files, not this page.

*Published* numbers come from other data, encoders and budgets and are no target of the boards here. *Here* is the method's
best row on the headline task of each data set (linear probe), data made for one claim left out: mean over seeds, 95 %
interval over seeds and test units, and what one seed cost.
"""


def parse(doc: str) -> tuple[str, dict[str, str]]:
    """First sentence of a module docstring (up to the first blank line) and its ``Field:`` paragraphs, each joined to
    one line."""
    head, *rest = inspect.cleandoc(doc).split("\n\n")
    fields: dict[str, str] = {}
    for paragraph in rest:
        name = ""
        for line in paragraph.splitlines():
            begins = re.match(rf"({'|'.join(FIELDS)}):\s*(.*)", line)
            if begins:
                name = begins[1]
                fields[name] = begins[2].strip()
            elif name:
                fields[name] = f"{fields[name]} {line.strip()}".strip()
    return " ".join(head.split()), fields


def ours(name: str, results: Path = RESULTS) -> list[str]:
    """The best headline row of a method on every board in ``results``, data made for a claim left out, as sentences; empty
    where it has none.

    The lines of a leaderboard file stand by measure, headline first, best first: the first line of a method that has a score
    is its best one, provided that it is of the board's first measure.
    """
    found = []
    for path in sorted(results.glob("leaderboard_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["preset"] and line["mean"]]
        modality = path.stem.removeprefix("leaderboard_")
        made = {dataset for dataset in {line["dataset"] for line in lines} if aside(modality, dataset)}
        lines = [line for line in lines if line["dataset"] not in made]
        headlines: dict[tuple[str, str, str], tuple[str, str, str]] = {}
        done = set()
        for line in lines:
            board = (line["dataset"], line["preset"], line["data"])
            measure = (line["task"], line["probe"], line["metric"])
            if headlines.setdefault(board, measure) == measure and line["method"] == name and board not in done:
                done.add(board)
                found.append(sentence(modality, line))
    return found


def sentence(modality: str, line: Mapping[str, str]) -> str:
    """One line of a leaderboard file in words; a field without a number is left out."""
    said = f"{modality}/{line['dataset']}, preset {line['preset']}: {line['metric']} of {line['task']} {line['mean']}"
    if line["ci95_lo"] and line["ci95_hi"]:
        said += f" [{line['ci95_lo']}, {line['ci95_hi']}]"
    cost = [f"{line['n_seeds']} seed{'' if line['n_seeds'] == '1' else 's'}"]
    cost += [f"{line[key]} {unit}" for key, unit in (("device_s", "s"), ("pflops", "PFLOP")) if line.get(key)]
    more = [f"with {line['variant']}"] if line["variant"] else []
    more += ["made by older code"] if line["stale"] == "yes" else []
    return f"{said} ({', '.join(cost + more)})"


def section(names: list[str], entry: Entry[Any]) -> Iterator[str]:
    """The lines of one method file, which may register several names."""
    module = inspect.getmodule(inspect.unwrap(entry.make))
    first, fields = parse(module.__doc__ or "" if module else "")
    yield f"## {', '.join(f'`{name}`' for name in names)}"
    yield ""
    yield first
    yield ""
    facts = [str(entry.info.get("family", "")), f"augmentation: {entry.info.get('augmentation', 'none')}"]
    training: Mapping[str, object] = entry.info.get("training") or {}
    facts += [f"{key} = {value}" for key, value in training.items()]
    yield f"- *Row:* {' · '.join(fact for fact in facts if fact)}"
    if entry.info.get("paper"):
        yield f"- *Paper:* {entry.info['paper']}"
    for name in FIELDS[:-1]:
        if name in fields:
            yield f"- *{name}:* {fields[name]}"
    for name in names:
        which = f" (`{name}`)" if len(names) > 1 else ""
        yield f"- *Here{which}:* {'; '.join(ours(name)) or 'no row on a committed board'}."
    if "Tests" in fields:
        yield f"- *Tests:* {fields['Tests']}"
    path = entry.source
    if path.is_relative_to(CHECKOUT):
        place = path.relative_to(CHECKOUT).as_posix()
        yield f"- *File:* [`{place}`](../{place})"


def page() -> str:
    """The whole page: one section per method file, in registration order of families."""
    import baselines  # noqa: F401 - registers
    import jepakit.methods  # noqa: F401 - registers
    import modalities.controlled  # noqa: F401 - registers

    files: dict[Path, list[str]] = {}
    for name in methods:
        path = methods[name].source
        # A plugin of the moment is nobody else's business, and the page is the same with and without an optional package.
        if path.is_relative_to(CHECKOUT) and "extra" not in methods[name].info:
            files.setdefault(path, []).append(name)
    rank = {"jepa": 0, "mae": 1, "contrastive": 2, "supervised": 3, "reference": 4}
    order = sorted(files.values(), key=lambda names: (rank.get(str(methods[names[0]].info.get("family")), 9), names[0]))
    lines = [HEAD]
    for names in order:
        lines += [*section(names, methods[names[0]]), ""]
    return "\n".join(lines).rstrip() + "\n"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark.fidelity", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when the page is out of date")
    options = parser.parse_args(arguments)
    text = page()
    current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if options.check:
        if text != current:
            print("docs/fidelity.md is out of date; run python -m benchmark.fidelity", file=sys.stderr)
        return int(text != current)
    write_bytes(PAGE, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
