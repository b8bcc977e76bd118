"""Verdicts: what a check found: pass, warning or failure with its remedy; a crash is a failure with its place."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jepakit.types import UsageError

State = Literal["pass", "warn", "fail", "skip"]


class Fault(AssertionError):
    """A contract that is not kept. The message is one sentence: what is wrong; and what to do about it."""


class Doubt(Exception):
    """Not wrong, but worth a look; the message is one sentence."""


class Unasked(Exception):
    """A contract that does not apply; the message says why."""


@dataclass(frozen=True)
class Verdict:
    """One line of the answer. subject: "method mine"; check: what is owed; said: the sentence, or a detail of a pass."""

    subject: str
    check: str
    state: State
    said: str = ""


def need(kept: object, sentence: str) -> None:
    """Raises Fault with ``sentence`` unless the contract is kept."""
    if not kept:
        raise Fault(sentence)


def judge(subject: str, check: str, run: Callable[[], str | None], file: Path | None = None) -> Verdict:
    """The verdict of one check. ``file``: whose lines are named when the check crashes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = run()
        return Verdict(subject, check, "pass", said or "")
    except (Fault, UsageError) as error:
        return Verdict(subject, check, "fail", " ".join(str(error).split()))
    except Doubt as doubt:
        return Verdict(subject, check, "warn", str(doubt))
    except Unasked as why:
        return Verdict(subject, check, "skip", str(why))
    except (Exception, SystemExit) as error:
        return Verdict(subject, check, "fail", crashed(error, file))


def crashed(error: BaseException, file: Path | None) -> str:
    """The last line of a traceback and where it happened: the deepest line of ``file``, else the deepest line of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if file is not None and Path(frame.filename).resolve() == file.resolve()]
    line = traceback.format_exception_only(error)[-1].strip().splitlines()[0][:240]
    where = (own or list(frames))[-1:]
    place = f" at {Path(where[0].filename).name}:{where[0].lineno}" if where else ""
    return f"it crashes with {line}{place}; mend that line, or raise UsageError with a reason where it cannot work"
