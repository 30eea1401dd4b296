"""Routing on recorded outcomes of real models: 840 items of BFCL v1, small and large pairs of August 2024.

What a router may look at is what would be known in use: the category of the request, and whether the small model's
output could be read as a call. Each half of the items is routed as learnt on the other half.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from slmkit import config, stats
from slmkit.agent.routing import tradeoff
from slmkit.errors import InputError, unknown

CLAUDE, GPT4, LLAMA = "claude-3-5-sonnet-20240620", "gpt-4-0613", "meta-llama_Meta-Llama-3-70B-Instruct"
BROKEN = r"(?:ast|executable)_decoder:.*"  # the output is no call: seen without knowing the right answer


class Pair(NamedTuple):
    """A small and a large model; `tuned` says whether the small one was tuned for tool calls."""

    small: str
    large: str
    tuned: bool


PAIRS = (
    Pair("Salesforce_xLAM-7b-fc-r", CLAUDE, True),
    Pair("Salesforce_xLAM-1b-fc-r", CLAUDE, True),
    Pair("Salesforce_xLAM-1b-fc-r", LLAMA, True),
    Pair("gorilla-openfunctions-v2", GPT4, True),
    Pair("meetkai_functionary-small-v3.2-FC", CLAUDE, True),
    Pair("NousResearch_Hermes-2-Pro-Llama-3-8B", GPT4, True),
    Pair("meta-llama_Meta-Llama-3-8B-Instruct", LLAMA, False),
    Pair("google_gemma-7b-it", CLAUDE, False),
)


def load(data: str | Path | None = None) -> pd.DataFrame:
    """Outcomes with columns category, index and one a model; InputError where data set or column is missing."""
    path = config.dataset("bfcl_v1_outcomes", data) / "outcomes.csv.gz"
    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file again") from None
    for name in {model for pair in PAIRS for model in pair[:2]} - set(table.columns):
        raise unknown("model configuration", name, table.columns)
    return table


def scored(table: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """A row for each pair and item: who was right, and what a router may look at.

    Columns pair, tuned, category, cell (the category, or `unreadable` where the small model's output is no call),
    small, large (bool), and half (0 or 1): each half is routed as learnt on the other.
    """
    half = np.random.default_rng(seed).permutation(len(table)) % 2
    parts = []
    for pair in PAIRS:
        small, large = table[pair.small] == "ok", table[pair.large] == "ok"
        broken = table[pair.small].str.fullmatch(BROKEN)
        made = pd.DataFrame({"pair": says(pair), "tuned": pair.tuned, "category": table["category"],
                             "small": small, "large": large})  # fmt: skip
        made["cell"] = table["category"].where(~broken, "unreadable")
        parts.append(made.assign(half=half))
    return pd.concat(parts, ignore_index=True)


def gaps_of(small: pd.Series, large: pd.Series, cell: pd.Series, prior: float = 4.0) -> pd.Series:
    """Large minus small by cell, drawn to the overall gap as `prior` items would."""
    gap = large.astype(float) - small.astype(float)
    groups = gap.groupby(cell)
    return (groups.sum() + prior * gap.mean()) / (groups.count() + prior)


def says(pair: Pair) -> str:
    """`xLAM-7b-fc-r / claude-3-5-sonnet`."""
    names = [model.split("_")[-1].removeprefix("Meta-").removesuffix("-Instruct") for model in pair[:2]]
    return " / ".join(name.replace("-20240620", "") for name in names)


def needed(items: pd.DataFrame) -> pd.DataFrame:
    """By pair: accuracy of both, share that needs the large model (the oracle's), with Wilson intervals."""
    rows = []
    for pair, part in items.groupby("pair", sort=False):
        k, n = int((part["large"] & ~part["small"]).sum()), len(part)
        low, high = stats.wilson(k, n)
        rows.append({"pair": pair, "tuned": part["tuned"].iloc[0], "small": part["small"].mean(),
                     "large": part["large"].mean(), "oracle": (part["small"] | part["large"]).mean(),
                     "k": k, "n": n, "estimate": k / n, "low": low, "high": high})  # fmt: skip
    return pd.DataFrame(rows)


def pairs(items: pd.DataFrame, cost: float, margin: float, n_resamples: int, seed: int = 0) -> pd.DataFrame:
    """Both routers of each pair, against large alone and random mixing; thresholds learnt on the other half.

    `learned` looks at the small model's output, so an item that is sent on pays for both; `by category` decides before
    any call and pays for one. `cost` is that of a small call over a large one. A threshold is the highest that loses no
    more than half of `margin` on the half that it is learnt on. Columns: set, pair, who, tuned and those of `judged`.
    """
    rows = []
    for pair, part in items.groupby("pair", sort=False):
        for who, cell in (("learned", "cell"), ("by category", "category")):
            chosen = _chosen(part, cell, margin / 2)
            paid = cost + chosen if who == "learned" else np.where(chosen, 1.0, cost)
            rows.append({"set": "BFCL v1", "pair": pair, "who": who, "tuned": bool(part["tuned"].iloc[0])}
                        | judged(part["small"], part["large"], chosen, paid, margin, n_resamples, seed))  # fmt: skip
    return pd.DataFrame(rows)


def _chosen(part: pd.DataFrame, cell: str, loss: float) -> np.ndarray:
    """Which items go to the large model: cells of the largest gap first, as many as the other half needs."""
    half, chosen = part["half"].to_numpy(), np.zeros(len(part), dtype=bool)
    for side in (0, 1):
        known, test = part[half != side], part[half == side]
        gaps = gaps_of(known["small"], known["large"], known[cell])
        rows = tradeoff.columns(known[cell].map(gaps), known["small"], known["large"])
        threshold = tradeoff.highest(rows, rows[:, 2].mean() - loss)
        overall = float((known["large"].astype(float) - known["small"].astype(float)).mean())
        chosen[half == side] = test[cell].map(gaps).fillna(overall).to_numpy() >= threshold
    return chosen


def judged(
    small: pd.Series, large: pd.Series, chosen: np.ndarray, paid: np.ndarray, margin: float, n_resamples: int, seed: int
) -> dict[str, Any]:
    """A router's choice against large alone and against random mixing at the same share.

    `paid` is the cost of each item in large calls. Columns: n, share, small, large, router, difference (router minus
    large) with low, high and ruling at `margin`, cost_ratio with its interval, over_random (router minus mix) with its.
    """
    a, b = np.asarray(small, float), np.asarray(large, float)
    routed = np.where(chosen, b, a)
    share = float(np.mean(chosen))
    against = stats.paired_difference(routed, b, margin=margin, n_resamples=n_resamples, rng=seed)
    money = stats.ratio_interval(paid, np.ones(len(paid)), n_resamples=n_resamples, rng=seed)
    mix = stats.bootstrap(np.c_[routed, a, b, chosen], _over_random, n_resamples=n_resamples, rng=seed)
    return {
        "n": len(a), "share": share, "small": a.mean(), "large": b.mean(), "router": routed.mean(),
        "difference": against.difference, "low": against.low, "high": against.high, "ruling": against.verdict,
        "cost_ratio": money.estimate, "cost_low": money.low, "cost_high": money.high,
        "over_random": mix.estimate, "random_low": mix.low, "random_high": mix.high,
    }  # fmt: skip


def _over_random(rows: np.ndarray) -> float:
    share = rows[:, 3].mean()
    return float(rows[:, 0].mean() - share * rows[:, 2].mean() - (1 - share) * rows[:, 1].mean())
