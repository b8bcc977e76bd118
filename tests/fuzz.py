"""Fuzzing: sound little files, changed at random but the same way every time, and a judge of what a reader makes of them.

A reader may give a result (whole, or mended and counted) or a UsageError in one sentence that names the file. Anything
else is a defect: another exception, a crash, more than SECONDS or MEMORY, something written or started elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from guard import limit_memory, watched
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jepakit.types import UsageError

SECONDS = 10
LONGEST = 1200  # characters of a sentence: some list the channels of a file
PARTS = (
    1 << 16
)  # places are drawn as whole parts of a file: the suite flushes the tiny floats that hypothesis insists on
HEADER = 512  # bytes: half of all changes fall here
WORDS = (  # what a liar writes into a header
    b"\x00", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff",
    b"\xff" * 8, b"\xff\xff\xff\xff\xff\xff\xff\x7f", b"9", b"99999999", b"-1", b"1e308", b"nan", b"inf", b"../../x", b"\n",
    b",", b"\t", b'"', b"{", b"[", b"%s%n", b"\xe2\x80\xae", b"=1+1", b"/etc/passwd", b"None", b"(",
    b"\x1f\x8b", b"PK\x03\x04",
)  # fmt: skip
KINDS = ("flip", "truncate", "write", "insert", "delete", "duplicate", "splice", "swap", "digits")

NUMBER = r"(0x)?[0-9a-f]*\d[0-9a-f]*"  # defects of one kind are counted together
Files = Mapping[str, bytes]
Drawn = tuple[int, list[tuple[Any, ...]]]  # which file, and the steps that change it


@dataclass(frozen=True)
class Reader:
    """A reader and sound files for it. make: a folder → files by name, the ones to change; read: what is made of the
    folder that holds them; named: whether the sentence names one of ``files`` or only the data set's folder."""

    name: str
    files: Callable[[], Files]
    read: Callable[[Path], Any]
    targets: tuple[str, ...] = ()  # which of the files are changed; () all
    finite: bool = True  # whether every number of the result must be one


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    defects: Counter[str] = field(default_factory=Counter)

    @property
    def inputs(self) -> int:
        return self.read + self.refused + self.defects.total()


step = st.tuples(
    st.sampled_from(KINDS),
    st.booleans(),
    st.integers(0, PARTS),
    st.integers(0, PARTS),
    st.integers(1, 64),
    st.sampled_from(WORDS),
)
changes = st.tuples(st.integers(0, 7), st.lists(step, min_size=1, max_size=4))


def change(content: bytes, others: Sequence[bytes], steps: Sequence[tuple[Any, ...]]) -> bytes:
    """``content`` after the steps; ``others``: what is spliced in."""
    for kind, early, first, second, length, word in steps:
        span = min(len(content), HEADER) if early else len(content)
        at = first * span // PARTS
        if kind == "truncate":
            content = content[:at]
        elif kind == "flip" and content:
            at = min(at, len(content) - 1)
            content = content[:at] + bytes([content[at] ^ (1 << length % 8)]) + content[at + 1 :]
        elif kind == "write":
            content = content[:at] + word + content[at + len(word) :]
        elif kind == "insert":
            content = content[:at] + word * (1 + length // 16) + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + length :]
        elif kind == "duplicate":
            content = content[: at + length] + content[at:]
        elif kind == "splice":
            other = others[length % len(others)]
            cut = second * len(other) // PARTS
            content = content[:at] + other[cut : cut + 16 * length] + content[at + 16 * length :]
        elif kind == "swap":
            low, high = sorted((at, second * span // PARTS))
            if high - low >= length:
                one, two = content[low : low + length], content[high : high + length]
                content = content[:low] + two + content[low + length : high] + one + content[high + length :]
        elif kind == "digits":  # the next number in text becomes an extreme one
            place = next((k for k in range(at, min(at + 64, len(content))) if 48 <= content[k] <= 57), None)
            if place is not None:
                content = content[:place] + b"9" * (1 + length % 8) + content[place + 1 + length % 8 :]
    return content


def numbers(result: Any) -> Iterator[np.ndarray]:
    """Every array in a result."""
    if isinstance(result, np.ndarray):
        yield result
    elif isinstance(result, torch.Tensor):
        yield result.numpy()
    elif isinstance(result, Mapping):
        for one in result.values():
            yield from numbers(one)
    elif isinstance(result, list | tuple):
        for one in result:
            yield from numbers(one)


def verdict(reader: Reader, folder: Path, written: Sequence[Path], home: Path) -> tuple[str, str]:
    """What came of reading ``folder``: "read", "refused" or "defect", and the defect in a few words."""
    text, kind = "", "defect"
    try:
        with warnings.catch_warnings(), watched(home) as outside:
            warnings.simplefilter("ignore")
            result = reader.read(folder)
    except UsageError as error:
        said = str(error)
        told = [name for path in written for name in (path.name, path.stem, path.parent.name)]
        if not any(name in said for name in (*told, folder.name)):
            text = f"names no file: {said[:160]!r}"
        elif len(said) > LONGEST:
            text = f"says too much: {said[:160]!r}"
        else:
            kind = "refused"
    except BaseException as error:  # the panic of a Rust library is no Exception
        text = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    else:
        arrays = list(numbers(result))
        if any(one.dtype == object for one in arrays):
            text = "gives an array of objects"
        elif reader.finite and any(one.dtype.kind == "f" and not np.isfinite(one).all() for one in arrays):
            text = "gives numbers that are none"
        else:
            kind = "read"
    return ("defect", f"reached outside: {outside[0]}") if outside else (kind, text)


def apart(reader: Reader, folder: Path, home: Path) -> tuple[str, str]:
    """The verdict on unchanged files, by a child: a decoder that starts threads in this process would hang in later ones."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = verdict(reader, folder, list(folder.rglob("*")), home)
            os.write(into, json.dumps(told).encode())
        finally:
            os._exit(0)
    os.close(into)
    with open(out, "rb") as pipe:  # noqa: PTH123 - a descriptor
        kind, text = json.loads(pipe.read())
    os.waitpid(child, 0)
    return kind, text


def judges(reader: Reader, home: Path, inputs: Sequence[Drawn]) -> Iterator[tuple[str, str, float]]:
    """(verdict, defect, seconds) of every input, by child processes: a crash, a hang or a lying header costs one of them."""
    done = 0
    while done < len(inputs):
        out, into = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(out)
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders written in C complain there
                limit_memory()
                for number in range(done, len(inputs)):
                    told = verdict(reader, *lay(reader, home, inputs[number], number), home)
                    os.write(into, json.dumps(told).encode() + b"\n")
            finally:
                os._exit(0)
        os.close(into)
        with open(out, "rb", buffering=0) as pipe:  # noqa: PTH123 - a descriptor
            while done < len(inputs):
                began = time.perf_counter()
                line = pipe.readline() if select.select([pipe], [], [], SECONDS)[0] else b"late"
                if line.endswith(b"\n"):
                    kind, text = json.loads(line)
                else:
                    kind, text = "defect", f"took more than {SECONDS} s"
                done += 1
                if line == b"late":
                    os.kill(child, signal.SIGKILL)
                elif not line:
                    text = f"the process died of signal {_signal(child)}"
                yield kind, text, time.perf_counter() - began
                if kind == "defect" and not line.endswith(b"\n"):
                    break
        os.waitpid(child, 0)


def _signal(child: int) -> int:
    """The number of the signal that a child died of, which still has to be waited for; 0 where it ended by itself."""
    told = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    return 0 if told is None or told.si_code == os.CLD_EXITED else told.si_status


def lay(reader: Reader, home: Path, drawn: Drawn, number: int) -> tuple[Path, list[Path]]:
    """The folder of one input, and the files in it."""
    sound, (which, steps) = reader.files(), drawn
    names = sorted(reader.targets or sound)
    changed, folder, written = names[which % len(names)], home / f"{number:05d}", []
    for name, content in sound.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change(content, list(sound.values()), steps) if name == changed else content)
        written.append(path)
    return folder, written


def fuzz(reader: Reader, home: Path, examples: int) -> Tally:
    """``examples`` changed inputs, the same ones every time; every kind of defect is counted."""
    drawn: list[Drawn] = []

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(changes)
    def draw(one: Drawn) -> None:
        drawn.append(one)

    draw()
    reader.files()  # made once, before the children
    tally, names = Tally(), sorted(reader.targets or reader.files())
    for (which, _), (kind, text, seconds) in zip(drawn, judges(reader, home, drawn), strict=True):
        tally.slowest = max(tally.slowest, seconds)
        if kind == "defect":
            tally.defects[f"{names[which % len(names)]}: {re.sub(NUMBER, '#', text)}"] += 1
        else:
            setattr(tally, kind, getattr(tally, kind) + 1)
    shutil.rmtree(home)
    return tally
