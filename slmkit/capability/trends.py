"""What published tables say about size and date: slopes, ranks, the way from small to large on one board.

Intervals are bootstraps over models unless a function says otherwise; keyword arguments `n_resamples` and
`rng` go to `stats.bootstrap`. A resample in which a number is undefined (it drew no small model) is left
out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr

from slmkit import stats
from slmkit.capability.published import COLUMNS, scores
from slmkit.errors import InputError

AGENTIC = ("multi-turn", "web search", "memory")
GENERAL = ("GPQA", "MMLU", "MMLU-Pro", "IFEval")


def over_models(
    rows: pd.DataFrame, statistic: Callable[[np.ndarray], float], unit: Any = None, **resampling: Any
) -> stats.Estimate:
    """A number computed from row positions, bootstrapped over rows (or `unit`); InputError below two."""
    if len(rows) < 2:
        raise InputError(f"{len(rows)} models make no interval; widen the selection")
    return stats.bootstrap(np.arange(len(rows)), lambda drawn: statistic(drawn.astype(int)), unit, **resampling)


def slopes_by_skill(
    board: pd.DataFrame, skills: Sequence[str] = ("single-turn", *COLUMNS), **resampling: Any
) -> pd.DataFrame:
    """Points a tenfold size on the board, by skill, among generalists of known size (claim S0-16).

    `estimate, low, high`: least squares with HC3. `steeper, steeper_low, steeper_high`: that slope minus the
    one of single-turn calls, paired over models; `p_holm` from the width of that interval, over the skills.
    """
    rows = board[~board.specialist].dropna(subset=["params_b", *skills])
    x, found = np.log10(rows.params_b.to_numpy()), []
    for skill in skills:
        y = (rows[skill] - rows["single-turn"]).to_numpy()
        steeper = over_models(rows, lambda i, y=y: np.cov(x[i], y[i])[0, 1] / x[i].var(ddof=1), **resampling)
        error = (steeper.high - steeper.low) / 2 / 1.96
        found.append(
            {"skill": skill, **stats.slope_per_tenfold(rows.params_b, rows[skill])._asdict()}
            | dict(zip(("steeper", "steeper_low", "steeper_high"), steeper[:3], strict=True))
            | {"p_holm": 2 * ndtr(-abs(steeper.estimate) / error) if error else np.nan}
        )
    table = pd.DataFrame(found)
    tested = table.p_holm.notna()
    table.loc[tested, "p_holm"] = stats.holm(table.p_holm[tested])
    return table


def size_and_date(rows: pd.DataFrame, least: int = 4, **resampling: Any) -> pd.DataFrame:
    """Score on log10 of size and on release date, a fixed effect a table: what tenfold size buys, and a year.

    Over tables with at least `least` models of known size and date. Terms: `size` (points a tenfold), `date`
    (points a year), `years` (size / date: until a tenth of the size scores the same; infinite where the date
    slope is 0 or less). Columns: term, estimate, low, high, n (models), n_tables. InputError for no table.
    """
    rows = scores(rows).dropna(subset=["params_b", "released", "score"])
    rows = rows[rows.groupby("table").model.transform("nunique") >= least]
    if rows.empty or rows.released.nunique() < 2:
        raise InputError(f"no table with {least} models of known size and date; widen the selection")
    values = np.c_[np.log10(rows.params_b), rows.released, rows.score].astype(float)
    tables = pd.factorize(rows.table)[0]

    def slopes(i: np.ndarray) -> np.ndarray:
        counts = np.maximum(np.bincount(tables[i]), 1)
        means = np.stack([np.bincount(tables[i], column) / counts for column in values[i].T], axis=1)
        centred = values[i] - means[tables[i]]
        moments = centred.T @ centred
        return np.linalg.pinv(moments[:2, :2]) @ moments[:2, 2]

    def years(i: np.ndarray) -> float:
        size, date = slopes(i)
        return size / date if date > 0 else np.inf

    terms = {"size": lambda i: slopes(i)[0], "date": lambda i: slopes(i)[1], "years": years}
    found = [{"term": t, **over_models(rows, f, rows.model, **resampling)._asdict()} for t, f in terms.items()]
    return pd.DataFrame(found).assign(n=rows.model.nunique(), n_tables=rows.table.nunique())


def rank_correlations(
    facts: pd.DataFrame,
    board: pd.DataFrame,
    generals: Sequence[str] = GENERAL,
    agentic: Sequence[str] = ("overall", *AGENTIC),
    **resampling: Any,
) -> pd.DataFrame:
    """Spearman of general with board scores over models that have both, and the ranks small models gain (B2).

    A general score is the mean of whatever harnesses reported it, so `mixed_harness` is True; a board column
    given in `generals` is of one harness. `shift`: mean change of the small models' percentile rank from
    general to agentic. Columns: general, agentic, estimate, low, high, n, n_small, shift, shift_low,
    shift_high, mixed_harness.
    """
    found = []
    for general in generals:
        mixed = general not in board
        other = facts[facts.benchmark == general].groupby("model").score.mean()
        rows = board.assign(general=board.model.map(other) if mixed else board[general])
        for name in agentic:
            both = rows.dropna(subset=["general", name])
            x, y, small = both.general.to_numpy(), both[name].to_numpy(), (both["size"] == "small").to_numpy()
            change = (_ranks(y) - _ranks(x)) / max(len(both) - 1, 1) * 100
            ranks = over_models(both, lambda i, x=x, y=y: _spearman(x[i], y[i]), **resampling)
            shift = over_models(both, lambda i, c=change, s=small: _mean(c[i][s[i]]), **resampling)
            found.append(
                {"general": general, "agentic": name, **ranks._asdict(), "n_small": int(small.sum())}
                | dict(zip(("shift", "shift_low", "shift_high"), shift[:3], strict=True))
                | {"mixed_harness": mixed}
            )
    return pd.DataFrame(found)


def best_gaps(
    board: pd.DataFrame,
    columns: Sequence[str] = COLUMNS,
    small: pd.Series | None = None,
    large: pd.Series | None = None,
    **resampling: Any,
) -> pd.DataFrame:
    """Best small minus best large score in each column, in points, with the two models' names.

    `small` and `large` are masks over the board, by default its sizes. Columns: column, small, large,
    score_small, score_large, estimate, low, high, n (models).
    """
    values, first, second = _sides(board, columns, small, large)
    found = []
    for k, column in enumerate(columns):
        scores_of = board[column]
        top = [scores_of[mask].idxmax() for mask in (first, second)]
        gap = over_models(
            board, lambda i, k=k: _top(values[i][first[i]])[k] - _top(values[i][second[i]])[k], **resampling
        )
        names = dict(zip(("small", "large"), board.model[top], strict=True))
        reached = dict(zip(("score_small", "score_large"), scores_of[top], strict=True))
        found.append({"column": column} | names | reached | gap._asdict())
    return pd.DataFrame(found)


def share_within(
    board: pd.DataFrame, margin: float = 5, columns: Sequence[str] = COLUMNS, **resampling: Any
) -> stats.Estimate:
    """Share of columns with the best small model at most `margin` points below the best large one (S0-30)."""
    values, small, large = _sides(board, columns)

    def share(i: np.ndarray) -> float:
        gap = _top(values[i][small[i]]) - _top(values[i][large[i]])
        return float((gap >= -margin).mean()) if np.isfinite(gap).all() else np.nan

    return over_models(board, share, **resampling)


def median_gap(rows: pd.DataFrame, column: str, first: pd.Series, second: pd.Series, **resampling: Any):
    """Median of one group of models minus that of another, in points; groups are masks (S0-8, S0-33)."""
    values, a, b = rows[column].to_numpy(), first.to_numpy(), second.to_numpy()
    return over_models(rows, lambda i: _median(values[i][a[i]]) - _median(values[i][b[i]]), **resampling)


def near_large(board: pd.DataFrame, columns: Sequence[str], margin: float = 5) -> stats.Estimate:
    """Share of small models at most `margin` points below the median large one in each column (S4-17)."""
    values, small, large = _sides(board, columns)
    near = (values[small] >= np.median(values[large], axis=0) - margin).all(axis=1)
    return stats.Estimate(float(near.mean()), *stats.wilson(int(near.sum()), len(near)), len(near))


def regret(
    board: pd.DataFrame, columns: Sequence[str] = COLUMNS, chosen_by: str = "overall", **resampling: Any
) -> pd.DataFrame:
    """Points lost by taking the model that is best `chosen_by` instead of the best at each job (S4-12).

    Rows: `mean`, then one a column; columns: job, best (model), chosen (model), estimate, low, high, n.
    """
    values, leader = board[list(columns)].to_numpy(), board[chosen_by].to_numpy()

    def lost(i: np.ndarray) -> np.ndarray:
        return values[i].max(axis=0) - values[i][leader[i].argmax()]

    chosen = board.model[board[chosen_by].idxmax()]
    mean = over_models(board, lambda i: lost(i).mean(), **resampling)
    found = [{"job": "mean", "best": "", "chosen": chosen} | mean._asdict()]
    for k, column in enumerate(columns):
        gap = over_models(board, lambda i, k=k: lost(i)[k], **resampling)
        best = board.model[board[column].idxmax()]
        found.append({"job": column, "best": best, "chosen": chosen} | gap._asdict())
    return pd.DataFrame(found)


def _sides(board: pd.DataFrame, columns: Sequence[str], small: Any = None, large: Any = None) -> tuple:
    small = (board["size"] == "small") if small is None else small
    large = (board["size"] == "large") if large is None else large
    if not (small.any() and large.any()):
        raise InputError("one of the two groups of models is empty; widen the selection")
    return board[list(columns)].to_numpy(), small.to_numpy(), large.to_numpy()


def _top(values: np.ndarray) -> np.ndarray:
    return values.max(axis=0) if len(values) else np.full(values.shape[1], np.nan)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def _spearman(x: np.ndarray, y: np.ndarray) -> float:
    x, y = _ranks(x) - (len(x) + 1) / 2, _ranks(y) - (len(y) + 1) / 2
    spread = np.sqrt((x @ x) * (y @ y))
    return float(x @ y / spread) if spread else np.nan
