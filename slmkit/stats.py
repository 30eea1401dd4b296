"""Intervals, paired differences, sample sizes: every reported number gets its uncertainty here.

Comparisons are paired by item. An interval is 95 % unless told otherwise. `unit` gives one label an
item: what was drawn independently (task, customer, family); resampling and robust errors then go by it.
`rng` is a seed or a numpy Generator, so that the same call gives the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special

from slmkit.errors import InputError

Rng = int | np.random.Generator
Unit = Sequence[Any] | None
Statistic = Callable[[np.ndarray], float]
Ruling = Literal["non-inferior", "inferior", "inconclusive"]


class Estimate(NamedTuple):
    """A number, its interval, and the count of items behind it."""

    estimate: float
    low: float
    high: float
    n: int


class PairedDifference(NamedTuple):
    """Mean of a - b over the same items, and what it says about a margin; see `paired_difference`."""

    n: int
    difference: float
    low: float
    high: float
    margin: float | None
    verdict: Ruling | None
    n_to_settle: int | None
    p_mcnemar: float | None


def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of the share k/n (Wilson 1927), sound at k = 0 and k = n. InputError outside 0..n."""
    if not (n > 0 and 0 <= k <= n):
        raise InputError(f"wilson: expected 0 <= k <= n and n > 0, found k={k}, n={n}")
    z, share = _z(level), k / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))) / (1 + z**2 / n)
    return 0.0 if k == 0 else middle - half, 1.0 if k == n else middle + half


def mean_interval(values: Any, unit: Unit = None, level: float = 0.95) -> Estimate:
    """Mean with its t interval; with `unit`, robust to items of a unit going together (Miller 2024)."""
    values = _column("values", values, least=2)
    index, m = _units(unit, len(values))
    mean, residuals = values.mean(), np.bincount(index, values - values.mean())
    half = _t(level, m - 1) * np.sqrt(m / (m - 1) * (residuals**2).sum()) / len(values)
    return Estimate(float(mean), float(mean - half), float(mean + half), len(values))


def bootstrap(
    values: Any, statistic: Statistic | None = None, unit: Unit = None, n_resamples: int = 2_000, rng: Rng = 0
) -> Estimate:
    """A statistic (default: the mean) with its 95 % percentile interval, resampling whole units.

    `values` holds one item a row, in one column or several. The percentiles are moved outwards as the t
    quantile asks (Hesterberg 2015, "expanded percentile"); without that, few units are covered too seldom.
    """
    values = np.asarray(values, dtype=float)
    _column("values", values.reshape(-1), least=2)
    if n_resamples < 1:
        raise InputError(f"n_resamples: expected at least 1, found {n_resamples}")
    index, m = _units(unit, len(values))
    counts, generator = np.bincount(index), np.random.default_rng(rng)
    draws = (generator.integers(m, size=m) for _ in range(n_resamples))
    if statistic is None:
        statistic, sums = np.mean, np.bincount(index, values)
        replicates = [sums[draw].sum() / counts[draw].sum() for draw in draws]
    else:
        members = np.split(np.argsort(index, kind="stable"), np.cumsum(counts)[:-1])
        rows = (draw if m == len(values) else np.concatenate([members[u] for u in draw]) for draw in draws)
        replicates = [statistic(values[row]) for row in rows]
    tail = float(special.ndtr(-np.sqrt(m / (m - 1)) * _t(0.95, m - 1)))
    low, high = np.nanquantile(replicates, [tail, 1 - tail], method="closest_observation")
    return Estimate(float(statistic(values)), float(low), float(high), len(values))


def non_inferiority(low: float, high: float, margin: float) -> Ruling:
    """What an interval of candidate - reference says: a loss below `margin`, above it, or neither."""
    if not margin >= 0:
        raise InputError(f"margin: expected a loss of 0 or more, in units of the score, found {margin}")
    return "non-inferior" if low > -margin else "inferior" if high < -margin else "inconclusive"


def paired_difference(
    a: Any, b: Any, unit: Unit = None, margin: float | None = None, n_resamples: int = 2_000, rng: Rng = 0
) -> PairedDifference:
    """Mean of a - b over the same items (a: the candidate, b: the reference), bootstrapped by unit, 95 %.

    For right-or-wrong scores the interval counts one more item won and one more lost (Bonett and Price 2012),
    so that two models that never differ on ten items do not pass for equal. `n_to_settle`: items at which the
    verdict would fall with 80 % power, were difference and spread to stay. `p_mcnemar` is exact, and None for
    graded scores and for units of several items. InputError where a and b differ in length.
    """
    a, b = _columns("a", a, "b", b, least=2)
    index, m = _units(unit, len(a))
    n, difference, mean = len(a), a - b, float((a - b).mean())
    p_mcnemar = verdict = n_to_settle = None
    if np.isin([a, b], (0, 1)).all():
        if m == n:
            won, lost = (difference > 0).sum(), (difference < 0).sum()
            p_mcnemar = min(1.0, 2 * float(special.bdtr(min(won, lost), won + lost, 0.5)))
        difference, index = np.r_[difference, 1, -1], np.r_[index, m, m + 1]
    _, low, high, _ = bootstrap(difference, unit=index, n_resamples=n_resamples, rng=rng)
    low, high = min(low, mean), max(high, mean)
    if margin is not None:
        verdict, n_to_settle = non_inferiority(low, high, margin), n
        if verdict == "inconclusive":
            # Interval half-width is 1.96 errors; 80 % power asks for 2.80 errors between estimate and margin.
            growth = ((1 + _z(0.6) / _z(0.95)) * (high - low) / 2) ** 2 / max((mean + margin) ** 2, 1e-12)
            n_to_settle = max(n + 1, int(np.ceil(n * growth)))
    return PairedDifference(n, mean, low, high, margin, verdict, n_to_settle, p_mcnemar)


def ratio_interval(a: Any, b: Any, unit: Unit = None, n_resamples: int = 2_000, rng: Rng = 0) -> Estimate:
    """Mean of a over mean of b, paired by item, bootstrapped on the log; InputError unless both exceed 0."""
    a, b = _columns("a", a, "b", b, least=2)
    if min(a.min(), b.min()) < 0 or not (a.any() and b.any()):
        raise InputError("ratio: expected amounts of 0 or more, and something in each column")
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample may miss every amount above 0
        found = bootstrap(np.c_[a, b], lambda rows: np.subtract(*np.log(rows.sum(0))), unit, n_resamples, rng)
    return Estimate(*(float(x) for x in np.exp(found[:3])), found.n)


def minimum_detectable_difference(
    n: int, p: float = 0.5, discordance: float | None = None, power: float = 0.8
) -> float:
    """Smallest paired difference that n items show with `power`, as a share (Connor 1987, large samples).

    `discordance`: share of items on which the two differ; by default that of independent models, right at p.
    """
    if n < 1:
        raise InputError(f"n: expected at least 1 item, found {n}")
    reach, differing = _z(0.95) + float(special.ndtri(power)), _discordance(p, discordance)
    return min(differing, reach * float(np.sqrt(differing / (n + reach**2))))


def sample_size(difference: float, p: float = 0.5, discordance: float | None = None, power: float = 0.8) -> int:
    """Items at which a paired `difference`, or distance from a margin, shows; inverse of the one above."""
    reach, differing = _z(0.95) + float(special.ndtri(power)), _discordance(p, discordance)
    if not 0 < abs(difference) <= differing:
        raise InputError(f"difference: expected a share above 0, up to the discordance, found {difference}")
    return max(1, int(np.ceil(reach**2 * (differing / difference**2 - 1) - 1e-6)))


def holm(p_values: Any) -> np.ndarray:
    """p-values adjusted for being tested together (Holm 1979), in the order given."""
    p = _column("p_values", p_values)
    if ((p < 0) | (p > 1)).any():
        raise InputError("p_values: expected shares between 0 and 1")
    order, adjusted = np.argsort(p), np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def slope_per_tenfold(size: Any, score: Any, unit: Unit = None, level: float = 0.95) -> Estimate:
    """Least-squares slope of score on log10(size), in points of the score for each tenfold size.

    Errors are HC3 with n - 2 degrees of freedom; with `unit` (a family), cluster-robust with units - 1.
    """
    size, score = _columns("size", size, "score", score, least=4)
    if (size <= 0).any() or np.ptp(size) == 0:
        raise InputError("size: expected sizes above 0, at least two of them different")
    n, x = len(size), np.log10(size) - np.log10(size).mean()
    slope = float(x @ score / (x @ x))
    parts, df = x * (score - score.mean() - slope * x), n - 2
    if unit is None:
        parts = parts / np.maximum(1 - 1 / n - x**2 / (x @ x), 1e-9)  # leverage 1: the residual is 0 anyway
    else:
        index, m = _units(unit, n)
        parts, df = np.bincount(index, parts) * np.sqrt(m / (m - 1) * (n - 1) / (n - 2)), m - 1
    half = _t(level, df) * float(np.sqrt((parts**2).sum()) / (x @ x))
    return Estimate(slope, slope - half, slope + half, n)


def spearman(x: Any, y: Any, level: float = 0.95) -> Estimate:
    """Rank correlation, interval of Bonett and Wright (2000); full agreement is taken as one swap short."""
    from scipy.stats import rankdata

    x, y = _columns("x", x, "y", y, least=4)
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        raise InputError("spearman: a column that does not vary cannot be ranked")
    n, r = len(x), float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
    most = 1 - 12 / (n**3 - n)
    z, half = np.arctanh(np.clip(r, -most, most)), _z(level) * np.sqrt((1 + min(r**2, most**2) / 2) / (n - 3))
    low, high = np.tanh([z - half, z + half])
    return Estimate(r, min(r, float(low)), max(r, float(high)), n)


def _column(name: str, values: Any, least: int = 1) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{name}: expected numbers only") from None
    if array.ndim != 1 or len(array) < least:
        raise InputError(f"{name}: expected a list of {least} numbers or more, found shape {array.shape}")
    if not (finite := np.isfinite(array)).all():
        raise InputError(f"{name}: item {int(np.argmin(finite))} is missing or infinite; drop or mend it")
    return array


def _columns(name: str, values: Any, other: str, others: Any, least: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = _column(name, values, least), _column(other, others, least)
    if len(first) != len(second):
        raise InputError(f"{name} has {len(first)} items, {other} has {len(second)}; both need one an item")
    return first, second


def _units(unit: Unit, n: int) -> tuple[np.ndarray, int]:  # index of each item's unit, number of units
    if unit is None:
        return np.arange(n), n
    labels, index = np.unique([str(label) for label in unit], return_inverse=True)
    if len(index) != n or len(labels) < 2:
        raise InputError(f"unit: expected {n} labels, not all the same, found {len(index)} of {len(labels)} kinds")
    return index, len(labels)


def _discordance(p: float, discordance: float | None) -> float:
    value = 2 * p * (1 - p) if discordance is None else discordance
    if not 0 < value <= 1:
        raise InputError(f"discordance: expected a share above 0 and up to 1, found {value} (p={p})")
    return value


def _z(level: float) -> float:
    if not 0 < level < 1:
        raise InputError(f"level: expected a share between 0 and 1, found {level}")
    return float(special.ndtri((1 + level) / 2))


def _t(level: float, df: int) -> float:
    return float(special.stdtrit(df, special.ndtr(_z(level))))
