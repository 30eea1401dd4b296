"""What the published serving rows say by themselves: pairs on one GPU and load, schedulers, predicted and measured."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit.economics.architecture import architecture
from slmkit.economics.catalogue import measured
from slmkit.economics.tables import read
from slmkit.economics.validate import LATENCIES, compare
from slmkit.errors import InputError

SMALL_BN, LARGE_BN = 10, 30
LOAD = ["family", "hardware", "scenario", "concurrency", "input_len", "output_len"]
SCHEDULERS = ("dynamo", "llm-d", "mooncake", "disagg")  # serving systems above the engine, by name in the rows


def sizes(names: pd.Series) -> pd.DataFrame:
    """Size in billions and sparsity of each model that resolves; missing where one does not."""
    known = {}
    for name in names.unique():
        try:
            arch = architecture(str(name))
            known[name] = (arch.params / 1e9, arch.moe, arch.name)
        except InputError:
            known[name] = (np.nan, False, "")
    return pd.DataFrame([known[name] for name in names], columns=["params_b", "sparse", "shape"], index=names.index)


def pairs() -> pd.DataFrame:
    """Small dense and large models measured on one GPU type at one load: large over small cost a token.

    Each side is its best row (tokens/s a GPU) of that source, GPU, scenario, concurrency and length. The same GPU costs
    the same, so cost a token is one over tokens/s a GPU. `ratio` above 1: the large model costs more.
    """
    table = measured()
    table = table.join(sizes(table["model"])).dropna(subset=["params_b", "out_tok_s_per_gpu"])
    small = table[(table["params_b"] < SMALL_BN) & ~table["sparse"]]
    large = table[table["params_b"] >= LARGE_BN]
    best = [side.sort_values("out_tok_s_per_gpu").groupby([*LOAD, "shape"], dropna=False).last().reset_index()
            for side in (small, large)]  # fmt: skip
    filled = [side.assign(**{name: side[name].fillna(-1) for name in ("concurrency", "input_len", "output_len")})
              for side in best]  # fmt: skip
    both = filled[0].merge(filled[1], on=LOAD, suffixes=("_small", "_large"))
    kept = ["shape_small", "shape_large", "sparse_large", "params_b_large"]
    return both[[*LOAD, *kept]].assign(ratio=both["out_tok_s_per_gpu_small"] / both["out_tok_s_per_gpu_large"])


def share_dearer(table: pd.DataFrame, n_resamples: int = 2_000, seed: int = 0) -> dict[str, float]:
    """Share of pairs in which the large model costs more, resampling large models (the unit), 95 %."""
    from slmkit import stats

    dearer = (table["ratio"] > 1).astype(float).to_numpy()
    found = stats.bootstrap(dearer, unit=list(table["shape_large"]), n_resamples=n_resamples, rng=seed)
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "n": found.n}


def answers() -> pd.DataFrame:
    """Energy of a whole answer, where a source gives it: small dense against large models on one GPU and benchmark."""
    table = read("answers.csv")
    table = table.join(sizes(table["model"]).reset_index(drop=True))
    named = table["model"].str.extract(r"-(\d+)B", expand=False).astype(float)
    table["params_b"] = table["params_b"].fillna(named)
    small = table[(table["params_b"] < SMALL_BN) & ~table["sparse"].astype(bool)]
    both = small.merge(table[table["params_b"] >= LARGE_BN], on=["gpu", "benchmark"], suffixes=("_small", "_large"))
    kept = ["gpu", "benchmark", "model_small", "model_large", "sparse_large"]
    return both[kept].assign(ratio=both["joules_per_answer_large"] / both["joules_per_answer_small"])


def with_scheduler() -> pd.DataFrame:
    """Rows whose engine names a scheduler above it, beside rows of the same model, GPU and lengths without one."""
    table = measured()
    named = table["engine"].astype(str).str.lower().str.contains("|".join(SCHEDULERS))
    keys = ["hardware", "model", "weight_precision", "input_len", "output_len", "concurrency"]
    return table[named].merge(table[~named], on=keys, suffixes=("_with", "_without"))


def scatter() -> pd.DataFrame:
    """Predicted against measured tokens/s of every published row that can be predicted, with its regime."""
    table = compare(measured())
    table = table[table["skip"] == ""]
    kept = [
        "row_id",
        "family",
        "hardware",
        "gpu",
        "model",
        "kind",
        "format",
        "band",
        "out_tok_s_total",
        "predicted",
        "ratio",
    ]
    return table[kept].reset_index(drop=True)


def latencies() -> pd.DataFrame:
    """Mean TTFT and TPOT of every published row that states one, with what is predicted: a row each, seconds."""
    table = compare(measured())
    table = table[table["skip"] == ""]
    kept = ["row_id", "family", "gpu", "model", "kind", "engine", "band"]
    parts = []
    for what, (predicted, stated) in LATENCIES.items():
        rows = table[table[f"{what}_ratio"].notna()]
        found = {"measured_s": rows[stated] / 1e3, "predicted_s": rows[predicted], "ratio": rows[f"{what}_ratio"]}
        parts.append(rows[kept].assign(what=what, **found))
    return pd.concat(parts, ignore_index=True)
