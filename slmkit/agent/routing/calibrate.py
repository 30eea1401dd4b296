"""From a calibration split to a routing: a score learnt, thresholds tried, one chosen for a budget or a floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.agent.routing.routing import TARGETS, Routing, hash_of
from slmkit.agent.routing.scorer import fit
from slmkit.errors import InputError, unknown

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0)


def learn(small: str, large: str, table: pd.DataFrame, **fields: Any) -> Routing:
    """A routing with its score learnt, and no threshold yet: rules alone ask the large model.

    `table` has a row a reply of the small model: its `signals`, `task_id`, and whether it was `wrong`.
    `alone`, the risk above which the small model does not act on its own when the large one is gone, is where wrong and
    right replies are told apart best (largest sum of both shares kept apart).
    """
    if missing := {"task_id", "wrong"} - set(table.columns):
        raise InputError(f"calibration table: no column {sorted(missing)[0]!r}; `studies.mixed.signal_table` makes one")
    scorer = fit(table, table["wrong"])
    alone = apart(scorer.risks(table), table["wrong"].to_numpy(bool))
    return Routing(small, large, scorer, alone=alone, data_hash=hash_of(table.to_dict("records")),
                   n_tasks=int(table["task_id"].nunique()), **fields)  # fmt: skip


def apart(risk: np.ndarray, wrong: np.ndarray) -> float:
    """The risk at which the share of wrong replies caught less that of right ones stopped is largest (Youden 1950)."""
    if wrong.all() or not wrong.any():
        return 2.0
    levels = np.unique(risk)
    gains = [(risk[wrong] >= level).mean() - (risk[~wrong] >= level).mean() for level in levels]
    return float(levels[int(np.argmax(gains))])


def thresholds(routing: Routing, table: pd.DataFrame, shares: Sequence[float] = SHARES) -> dict[float, float]:
    """The threshold that sends each share of the calibration replies on by score, besides what the rules send."""
    if routing.scorer is None:
        raise InputError("this routing has no score; learn one first")
    risk = np.sort(routing.scorer.risks(table))[::-1]
    return {
        share: 2.0 if share == 0 else 0.0 if share >= 1 else float(risk[max(0, int(np.ceil(share * len(risk))) - 1)])
        for share in shares
    }


def choose(
    tried: Mapping[Routing, pd.DataFrame],
    alone: pd.DataFrame,
    target: str = "budget",
    value: float = 0.35,
    rng: int = 0,
) -> Routing:
    """The routing that meets the target best on the calibration tasks.

    `tried` holds a row a task by routing, `alone` those of the large model alone (`reward`, `large_calls`). `budget`:
    most success where the share of large calls, one standard error added, is at most `value`; `floor`: fewest large
    calls where the loss is at most `value`. Where none meets it, the nearest. InputError for an unknown target.
    """
    if target not in TARGETS:
        raise unknown("target", target, TARGETS)
    base, success = float(alone["large_calls"].mean()), float(alone["reward"].mean())
    points = []
    for routing, rows in tried.items():
        used = stats.bootstrap(rows["large_calls"] / max(base, 1e-9), n_resamples=500, rng=rng)
        error = (used.high - used.estimate) / 1.96
        points.append((routing, float(rows["reward"].mean()), used.estimate, used.estimate + error))
    if target == "budget":
        inside = [point for point in points if point[3] <= value] or [min(points, key=lambda p: p[3])]
        best = max(inside, key=lambda p: (p[1], -p[2]))
    else:
        enough = [point for point in points if point[1] >= success - value] or [max(points, key=lambda p: p[1])]
        best = min(enough, key=lambda p: (p[2], -p[1]))
    return best[0].at(target=target, target_value=value)
