"""Uncertain inputs as ranges: Monte Carlo intervals of any result, and a tornado of what moves it.

A `Range` is a 95 % range, not a pair of hard limits. Amounts above zero vary by factors (log-normal); a range that
reaches zero or below varies by differences (normal). A `prediction` range is the error of the throughput model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slmkit.errors import InputError
from slmkit.stats import Estimate

Z95 = 1.959964  # two-sided 95 % of the normal
Z90 = 1.644854  # the 90th percentile of an absolute error is this many standard deviations
Z50 = 0.674490  # its median


@dataclass(frozen=True)
class Range:
    """A 95 % range around `mid`; `ceiling` cuts what cannot exceed it, such as a share at 1."""

    low: float
    mid: float
    high: float
    ceiling: float = np.inf
    says: str = ""

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.mid, self.high]).all() and self.low <= self.mid <= self.high):
            raise InputError(f"range {self.says or ''}: expected low <= mid <= high, found "
                             f"{self.low}, {self.mid}, {self.high}")  # fmt: skip

    def at(self, z: Any) -> np.ndarray:
        """Values at standard normal deviates `z`: `mid` at 0, the ends at ±1.96, each side with its own spread."""
        z = np.asarray(z, dtype=float)
        if self.low > 0:
            down, up = np.log(self.mid / self.low) / Z95, np.log(self.high / self.mid) / Z95
            values = self.mid * np.exp(np.where(z < 0, down, up) * z)
        else:
            down, up = (self.mid - self.low) / Z95, (self.high - self.mid) / Z95
            values = self.mid + np.where(z < 0, down, up) * z
        return np.minimum(values, self.ceiling)


def spread_of_error(median_ape: float, p90_ape: float) -> float:
    """Standard deviation of the log error that fits both the median and the 90th percentile, the wider of the two.

    Under a log-normal error, ln(1 + median) = 0.674 s and ln(1 + p90) = 1.645 s.
    """
    return max(np.log1p(median_ape) / Z50, np.log1p(p90_ape) / Z90)


def prediction_range(median_ape: float, p90_ape: float) -> Range:
    """A factor around 1 for the error of a prediction with these absolute errors (fractions)."""
    if not (np.isfinite([median_ape, p90_ape]).all() and min(median_ape, p90_ape) >= 0):
        raise InputError(f"prediction error: expected fractions of 0 or more, found {median_ape}, {p90_ape}")
    reach = float(np.exp(Z95 * spread_of_error(median_ape, p90_ape)))
    return Range(1 / reach, 1.0, reach, says="prediction error")


def draw(ranges: Mapping[str, Range], n: int, rng: int | np.random.Generator = 0) -> dict[str, np.ndarray]:
    """`n` independent draws of each input."""
    generator = np.random.default_rng(rng)
    return {name: given.at(generator.standard_normal(n)) for name, given in ranges.items()}


def monte_carlo(
    result: Callable[..., Any], ranges: Mapping[str, Range], n: int = 2_000, rng: int | np.random.Generator = 0
) -> Estimate:
    """`result(**inputs)` at the middle of all ranges, with the central 95 % of its draws; vectorized in the inputs.

    The interval always holds the estimate: a middle that lies outside of the draws widens it.
    """
    middle = float(result(**{name: given.mid for name, given in ranges.items()}))
    draws = np.broadcast_to(np.asarray(result(**draw(ranges, n, rng)), dtype=float), (n,))
    low, high = np.quantile(draws, [0.025, 0.975])
    return Estimate(middle, float(min(low, middle)), float(max(high, middle)), n)


def share_above(
    result: Callable[..., Any], ranges: Mapping[str, Range], bar: float, n: int = 2_000, rng: int = 0
) -> float:
    """Share of the draws in which the result lies above `bar`."""
    draws = np.broadcast_to(np.asarray(result(**draw(ranges, n, rng)), dtype=float), (n,))
    return float((draws > bar).mean())


def tornado(result: Callable[..., Any], ranges: Mapping[str, Range], bar: float | None = None) -> pd.DataFrame:
    """One row an input, widest first: `base`, and the result `at_low` and `at_high` of that input alone.

    `input_low`, `input_high`: its 95 % ends. `flips`: whether the result crosses `bar` between the two.
    """
    middle = {name: given.mid for name, given in ranges.items()}
    base = float(result(**middle))
    rows = []
    for name, given in ranges.items():
        low, high = (float(result(**middle | {name: float(given.at(z))})) for z in (-Z95, Z95))
        flips = bar is not None and (min(low, high) - bar) * (max(low, high) - bar) < 0
        rows.append(
            {"input": given.says or name, "input_low": float(given.at(-Z95)), "input_high": float(given.at(Z95)),
             "base": base, "at_low": low, "at_high": high, "flips": flips}
        )  # fmt: skip
    width = [abs(np.log(row["at_high"] / row["at_low"])) if min(row["at_low"], row["at_high"]) > 0
             else abs(row["at_high"] - row["at_low"]) for row in rows]  # fmt: skip
    return pd.DataFrame(rows).iloc[np.argsort(width)[::-1]].reset_index(drop=True)
