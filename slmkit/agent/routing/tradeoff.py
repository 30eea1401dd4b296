"""Cost against quality from stored outcomes: who was right is known, so no model is called.

`score` orders the items: the higher, the sooner an item goes to the large model. `small` and `large` say who was right.
Share is that of items sent to the large model. PGR is the part of the gap between the two that is recovered; APGR its
mean over all shares, CPT(x) the least share that recovers x of the gap (Ong et al. 2024, arXiv 2406.18665).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.errors import InputError

Columns = np.ndarray  # score, small, large: one row an item


def columns(score: Sequence[float], small: Sequence[float], large: Sequence[float]) -> Columns:
    """The three as one array; InputError where their lengths differ."""
    if not len(score) == len(small) == len(large):
        raise InputError(
            f"score, small and large have {len(score)}, {len(small)} and {len(large)} items; give one each"
        )
    return np.c_[np.asarray(score, float), np.asarray(small, float), np.asarray(large, float)]


def steps(rows: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Shares and qualities as the threshold falls; items of one score go together, so ties mix at random in between."""
    order = np.argsort(-rows[:, 0], kind="stable")
    score, gain = rows[order, 0], rows[order, 2] - rows[order, 1]
    last = np.r_[np.flatnonzero(np.diff(score)), len(score) - 1]
    share = np.r_[0, (last + 1) / len(score)]
    return share, rows[:, 1].mean() + np.r_[0, np.cumsum(gain)[last] / len(score)]


def highest(rows: Columns, quality: float) -> float:
    """The highest threshold on the score that reaches this quality; minus infinity where only all items do."""
    score = np.sort(np.unique(rows[:, 0]))[::-1]
    reached = np.flatnonzero(steps(rows)[1] >= quality - 1e-12)
    if not len(reached):
        return -np.inf
    return np.inf if reached[0] == 0 else float(score[reached[0] - 1])


def apgr(rows: Columns) -> float:
    """Mean recovered part of the gap over all shares; 0.5 for a router at random. NaN where there is no gap."""
    share, quality = steps(rows)
    gap = quality[-1] - quality[0]
    return float((np.trapezoid(quality, share) - quality[0]) / gap) if abs(gap) > 1e-9 else np.nan


def cpt(part: float) -> Callable[[Columns], float]:
    """The least share that recovers `part` of the gap, as a function of the items."""

    def least(rows: Columns) -> float:
        share, quality = steps(rows)
        wanted = quality[0] + part * (quality[-1] - quality[0])
        reached = np.flatnonzero(quality >= wanted - 1e-12)
        if not len(reached) or reached[0] == 0:
            return 0.0 if len(reached) else np.nan
        place = reached[0]
        low, high = quality[place - 1], quality[place]
        return float(share[place - 1] + (share[place] - share[place - 1]) * (wanted - low) / (high - low))

    return least


def oracle(small: Sequence[float], large: Sequence[float]) -> np.ndarray:
    """The score of a router that knows who is right: the large model only where it alone is."""
    return np.asarray(large, float) - np.asarray(small, float)


def curve(rows: Columns, who: str, shares: Sequence[float] = tuple(np.linspace(0, 1, 21))) -> pd.DataFrame:
    """Columns who, share, quality: the trade-off at given shares."""
    share, quality = steps(rows)
    return pd.DataFrame({"who": who, "share": shares, "quality": np.interp(shares, share, quality)})


def summary(rows: Columns, who: str, n_resamples: int, rng: stats.Rng = 0, **more: Any) -> dict[str, Any]:
    """APGR, CPT(50 %) and CPT(80 %) with 95 % bootstrap intervals over items; the scores are taken as given."""
    row: dict[str, Any] = {"who": who, "n": len(rows), **more}
    for name, statistic in (("apgr", apgr), ("cpt50", cpt(0.5)), ("cpt80", cpt(0.8))):
        found = stats.bootstrap(rows, statistic, n_resamples=n_resamples, rng=rng)
        row |= {name: found.estimate, f"{name}_low": found.low, f"{name}_high": found.high}
    return row
