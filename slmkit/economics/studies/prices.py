"""List prices: ratios of large to small at one provider, their change over time, and what special chips change."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.economics import cost
from slmkit.economics.catalogue import api_prices, rents
from slmkit.economics.market import served_by_api
from slmkit.stats import Estimate

SLM = "Llama-3.1-8B"
OPEN = {"dense 70 bn": ["Llama-3.1-70B"], "dense 405 bn": ["Llama-3.1-405B"],
        "sparse": ["gpt-oss-120b", "DeepSeek-V3", "Qwen3-235B-A22B"]}  # fmt: skip
FLAGSHIPS = {  # dearest model of a vendor in the snapshot, and the dearest older one still on its list
    "openai": ("gpt-5.5", "gpt-4"),
    "anthropic": ("claude-opus-5", "claude-opus-4-1"),
    "google": ("gemini-3-pro-preview", "gemini-2.5-pro"),
}
SPECIAL_CHIPS = ("groq", "cerebras", "sambanova")  # providers on chips made for inference
LEAST_PROVIDERS = 3
LEAST_YEARS = 2.0


def blended_by_provider(models: Sequence[str]) -> pd.Series:
    """USD per million tokens (three in, one out) of the cheapest of `models` at each provider that sells one."""
    rows = pd.concat([served_by_api(model) for model in models], ignore_index=True)
    return rows.groupby("provider")["blended"].min()


def ratios() -> pd.DataFrame:
    """LLM over 8 bn list price, one row a rival and provider, all of one snapshot; `open`, and whether `same_provider`.

    A vendor of closed models sells no open 8 bn model, so its flagship is held against each provider that does.
    """
    small, rows = blended_by_provider([SLM]), []
    for rival, models in OPEN.items():
        large = blended_by_provider(models)
        for provider in large.index.intersection(small.index):
            rows.append({"rival": rival, "provider": provider, "ratio": large[provider] / small[provider],
                         "open": True, "same_provider": True})  # fmt: skip
    listed = api_prices().assign(blended=lambda t: cost.blended(t["usd_per_1m_input"], t["usd_per_1m_output"]))
    for vendor, names in FLAGSHIPS.items():
        for name in names:
            usd = listed[(listed["provider"] == vendor) & (listed["model"] == name)]["blended"].iloc[0]
            rows += [{"rival": name, "provider": provider, "ratio": usd / price, "open": False, "same_provider": False}
                     for provider, price in small.items()]  # fmt: skip
    return pd.DataFrame(rows)


def medians(table: pd.DataFrame, n_resamples: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Median ratio over providers by rival, bootstrapped over providers; no interval where one alone has it."""
    rows = []
    for rival, part in table.groupby("rival", sort=False):
        values = part["ratio"].to_numpy()
        if len(values) > 1:
            found = stats.bootstrap(values, lambda drawn: float(np.median(drawn)), n_resamples=n_resamples, rng=seed)
        else:
            found = Estimate(float(values[0]), np.nan, np.nan, 1)
        rows.append({"rival": rival, "estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n,
                     "open": bool(part["open"].iloc[0]), "least": values.min(), "most": values.max()})  # fmt: skip
    return pd.DataFrame(rows)


def year_of(text: str) -> float:
    """A date as a year with its fraction: `2026-09-25`, `2024-12`; the middle of a year that stands alone."""
    year, month, day = re.match(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?", str(text)).groups()
    if month is None:
        return int(year) + 0.5
    return int(year) + (int(month) - 1 + (int(day) - 1 if day else 14) / 30.4) / 12


def dated() -> pd.DataFrame:
    """Rows whose price could show a trend: one GPU type's rents, and the 8 and 70 bn list prices at one provider."""
    rows = rents().dropna(subset="device")
    rented = pd.DataFrame({"series": "rent " + rows["device"].astype(str), "year": rows["as_of"].map(year_of),
                           "usd": rows["usd_per_gpu_hour"]})  # fmt: skip
    parts = [rented]
    for model in (SLM, "Llama-3.1-70B"):
        listed = served_by_api(model)
        parts.append(pd.DataFrame({"series": f"{model} at " + listed["provider"], "year": listed["as_of"].map(year_of),
                                   "usd": listed["blended"]}))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def trends(n_resamples: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Yearly change of each series (fraction), least squares on the log, bootstrap over rows; `years` it spans."""
    rows = []
    for name, part in dated().groupby("series"):
        span = float(np.ptp(part["year"]))
        row = {"series": name, "n": len(part), "years": span, "estimate": np.nan, "low": np.nan, "high": np.nan}
        if span >= LEAST_YEARS and len(part) >= 4:
            found = stats.bootstrap(part[["year", "usd"]].to_numpy(), _yearly, n_resamples=n_resamples, rng=seed)
            row |= {"estimate": found.estimate, "low": found.low, "high": found.high}
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["years", "n"], ascending=False, ignore_index=True)


def _yearly(rows: np.ndarray) -> float:
    if np.ptp(rows[:, 0]) == 0:
        return np.nan
    return float(np.expm1(np.polyfit(rows[:, 0], np.log(rows[:, 1]), 1)[0]))


def by_chip() -> pd.DataFrame:
    """70 bn over 8 bn list price by provider, and whether it runs on chips made for inference."""
    table = ratios()
    table = table[table["rival"] == "dense 70 bn"][["provider", "ratio"]]
    return table.assign(special=table["provider"].isin(SPECIAL_CHIPS)).reset_index(drop=True)
