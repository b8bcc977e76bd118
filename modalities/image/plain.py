"""Plain: reads the dictionaries of arrays that the CIFAR archives hold in Python's object format, without executing them.

That format is a program for a stack machine whose instructions may call any function. The interpreter below knows the
instructions that build dictionaries, lists, tuples, numbers, text, bytes and numpy arrays. Nothing is imported or called
by name; any other instruction or name is refused.
"""

from __future__ import annotations

import codecs
import pickletools
from typing import Any, cast

import numpy as np

from jepakit.types import DataError

# What the few allowed names stand for: how numpy and Python 2 text write themselves down.
_NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): "array",
    ("numpy._core.multiarray", "_reconstruct"): "array",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}
_DTYPES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)} | {"f4", "f8", "b1"}
_VALUES = {
    "NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "LONG1", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Name(str):
    """One of the allowed names, by what it stands for."""


class _Held:
    """An array or dtype that is filled by a later instruction."""

    def __init__(self, kind: str, text: str = "") -> None:
        self.kind, self.text, self.value = kind, text, np.empty(0)

    def fill(self, state: Any) -> None:
        if self.kind == "dtype":
            order = state[1]
            if self.text not in _DTYPES or order not in ("<", ">", "|", "="):
                raise ValueError(f"arrays of '{order}{self.text}'")
            self.text = order + self.text
            return
        _, shape, dtype, fortran, content = state
        raw = content if isinstance(content, bytes) else content.encode("latin-1")
        flat = np.frombuffer(raw, np.dtype(dtype.text))
        self.value = flat.reshape(shape, order="F" if fortran else "C").copy()


def load(content: bytes, name: str) -> dict[str, Any]:
    """The dictionary in ``content``; its keys as text. ``name`` (a path) is for the errors.

    Raises DataError for an instruction or name that builds anything else, for damaged content, and for content that is
    no dictionary.
    """
    try:
        found = _run(content, name)
        if not isinstance(found, dict):
            raise ValueError("no dictionary")
        return {
            key.decode("latin-1") if isinstance(key, bytes) else str(key): _value(entry) for key, entry in found.items()
        }
    except DataError:
        raise
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{name} is damaged or is not a CIFAR file ({error}); fetch the archive again") from error


def _value(entry: Any) -> Any:
    return entry.value if isinstance(entry, _Held) else entry


def _run(content: bytes, name: str) -> Any:
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    for instruction, found, _ in pickletools.genops(content):
        what, argument = instruction.name, cast(Any, found)
        if what in ("PROTO", "FRAME"):
            continue
        if what == "STOP":
            return stack.pop()
        if what in _VALUES:
            stack.append(_CONSTANTS.get(what, argument))
        elif what in _TUPLES:
            items = [stack.pop() for _ in range(_TUPLES[what])]
            stack.append(tuple(reversed(items)))
        elif what == "MARK":
            marks.append(len(stack))
        elif what == "TUPLE":
            stack.append(tuple(since_mark()))
        elif what in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if what == "EMPTY_DICT" else [])
        elif what == "DICT":
            items = since_mark()
            stack.append(dict(zip(items[::2], items[1::2], strict=True)))
        elif what == "LIST":
            stack.append(since_mark())
        elif what == "APPEND":
            item = stack.pop()
            stack[-1].append(item)
        elif what == "APPENDS":
            items = since_mark()
            stack[-1].extend(items)
        elif what == "SETITEM":
            item, key = stack.pop(), stack.pop()
            stack[-1][key] = item
        elif what == "SETITEMS":
            items = since_mark()
            stack[-1].update(zip(items[::2], items[1::2], strict=True))
        elif what in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(argument)] = stack[-1]
        elif what == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif what in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[int(argument)])
        elif what == "GLOBAL":
            module, function = argument.split(" ", 1)
            stack.append(_allowed(module, function, name))
        elif what == "STACK_GLOBAL":
            function, module = stack.pop(), stack.pop()
            stack.append(_allowed(module, function, name))
        elif what == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_built(function, arguments))
        elif what == "BUILD":
            state = stack.pop()
            stack[-1].fill(state)
        else:
            raise _refused(name, f"the instruction {what}")
    raise ValueError("it ends too early")


def _allowed(module: str, function: str, name: str) -> _Name:
    known = _NAMES.get((module, function))
    if known is None:
        raise _refused(name, f"{module}.{function}")
    return _Name(known)


def _built(function: Any, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(function, _Name):
        raise ValueError("a call of something that is no name")
    if function == "array":
        return _Held("array")
    if function == "dtype":
        return _Held("dtype", str(arguments[0]).lstrip("<>|="))
    if function == "encode" and arguments[1] in ("latin1", "latin-1"):
        return codecs.encode(arguments[0], "latin-1")
    raise ValueError(f"a call of {function}")


def _refused(name: str, what: str) -> DataError:
    return DataError(
        f"{name} asks for {what}, which a file of arrays has no use for; it was not executed: delete it and fetch the "
        "archive again from its source"
    )
