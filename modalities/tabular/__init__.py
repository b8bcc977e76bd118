"""Tables: made rows with known columns, what scikit-learn ships, Adult, California housing, Jannis, any CSV or Parquet."""

from __future__ import annotations

from modalities.tabular import made  # isort: skip  # first: the default
from modalities.tabular import files, shipped

__all__ = ["files", "made", "shipped"]
