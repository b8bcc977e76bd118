"""Rows that every JEPA is compared with, one file each.

Importing this package registers every file in it: adding a row is adding a file.
"""

import importlib
import pkgutil

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")
