"""Typed values from ``key=value`` text: what a field's type accepts, said in one sentence when it does not."""

from __future__ import annotations

import ast
import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin

from jepakit.registry import did_you_mean
from jepakit.types import UsageError


def parse(key: str, text: str, kind: Any) -> Any:
    """``text`` as a value of the annotation ``kind`` (int, float, bool, str, tuples of them, X | None).

    Commas separate the elements of a tuple field and are an error elsewhere, so a list of methods and a pair of weight
    decays never look alike. Raises UsageError naming the key and what it takes.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none" and type(None) in arguments:
            return None
        errors = []
        for choice in (a for a in arguments if a is not type(None)):
            try:
                return parse(key, text, choice)
            except UsageError as error:
                errors.append(error)
        raise errors[-1]
    if origin is tuple:
        words = text.split(",")
        inner = list(arguments)
        if len(inner) == 2 and inner[1] is Ellipsis:
            inner = [inner[0]] * len(words)
        if len(words) != len(inner):
            raise UsageError(f"{key} takes {len(inner)} values separated by commas, not '{text}'")
        return tuple(parse(key, word, one) for word, one in zip(words, inner, strict=True))
    if origin is typing.Literal:
        for choice in arguments:
            if text == str(choice):
                return choice
        raise UsageError(f"{key} takes one of {', '.join(map(str, arguments))}, not '{text}'")
    return _scalar(key, text, kind)


def _scalar(key: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() in ("true", "yes", "1", "false", "no", "0"):
            return text.lower() in ("true", "yes", "1")
        raise UsageError(f"{key} takes true or false, not '{text}'")
    if kind is int or kind is float:
        noun = "a whole number" if kind is int else "a number"
        try:
            value = kind(text)
        except ValueError:
            raise UsageError(f"{key} takes {noun}, not '{text}'") from None
        if not math.isfinite(value):
            raise UsageError(f"{key} takes a finite number, not '{text}'")
        return value
    if kind is str:
        return text
    raise UsageError(f"{key} cannot be set from the command line; write a small plugin that passes it")


def fields(kind: type) -> dict[str, Any]:
    """Field names of a dataclass with their resolved types."""
    return typing.get_type_hints(kind)


def keywords(recipe: Callable[..., Any]) -> dict[str, Any]:
    """Keyword settings of a recipe with their types: all parameters after (modality, size), annotations first, else the
    type of the default."""
    try:
        hints = typing.get_type_hints(recipe)
    except NameError:  # an annotation that only a type checker can see
        hints = {}
    found: dict[str, Any] = {}
    for parameter in list(inspect.signature(recipe).parameters.values())[2:]:
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        default = None if parameter.default is parameter.empty else parameter.default
        found[parameter.name] = hints.get(parameter.name, _type_of(default))
    return found


def _type_of(value: Any) -> Any:
    if isinstance(value, tuple) and value:
        return types.GenericAlias(tuple, tuple(type(item) for item in value))
    return type(value)


def pick(prefix: str, overrides: Mapping[str, str], known: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """The overrides under ``prefix.`` parsed to the types in ``known``. Raises UsageError for an unknown key."""
    chosen = {}
    for key, text in overrides.items():
        head, _, name = key.partition(".")
        if head != prefix:
            continue
        if name not in known:
            raise did_you_mean(f"{owner} setting", name, list(known))
        chosen[name] = parse(key, text, known[name])
    return chosen


def literal(value: Any) -> Any:
    """A JSON-able twin of a resolved value: tuples become lists, everything else must already be plain."""
    if isinstance(value, tuple | list):
        return [literal(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): literal(item) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return ast.unparse(ast.Constant(repr(value)))
