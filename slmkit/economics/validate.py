"""Predicted against measured throughput: the error overall, by regime, and what could not be predicted and why."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture, number_format
from slmkit.economics.catalogue import GPU
from slmkit.economics.catalogue import gpu as device
from slmkit.economics.constants import fitted, record
from slmkit.economics.validate_points import points
from slmkit.economics.validate_rows import questions

OUTSIDE = "outside the validated range"
BANDS = ((1, 4), (4, 16), (16, 64), (64, 256), (256, 1_000_000))  # concurrency, from and below


def compare(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Each row with what was asked, `predicted` (output tokens/s of all GPUs), `ratio` (predicted / measured), `skip`.

    `rows` as `validate_rows.read_measured` gives them.
    """
    asked = questions(rows)
    table = pd.concat([rows.drop(columns=[c for c in asked if c in rows]), asked], axis=1)
    table["predicted"] = np.nan
    able = asked["skip"] == ""
    known = asked[able]
    if len(known):
        rate = points(known.assign(n_gpus=rows.loc[known.index, "n_gpus"])).throughput(constants or fitted())
        table.loc[able, "predicted"] = rate
        table.loc[known.index[np.isnan(rate)], "skip"] = "does not fit in memory or its latency limit"
    table["ratio"] = table["predicted"] / table["out_tok_s_total"]
    table["band"] = [band(c) for c in table["concurrency"]]
    table["kind"] = ["" if arch is None else "moe" if arch.moe else "dense" for arch in table["arch"]]
    return table


def band(concurrency: float) -> str:
    """Name of the concurrency band, `saturated` where none was stated."""
    if concurrency != concurrency:
        return "saturated"
    low, high = next(pair for pair in BANDS if concurrency < pair[1])
    return f"{low}-{high - 1}" if high < 1_000_000 else f"{low}+"


def summary(ratio: pd.Series) -> dict[str, float]:
    """n, median and 90th percentile of |predicted / measured - 1|, and bias: the median of predicted / measured - 1."""
    ratio = ratio.dropna()
    if ratio.empty:
        return {"n": 0, "median_ape": float("nan"), "p90_ape": float("nan"), "bias": float("nan")}
    error = (ratio - 1).abs()
    return {
        "n": len(ratio),
        "median_ape": float(error.median()),
        "p90_ape": float(error.quantile(0.9)),
        "bias": float(ratio.median() - 1),
    }


def validate(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> dict:
    """Error of the predictions for measured rows, as fractions: n, median_ape, p90_ape, bias, skipped, regimes."""
    table = compare(rows, constants)
    predicted = table[table["skip"] == ""]
    regimes = {}
    for prefix, column in (
        ("", "kind"),
        ("precision ", "format"),
        ("gpu ", "gpu"),
        ("engine ", "engine"),
        ("concurrency ", "band"),
    ):
        for name, part in predicted.groupby(column):
            regimes[f"{prefix}{name}"] = summary(part["ratio"])
    skipped = table.loc[table["skip"] != "", "skip"].value_counts()
    return {
        **summary(predicted["ratio"]),
        "default_input": int(predicted["default_input"].sum()),
        "skipped": {str(name): int(n) for name, n in skipped.items()},
        "regimes": regimes,
    }


def regime_error(
    arch: str | Architecture, gpu: str | GPU, precision: str = "bf16", concurrency: float | None = None
) -> tuple[str, float, float] | str:
    """(regime, median, 90th percentile) of the held-out error where this falls, or "outside the validated range"."""
    model, card = architecture(arch), device(gpu)
    kind = "moe" if model.moe else "dense"
    name = f"{kind} {card.name} {number_format(precision)}"
    held_out = record().get("regimes", {})
    for key in (f"{name} {band(np.nan if concurrency is None else concurrency)}", name):
        if key in held_out:
            return key, held_out[key]["median_ape"], held_out[key]["p90_ape"]
    return OUTSIDE
