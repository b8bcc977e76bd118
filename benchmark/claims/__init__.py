"""Claims of papers as experiments with a rule written before the run; importing this package registers every experiment."""

from __future__ import annotations

import importlib

importlib.import_module("benchmark.claims.experiments")
