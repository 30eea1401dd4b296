"""The tables of notebook 02: those that verdicts read, for the claims' own pair, and those of the user's pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from slmkit import config
from slmkit.economics import calibrate, constants, edge
from slmkit.economics.architecture import architecture
from slmkit.economics.compare import Setting, hosted
from slmkit.economics.studies import activation, operation, prices, published, serving, uses, workloads
from slmkit.errors import InputError
from slmkit.models.reference import minis

SLM, LLM = "Llama-3.1-8B", "Llama-3.1-70B"  # the claims' own pair
SATURATED = Setting()
STEP = Setting(input_tokens=2_000, output_tokens=200, tpot_limit_s=0.05, utilization=0.3)  # an agent's step
# What is measured here, by scale: models beside our own two, batches, tokens in and out, prompts of A2.6.
SIZES = {
    "smoke": ((), (1, 4), 64, 8, 12),
    "laptop": (("random:SmolLM2-135M", "random:SmolLM2-360M"), (1, 2, 4, 8), 64, 16, 500),
    "full": (("random:SmolLM2-135M", "random:SmolLM2-360M"), (1, 2, 4, 8, 16), 256, 32, 500),
    "gpu": (("random:Qwen2.5-0.5B", "random:Qwen3-8B", "random:Qwen3-32B"), (1, 8, 64), 1_024, 64, 500),
}


def chosen(parameters: Mapping[str, Any]) -> Setting:
    """The setting of a notebook's parameters; InputError naming one that is out of range."""
    limit = parameters["tpot_limit_ms"]
    if limit < 0:
        raise InputError(f"tpot_limit_ms: expected a limit above 0, or 0 for none, found {limit}")
    return Setting(
        gpu=parameters["gpu"], usd_per_gpu_hour=parameters["gpu_usd_per_hour"], tpot_limit_s=limit / 1e3 or None,
        input_tokens=parameters["input_tokens"], output_tokens=parameters["output_tokens"],
        utilization=parameters["utilization"],
    )  # fmt: skip


def basis(model: str, setting: Setting) -> str:
    """What a cost in a figure rests on: hardware, rent with date and source, precision, load, limit, error."""
    host = hosted(model, setting)
    return f"{host.tariff.says()}, regime: {host.regime}"


def names(*models: str) -> list[str]:
    """Models as the catalogue calls them."""
    return [architecture(model).name for model in models]


def sizes(table: pd.DataFrame) -> dict[str, float]:
    """Billions of parameters of every model that a table of ratios names."""
    return {name: architecture(name).params / 1e9 for name in {*table["slm"], *table["llm"]}}


def held_out() -> dict[str, Any]:
    """Error of the throughput model on what its fit never saw, by what was left out."""
    return constants.record().get("held_out", {})


def held_out_latency() -> dict[str, Any]:
    """The same of the time to the first token and a token."""
    return constants.record()["latency"]["held_out"]


def headline(known: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Headline numbers of a run, with units in their names."""
    origin = known["saturated"]
    ratio = origin.groupby("llm")["ratio"].median()
    shared = known["shared"]
    ten = shared[(shared["k"] == 10) & (shared["load_share"].round(3) == 0.05)].iloc[0]
    numbers = {f"saturated_cost_ratio_{name}": float(value) for name, value in ratio.items()}
    numbers |= {f"held_out_median_ape_{by}_{kind}": found["median_ape"]
                for by, kinds in held_out().items() for kind, found in kinds.items()}  # fmt: skip
    numbers |= {f"held_out_median_ape_{by}_{what}": kinds["all"]["median_ape"]
                for by, split in held_out_latency().items() for what, kinds in split.items()}  # fmt: skip
    return numbers | {
        "break_even_relative_load": float(known["load"]["estimate"].iloc[0]),
        "ten_adapters_cost_ratio": float(ten["cost_ratio"]),
        "edge_held_out_median_ape": edge.fit().median_ape,
    }


def share(grid: pd.DataFrame, n: int, seed: int) -> pd.DataFrame:
    """Share of the grid in which the small model is surely cheaper: by own endpoint, and by that or API."""
    api = grid.assign(ratio=grid["ratio"] * (grid["slm_usd"] / grid[["slm_usd", "slm_api_usd"]].min(axis=1)))
    ways = {"own endpoint": grid, "best of endpoint and API": api}
    found = (workloads.share_cheaper(table, SATURATED.gpu, n=n, seed=seed) for table in ways.values())
    return pd.DataFrame([row | {"way": way} for way, row in zip(ways, found, strict=True)])


def own_models() -> list[str]:
    """Two of our own models, the smallest and the largest that are here."""
    weights = {}
    for name in minis():
        try:
            weights[name] = (config.resource(f"data/mini/{name}") / "model.safetensors").stat().st_size
        except (InputError, OSError):
            continue  # planned, not here
    known = sorted(weights, key=lambda name: weights[name])
    return [known[0], known[-1]]


def activations(scale: str, n_resamples: int, seed: int) -> pd.DataFrame:
    """A2.6, measured on two of our own models over the same prompts."""
    asked = activation.prompts(SIZES[scale][4], seed)
    small, large = (activation.measure(model, asked) for model in own_models())
    return activation.compare(small, large, n_resamples, seed)


def measured_here(scale: str, seed: int) -> pd.DataFrame:
    """Models run on this machine at several batch sizes, beside the prediction from the machine's measured rates."""
    shapes, batches, input_tokens, output_tokens, _ = SIZES[scale]
    # The machine is measured anew for each model: where others work too, its rates move by the minute.
    parts = [calibrate.rows(ref, batches, input_tokens, output_tokens, seed=seed) for ref in (*own_models(), *shapes)]
    return pd.concat(parts, ignore_index=True)


def for_verdicts(n: int, n_resamples: int, seed: int) -> dict[str, Callable[[], pd.DataFrame]]:
    """What computes each table of the verdicts that needs no model run; `n` draws of a Monte Carlo."""
    return {
        "saturated": lambda: serving.saturated(SLM, n=n, seed=seed),
        "map": lambda: serving.ratio_map(SLM, LLM, SATURATED),
        "needed": serving.gpus_needed,
        "grid": lambda: workloads.grid(SLM, SATURATED),
        "uses": lambda: uses.table(SLM, n=n, seed=seed),
        "shared": lambda: operation.shared_base(SLM, LLM, STEP, n=n, seed=seed),
        "load": lambda: pd.DataFrame([operation.break_even_load(SLM, LLM, STEP, n, seed)]),
        "fixed": lambda: operation.fixed_cost(SLM, LLM, STEP, n, seed),
        "payback": lambda: operation.payback(SLM, STEP, n=n, seed=seed),
        "list": lambda: prices.medians(prices.ratios(), n_resamples, seed),
        "trends": lambda: prices.trends(n_resamples, seed),
        "chips": prices.by_chip,
        "pairs": published.pairs,
        "fit_map": edge.fit_map,
    }
