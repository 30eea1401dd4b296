"""What goes wrong before and after, and whether a call's probability says how sure one may be of it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.capability.scoring import ERRORS

BINS = np.linspace(0, 1, 6)


def errors(items: pd.DataFrame) -> pd.DataFrame:
    """Share of items by outcome: columns name, set, outcome, k, n, share; the first outcome is `right`."""
    outcome = items["error"].fillna("right").where(~items["correct"].astype(bool), "right")
    found = items.assign(outcome=outcome).groupby(["name", "set", "outcome"], sort=False).size().rename("k")
    table = found.reset_index()
    table["n"] = table.groupby(["name", "set"])["k"].transform("sum")
    table["share"] = table["k"] / table["n"]
    place = {name: index for index, name in enumerate(("right", *ERRORS))}
    order = table["outcome"].map(place)
    return table.assign(place=order).sort_values("place", kind="stable").drop(columns="place").reset_index(drop=True)


def decisions(items: pd.DataFrame) -> pd.DataFrame:
    """Call or no call, by arm: recall of calls, recall of restraint, and their mean, each with its interval."""
    rows = []
    for name, group in items.groupby("name", sort=False):
        called, wanted = group["called"].astype(bool), group["wants"] == "call"
        parts = {"calls where one is wanted": called[wanted], "no call where none fits": ~called[~wanted]}
        for kind, right in parts.items():
            if len(right):
                low, high = stats.wilson(int(right.sum()), len(right))
                rows.append({"name": name, "role": group["role"].iloc[0], "set": kind, "n": len(right),
                             "estimate": right.mean(), "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def confidence(items: pd.DataFrame) -> pd.Series:
    """Probability that the model itself gives its whole answer, from the sum of its log-probabilities."""
    return np.exp(items["logprob"].astype(float).clip(upper=0))


def calibration(items: pd.DataFrame) -> pd.DataFrame:
    """Reliability by arm: answers with a call, binned by their probability.

    Columns: name, role, bin, n, confidence, estimate (share right), low, high, ece (expected calibration error of
    the arm), auroc (that a right call has a higher probability than a wrong one; NaN where one kind is missing).
    """
    rows = []
    made = items[items["called"].astype(bool) & items["logprob"].notna()]
    for name, group in made.groupby("name", sort=False):
        sure, right = confidence(group).to_numpy(), group["correct"].astype(float).to_numpy()
        place = np.clip(np.digitize(sure, BINS) - 1, 0, len(BINS) - 2)
        gaps = [abs(sure[place == b].mean() - right[place == b].mean()) * (place == b).mean() for b in np.unique(place)]
        for b in np.unique(place):
            k, n = int(right[place == b].sum()), int((place == b).sum())
            low, high = stats.wilson(k, n)
            rows.append({"name": name, "role": group["role"].iloc[0], "bin": f"{BINS[b]:.1f} to {BINS[b + 1]:.1f}",
                         "n": n, "confidence": sure[place == b].mean(), "estimate": k / n, "low": low, "high": high,
                         "ece": sum(gaps), "auroc": auroc(sure, right)})  # fmt: skip
    return pd.DataFrame(rows)


def auroc(score: np.ndarray, right: np.ndarray) -> float:
    """Share of (right, wrong) pairs that `score` puts in order, ties half."""
    from scipy.stats import rankdata

    n, wrong = int(right.sum()), int(len(right) - right.sum())
    if not (n and wrong):
        return float("nan")
    return float((rankdata(score)[right > 0].sum() - n * (n + 1) / 2) / (n * wrong))
