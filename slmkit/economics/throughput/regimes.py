"""Where predictions were checked, and how far off they were there: regimes, their bounds, their held-out errors."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture, number_format
from slmkit.economics.catalogue import GPU
from slmkit.economics.catalogue import gpu as device
from slmkit.economics.constants import record
from slmkit.economics.throughput.rows import questions, read_measured

OUTSIDE = "outside the validated range"
BANDS = ((1, 4), (4, 16), (16, 64), (64, 256), (256, np.inf))  # concurrency, from and below
REGIME = ["kind", "gpu", "format"]  # what an error is stated for, and finer by concurrency band
LATENCY_REGIME = ["kind", "gpu", "engine"]  # the same for TTFT and TPOT, which depend on the engine
ENOUGH = 8  # rows that a regime needs


def asked(rows: pd.DataFrame) -> pd.DataFrame:
    """Each row with what the model is asked for it."""
    found = questions(rows)
    return pd.concat([rows.drop(columns=[name for name in found if name in rows]), found], axis=1)


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


def errors(table: pd.DataFrame, column: str = "ratio") -> dict[str, dict[str, float | None]]:
    """Summaries of all rows, of the dense and of the MoE ones."""
    moe = np.array([arch.moe for arch in table["arch"]])
    return {
        name: summary(table.loc[mask, column]) for name, mask in (("all", moe | ~moe), ("dense", ~moe), ("moe", moe))
    }


def regime_errors(
    table: pd.DataFrame, column: str = "ratio", regime: list[str] = REGIME
) -> dict[str, dict[str, float | None]]:
    """Error by regime, and by regime and concurrency band, of rows with `ratio`; regimes of few rows are left out."""
    table = labelled(table[table[column].notna()])
    found = {}
    for keys in (regime, [*regime, "band"]):
        for name, part in table.groupby(keys):
            if part["row_id"].nunique() >= ENOUGH:
                found[" ".join(name)] = summary(part[column])
    return found


@functools.cache
def _measured() -> pd.DataFrame:
    """The committed rows that are predicted, with `name` of the model, `params` and `load` (infinite: saturated)."""
    table = labelled(asked(read_measured()))
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
    """(regime, median, 90th percentile) of the held-out error of tokens/s where this falls, or "outside the validated
    range".

    Outside is also what is less than half or more than twice the size of any model measured in the regime, and more
    requests in flight than were measured: in any row of the regime, or, since sparse models are less alike than dense
    ones, in any row of that sparse model.
    """
    model, card = architecture(arch), device(gpu)
    name = f"{'moe' if model.moe else 'dense'} {card.name} {number_format(precision)}"
    smallest, largest = sizes().get(name, (0.0, 0.0))
    most = reach().get(model.name if model.moe and model.name in reach() else name, 0)
    if not smallest / 2 <= model.params <= 2 * largest or (concurrency is not None and concurrency > most):
        return OUTSIDE
    return _finest(record()["regimes"], name, concurrency)


def latency_error(
    what: str,
    arch: str | Architecture,
    gpu: str | GPU,
    precision: str = "bf16",
    concurrency: float | None = None,
    engine: str = "vllm",
) -> tuple[str, float, float] | str:
    """`regime_error` of `what`: "ttft" or "tpot", whose regimes go by engine instead of precision."""
    if regime_error(arch, gpu, precision, concurrency) == OUTSIDE:
        return OUTSIDE
    name = f"{'moe' if architecture(arch).moe else 'dense'} {device(gpu).name} {engine}"
    return _finest(record()["latency"]["regimes"][what], name, concurrency)


def _finest(known: dict[str, dict[str, float]], name: str, concurrency: float | None) -> tuple[str, float, float] | str:
    for key in (f"{name} {band(np.nan if concurrency is None else concurrency)}", name):
        if key in known:
            return key, known[key]["median_ape"], known[key]["p90_ape"]
    return OUTSIDE
