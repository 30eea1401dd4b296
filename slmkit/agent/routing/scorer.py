"""How likely is the small model's reply wrong? A logistic score over the signals, stored as plain numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from slmkit.agent.routing.signals import NAMES
from slmkit.errors import InputError


@dataclass(frozen=True)
class Scorer:
    """Risk of a reply, 0 to 1: logistic of weighted signals, each shifted by `mean` and divided by `scale`.

    Standardised values are cut at ±4, so that a signal unseen in calibration cannot drown the others.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weight: tuple[float, ...]
    intercept: float

    def risk(self, found: Mapping[str, float]) -> float:
        """The risk of one reply by its signals; a signal that is missing counts as its mean."""
        parts = zip(self.names, self.mean, self.scale, self.weight, strict=True)
        total = self.intercept
        for name, mean, scale, weight in parts:
            total += weight * min(4.0, max(-4.0, (float(found.get(name, mean)) - mean) / scale))
        return 1 / (1 + math.exp(-min(50.0, max(-50.0, total))))

    def risks(self, table: pd.DataFrame) -> np.ndarray:
        """The risk of each row of a table whose columns are signals."""
        return np.array([self.risk(row) for row in table[list(self.names)].to_dict("records")])

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}


def fit(table: pd.DataFrame, wrong: Sequence[bool], names: Sequence[str] = NAMES, strength: float = 0.3) -> Scorer:
    """A scorer from signals (a row a reply) and whether each reply was wrong.

    `strength` is the inverse of the L2 penalty. With one kind of reply only, the score is that kind's share and tells
    nothing apart. InputError for a missing column or no rows.
    """
    from sklearn.linear_model import LogisticRegression

    if missing := [name for name in names if name not in table]:
        raise InputError(f"calibration table: no column {missing[0]!r}; it needs {', '.join(names)}")
    if not len(table):
        raise InputError("calibration table: no rows; run the models on the calibration tasks first")
    values, labels = table[list(names)].to_numpy(float), np.asarray(wrong, dtype=bool)
    mean, scale = values.mean(axis=0), values.std(axis=0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    if labels.all() or not labels.any():
        share = (labels.sum() + 1) / (len(labels) + 2)
        return Scorer(tuple(names), tuple(mean.tolist()), tuple(scale.tolist()), (0.0,) * len(names),
                      float(np.log(share / (1 - share))))  # fmt: skip
    model = LogisticRegression(C=strength, max_iter=1_000)
    model.fit(np.clip((values - mean) / scale, -4, 4), labels)
    return Scorer(tuple(names), tuple(mean.tolist()), tuple(scale.tolist()), tuple(model.coef_[0].tolist()),
                  float(model.intercept_[0]))  # fmt: skip


def auroc(score: Sequence[float], wrong: Sequence[bool]) -> float:
    """Chance that a wrong reply has the higher score, ties half; NaN where there is one kind only."""
    from scipy.stats import rankdata

    labels, ranks = np.asarray(wrong, dtype=bool), rankdata(score)
    bad, good = int(labels.sum()), int((~labels).sum())
    return float((ranks[labels].sum() - bad * (bad + 1) / 2) / (bad * good)) if bad and good else math.nan
