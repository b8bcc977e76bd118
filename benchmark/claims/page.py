"""Page: the table of docs/claims.md, read from results/claims.csv: ``python -m benchmark.claims.page`` writes it again."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from benchmark.atomic import write_bytes
from benchmark.claims.claim import NOT_RUN, PARTLY_RUN
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

ROOT = Path(__file__).resolve().parents[2]
FILE, PAGE = ROOT / "results" / "claims.csv", ROOT / "docs" / "claims.md"
START, END = "<!-- generated: claims -->", "<!-- end -->"
ORDER = (REPRODUCED, NOT_REPRODUCED, INCONCLUSIVE, PARTLY_RUN, NOT_RUN)


def table(file: Path = FILE) -> str:
    """Verdicts with their figures, then what is not run to its end; below, every claim's outcome and rule."""
    lines = pd.read_csv(file, keep_default_na=False).to_dict("records")
    lines.sort(key=lambda line: (ORDER.index(str(line["state"])), line["claim"]))
    out = [
        "| claim | what is said | state | outcome [95 %] | detectable | seeds | runs | what was found |",
        "|---|---|---|---|--:|--:|--:|---|",
    ]
    for line in lines:
        state, done = str(line["state"]), str(line["state"]) not in (PARTLY_RUN, NOT_RUN)
        effect = f"{number(line['effect'])} [{number(line['lo'])}, {number(line['hi'])}]" if done else ""
        detectable = number(line["detectable"]) if state == INCONCLUSIVE else ""
        cells = (
            f"`{line['claim']}`",
            f"{line['says']} ({line['paper']})",
            f"**{state}**" if done else state,
            effect,
            detectable,
            str(line["seeds"]) if done else "",
            f"{line['runs']} of {line['runs_needed']}",
            str(line["found"]) if done else "",
        )
        out.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    rules = [f"- `{line['claim']}`: {line['outcome']}. *Rule*: {line['rule']}." for line in lines]
    return "\n".join([*out, "", "Outcomes and rules, as written before an outcome was computed:", "", *rules])


def number(text: object) -> str:
    """Three digits; empty stays empty."""
    return f"{float(str(text)):.3g}" if str(text) else ""


def page(text: str, file: Path = FILE) -> str:
    """``text`` with the table between its marks. Raises ValueError for a page without them."""
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise ValueError(f"the page has no marks {START} … {END}")
    return f"{before}{START}\n{table(file)}\n{end}{after}"


if __name__ == "__main__":
    write_bytes(PAGE, page(PAGE.read_text(encoding="utf-8")).encode())
