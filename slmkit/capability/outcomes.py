"""Right or wrong, item by item, of real models on the same calls: BFCL v1, board of 11 August 2024.

Data set `bfcl_v1_outcomes`: one row an item, one column a model configuration, a cell `ok` or the official
error kind. One run a model; `-FC` in a name is native function calling, without it the prompted mode. What
is known of the models (size, whether tuned for tool calls) stands in `data/bfcl_v1_models.csv`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import stats
from slmkit.capability.published import LARGE_BN, SMALL_BN, SMALL_TIER
from slmkit.config import dataset, resource
from slmkit.errors import InputError, unknown

NO_CALL = "relevance"  # the category in which no call is the right answer
BROKEN = 0.32  # an accuracy below this is a broken run: the same models reach 71 to 84 % in another mode or size
UNDECODABLE = r"(?:ast|executable)_decoder:.*"
PARTS = ("both", "small only", "large only", "neither")


def load(data: str | Path | None = None) -> pd.DataFrame:
    """Outcomes, indexed by (category, index), a column a model; broken runs are dropped.

    Raises InputError where the data set is absent (naming the command that gets it) or a cell is empty.
    """
    path = dataset("bfcl_v1_outcomes", data) / "outcomes.csv.gz"
    try:
        table = pd.read_csv(path, index_col=["category", "index"], dtype=str)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); get the file again") from None
    if table.isna().any(axis=None):
        raise InputError(f"{path}: column {table.columns[table.isna().any()][0]!r} has an empty cell")
    return table.loc[:, (table == "ok").mean() >= BROKEN]


def models() -> pd.DataFrame:
    """What is known of each column: params_b, tuned_for_tools, closed, source, `size` as in `published`."""
    table = pd.read_csv(resource("data/bfcl_v1_models.csv"), index_col="column")
    for flag in ("tuned_for_tools", "closed"):
        table[flag] = table[flag] == "yes"
    large = (table.params_b >= LARGE_BN) | (table.closed & ~table.index.str.contains(SMALL_TIER))
    table["size"] = "between"
    table.loc[large, "size"] = "large"
    table.loc[table.params_b < SMALL_BN, "size"] = "small"
    return table


def calls(outcomes: pd.DataFrame) -> pd.DataFrame:
    """The items to which a call is the right answer: all categories but `relevance`."""
    return outcomes.drop(index=NO_CALL, level="category", errors="ignore")


def undecodable(outcomes: pd.DataFrame) -> pd.DataFrame:
    """Share of call items whose output is no call that can be read, by model, fewest first; Wilson intervals.

    Columns: model, k, n, estimate, low, high, size, params_b, tuned_for_tools, closed.
    """
    items = calls(outcomes)
    broken = items.apply(lambda column: column.str.fullmatch(UNDECODABLE)).sum()
    rows = [_share(int(k), len(items)) | {"model": model} for model, k in broken.items()]
    table = pd.DataFrame(rows).join(models(), on="model").drop(columns="source")
    return table.sort_values(["estimate", "model"], ignore_index=True)


def agreement(outcomes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Pairs of models: share of items with both right or both wrong, and Cohen's kappa (chance removed).

    Columns: a, b, k, n, estimate, low, high, kappa.
    """
    right = _right(outcomes, columns)
    rows = []
    for i, a in enumerate(columns):
        for b in columns[i + 1 :]:
            share = _share(int((right[a] == right[b]).sum()), len(right))
            p, q = right[a].mean(), right[b].mean()
            chance = p * q + (1 - p) * (1 - q)
            kappa = (share["estimate"] - chance) / (1 - chance) if chance < 1 else 1.0
            rows.append({"a": a, "b": b} | share | {"kappa": kappa})
    return pd.DataFrame(rows)


def what_the_large_adds(outcomes: pd.DataFrame, small: str, large: str, by: str | None = None) -> pd.DataFrame:
    """Items that both models solve, the small one only, the large one only (it is needed), or neither.

    Columns: small, large, group (`all`, or the level `by`, e.g. "category"), part, k, n, estimate, low, high.
    """
    right = _right(outcomes, [small, large])
    part = right[small].map({True: "small", False: ""}) + right[large].map({True: "large", False: ""})
    part = part.map(dict(zip(("smalllarge", "small", "large", ""), PARTS, strict=True)))
    groups = [("all", part)] if by is None else part.groupby(level=by, sort=False)
    return pd.DataFrame(
        {"small": small, "large": large, "group": name, "part": kind}
        | _share(int((members == kind).sum()), len(members))
        for name, members in groups
        for kind in PARTS
    )


def oracle(outcomes: pd.DataFrame, small: str, large: str) -> pd.DataFrame:
    """Accuracy of small, large, and of a cascade that knows which of the two is right: the upper bound.

    Columns: who, k, n, estimate, low, high, `to_large`: share of items sent to the large model.
    """
    right = _right(outcomes, [small, large])
    needed = float((~right[small] & right[large]).mean())
    who = {small: (right[small], 0.0), large: (right[large], 1.0), "oracle": (right.any(axis=1), needed)}
    return pd.DataFrame(
        {"who": name} | _share(int(column.sum()), len(column)) | {"to_large": share}
        for name, (column, share) in who.items()
    )


def compare(
    outcomes: pd.DataFrame, small: str, large: str, margin: float = 0.05, **resampling: Any
) -> stats.PairedDifference:
    """Paired difference in accuracy, small - large, as a share; see `stats.paired_difference`."""
    right = _right(outcomes, [small, large])
    return stats.paired_difference(right[small], right[large], margin=margin, **resampling)


def _right(outcomes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    if missing := [name for name in columns if name not in outcomes]:
        raise unknown("model configuration", missing[0], outcomes.columns)
    return outcomes[list(columns)] == "ok"


def _share(k: int, n: int) -> dict[str, Any]:
    low, high = stats.wilson(k, n)
    return {"k": k, "n": n, "estimate": k / n, "low": low, "high": high}
