"""Item by item tables of notebook 03 as what its figures draw: a row a point, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from slmkit.specialization.studies import generality, scratch
from slmkit.specialization.studies.lab import SHOTS, short
from slmkit.specialization.studies.ladder import NO_CALL, TASK, arm, difference, share


def ladder(items: pd.DataFrame) -> pd.DataFrame:
    """Share right by arm and set."""
    return share(items, ("name", "set"))


def references(items: pd.DataFrame, base: str, llm: str) -> pd.DataFrame:
    """The horizontals of the learning curve: base, base with examples, larger model."""
    names = [short(base), f"{short(base)}, {SHOTS} examples in the prompt", short(llm)]
    rows = share(items[(items["set"] == TASK) & items["name"].isin(names)], ("name",))
    return rows.assign(role=["reference" if "examples" in name else role for name, role in
                             zip(rows["name"], rows["role"], strict=True)])  # fmt: skip


def curve(items: pd.DataFrame, reference: pd.DataFrame, n_resamples: int, seed: int, margin: float) -> pd.DataFrame:
    """Share right by number of examples, and the difference from the larger model: d, d_low, d_high."""
    rows = []
    for n, group in items.groupby("n"):
        found = difference(group, reference, margin, n_resamples, seed)
        point = share(group, ("n",)).iloc[0].to_dict()
        rows.append(point | {"n": int(n), "d": found.difference, "d_low": found.low, "d_high": found.high,
                             "verdict": found.verdict})  # fmt: skip
    return pd.DataFrame(rows)


def crossing(points: pd.DataFrame, llm: str) -> str:
    """Where the curve meets the larger model, with the difference there, in words."""
    level = points[points["verdict"] == "non-inferior"]
    if level.empty:
        last = points.iloc[-1]
        return f"not level with {short(llm)} up to {last['n']:,} examples ({100 * last['d']:+.0f} points)"
    first = level.iloc[0]
    interval = f"{100 * first['d_low']:+.0f} to {100 * first['d_high']:+.0f}"
    return f"level with {short(llm)} from {first['n']:,} examples: {100 * first['d']:+.0f} points ({interval})"


def ranks(items: pd.DataFrame) -> pd.DataFrame:
    """Task and old skills by rank and examples; the base has n 0."""
    rows = []
    for (name, n), group in items.groupby(["name", "n"], sort=False):
        old = group[~group["set"].isin([TASK, NO_CALL])]
        first = group.iloc[0]
        rows.append(
            {"name": name, "n": int(n), "task": group.loc[group["set"] == TASK, "correct"].mean(),
             "old": old["correct"].mean(), **{k: first[k] for k in ("rank", "train_seconds", "trained_parameters")}}
        )  # fmt: skip
    return pd.DataFrame(rows)


def in_and_out(items: pd.DataFrame) -> pd.DataFrame:
    """Share right by set and model, in schema first; without the short trainings."""
    return share(items[items["share"].notna()], ("set", "name"))


def mixed(items: pd.DataFrame) -> pd.DataFrame:
    """Share right on the task and on old skills: the base, and short trainings by their share of general data."""
    some = items[items["mix"].notna() | ((items["share"] < 0) & (items["role"] == "slm"))]
    return share(some[some["set"].isin([generality.IN_SCHEMA, "no call", *generality.GENERAL])], ("set", "name"))


def formats(items: pd.DataFrame, ladder_items: pd.DataFrame, base: str, llm: str, default: float) -> pd.DataFrame:
    """Share of invalid outputs by format and model: untuned small and larger one, tuned, and larger with a grammar."""
    some = items[items["set"].isin([generality.IN_SCHEMA, generality.FORMAT])]
    some = some[(some["share"] < 0) | np.isclose(some["share"], default)]
    bound = arm(ladder_items, f"{short(llm)}, grammar").assign(set=generality.IN_SCHEMA)
    return share(pd.concat([some, bound], ignore_index=True), ("set", "name"), "invalid")


def changed(items: pd.DataFrame) -> pd.DataFrame:
    """Share right before and after the change by way to adapt."""
    points = share(items, ("name", "set"))
    return points.merge(items.groupby("name", sort=False)["adapt_seconds"].max().reset_index(), on="name")


def forms(items: pd.DataFrame) -> pd.DataFrame:
    """Share right by prompt form and model."""
    return share(items, ("form", "name"))


def gains(items: pd.DataFrame, base: str, n_resamples: int, seed: int) -> pd.DataFrame:
    """Each way minus the base, on the task and on old skills: name, part, estimate, low, high."""
    rows = []
    for part, chosen in (("the task", items["set"] == TASK), ("old skills", ~items["set"].isin([TASK, NO_CALL]))):
        mine = items[chosen].assign(id=items["set"] + "/" + items["id"].astype(str))
        before = mine[mine["name"] == short(base)]
        for name, group in mine[mine["name"] != short(base)].groupby("name", sort=False):
            found = difference(group, before, None, n_resamples, seed)
            rows.append({"name": name, "part": part, "estimate": found.difference, "low": found.low,
                         "high": found.high, "n": found.n, "seeds": group["seed"].nunique()})  # fmt: skip
    return pd.DataFrame(rows)


def sizes(items: pd.DataFrame) -> pd.DataFrame:
    """Share right of two sizes, untuned and tuned."""
    return share(items, ("size", "name", "tuned"))


def from_scratch(items: pd.DataFrame) -> pd.DataFrame:
    """Share right on unseen tools by model and training tokens; empty where none was trained."""
    mine = items[items["set"] == scratch.SKILLS[0]]
    if mine.empty:
        return pd.DataFrame(columns=["name", "tokens", "estimate", "low", "high"])
    points = share(mine, ("name", "steps"))
    return points.assign(tokens=points["steps"].astype(float) * scratch.BATCH_TOKENS)


def subtitle(items: pd.DataFrame, run: Any) -> str:
    """What a figure was measured on: items of the smallest and largest set, scale."""
    n = items.groupby(["name", "set"])["id"].nunique()
    said = f"{n.min():,}" if n.min() == n.max() else f"{n.min():,} to {n.max():,}"
    return f"n = {said} items a set, scale {run.scale.name}, 95 % intervals"
