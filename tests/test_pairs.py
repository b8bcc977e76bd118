"""Pairs of views: the relative probe against encoders that hold the shift, or nothing of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiles import SIDE, Tiles
from toybox import TINY, toys

from benchmark import pairs, probes
from benchmark.cell import resolve
from benchmark.fingerprint import fingerprints
from benchmark.probes import relative
from benchmark.run import run_cell
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.registry import datasets
from jepakit.types import PARTS, Batch, Data, Part, Tokens


class Spots(Tiles):
    """Black tiles with one bright pixel near the centre, at a place that no two rows need share."""

    dataset = "spots"
    actions = ("down", "right")

    def data(self, part: Part) -> Data:
        data = super().data(part)
        random = np.random.default_rng([7, PARTS.index(part)])
        x = torch.zeros(len(data), 3, SIDE, SIDE)
        x[torch.arange(len(data)), :, *torch.from_numpy(random.integers(6, 10, (2, len(data))))] = 1
        return Data(x, data.labels, data.unit)

    def views(self, batch: Batch) -> Batch:
        """A shift by up to three pixels along each axis; the spot never leaves the tile."""
        shift = torch.randint(-3, 4, (len(batch), 2))
        x = torch.stack([row.roll(tuple(move), (1, 2)) for row, move in zip(batch.x, shift.tolist(), strict=True)])
        return Batch(x, {}, {**batch.extra, "action": shift / 3})


class Centre(Embedder):
    """Where the light is: row and column of its centre."""

    dim = 2

    def tokens(self, batch: Batch) -> Tokens:
        raise NotImplementedError

    def embed(self, batch: Batch) -> torch.Tensor:
        light, place = batch.x.mean(1), torch.arange(float(SIDE))
        total = light.sum((1, 2))
        return torch.stack([(light.sum(2) @ place) / total, (light.sum(1) @ place) / total], 1)


class Palette(Centre):
    """How much light there is of every kind, wherever it is, and a number that says nothing."""

    def embed(self, batch: Batch) -> torch.Tensor:
        return torch.stack([batch.x.sum((1, 2, 3)), torch.randn(len(batch.x))], 1)


def r2(encoder: Embedder, modality: Modality) -> dict[str, float]:
    rows = {part: modality.data(part) for part in PARTS}
    found, labelled = pairs.extract(encoder, modality, rows, seed=0, device="cpu")
    return {task.name: probes.evaluate("relative", found, labelled, task, 0).value for task in pairs.tasks(modality)}


def test_features_that_hold_the_place_tell_the_shift_and_others_do_not() -> None:
    assert {name: round(value, 3) for name, value in r2(Centre(), Spots()).items()} == {
        "transform_down": 1.0,
        "transform_right": 1.0,
    }
    assert all(abs(value) < 0.15 for value in r2(Palette(), Spots()).values())


def test_labels_are_the_move_from_the_first_view_to_the_second() -> None:
    """By the pixels alone: the centre of light of the second half of the features minus that of the first, in thirds."""
    modality = Spots()
    rows = {part: modality.data(part) for part in PARTS}
    found, labelled = pairs.extract(Centre(), modality, rows, seed=3, device="cpu")
    for part in PARTS:
        features, data = found[part].pooled, labelled[part]
        assert features.shape == (len(rows[part]), 4) and set(data.labels) == {"transform_down", "transform_right"}
        assert list(data.unit) == list(rows[part].unit)
        for axis, name in enumerate(("transform_down", "transform_right")):
            np.testing.assert_allclose(data.labels[name], (features[:, 2 + axis] - features[:, axis]) / 3, atol=1e-5)
    both = [found[part].pooled[: len(found["test"])] for part in ("val", "test")]
    assert not np.array_equal(*both), "every part has draws of its own"


def test_pairs_are_a_function_of_the_seed_and_leave_the_generator_alone() -> None:
    modality = Spots()
    rows = {part: modality.data(part) for part in PARTS}

    def drawn(seed: int) -> np.ndarray:
        return pairs.extract(Centre(), modality, rows, seed=seed, device="cpu")[0]["train"].pooled

    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first = drawn(0)
    assert torch.equal(torch.rand(3), wanted)
    torch.manual_seed(99)
    assert np.array_equal(first, drawn(0)) and not np.array_equal(first, drawn(1))


def test_the_number_of_rows_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relative, "ROWS", 20)
    monkeypatch.setattr(pairs, "BLOCK", 8)  # three blocks, the last one short
    rows = {part: Spots().data(part) for part in PARTS}
    found, labelled = relative.Relative.extract(Centre(), Spots(), rows, seed=0, device="cpu")
    assert {len(found[part]) for part in PARTS} == {len(labelled[part]) for part in PARTS} == {20}


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        datasets.register("tiles/tiles")(Tiles)
        yield


def run(name: str, folder: Path, probe: str, method: str = "random_init") -> Mapping[str, Any]:
    modality = datasets[name].make(None)
    words = dict(word.split("=") for word in TINY) | {"probe": probe}
    cell = resolve(name, method, "smoke", 0, words, fingerprints(folder, name, modality))
    return run_cell(cell, modality, folder, device="cpu")


def test_a_cell_scores_pairs_beside_rows(tmp_path: Path) -> None:
    made = run("tiles/tiles", tmp_path, "ridge,relative")
    assert made["status"] == "ok", made["reason"]
    asked = {(score["task"], score["probe"]): score for score in made["scores"]}
    assert set(asked) == {("stripe", "ridge"), ("tone", "ridge")} | {
        (f"transform_{name}", "relative") for name in Tiles.actions
    }
    assert [key for key, score in asked.items() if score["headline"]] == [("stripe", "ridge")]
    light, down = (asked[f"transform_{name}", "relative"]["value"] for name in ("brightness", "down"))
    assert light > 0.4 > 0.2 > down, "eight random features hold the light, and where a cyclic pattern lies they do not"
    again = run("tiles/tiles", tmp_path, "relative")  # features come from the cache, the encoder too
    values = {score["task"]: score["value"] for score in again["scores"]}
    assert values == {task: score["value"] for (task, probe), score in asked.items() if probe == "relative"}


def test_without_actions_there_is_nothing_to_tell(tmp_path: Path) -> None:
    made = run("toy/toy", tmp_path, "ridge,relative", "toy-ae")
    assert made["status"] == "ok", made["reason"]
    assert {score["probe"] for score in made["scores"]} == {"ridge"}
