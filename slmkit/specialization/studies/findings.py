"""One line on each table of notebook 03: the finding as a figure's title, worked out from the table it titles."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit.specialization.studies import generality
from slmkit.specialization.studies.lab import short
from slmkit.specialization.studies.ladder import TASK


def by_ladder(points: pd.DataFrame, base: str, llm: str) -> str:
    """What LoRA makes of the small model, against the larger one."""
    mine = points[points["set"] == TASK].set_index("name")["estimate"]
    tuned, small = mine[f"{short(base)} + LoRA"], mine[short(base)]
    return (
        f"LoRA takes {short(base)} from {small:.0%} to {tuned:.0%}; {short(llm)}, untuned, has {mine[short(llm)]:.0%}"
    )


def by_curve(points: pd.DataFrame) -> str:
    """What the examples buy."""
    first, last = points.iloc[0], points.iloc[-1]
    return f"{first['n']:,} examples give {first['estimate']:.0%}, {last['n']:,} give {last['estimate']:.0%}"


def by_rank(points: pd.DataFrame) -> str:
    """The rank that learns most, and what it forgets."""
    base, tuned = points[points["n"] == 0].iloc[0], points[points["n"] > 0]
    best = tuned.sort_values("task").iloc[-1]
    return (
        f"{best['name'].capitalize()} learns most, {best['task']:.0%} with {best['n']:,} examples; "
        f"old skills go from {base['old']:.0%} to {best['old']:.0%}"
    )


def by_error(errors: pd.DataFrame, base: str) -> str:
    """The most frequent miss before tuning and after."""
    said = []
    for name in (short(base), f"{short(base)} + LoRA"):
        mine = errors[(errors["name"] == name) & (errors["set"] == TASK) & (errors["outcome"] != "right")]
        worst = mine.sort_values("share").iloc[-1] if len(mine) else None
        said.append("nothing" if worst is None else f"{worst['outcome'].replace('_', ' ')} ({worst['share']:.0%})")
    return f"Most frequent miss: {said[0]} before tuning, {said[1]} after"


def by_decision(decisions: pd.DataFrame, base: str) -> str:
    """Calls and restraint of the specialist."""
    mine = decisions[decisions["name"] == f"{short(base)} + LoRA"].set_index("set")["estimate"]
    return f"The specialist calls in {mine.iloc[0]:.0%} of requests that want it and refrains in {mine.iloc[-1]:.0%}"


def by_calibration(bins: pd.DataFrame, base: str) -> str:
    """How well a call's probability foretells whether it is right."""
    mine = bins[bins["name"] == f"{short(base)} + LoRA"]
    if mine.empty:
        return "The specialist makes no call here"
    row = mine.iloc[0]
    return f"The specialist's probabilities are off by {row['ece']:.0%}, AUROC {row['auroc']:.2f}"


def by_generality(points: pd.DataFrame, base: str) -> str:
    """In schema against out of it."""
    mine = points[points["name"] == f"{short(base)} + LoRA"].set_index("set")["estimate"]
    outside = mine[mine.index.isin(generality.OUT_OF_SCHEMA)].mean()
    return f"{mine[generality.IN_SCHEMA]:.0%} in schema becomes {outside:.0%} out of it, on average"


def by_mix(points: pd.DataFrame) -> str:
    """What general data repairs."""
    old = points[points["set"].isin(generality.GENERAL)].groupby("name", sort=False)["estimate"].mean()
    return "Old skills: " + ", ".join(f"{share:.0%} {'with ' * ('data' in name)}{name}" for name, share in old.items())


def by_format(points: pd.DataFrame, llm: str) -> str:
    """Invalid outputs in the format of tuning, and in another one."""
    tuned = points[points["role"] == "specialist"].set_index("set")["estimate"]
    large = points[points["name"] == short(llm)].set_index("set")["estimate"]
    inside, outside = generality.IN_SCHEMA, generality.FORMAT
    return (
        f"Invalid outputs: {tuned[inside]:.0%} tuned against {large[inside]:.0%} larger; in another format "
        f"{tuned[outside]:.0%} against {large[outside]:.0%}"
    )


def by_change(points: pd.DataFrame) -> str:
    """How the new adapter does after the change."""
    mine = points.set_index(["name", "set"])
    new = mine.loc[("new adapter", "after the change")]
    old = mine.loc[("old adapter", "before the change")]
    return (
        f"After the change a new adapter has {new['estimate']:.0%} in {new['adapt_seconds']:.0f} s; the old one had "
        f"{old['estimate']:.0%} before"
    )


def by_form(points: pd.DataFrame) -> str:
    """Which model depends more on the prompt."""
    spread = points.groupby("role")["estimate"].std(ddof=1)
    return (
        f"Spread over prompt forms: {100 * spread['specialist']:.1f} points for the specialist, "
        f"{100 * spread['llm']:.1f} for the larger model"
    )


def by_way(points: pd.DataFrame) -> str:
    """How many ways gain surely, and the best of them."""
    task = points[points["part"] == "the task"]
    best = task.sort_values("estimate").iloc[-1]
    return (
        f"{(task['low'] > 0).sum()} of {len(task)} ways to train gain surely; most: {best['name']} "
        f"({100 * best['estimate']:+.0f} points)"
    )


def by_size(points: pd.DataFrame) -> str:
    """The size effect before and after."""
    mine = points.set_index(["size", "tuned"])["estimate"]
    before, after = (mine[("llm", tuned)] - mine[("slm", tuned)] for tuned in (False, True))
    return f"Size is worth {100 * before:+.0f} points untuned and {100 * after:+.0f} after the same examples"


def by_price(jobs: pd.DataFrame) -> str:
    """GPU hours of an 8 bn adapter."""
    row = jobs[(jobs["model"] == "8 bn") & jobs["job"].str.contains("examples")].iloc[0]
    return f"10,000 examples on 8 bn: {row['hours']:.1f} H100-hours, USD {row['usd']:.0f}"


def by_operation(serving: pd.DataFrame) -> str:
    """Latency and memory of the pair."""
    rows = serving.groupby("role").agg(latency=("latency_s", "median"), held=("weight_bytes", "first"))
    fast, small = (rows.loc["specialist"] / rows.loc["llm"]).to_numpy()
    return f"The specialist takes {fast:.2f} times the larger model's time a request and {small:.2f} times its memory"


def by_scratch(points: pd.DataFrame) -> str:
    """What was best after most tokens."""
    if points.empty:
        return "Nothing was trained from scratch at this scale"
    last = points[np.isclose(points["tokens"], points["tokens"].max())].sort_values("estimate").iloc[-1]
    return f"After {last['tokens'] / 1e6:.1f} M tokens {last['name']} leads with {last['estimate']:.0%}"
