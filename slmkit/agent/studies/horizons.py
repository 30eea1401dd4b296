"""Long tasks: success against the number of calls, and what a chance a step says of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from slmkit import stats

BINS = ((1, 1), (2, 3), (4, 7), (8, 12))


def bin_of(n_calls: int) -> str:
    """`1`, `2-3`, `4-7`, `8-12`; longer tasks count to the last."""
    low, high = next((pair for pair in BINS if n_calls <= pair[1]), BINS[-1])
    return f"{low}" if low == high else f"{low}-{high}"


def by_length(table: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Success by arm and number of calls, Wilson: arm, calls, mid, n, k, success, low, high. Tasks without calls are
    left out."""
    rows = []
    for arm in arms:
        part = table[(table["arm"] == arm) & (table["n_calls"] > 0)]
        for calls, group in part.groupby(part["n_calls"].map(bin_of)):
            k, n = int((group["reward"] >= 1).sum()), len(group)
            low, high = stats.wilson(k, n)
            rows.append({"arm": arm, "calls": calls, "mid": group["n_calls"].mean(), "n": n, "k": k,
                         "success": k / n, "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def fitted(table: pd.DataFrame, arms: Sequence[str], n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """Success of n calls as p^n q^(n(n-1)/2), by maximum likelihood, intervals over tasks.

    p is the chance of the first call, q what each further call multiplies the chance of a call with: 1 where calls do
    not depend on how many went before, below 1 where they get worse (self-conditioning, a longer conversation). `term`
    is log q. Columns arm, n, p, p_low, p_high, term, low, high.
    """
    rows = []
    for arm in arms:
        part = table[(table["arm"] == arm) & (table["n_calls"] > 0)]
        values = part[["n_calls", "reward"]].to_numpy(float)
        if len(values) < 4:
            continue
        times = min(max(20, n_resamples // 5), 300)
        draws = np.array([_fit(values[draw]) for draw in _draws(len(values), times, rng)])
        p, term = _fit(values)
        (p_low, p_high), (low, high) = (np.quantile(draws[:, i], [0.025, 0.975]) for i in (0, 1))
        rows.append({"arm": arm, "n": len(values), "p": p, "p_low": p_low, "p_high": p_high,
                     "term": term, "low": min(low, term), "high": max(high, term)})  # fmt: skip
    return pd.DataFrame(rows)


def predicted(fit: pd.DataFrame, lengths: Sequence[float] = tuple(np.linspace(1, 12, 45))) -> pd.DataFrame:
    """The fitted curve of each arm, and p^n alone: arm, calls, success, constant."""
    n = np.asarray(lengths)
    parts = []
    for row in fit.itertuples():
        chance = np.clip(row.p, 1e-9, 1) ** n
        parts.append(pd.DataFrame({"arm": row.arm, "calls": n, "constant": chance,
                                   "success": np.minimum(chance * np.exp(row.term * n * (n - 1) / 2), 1)}))  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["arm", "calls", "success"])


def _draws(n: int, times: int, rng: int) -> list[np.ndarray]:
    generator = np.random.default_rng(rng)
    return [generator.integers(n, size=n) for _ in range(times)]


def _fit(values: np.ndarray) -> tuple[float, float]:
    """(p, log q) of the highest likelihood, with a weak prior: one success and one failure at one call, log q normal
    with a standard deviation of 1."""
    from scipy.optimize import minimize

    n, k = np.r_[values[:, 0], 1, 1], np.r_[values[:, 1], 1, 0]
    pairs = n * (n - 1) / 2

    def loss(x: Any) -> float:
        chance = np.minimum(-n * np.logaddexp(0, -x[0]) + x[1] * pairs, -1e-9)
        return float(-(k * chance + (1 - k) * np.log1p(-np.exp(chance))).sum() + 0.5 * x[1] ** 2)

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-3, "maxiter": 300})
    return float(1 / (1 + np.exp(-best.x[0]))), float(best.x[1])


def differences(table: pd.DataFrame, a: str, b: str, margin: float, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """Arm a minus arm b by number of calls, paired by task: calls, n, difference, low, high, ruling."""
    rows = []
    wide = table[table["arm"].isin((a, b)) & (table["n_calls"] > 0)]
    wide = wide.pivot_table(index=["task_id", "n_calls"], columns="arm", values="reward").dropna().reset_index()
    for calls, part in wide.groupby(wide["n_calls"].map(bin_of)):
        if len(part) > 1:
            found = stats.paired_difference(part[a], part[b], None, margin, n_resamples, rng)
            rows.append({"calls": calls, "n": found.n, "difference": found.difference, "low": found.low,
                         "high": found.high, "ruling": found.verdict})  # fmt: skip
    return pd.DataFrame(rows)
