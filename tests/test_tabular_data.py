"""Tables: columns are typed and encoded by train alone, every damage is mended and counted or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import modalities  # noqa: F401 - registers
from jepakit.registry import datasets
from jepakit.types import PARTS, DataError
from modalities.tabular.base import BINS, assemble, split
from modalities.tabular.columns import Encoder
from modalities.tabular.made import STATE
from modalities.tabular.tokens import piecewise


def frame(rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """Two numbers, a category, and a class that none of them tells."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "size": random.standard_normal(rows),
            "age": random.integers(0, 9, rows),
            "town": random.choice(["Ghent", "Bruges", "Ypres"], rows, p=[0.5, 0.3, 0.2]),
            "target": random.choice(["yes", "no"], rows),
        }
    )


def tables(**changes: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"train": frame(seed=1), "val": frame(seed=2), "test": frame(seed=3)} | changes


def test_numbers_become_normal_scores_of_train_and_categories_codes_by_frequency() -> None:
    train = pd.DataFrame({"v": np.arange(99.0), "c": ["b"] * 50 + ["a"] * 30 + ["c"] * 19})
    encoder = Encoder(train, "here")
    later = encoder.encode(pd.DataFrame({"v": [49.0, -1e9, 1e9, np.nan], "c": ["b", "a", "never", None]}))
    # The median has score 0; far values stop at three deviations; a gap is 0 and says so.
    np.testing.assert_allclose(later.x[:, 0], [0, -3, 3, 0], atol=1e-3)
    assert later.missing[:, 0].tolist() == [False, False, False, True]
    assert later.x[:, 1].tolist() == [1, 2, 0, 0]
    assert encoder.repairs["values of no known category"] == 2 and encoder.repairs["missing numbers"] == 1
    assert [column.size for column in encoder.columns] == [0, 4]


def test_statistics_do_not_see_later_parts() -> None:
    other = frame(seed=9)
    other["size"] *= 1000
    known, changed = (assemble("here", parts, "target", regression=False) for parts in (tables(), tables(test=other)))
    assert torch.equal(known.parts["train"].x, changed.parts["train"].x) and torch.equal(known.edges, changed.edges)


@pytest.mark.parametrize(
    ("column", "kind"),
    [([1.0] * 60, "columns without variation dropped"), ([None] * 60, "columns without variation dropped"),
     ([f"person {k}" for k in range(60)], "columns that name rows dropped")],
)  # fmt: skip
def test_columns_that_say_nothing_are_dropped_and_counted(column: list[object], kind: str) -> None:
    many = pd.concat([frame(seed=k) for k in range(10)], ignore_index=True).assign(odd=column * 10)
    if kind.startswith("columns that name"):
        many["odd"] = [f"person {k}" for k in range(600)]
    table = assemble("here", tables(train=many), "target", regression=False)
    assert table.parts["train"].repairs[kind] == 1
    assert [one.name for one in table.columns] == ["size", "age", "town"]


def test_infinite_and_missing_values_are_counted() -> None:
    train = frame()
    train.loc[3, "size"], train.loc[4, "size"], train.loc[5, "town"] = np.inf, np.nan, None
    table = assemble("here", tables(train=train), "target", regression=False)
    repairs = table.parts["train"].repairs
    assert repairs["infinite values"] == 1 and repairs["missing numbers"] == 2 - 1
    gaps = table.parts["train"].extra["missing"]
    assert gaps[:, 0].nonzero()[:, 0].tolist() == [3, 4] and gaps[5, 2]


def test_rows_of_a_later_part_leave_the_earlier_one() -> None:
    train = pd.concat([frame(seed=1), frame(seed=3).iloc[:7]], ignore_index=True)
    table = assemble("here", tables(train=train), "target", regression=False)
    assert table.parts["train"].repairs["rows that a later part holds too dropped"] == 7
    assert len(table.parts["train"]) == 60


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(mixed=["1"] * 55 + ["about two"] * 5), "mixes numbers with text such as 'about two'"),
        (lambda f: f.assign(leak=(f["target"] == "yes").astype(int) * 2.0), "column 'leak' of here tells the target"),
        (lambda f: f.assign(leak=np.where(f["target"] == "yes", "A", "B")), "column 'leak' of here tells the target"),
        (lambda f: f.drop(columns="target"), "no target column 'target'"),
        (lambda f: f.iloc[:1], "has 1 rows in train"),
        (lambda f: f[["target"]].assign(same=1.0), "no column that varies"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(change: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        assemble("here", tables(train=change(frame(seed=1))), "target", regression=False)  # type: ignore[operator]


def test_a_value_among_the_features_is_refused_whatever_its_unit() -> None:
    random = np.random.default_rng(77)
    parts = {p: frame(200, k).assign(target=random.standard_normal(200)) for k, p in enumerate(PARTS)}
    assemble("here", parts, "target", regression=True)
    with pytest.raises(DataError, match="column 'euro'"):
        told = {p: f.assign(euro=100 - 3 * f["target"]) for p, f in parts.items()}
        assemble("here", told, "target", regression=True)


def test_a_class_that_train_never_shows_is_refused() -> None:
    with pytest.raises(DataError, match="class 'maybe' in test"):
        assemble("here", tables(test=frame(seed=3).assign(target="maybe")), "target", regression=False)


def test_piecewise_codes_are_full_below_and_empty_above() -> None:
    code = piecewise(torch.tensor([[2.5], [-1.0], [9.0]]), torch.tensor([[0.0, 1.0, 2.0, 4.0]]))
    assert code[:, 0].tolist() == [[1.0, 1.0, 0.25], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_folds_test_every_row_once_with_every_class_in_its_share() -> None:
    rows = frame(200).assign(number=range(200))
    tested: list[int] = []
    for fold in range(1, 6):
        parts = split(rows, "target", regression=False, fold=fold)
        seen = [set(parts[p]["number"]) for p in ("train", "val", "test")]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2]) and len(set.union(*seen)) == 200
        assert abs((parts["test"]["target"] == "yes").mean() - (rows["target"] == "yes").mean()) < 0.03
        tested += parts["test"]["number"].tolist()
    assert sorted(tested) == list(range(200))


def test_views_take_the_stated_share_of_columns_from_their_own_marginals() -> None:
    modality = datasets["tabular/made_linear"].make(None)
    batch = modality.data("train").batch(torch.arange(256))
    torch.manual_seed(0)
    seen = modality.views(batch)
    changed = (seen.x != batch.x).float().mean()
    # 6 of 20 columns are drawn anew; a category of five codes is the same again in a quarter of the draws.
    assert 0.24 < float(changed) <= 0.3
    pool = modality.data("train").x
    for column in range(pool.shape[1]):
        assert set(seen.x[:, column].tolist()) <= set(pool[:, column].tolist())


def test_raw_tokens_are_one_hot_for_categories_and_empty_for_gaps() -> None:
    modality = datasets["tabular/made_linear"].make(None)
    batch = modality.data("train").batch(torch.arange(200))
    patches, sizes = modality.patches(batch), torch.tensor(modality.sizes)
    assert patches.shape == (200, 20, max(BINS, int(sizes.max())))
    assert torch.equal(patches[:, sizes > 0].sum(-1), torch.ones(200, 3))
    gaps = batch.extra["missing"] & (sizes == 0)
    assert gaps.any() and not patches[gaps].any()


def test_only_relevant_and_redundant_columns_of_made_rows_tell_of_the_state() -> None:
    kind = datasets["tabular/made_steps"].make
    train = kind.frames(None)["train"]
    roles = kind.roles()
    strength = {
        role: max(
            abs(train[name].corr(train["target"]))
            for name, r in roles.items()
            if r == role and train[name].dtype == float
        )
        for role in ("relevant", "redundant", "noise")
    }
    assert list(roles.values()).count("relevant") == STATE
    assert strength["relevant"] > 0.4 and strength["redundant"] > 0.2 and strength["noise"] < 0.12


def test_any_table_is_a_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "tabular" / "class-mine"
    folder.mkdir(parents=True)
    frame(100).to_csv(folder / "table.csv", index=False)
    modality = datasets["tabular/class-mine"].make(tmp_path)
    assert [len(modality.data(part)) for part in PARTS] == [60, 20, 20]
    assert modality.tasks[0].classes == ("no", "yes") and modality.sizes == (0, 0, 4)
    other = tmp_path / "tabular" / "value-mine"
    other.mkdir()
    for part in PARTS:
        frame(40, PARTS.index(part)).assign(target=np.arange(40.0)[::-1]).to_parquet(other / f"{part}.parquet")
    assert datasets["tabular/value-mine"].make(tmp_path).tasks[0].kind == "regression"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot be read as a table"),
        ("a,b\n1,2\n", "no column 'target'"),
        ("a,target\n1,x\n2,y\n", "cannot be split"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, content: str, words: str) -> None:
    folder = tmp_path / "tabular" / f"class-{abs(hash(words))}"
    folder.mkdir(parents=True)
    (folder / "table.csv").write_text(content)
    with pytest.raises(DataError, match=words):
        datasets[f"tabular/{folder.name}"].make(tmp_path)
    with pytest.raises(DataError, match="needs its files"):
        datasets["tabular/adult"].make(tmp_path)


def test_the_real_tables_are_as_published(data_root: Path) -> None:
    adult = datasets["tabular/adult"].make(data_root)
    # 26,048 / 6,513 / 16,281 before copies leave.
    copies = adult.data("train").repairs["rows that a later part holds too dropped"]
    assert len(adult.data("train")) + len(adult.data("val")) + copies == 32_561 and len(adult.data("test")) == 16_281
    assert round(float((adult.data("test").labels["income"] == 1).float().mean()), 3) == 0.236
    california = datasets["tabular/california_housing"].make(data_root)
    assert [len(california.data(part)) for part in PARTS] == [13_209, 3_303, 4_128]
    test = california.data("test").labels["value"]
    mean = california.data("train").labels["value"].mean()
    assert round(float((test - mean).square().mean().sqrt()), 3) == 1.142  # predicting the mean
    jannis = datasets["tabular/jannis_subset"].make(data_root)
    assert len(jannis.data("train")) + len(jannis.data("val")) == 13_398 and len(jannis.data("test")) == 16_747
