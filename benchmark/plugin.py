"""Plugins: python files outside the repository, or installed entry points, that register methods, data sets or probes."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from jepakit.registry import datasets, methods, probes
from jepakit.types import UsageError

GROUP = "jepakit.plugins"
PREFIX = "jepakit_plugin_"  # of the modules that plugin files become
# Names become folders and table cells.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}(/[A-Za-z0-9][A-Za-z0-9._+-]{0,63})?")


def everything(plugins: Iterable[Path] = ()) -> None:
    """Import all that registers something: the suite's own folders, installed entry points, then ``plugins``.

    Raises UsageError for a plugin that does not import or registers nothing.
    """
    for package in ("modalities", "modalities.controlled", "jepakit.methods", "baselines", "benchmark.probes"):
        importlib.import_module(package)
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:
            raise UsageError(
                f"the installed plugin '{point.name}' does not import ({_brief(error)}); remove it"
            ) from error
    for path in plugins:
        load(path)


def load(path: Path) -> list[str]:
    """Import the python file at ``path`` and return the names it registered.

    Raises UsageError when it is missing, does not import, or registers nothing (or something with an impossible name).
    """
    path = path.expanduser()
    if path.suffix != ".py" or not path.is_file():
        raise UsageError(f"the plugin {path} is not a python file; name an existing .py file with --plugin")
    path = path.resolve()
    before = _registered()
    name = f"{PREFIX}{re.sub(r'[^A-Za-z0-9_]', '_', path.stem)}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before running it: a class finds its file through this entry
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise UsageError(f"the plugin {path.name} does not import ({_brief(error)}); mend it and run again") from error
    new = [label for label, entry in _registered().items() if before.get(label) is not entry]
    if not new:
        raise UsageError(
            f"the plugin {path.name} registers nothing; decorate a recipe with @methods.register(...) from jepakit.registry"
        )
    for label in new:
        if not NAME.fullmatch(label.partition(":")[2]):
            raise UsageError(f"the plugin {path.name} registers {label!r}; a name holds letters, digits, . _ + - only")
    return [label.partition(":")[2] for label in new]


def loaded() -> list[Path]:
    """The plugin files of this process, for others that are to know the same names."""
    return [Path(str(module.__file__)) for name, module in sys.modules.items() if name.startswith(PREFIX)]


def _registered() -> dict[str, Any]:
    registries: tuple[Any, ...] = (methods, datasets, probes)
    return {f"{registry.kind}:{name}": registry[name] for registry in registries for name in registry}


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
