"""Fits the physical constants of the throughput model to measured rows, and measures its error on rows left out.

One set of constants serves all models, devices and engines: nothing is fitted to a source. The loss is soft-L1 on
the log ratio, so that a few broken measurements don't decide; a weak pull to the guesses of `constants.CONSTANTS`
holds what the rows can't tell. Rows whose batch follows from a latency limit (MLPerf server and interactive) are
judged but not fitted.
"""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from slmkit import files
from slmkit.economics import constants
from slmkit.economics.constants import CONSTANTS
from slmkit.economics.throughput import latency
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.regimes import LATENCY_REGIME, asked, errors, regime_errors, summary
from slmkit.economics.throughput.rows import read_measured
from slmkit.economics.validate import LATENCIES, compare, with_ratios

SPLITS = {"gpu": "GPU type", "shape": "model shape", "source": "data source"}
RARE = 10  # kinds of fewer rows are left out together
PULL = 2.5  # weight of the guesses: a quarter of the allowed range away counts as this much error
STEP = 1e-3  # of the numerical derivative, in the natural log


def usable(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that the model can be asked about, with the questions, and the kinds that `SPLITS` leave out."""
    table = asked(rows)
    table = table[table["skip"] == ""].reset_index(drop=True)
    shapes = pd.Series([arch.name for arch in table["arch"]], dtype=object)
    for kind, values in zip(SPLITS, (table["gpu"], shapes, table["family"].fillna("not stated")), strict=True):
        rare = values.map(values.value_counts()) < RARE
        table[f"left_out_{kind}"] = values.mask(rare, "the rare ones")
    return table


def fit(table: pd.DataFrame, max_steps: int = 30, pull: float = PULL) -> dict[str, float]:
    """Constants that predict the output tokens/s of `table` (as `usable` gives it) best. About ten seconds."""
    table = table[table["tpot_limit_s"].isna()]
    at = points(table)
    measured = np.log(table["out_tok_s_total"].to_numpy(float))
    names = list(CONSTANTS)
    guess, low, high = (np.log([max(CONSTANTS[name][i], 1e-9) for name in names]) for i in range(3))
    width = (high - low) / 4

    def error(x: np.ndarray) -> np.ndarray:
        rate = at.throughput(dict(zip(names, np.exp(x), strict=True)))
        ratio = np.log(np.where(np.isnan(rate), 1.0, rate)) - measured
        return np.append(np.where(np.isnan(rate), 1.0, np.clip(ratio, -3, 3)), (x - guess) / width * pull)

    def slopes(x: np.ndarray) -> np.ndarray:
        here, columns = error(x), []
        for i in range(len(x)):
            moved = x.copy()
            moved[i] += STEP if x[i] + STEP < high[i] else -STEP
            columns.append((error(moved) - here) / (moved[i] - x[i]))
        return np.stack(columns, axis=1)

    start = np.clip(guess, low + STEP, high - STEP)
    found = least_squares(
        error, start, slopes, (low, high), loss="soft_l1", f_scale=0.15, ftol=1e-4, max_nfev=max_steps
    )
    return {name: float(f"{value:.4g}") for name, value in zip(names, np.exp(found.x), strict=True)}


def fit_latency(table: pd.DataFrame, found: dict[str, float]) -> dict[str, float]:
    """`found` with the constants of the time to the first token, fitted to the rows of `table` that state one."""
    at = points(table).at_best(found)
    return found | latency.fit(pd.concat([table, at[["ttft_floor_s", "burst_s", "queue_s"]]], axis=1))


def judged(table: pd.DataFrame, found: dict[str, float]) -> pd.DataFrame:
    """`table` with `predicted`, `ttft_s`, `tpot_s` by these constants, and the ratios to what was measured."""
    at = points(table).at_best(found)
    return with_ratios(table.assign(predicted=at["out_tok_s"], ttft_s=at["ttft_s"], tpot_s=at["tpot_s"]))


def held_out(table: pd.DataFrame, by: str, max_steps: int = 20) -> pd.DataFrame:
    """`table` as `judged` gives it, by constants that were fitted without the row's kind of `by`."""
    parts = []
    for name in sorted(table[f"left_out_{by}"].unique()):
        out = table[f"left_out_{by}"] == name
        rest = table[~out].reset_index(drop=True)
        found = fit_latency(rest, fit(rest, max_steps=max_steps))
        parts.append(judged(table[out].reset_index(drop=True), found))
    return pd.concat(parts, ignore_index=True)


def refit(rows: pd.DataFrame | None = None, path: str | Path | None = None) -> dict:
    """Fits all rows (as `read_measured` gives them; the committed ones by default), then leaves a GPU type, a model
    shape and a data source out in turn. Returns the record that `constants.json` holds, and writes it to `path` if
    given. Takes some five minutes on one core.
    """
    rows = read_measured() if rows is None else rows
    table = usable(rows)
    found = fit(table)
    whole = fit_latency(table, found)
    folds = {name: held_out(table, name) for name in SPLITS}
    in_sample = compare(rows, whole).query("skip == ''")
    every = pd.concat(folds.values(), ignore_index=True)
    record = {
        "fitted_on": datetime.date.today().isoformat(),
        "command": "slmkit cost fit",
        "rows_sha256": rows_sha256(rows),
        "n_rows": len(table),
        "constants": found,
        "in_sample": errors(in_sample),
        "held_out": {name: errors(fold) for name, fold in folds.items()},
        "worst_left_out": {name: worst(fold, name) for name, fold in folds.items()},
        "regimes": regime_errors(every),
        "latency": {
            "constants": {name: value for name, value in whole.items() if name not in found},
            "in_sample": {what: errors(in_sample, f"{what}_ratio") for what in LATENCIES},
            "held_out": {
                name: {what: errors(fold, f"{what}_ratio") for what in LATENCIES} for name, fold in folds.items()
            },
            "regimes": {what: regime_errors(every, f"{what}_ratio", LATENCY_REGIME) for what in LATENCIES},
        },
    }
    if path is not None:
        files.write_json(path, record)
    return record


def worst(fold: pd.DataFrame, by: str) -> dict[str, dict[str, float]]:
    """Error of each kind that was left out, worst first."""
    found = {str(name): summary(part["ratio"]) for name, part in fold.groupby(f"left_out_{by}")}
    return dict(sorted(found.items(), key=lambda item: -item[1]["median_ape"]))


def rows_sha256(rows: pd.DataFrame) -> str:
    """SHA-256 of measured rows as CSV; for the committed ones that of their file."""
    return hashlib.sha256(rows.to_csv(index=False).encode("utf-8")).hexdigest()


def changed() -> bool:
    """Whether the committed rows differ from those that the committed constants were fitted on."""
    return constants.record()["rows_sha256"] != rows_sha256(read_measured())
