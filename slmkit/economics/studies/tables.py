"""Every table that a verdict of notebook 02 reads, by name: for the claims' own pair, on default prices and GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from slmkit.economics import edge
from slmkit.economics.compare import Setting
from slmkit.economics.studies import activation, operation, prices, published, serving, uses, workloads
from slmkit.models.reference import minis

SLM, LLM = "Llama-3.1-8B", "Llama-3.1-70B"
SETTING = Setting()
BUSY = Setting(input_tokens=2_000, output_tokens=200, tpot_limit_s=0.05, utilization=0.3)  # an agent's step


def share(grid: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Share of the grid in which the small model is surely cheaper: by own endpoint, and by that or API."""
    api = grid.assign(ratio=grid["ratio"] * (grid["slm_usd"] / grid[["slm_usd", "slm_api_usd"]].min(axis=1)))
    rows = [
        workloads.share_cheaper(table, SETTING.gpu, n=n, seed=seed) | {"way": way}
        for way, table in (("own endpoint", grid), ("best of endpoint and API", api))
    ]
    return pd.DataFrame(rows)


def own_models() -> list[str]:
    """Two of our own models, the smallest and the largest that are here."""
    from slmkit import config

    def size(name: str) -> int:
        path = config.resource(f"data/mini/{name}") / "model.safetensors"
        return path.stat().st_size if path.is_file() else 0

    known = sorted((name for name in minis() if _here(name)), key=size)
    return [known[0], known[-1]]


def _here(name: str) -> bool:
    from slmkit import config
    from slmkit.errors import InputError

    try:
        return (config.resource(f"data/mini/{name}") / "model.safetensors").is_file()
    except InputError:
        return False


def activations(models: Sequence[str], n: int, n_resamples: int, seed: int) -> pd.DataFrame:
    """A2.6, measured on two of our own models over the same prompts."""
    asked = activation.prompts(n, seed)
    small, large = (activation.measure(model, asked) for model in models)
    return activation.compare(small, large, n_resamples, seed)


def all_of_them(n: int, n_resamples: int, seed: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """What computes each table that needs no model run; `n` draws of a Monte Carlo."""
    return {
        "saturated": lambda: serving.saturated(SLM, n=n, seed=seed),
        "map": lambda: serving.ratio_map(SLM, LLM, SETTING),
        "needed": serving.gpus_needed,
        "grid": lambda: workloads.grid(SLM, SETTING),
        "uses": lambda: uses.table(SLM, n=n, seed=seed),
        "shared": lambda: operation.shared_base(SLM, LLM, BUSY, n=n, seed=seed),
        "load": lambda: pd.DataFrame([operation.break_even_load(SLM, LLM, BUSY, n, seed)]),
        "fixed": lambda: operation.fixed_cost(SLM, LLM, BUSY, n, seed),
        "payback": lambda: operation.payback(SLM, BUSY, n=n, seed=seed),
        "list": lambda: prices.medians(prices.ratios(), n_resamples, seed),
        "trends": lambda: prices.trends(n_resamples, seed),
        "chips": prices.by_chip,
        "pairs": published.pairs,
        "fit_map": edge.fit_map,
    }
