"""Predicted against measured throughput: the error overall, by regime, and what could not be predicted and why."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture, number_format
from slmkit.economics.catalogue import GPU
from slmkit.economics.catalogue import gpu as device
from slmkit.economics.constants import fitted, record
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.rows import questions, read_measured

OUTSIDE = "outside the validated range"
BANDS = ((1, 4), (4, 16), (16, 64), (64, 256), (256, np.inf))  # concurrency, from and below
REGIME = ["kind", "gpu", "format"]  # what an error is stated for, and finer by concurrency band
ENOUGH = 8  # rows that a regime needs


def compare(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Each row with what was asked, `predicted` (output tokens/s of all GPUs), `ratio` (predicted / measured), `skip`.

    `rows` as `read_measured` gives them.
    """
    table = _asked(rows)
    table["predicted"] = np.nan
    able = table["skip"] == ""
    if able.any():
        rate = points(table[able]).throughput(constants or fitted())
        table.loc[able, "predicted"] = rate
        table.loc[table.index[able][np.isnan(rate)], "skip"] = "does not fit in memory or its latency limit"
    table["ratio"] = table["predicted"] / table["out_tok_s_total"]
    return labelled(table)


def _asked(rows: pd.DataFrame) -> pd.DataFrame:
    """Each row with what the model is asked for it."""
    asked = questions(rows)
    return pd.concat([rows.drop(columns=[name for name in asked if name in rows]), asked], axis=1)


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Adds `kind` (dense, moe) and `band` (of concurrency) to rows with questions."""
    kinds = ["" if arch is None else "moe" if arch.moe else "dense" for arch in table["arch"]]
    return table.assign(kind=kinds, band=[band(value) for value in table["concurrency"]])


def band(concurrency: float) -> str:
    """Name of the concurrency band, `saturated` where none was stated."""
    if concurrency != concurrency:
        return "saturated"
    low, high = next(pair for pair in BANDS if concurrency < pair[1] or np.isinf(pair[1]))
    return f"{low}+" if np.isinf(high) else f"{low}-{high - 1}"


def summary(ratio: pd.Series) -> dict[str, float | None]:
    """n, median and 90th percentile of |predicted / measured - 1|, and bias: the median of predicted / measured - 1;
    None in each where there is no row.
    """
    ratio = ratio.dropna()
    if ratio.empty:
        return {"n": 0, "median_ape": None, "p90_ape": None, "bias": None}
    error = (ratio - 1).abs()
    found = {"median_ape": error.median(), "p90_ape": error.quantile(0.9), "bias": ratio.median() - 1}
    return {"n": len(ratio), **{name: round(float(value), 4) for name, value in found.items()}}


def validate(rows: pd.DataFrame, constants: Mapping[str, float] | None = None) -> dict:
    """Error of the predictions for measured rows, as fractions: n, median_ape, p90_ape, bias, skipped, regimes.

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
    }


def regime_errors(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Error by regime, and by regime and concurrency band, of rows with `ratio`; regimes of few rows are left out."""
    table = labelled(table)
    found = {}
    for keys in (REGIME, [*REGIME, "band"]):
        for name, part in table.groupby(keys):
            if part["row_id"].nunique() >= ENOUGH:
                found[" ".join(name)] = summary(part["ratio"])
    return found


@functools.cache
def _measured() -> pd.DataFrame:
    """The committed rows that are predicted, with `name` of the model, `params` and `load` (infinite: saturated)."""
    table = labelled(_asked(read_measured()))
    table = table[table["skip"] == ""]
    names, params = zip(*((arch.name, arch.params) for arch in table["arch"]), strict=True)
    return table[REGIME].assign(name=names, params=params, load=table["concurrency"].fillna(np.inf))


@functools.cache
def reach() -> dict[str, float]:
    """Most requests in flight of any committed row, by model and by regime; infinite where one ran saturated."""
    rows = _measured()
    by_regime = rows.groupby(REGIME)["load"].max()
    return {**rows.groupby("name")["load"].max(), **{" ".join(name): most for name, most in by_regime.items()}}


@functools.cache
def sizes() -> dict[str, tuple[float, float]]:
    """Fewest and most parameters of any committed row by regime."""
    span = _measured().groupby(REGIME)["params"].agg(["min", "max"])
    return {" ".join(name): (low, high) for name, low, high in span.itertuples()}


def regime_error(
    arch: str | Architecture, gpu: str | GPU, precision: str = "bf16", concurrency: float | None = None
) -> tuple[str, float, float] | str:
    """(regime, median, 90th percentile) of the held-out error where this falls, or "outside the validated range".

    Outside is also what is less than half or more than twice the size of any model measured in the regime, and more
    requests in flight than were measured: in any row of the regime, or, since sparse models are less alike than dense
    ones, in any row of that sparse model.
    """
    model, card = architecture(arch), device(gpu)
    name = f"{'moe' if model.moe else 'dense'} {card.name} {number_format(precision)}"
    held_out = record()["regimes"]
    smallest, largest = sizes().get(name, (0.0, 0.0))
    most = reach().get(model.name if model.moe and model.name in reach() else name, 0)
    if not smallest / 2 <= model.params <= 2 * largest or (concurrency is not None and concurrency > most):
        return OUTSIDE
    for key in (f"{name} {band(np.nan if concurrency is None else concurrency)}", name):
        if key in held_out:
            return key, held_out[key]["median_ape"], held_out[key]["p90_ape"]
    return OUTSIDE


__all__ = ["OUTSIDE", "compare", "read_measured", "regime_error", "regime_errors", "summary", "validate"]
