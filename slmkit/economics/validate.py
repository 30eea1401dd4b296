"""Predicted against measured: the error of tokens/s, TTFT and TPOT, and what could not be predicted and why."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from slmkit.economics.constants import fitted
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.regimes import LATENCY_REGIME, asked, labelled, regime_errors, summary

LATENCIES = {"ttft": ("ttft_s", "ttft_ms"), "tpot": ("tpot_s", "tpot_or_itl_ms")}  # predicted, and measured if stated


def compare(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Each row with what was asked, `predicted` (output tokens/s of all GPUs), `ratio` (predicted / measured), `skip`,
    and `ttft_s`, `ttft_ratio`, `tpot_s`, `tpot_ratio` (NaN where nothing was measured).

    `rows` as `read_measured` gives them.
    """
    table = asked(rows).assign(predicted=np.nan, ttft_s=np.nan, tpot_s=np.nan)
    able = table["skip"] == ""
    if able.any():
        found = points(table[able]).at_best(constants or fitted()).set_axis(table.index[able])
        table.loc[able, ["predicted", "ttft_s", "tpot_s"]] = found[["out_tok_s", "ttft_s", "tpot_s"]].to_numpy()
        table.loc[found.index[found["out_tok_s"].isna()], "skip"] = "does not fit in memory or its latency limit"
    return labelled(with_ratios(table))


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Adds predicted over measured of each quantity; a latency of 0 was not measured."""
    ratios = {f"{name}_ratio": table[column] * 1e3 / table[stated].where(table[stated] > 0)
              for name, (column, stated) in LATENCIES.items()}  # fmt: skip
    return table.assign(ratio=table["predicted"] / table["out_tok_s_total"], **ratios)


def validate(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> dict:
    """Error of the predictions for measured rows, as fractions: n, median_ape, p90_ape, bias, skipped, regimes; the
    same of TTFT and TPOT under `latency`, for the rows that state one.

    `default_input` counts the predicted rows that state no input length. No row is dropped silently: n and the counts
    of `skipped` add up to the rows.
    """
    table = compare(rows, constants)
    predicted = table[table["skip"] == ""]
    regimes = {}
    names = {"": "kind", "precision ": "format", "gpu ": "gpu", "engine ": "engine", "concurrency ": "band"}
    for prefix, column in names.items():
        for name, part in predicted.groupby(column):
            regimes[f"{prefix}{name}"] = summary(part["ratio"])
    for (kind, column), part in predicted.groupby(["kind", "gpu"]):
        regimes[f"{kind} {column}"] = summary(part["ratio"])
    skipped = table.loc[table["skip"] != "", "skip"].value_counts()
    return {
        **summary(predicted["ratio"]),
        "default_input": int(predicted["default_input"].sum()),
        "skipped": {str(name): int(n) for name, n in skipped.items()},
        "regimes": regimes,
        "latency": {name: latency(predicted, f"{name}_ratio") for name in LATENCIES},
    }


def latency(table: pd.DataFrame, column: str) -> dict:
    """Error of TTFT or TPOT over all rows that state it, and by kind, GPU and engine."""
    return {**summary(table[column]), "regimes": regime_errors(table, column, LATENCY_REGIME)}
