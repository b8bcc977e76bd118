"""What every data set owes: the contracts that ``benchmark check`` asks of a contributor's, asked of those that are here."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark import plugin
from benchmark.contracts import asking, reading
from benchmark.contracts.verdict import judge
from benchmark.request import is_embedded
from jepakit.registry import datasets
from jepakit.types import DataError

plugin.everything()
OURS = [name for name in datasets if datasets[name].make.__module__.startswith("modalities.")]
FAST = ("tabular/", "image/mnist5k")  # the others take seconds to minutes to make
EMBEDDED = [
    pytest.param(name, marks=[] if name.startswith(FAST) else pytest.mark.slow) for name in OURS if is_embedded(name)
]


def ask(name: str, root: Path | None) -> None:
    every = [judge(name, check, lambda contract=contract: contract(name, root)) for check, contract in asking.DATA]  # type: ignore[misc]
    assert not [one for one in every if one.state in ("fail", "warn")]


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_keep_every_contract(name: str) -> None:
    reading.parts(name, None)
    ask(name, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in OURS if not is_embedded(name)])
def test_data_with_files_keep_every_contract(name: str, data_root: Path) -> None:
    try:
        reading.parts(name, data_root)
    except DataError as error:
        pytest.skip(str(error))
    ask(name, data_root)
