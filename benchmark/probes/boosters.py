"""LightGBM, XGBoost and CatBoost as probes: the trees that published tables of this field name, on columns or embeddings.

As ``gbdt`` (its rates, leaves and penalties, chosen on validation, the same for every row), up to TREES trees, stopping
early on a tenth of train. A probe exists where its package is installed: ``pip install 'jepakit[trees]'``.
Tests: test_probe_gbdt.py.
"""

from __future__ import annotations

import importlib.util
import itertools
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.model_selection import train_test_split

from benchmark.probes.base import Choice, Fitted, Probe, class_count, subsample
from benchmark.probes.gbdt import LEAVES, PENALTIES, RATES, TRAIN_ROWS, scores
from jepakit.registry import probes
from jepakit.types import DataError, Task

TREES = 1000
PATIENCE = 30
HELD_OUT = 0.1  # of train, for early stopping


class Coded:
    """A classifier of codes 0 … k − 1 that speaks of the classes it was shown."""

    def __init__(self, model: Any, classes: np.ndarray) -> None:
        self.model, self.classes_ = model, classes

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.model.predict_proba(x))


@dataclass(frozen=True)
class Setting:
    """One candidate; leaves: most of a tree."""

    regression: bool
    rate: float
    leaves: int
    penalty: float
    seed: int


class Boosters(Probe):
    """The best of eight settings of one library. A subclass makes a model and trains it until ``late`` stops it."""

    package: ClassVar[str]

    @abstractmethod
    def trained(self, one: Setting, early: Any, late: Any) -> tuple[Any, int]:
        """(model, trees in it); early, late: (features, answers) to fit and to stop on."""

    def fit(
        self,
        train: np.ndarray,
        train_label: np.ndarray,
        val: np.ndarray,
        val_label: np.ndarray,
        task: Task,
        seed: int,
        val_record: np.ndarray | None = None,
    ) -> Fitted:
        rows = subsample(len(train), TRAIN_ROWS, seed)
        x, label = train[rows], train_label[rows]
        regression = task.kind == "regression"
        classes, codes = np.unique(label, return_inverse=True)
        if not regression and len(classes) < 2:
            raise DataError(f"task '{task.name}': train shows one class only; use a larger training part.")
        answers = label if regression else codes
        early, late = _parted(x, answers, None if regression else codes, seed)
        choice: Choice[Any] = Choice(task, val_label, val_record)
        count = class_count(task, train_label)
        for rate, leaves, penalty in itertools.product(RATES, LEAVES, PENALTIES):
            made, trees = self.trained(Setting(regression, rate, leaves, penalty, seed), early, late)
            model = made if regression else Coded(made, classes)
            chosen = {"rate": rate, "leaves": leaves, "penalty": penalty, "trees": trees}
            choice.offer(chosen, model, scores(model, val, task, count))
        model = choice.best()
        return Fitted(choice.chosen, choice.score, lambda features: scores(model, features, task, count))


def _parted(x: np.ndarray, answers: np.ndarray, codes: np.ndarray | None, seed: int) -> tuple[Any, Any]:
    """Rows to fit and rows to stop on, every class in both where it has two rows and there is room for it."""
    held = round(HELD_OUT * len(x))
    stratify = codes if codes is not None and np.bincount(codes).min() > 1 and held > codes.max() else None
    one, two, a, b = train_test_split(x, answers, test_size=HELD_OUT, random_state=seed, stratify=stratify)
    if codes is not None and len(np.unique(a)) <= codes.max():  # a class with one row: never without it
        return (x, answers), (two, b)
    return (one, a), (two, b)


class LightGBM(Boosters):
    """Ke et al. 2017."""

    package = "lightgbm"

    def trained(self, one: Setting, early: Any, late: Any) -> tuple[Any, int]:
        import lightgbm

        kind = lightgbm.LGBMRegressor if one.regression else lightgbm.LGBMClassifier
        model = kind(
            learning_rate=one.rate, num_leaves=one.leaves, reg_lambda=one.penalty, n_estimators=TREES,
            random_state=one.seed, n_jobs=1, deterministic=True, force_row_wise=True, verbose=-1,
        )  # fmt: skip
        stop = lightgbm.early_stopping(PATIENCE, verbose=False)
        model.fit(early[0], early[1], eval_X=late[0], eval_y=late[1], callbacks=[stop])
        return model, int(model.best_iteration_ or TREES)


class XGBoost(Boosters):
    """Chen and Guestrin 2016; grown by leaves, so that one setting means one size in all three libraries."""

    package = "xgboost"

    def trained(self, one: Setting, early: Any, late: Any) -> tuple[Any, int]:
        import xgboost

        kind = xgboost.XGBRegressor if one.regression else xgboost.XGBClassifier
        model = kind(
            learning_rate=one.rate, max_leaves=one.leaves, max_depth=0, grow_policy="lossguide", tree_method="hist",
            reg_lambda=one.penalty, n_estimators=TREES, early_stopping_rounds=PATIENCE, random_state=one.seed, n_jobs=1,
        )  # fmt: skip
        model.fit(*early, eval_set=[late], verbose=False)
        return model, int(model.best_iteration) + 1


class CatBoost(Boosters):
    """Prokhorenkova et al. 2018; symmetric trees of depth log2(leaves), its own penalty of 3 where others have none."""

    package = "catboost"

    def trained(self, one: Setting, early: Any, late: Any) -> tuple[Any, int]:
        import catboost

        kind = catboost.CatBoostRegressor if one.regression else catboost.CatBoostClassifier
        model = kind(
            learning_rate=one.rate, depth=round(np.log2(one.leaves + 1)), l2_leaf_reg=one.penalty or 3.0, iterations=TREES,
            random_seed=one.seed, thread_count=1, allow_writing_files=False, verbose=False,
        )  # fmt: skip
        model.fit(*early, eval_set=late, early_stopping_rounds=PATIENCE)
        return model, int(model.tree_count_)


for _one in (LightGBM, XGBoost, CatBoost):
    if importlib.util.find_spec(_one.package) is not None:
        probes.register(_one.package, kinds=("class", "regression"))(_one)
