"""Cells: what changes a key, what does not, and which rows an edit makes stale."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toybox import TINY, toys

from benchmark import cell as cells
from benchmark import source
from benchmark.cell import Cell, is_stale, resolve
from benchmark.fingerprint import fingerprints
from benchmark.subset import limited, rows
from jepakit.registry import datasets, methods
from jepakit.types import PARTS, Data, UsageError

DATA = {part: part[0] * 64 for part in PARTS}


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def make(method: str = "toy-ae", seed: int = 0, **overrides: str) -> Cell:
    words = dict(word.split("=") for word in TINY)
    return resolve("toy/toy", method, "quick", seed, {**words, **overrides}, DATA)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(tree, dict | list):
        for name, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(inner, (*path, name))
    else:
        yield path


def changed(tree: Any, path: tuple[Any, ...]) -> Any:
    if not path:
        return {bool: lambda v: not v, int: lambda v: v + 1, float: lambda v: v + 1e-9, str: lambda v: v + "x"}.get(
            type(tree), lambda v: 1
        )(tree)
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:])
    return copy


def test_every_leaf_of_the_identity_changes_the_key() -> None:
    identity = make(**{"recipe.pair": "0.1,0.2"}).identity()
    paths = list(leaves(identity))
    keys = {cells.hash_of(changed(identity, path)) for path in paths} | {make(**{"recipe.pair": "0.1,0.2"}).key}
    assert len(keys) == len(paths) + 1
    assert len(paths) > 30


def test_every_field_of_a_cell_is_part_of_its_identity() -> None:
    one = make()
    others: dict[str, Any] = {
        "modality": None, "dataset": "broken", "method": "toy-nan", "preset": "standard", "seed": 1,
        "size": replace(one.size, dim=16), "training": replace(one.training, lr=0.5), "settings": {"at": 0.25},
        "probes": ("knn",), "limit": 7, "data": {**DATA, "test": "0" * 64}, "overrides": None, "budget": "flops",
    }  # fmt: skip
    assert set(others) == {field.name for field in fields(Cell)}, "a new field needs a line here"
    for name, value in others.items():
        if value is not None:
            assert replace(one, **{name: value}).key != one.key, name
    # The words only repeat what is resolved; a data set of another modality has another code.
    assert replace(one, overrides={}).key == one.key


def test_a_file_of_weights_counts_by_its_content_not_by_its_place(tmp_path: Path) -> None:
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    here.write_bytes(b"weights")
    there.write_bytes(b"weights")

    def key(teacher: object) -> str:
        return replace(make(), settings={"teacher": str(teacher)}).encoder_key

    assert key(here) == key(there)
    there.write_bytes(b"others")
    assert key(here) != key(there)
    assert key(tmp_path / "absent.safetensors") != key(here)


def test_encoder_key_ignores_probes_and_preset_name_only() -> None:
    one = make()
    assert make(probe="knn").encoder_key == one.encoder_key
    assert replace(one, preset="standard").encoder_key == one.encoder_key
    for other in (make(seed=1), make(**{"train.lr": "0.5"}), make(**{"recipe.at": "0.1"}), make(limit="9")):
        assert other.encoder_key != one.encoder_key


def test_priority_of_settings() -> None:
    assert make().training.lr == 7e-3  # the method's registration over the preset
    assert make(**{"train.lr": "0.5"}).training.lr == 0.5  # the command line over both
    assert make("toy-still").training.lr != 7e-3
    assert make().size.steps == make().training.steps == 10
    assert make(**{"train.weight_decay": "0.01,0.1"}).training.weight_decay == (0.01, 0.1)
    assert make(**{"train.clip": "none"}).training.clip is None


def as_record(one: Cell) -> dict[str, Any]:
    names = ("modality", "dataset", "method", "preset", "seed", "key")
    return {
        **{name: getattr(one, name) for name in names},
        "overrides": dict(one.overrides),
        "identity": one.identity(),
    }


def test_stale_when_code_preset_or_data_change(monkeypatch: pytest.MonkeyPatch) -> None:
    old = as_record(make())
    assert not is_stale(old)
    assert not is_stale(old, DATA)
    assert is_stale(old, {**DATA, "val": "0" * 64})
    assert is_stale({**old, "method": "gone"})
    assert is_stale({**old, "overrides": {"train.speed": "1"}})
    with monkeypatch.context() as patch:
        patch.setattr(cells, "SUITE", cells.SUITE + 1)
        assert is_stale(old)
    assert not is_stale(old)


PROJECT = {
    "jepakit/__init__.py": "",
    "jepakit/losses.py": "def l1(a, b):\n    return abs(a - b)  # distance\n",
    "jepakit/nn.py": "WIDTH = 1\n",
    "jepakit/base/__init__.py": "from jepakit.base.deep import Deep\nfrom jepakit.base.other import Other\n",
    "jepakit/base/deep.py": "from .. import nn\nclass Deep: ...\n",
    "jepakit/base/other.py": "class Other: ...\n",
    "jepakit/registry.py": "names = {}\n",
    "jepakit/methods/one.py": "from jepakit.losses import l1\nfrom jepakit.registry import names\n",
    "jepakit/methods/two.py": "import jepakit.nn\nimport torch\n",
    "jepakit/methods/three.py": "def late():\n    from jepakit.base import Deep\n    return Deep\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("edited", "stale"),
    [
        ("jepakit/losses.py", {"one"}),
        ("jepakit/nn.py", {"two", "three"}),
        ("jepakit/base/deep.py", {"three"}),
        ("jepakit/base/other.py", set()),
        ("jepakit/methods/one.py", {"one"}),
        ("jepakit/registry.py", set()),
    ],
)
def test_an_edit_makes_exactly_the_importing_methods_stale(project: Path, edited: str, stale: set[str]) -> None:
    def digests() -> dict[str, str]:
        return {n: source.digest([project / f"jepakit/methods/{n}.py"], project) for n in ("one", "two", "three")}

    before = digests()
    with (project / edited).open("a") as file:
        file.write("CHANGED = True\n")
    after = digests()
    assert {name for name in before if before[name] != after[name]} == stale


def test_comments_and_docstrings_do_not_count_but_strings_do(project: Path) -> None:
    path = project / "jepakit/losses.py"
    before = source.digest([path], project)
    path.write_text('"""Losses."""\n\n# About l1.\ndef l1(a, b):\n    """Distance."""\n    return abs(a - b)\n')
    assert source.digest([path], project) == before
    path.write_text('def l1(a, b):\n    return abs(a - b), "# not a comment"\n')
    middle = source.digest([path], project)
    path.write_text('def l1(a, b):\n    return abs(a - b), "# another text"\n')
    assert len({before, middle, source.digest([path], project)}) == 3


def test_the_place_of_the_checkout_does_not_enter(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("elsewhere") / "copy"
    shutil.copytree(project, copy)
    names = ["jepakit/methods/one.py", "jepakit/methods/three.py"]
    assert source.digest([project / n for n in names], project) == source.digest([copy / n for n in names], copy)


def test_a_method_is_found_in_its_own_file_through_decorators(checkout: Path) -> None:
    # The test run wraps every function of jepakit with shape checks; the wrapper's file must not be hashed instead.
    assert methods["ecgjepa"].source == checkout / "jepakit/methods/ecgjepa.py"
    assert methods["mae"].source == checkout / "baselines/mae.py"
    assert datasets["ecg/mitbih"].source == checkout / "modalities/ecg/mitbih.py"
    files = {
        path.relative_to(checkout).as_posix() for path in source.closure([checkout / "jepakit/methods/ecgjepa.py"])
    }
    assert {"jepakit/objective.py", "jepakit/masking.py", "jepakit/nn.py"} <= files
    assert not [name for name in files if name.startswith(("benchmark", "modalities", "baselines"))]
    assert not files & {"jepakit/methods/lejepa.py", "jepakit/methods/__init__.py"}


def test_identity_names_no_place_and_no_device(checkout: Path) -> None:
    text = str(make().identity())
    assert str(checkout) not in text
    assert "cpu" not in text
    assert "cuda" not in text


def test_fingerprints_are_remembered_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "toy" / "toy"
    folder.mkdir(parents=True)
    (folder / "a.dat").write_bytes(b"1")
    modality = datasets["toy/toy"].make(tmp_path / "data")
    first = fingerprints(tmp_path, "toy/toy", modality)
    assert first == {part: modality.data(part).fingerprint() for part in PARTS}
    loaded: list[str] = []
    original = type(modality).data
    monkeypatch.setattr(type(modality), "data", lambda self, part: loaded.append(part) or original(self, part))
    assert fingerprints(tmp_path, "toy/toy", modality) == first
    assert loaded == []
    (folder / "a.dat").write_bytes(b"22")
    fingerprints(tmp_path, "toy/toy", modality)
    assert loaded == list(PARTS)


def test_subset_keeps_every_class_and_the_rows_together() -> None:
    n = 5000
    label = np.zeros(n, dtype=np.int64)
    label[[17, 4000]] = 1
    many = np.zeros((n, 3), dtype=np.float32)
    many[[5, 6, 4999], 2] = 1
    x = torch.arange(n)[:, None].float()
    data = Data(x, {"rare": torch.from_numpy(label), "many": torch.from_numpy(many)}, np.arange(n).astype(str))
    index = rows(data, 100)
    assert len(index) == 100
    assert len(set(index)) == 100
    assert {17, 4000, 5, 6, 4999} <= set(index)
    assert np.array_equal(index, rows(data, 100))
    part = limited(datasets["toy/toy"].make(None), 30).data("train")
    assert len(part) == 30
    assert set(part.labels["kind"].tolist()) == {0, 1, 2}
    assert torch.equal(part.x[:, 3], part.labels["size"])


@pytest.mark.parametrize(
    ("key", "text", "sentence"),
    [
        ("train.speed", "1", "no train setting named 'speed'"),
        ("train.lr", "fast", "train.lr takes a number, not 'fast'"),
        ("train.lr", "nan", "finite"),
        ("train.lr", "0.1,0.2", "train.lr takes a number"),
        ("train.steps", "1.5", "whole number"),
        ("train.steps", "0", "above 0"),
        ("train.weight_decay", "0.1", "takes 2 values"),
        ("size.dim", "9", "not a multiple of size.heads"),
        ("size.dim", "-8", "above 0"),
        ("size.steps", "9", "no size setting named 'steps'"),
        ("recipe.aat", "1", "did you mean 'at'"),
        ("limit", "0", "above 0"),
        ("probe", "linaer", "did you mean 'linear'"),
        ("trian.lr", "1", "did you mean 'train'"),
    ],
)
def test_wrong_settings_end_in_one_sentence(key: str, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        make(**{key: text})
    assert "\n" not in str(caught.value)
