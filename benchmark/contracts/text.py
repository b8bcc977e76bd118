"""Text: what the file of a method owes: it never asks which modality it runs on, nothing waits for the device, and its first
lines say what it is."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from benchmark.contracts.syncs import ALLOWED, waits
from benchmark.contracts.verdict import Doubt, need
from benchmark.fidelity import parse

MODALITIES = {"image", "video", "ecg", "eeg", "audio", "tabular", "lidar"}
HOUSE = ("Source", "Kept", "Differs")
FIRST = 20  # least characters of the line that says the paper and its idea


def asks(text: str) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) of every place of a method file that names a modality or asks for it."""
    module = ast.parse(text)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(module)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    # an error message may say where it happened; nothing else may ask
    spoken = {id(inner) for node in ast.walk(module) if isinstance(node, ast.Raise) for inner in ast.walk(node)}
    for node in ast.walk(module):
        words: set[str] = set()
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            words = {node.value}  # the whole string: "ecg" is a branch, a paper's title is not
        elif isinstance(node, ast.Name):
            words = set(node.id.lower().split("_"))
        elif isinstance(node, ast.Attribute):
            words = set(node.attr.lower().split("_"))
            asked = ast.unparse(node.value).endswith("modality") and node.attr in {"name", "dataset"}
            if asked and id(node) not in spoken:
                yield node.lineno, "asks which modality it runs on"
        if words & MODALITIES and isinstance(node, ast.expr):
            yield node.lineno, f"names a modality ({', '.join(sorted(words & MODALITIES))})"


def blind(path: Path) -> None:
    """A method never knows its modality."""
    for line, what in asks(path.read_text(encoding="utf-8")):
        need(
            False,
            f"{path.name}:{line} {what}; ask the Modality for what is needed (grid, patches, views) and let it refuse",
        )


def waitless(path: Path) -> None:
    """No step waits for the device, read off the source."""
    found = [one for one in waits(path.read_text(encoding="utf-8")) if (path.name, one.function) not in ALLOWED]
    for one in found:
        need(
            False,
            f"{path.name}:{one.line} {one.function} waits for the device at `{one.text}`; keep it a tensor (torch.where, "
            "gather), or do it once when the method is built",
        )


def introduced(path: Path) -> None:
    """The first line says the paper and its idea, the next say Source, Kept and Differs."""
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, fields = parse(doc)
    if len(first) <= FIRST:
        raise Doubt("the file does not begin with a line that names the paper and its idea; fidelity.md is made of it")
    missing = [f"{name}:" for name in HOUSE if name not in fields]
    if missing:
        raise Doubt(
            f"the docstring of the file has no {', '.join(missing)}; a file of one's own may do without, one of the suite "
            "says where it comes from, what is kept and what differs"
        )
