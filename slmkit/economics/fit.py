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
from slmkit.economics.throughput.points import points
from slmkit.economics.throughput.rows import questions, read_measured
from slmkit.economics.validate import compare, regime_errors, summary

SPLITS = {"gpu": "GPU type", "shape": "model shape", "source": "data source"}
RARE = 10  # kinds of fewer rows are left out together
PULL = 2.5  # weight of the guesses: a quarter of the allowed range away counts as this much error
STEP = 1e-3  # of the numerical derivative, in the natural log


def usable(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows that the model can be asked about, with the questions, and the kinds that `SPLITS` leave out."""
    asked = questions(rows)
    table = pd.concat([rows.drop(columns=[name for name in asked if name in rows]), asked], axis=1)
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


def held_out(table: pd.DataFrame, by: str, max_steps: int = 20) -> pd.DataFrame:
    """`table` with `predicted` and `ratio` from constants that were fitted without the row's kind of `by`."""
    parts = []
    for name in sorted(table[f"left_out_{by}"].unique()):
        out = table[f"left_out_{by}"] == name
        found = fit(table[~out].reset_index(drop=True), max_steps=max_steps)
        part = table[out].reset_index(drop=True)
        part["predicted"] = points(part).throughput(found)
        parts.append(part)
    whole = pd.concat(parts, ignore_index=True)
    return whole.assign(ratio=whole["predicted"] / whole["out_tok_s_total"])


def errors(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Summaries of all rows, of the dense and of the MoE ones."""
    moe = np.array([arch.moe for arch in table["arch"]])
    return {
        name: summary(table.loc[mask, "ratio"]) for name, mask in (("all", moe | ~moe), ("dense", ~moe), ("moe", moe))
    }


def refit(rows: pd.DataFrame | None = None, path: str | Path | None = None) -> dict:
    """Fits all rows (as `read_measured` gives them; the committed ones by default), then leaves a GPU type, a model
    shape and a data source out in turn. Returns the record that `constants.json` holds, and writes it to `path` if
    given. Takes some five minutes on one core.
    """
    rows = read_measured() if rows is None else rows
    table = usable(rows)
    found = fit(table)
    folds = {name: held_out(table, name) for name in SPLITS}
    record = {
        "fitted_on": datetime.date.today().isoformat(),
        "command": "slmkit cost fit",
        "rows_sha256": rows_sha256(rows),
        "n_rows": len(table),
        "constants": found,
        "in_sample": errors(compare(rows, found).query("skip == ''")),
        "held_out": {name: errors(fold) for name, fold in folds.items()},
        "worst_left_out": {name: worst(fold, name) for name, fold in folds.items()},
        "regimes": regime_errors(pd.concat(folds.values(), ignore_index=True)),
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
