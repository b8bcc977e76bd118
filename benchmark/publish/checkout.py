"""Checkout: the commit that holds the code as it is here, without which nobody could run a published row again."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmark.source import CHECKOUT, PACKAGES
from jepakit.types import UsageError

# What can change a number. Results and pages may be ahead of the last commit: new rows always are.
CODE = (*PACKAGES, "pyproject.toml", "constraints.txt")


def commit() -> str:
    """Hash of the last commit. Raises UsageError where there is none, or where code differs from it."""
    found = _git("rev-parse", "--verify", "HEAD").strip()
    changed = [line[3:] for line in _git("status", "--porcelain", "--", *CODE).splitlines()]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UsageError(
            f"nothing was packed: the checkout has code that is in no commit ({', '.join(changed[:3])}{more}); commit it"
        )
    return found


def files() -> frozenset[Path]:
    """The files of the checkout that are here as the last commit holds them. Raises UsageError where there is none."""
    known = _git("ls-files", "-z").split("\0")
    changed = {*_git("diff", "--name-only", "-z", "HEAD").split("\0"), ""}
    return frozenset(CHECKOUT / name for name in known if name not in changed)


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *words], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(
            "nothing was packed: git knows no commit of this checkout; publish from a clone of the repository"
        ) from None
    return done.stdout
