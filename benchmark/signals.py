"""Signals: SIGTERM, SIGUSR1 and SIGUSR2 stop a run as Ctrl-C does; the exit code of the run says which kind it was."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

HANDLED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
# A batch system announces the end of a job's time with these (``sbatch --signal=USR1@120``); the job is queued again.
ANNOUNCED = ("SIGUSR1", "SIGUSR2")
INTERRUPTED, TERMINATED = 130, 143
_NOBODY = (signal.SIG_IGN, signal.SIG_DFL, signal.default_int_handler, None)
_first: str | None = None
_active = False


@contextmanager
def stopping() -> Iterator[None]:
    """Inside, each of the signals raises ``KeyboardInterrupt(name)``; while something handles SIGINT by itself (the
    training loop, which ends its step and saves first) it is passed on as SIGINT. In another thread than the main one
    this does nothing: signals are not delivered there."""
    global _first, _active
    try:
        previous = {number: signal.signal(number, _stop) for number in HANDLED}
    except ValueError:
        yield
        return
    outer = _first, _active
    _first, _active = None, True
    try:
        yield
    finally:
        _first, _active = outer
        for number, handler in previous.items():
            signal.signal(number, handler)


def hold() -> None:
    """Take SIGTERM back from the training framework, whose own handler would end the loop between two steps, where
    nothing is saved. Only inside ``stopping``."""
    if _active and signal.getsignal(signal.SIGTERM) is not _stop:
        signal.signal(signal.SIGTERM, _stop)


def deaf() -> None:
    """From now on nothing of this kind disturbs the process: it has been told, and is on its way out."""
    for number in (signal.SIGINT, *HANDLED):
        signal.signal(number, signal.SIG_IGN)


def reason(stop: BaseException) -> str:
    """The name of the signal behind an interruption: the first that came, however it was passed on."""
    return _first or str(stop) or "SIGINT"


def exit_code(name: str) -> int:
    """130 for Ctrl-C, 143 for everything that a system sends."""
    return INTERRUPTED if name == "SIGINT" else TERMINATED


def _stop(number: int, frame: Any) -> None:
    global _first
    _first = _first or signal.Signals(number).name
    if signal.getsignal(signal.SIGINT) in _NOBODY:
        _interrupt(_first)
    signal.raise_signal(signal.SIGINT)


def _interrupt(name: str) -> NoReturn:
    raise KeyboardInterrupt(name)
