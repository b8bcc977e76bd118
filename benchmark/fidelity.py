"""docs/fidelity.md from the method files: what each keeps of its paper, what it does otherwise, which test says so.

``python -m benchmark.fidelity`` writes the page; with ``--check`` it only compares and exits 1 when it is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark import CHECKOUT
from benchmark.atomic import write_bytes
from jepakit.registry import Entry, methods

PAGE = CHECKOUT / "docs" / "fidelity.md"
FIELDS = ("Source", "Kept", "Differs", "Conventions", "Not verified", "Published", "Tests")
HEAD = """# Fidelity

What each method keeps of its paper and what it does otherwise. Generated from the first lines of the method files by
`python -m benchmark.fidelity`; edit the files, not this page.
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
    for name in FIELDS:
        if name in fields:
            yield f"- *{name}:* {fields[name]}"
    path = entry.source
    if path.is_relative_to(CHECKOUT):
        place = path.relative_to(CHECKOUT).as_posix()
        yield f"- *File:* [`{place}`](../{place})"


def page() -> str:
    """The whole page: one section per method file, in registration order of families."""
    import baselines  # noqa: F401 - registers
    import jepakit.methods  # noqa: F401 - registers

    files: dict[Path, list[str]] = {}
    for name in methods:
        path = methods[name].source
        if path.is_relative_to(CHECKOUT):  # a plugin of the moment is nobody else's business
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
