"""Source identity: a hash of a file and of the project modules it imports, so that an edit makes exactly its rows stale."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("jepakit", "baselines", "modalities", "benchmark")
# They find names and check the surroundings; they cannot change a number.
IGNORED = ("jepakit/registry.py", "benchmark/__init__.py")
# Digests of code that was shown to compute the same bits as older code, with the older one's digest: benchmark.unchanged.
UNCHANGED = "benchmark/unchanged.json"


def closure(start: Iterable[Path], checkout: Path = CHECKOUT) -> list[Path]:
    """The files themselves and every project module they import, directly or not, sorted.

    Imports are read from the syntax tree, so nothing is executed; only modules inside ``checkout`` are followed. A name
    imported from a package's ``__init__`` leads to the module that defines it, not to everything the package knows.
    """
    ignored = {checkout / name for name in IGNORED}
    seen: set[Path] = set()
    todo = [path.resolve() for path in start]
    while todo:
        path = todo.pop()
        if path not in seen and path not in ignored:
            seen.add(path)
            todo.extend(_imports(path, checkout))
    return sorted(seen)


def digest(start: Iterable[Path], checkout: Path = CHECKOUT) -> str:
    """sha256 over the code of ``closure(start)``; comments, docstrings and blank lines do not count.

    Files are named by their place in the checkout (one outside of it by nothing), so that no machine path enters. Code
    that was shown to compute the same bits as older code has the older code's digest. A board asks for every record: the
    answer is kept until a file of the closure changes.
    """
    asked = tuple(start), checkout
    if asked not in _digests or any(_stamp(path) != stamp for path, stamp in _digests[asked][0].items()):
        files = closure(asked[0], checkout)
        _digests[asked] = {path: _stamp(path) for path in files}, _digest(files, checkout)
    found = _digests[asked][1]
    return unchanged(checkout).get(found, found)


def _digest(files: Iterable[Path], checkout: Path) -> str:
    total = hashlib.sha256()
    for path in files:
        name = path.relative_to(checkout).as_posix() if path.is_relative_to(checkout) else ""
        total.update(f"{name}\0{hashlib.sha256(code(path).encode()).hexdigest()}\n".encode())
    return total.hexdigest()


_Stamp = tuple[int, int] | None
_digests: dict[tuple[tuple[Path, ...], Path], tuple[dict[Path, _Stamp], str]] = {}


def _stamp(path: Path) -> _Stamp:
    """(time of the last change, size); None where the file is gone."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size


@lru_cache(maxsize=8)
def unchanged(checkout: Path) -> dict[str, str]:
    """Digest of code → digest of the older code whose bits it was shown to compute (``benchmark.unchanged``)."""
    path = checkout / UNCHANGED
    entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    return {new: part["as"] for entry in entries for new, part in entry["code"].items()}


def code(path: Path) -> str:
    """The text of a python file without comments, docstrings, blank lines and trailing spaces."""
    stat = path.stat()
    return _code(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _code(path: Path, mtime: int, size: int) -> str:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                for i in range(first.lineno - 1, first.end_lineno or first.lineno):
                    lines[i] = ""
    blanked = {i for i, line in enumerate(lines) if not line}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        row, column = token.start
        if token.type == tokenize.COMMENT and row - 1 not in blanked:
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _imports(path: Path, checkout: Path) -> set[Path]:
    stat = path.stat()
    return _imports_of(path, checkout, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=1024)
def _imports_of(path: Path, checkout: Path, mtime: int, size: int) -> set[Path]:
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(file for alias in node.names if (file := _file(alias.name, checkout)))
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, path, checkout)
            for alias in node.names:
                found |= _defining(module, alias.name, checkout)
    return found


def _absolute(node: ast.ImportFrom, path: Path, checkout: Path) -> str:
    if not node.level or not path.is_relative_to(checkout):
        return node.module or ""
    package = list(path.relative_to(checkout).parent.parts)
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def _defining(module: str, name: str, checkout: Path, depth: int = 0) -> set[Path]:
    """The file that ``from module import name`` takes the name from (re-exports of an ``__init__`` are followed)."""
    inner = _file(f"{module}.{name}", checkout)
    outer = _file(module, checkout)
    if inner or not outer:
        return {inner} if inner else set()
    if outer.name == "__init__.py" and depth < 8:
        for node in ast.walk(ast.parse(outer.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _defining(_absolute(node, outer, checkout), alias.name, checkout, depth + 1)
    return {outer}


def _file(module: str, checkout: Path) -> Path | None:
    if module.split(".")[0] not in PACKAGES:
        return None
    base = checkout.joinpath(*module.split("."))
    for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None
