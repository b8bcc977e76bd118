"""Start: a file of one's own, made from one of ``starts/`` by putting the name in."""

from __future__ import annotations

import keyword
import os
import re
from pathlib import Path

from benchmark.folds import ALL
from jepakit.registry import datasets, methods, probes
from jepakit.types import UsageError

STARTS = Path(__file__).with_name("starts")
KINDS = ("method", "dataset", "probe")
NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}[a-z0-9]")
# How the starting file calls itself: as registered, as an identifier, as a class.
OWN = {
    "method": ("my-method", "my_method", "MyMethod"),
    "dataset": ("my-table", "my_table", "MyTable"),
    "probe": ("my-probe", "my_probe", "MyProbe"),
}
RESERVED = (
    "all",
    "suite",
    "none",
    "test",
    "con",
    "nul",
    "aux",
    "prn",
)  # words of the command line, and no names of files
FOLDED = re.compile(rf".*({ALL}|-fold\d+)")


def write(kind: str, name: str, out: Path | None = None) -> Path:
    """Write the starting file of ``kind`` under ``name`` to ``out`` (default: the name, as a module, here).

    Raises UsageError for a name that is taken, reserved or impossible, and for a file that exists or cannot be written.
    """
    check_name(kind, name)
    path = (out or Path(f"{identifier(name)}.py")).expanduser()
    if path.suffix != ".py":
        raise UsageError(f"{path} is not the name of a python file; end --out in .py")
    text = (STARTS / f"{kind}.py").read_text(encoding="utf-8")
    for own, given in zip(OWN[kind], (name, identifier(name), camel(name)), strict=True):
        text = text.replace(own, given)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} exists; name another file with --out, or remove it first") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}); name a place that can with --out") from None
    return path


def check_name(kind: str, name: str) -> None:
    """Raises UsageError for a name that is taken, reserved or impossible."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' cannot be a name; take two or more small letters, digits, - and _, a letter first, no - or _ last"
        )
    if name in RESERVED or keyword.iskeyword(identifier(name)) or FOLDED.fullmatch(name):
        raise UsageError(f"'{name}' has a meaning of its own here; choose another name")
    if registered(kind, name) in {"method": methods, "dataset": datasets, "probe": probes}[kind]:  # type: ignore[operator]
        raise UsageError(f"a {kind} named '{name}' exists already; choose another name")


def registered(kind: str, name: str) -> str:
    """The name in the registry: a data set's begins with its modality."""
    return f"tabular/{name}" if kind == "dataset" else name


def identifier(name: str) -> str:
    """``near-first`` → ``near_first``."""
    return name.replace("-", "_")


def camel(name: str) -> str:
    """``near-first`` → ``NearFirst``."""
    return "".join(part.capitalize() for part in re.split("[-_]+", name))


def words(kind: str, name: str) -> str:
    """A first command that runs the new thing."""
    return {
        "method": f"run ecg method={name},random_init preset=smoke",
        "dataset": f"run tabular dataset={name} method=tjepa,random_init preset=smoke",
        "probe": f"run ecg method=random_init probe={name} preset=smoke",
    }[kind]
