"""Small against large on the same GPUs: saturated, under latency limits, at partial load, for one user alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from slmkit.economics import energy
from slmkit.economics.architecture import architecture, architectures
from slmkit.economics.catalogue import gpu
from slmkit.economics.compare import Setting, deploy, error_of, hosted
from slmkit.economics.deployment import candidates, frontier
from slmkit.economics.uncertainty import Range, monte_carlo, prediction_range

RIVALS = {  # the large models that the claims speak of
    "dense 70 bn": "Llama-3.1-70B",
    "dense 405 bn": "Llama-3.1-405B",
    "dense 32 bn": "Qwen3-32B",
    "sparse 117 bn (5 active)": "gpt-oss-120b",
    "sparse 235 bn (22 active)": "Qwen3-235B-A22B",
}
GPUS = ("H100-SXM", "H200-SXM", "B200-SXM", "A100-SXM-80GB", "L40S")
SHAPES = {  # input and output tokens of a call
    "tool call": (512, 64),
    "agent step": (2_000, 200),
    "chat": (1_000, 1_000),
    "long context": (8_000, 300),
}
LOADS = tuple(np.geomspace(0.01, 1, 25))  # busy share of the small model over that of the large one
ENERGY_CURVE = Range(1 - energy.MEAN_ERROR, 1.0, 1 + energy.MEAN_ERROR, says="power curve")


def card_of(card: str) -> float:
    """TDP of a GPU in watts; that of the fitted card where the catalogue has none."""
    return gpu(card).tdp_w or energy.FITTED_TDP_W


def capacity(model: str, setting: Setting) -> pd.Series | None:
    """Best deployment with J a token and its error factor; None where it does not fit or meet the limits."""
    found = deploy(model, setting)
    if not found.fits:
        return None
    watts = energy.gpu_watts(found.compute_share, found.memory_share, card_of(setting.gpu))
    regime, median, p90 = error_of(model, setting.gpu, found.precision, found.batch)
    return pd.Series(
        {"model": found.model, "n_gpus": found.n_gpus, "precision": found.precision, "batch": found.batch,
         "tok_s_per_gpu": found.out_tok_s_per_gpu, "tpot_s": found.tpot_s, "ttft_s": found.ttft_s,
         "input_time_share": found.input_time_share, "joules": watts / found.out_tok_s_per_gpu, "regime": regime,
         "median_ape": median, "p90_ape": p90}
    )  # fmt: skip


def single_stream_s(model: str, setting: Setting) -> float:
    """The least seconds a token that one user alone can get on up to `max_gpus` GPUs; infinite where nothing fits."""
    table = candidates(
        model, setting.gpu, input_tokens=setting.input_tokens, output_tokens=setting.output_tokens,
        max_gpus=setting.max_gpus, precisions=setting.precisions,
    )  # fmt: skip
    alone = table[table["fits"] & (table["concurrency"] == 1)]
    return float(alone["tpot_s"].min()) if len(alone) else np.inf


def saturated(
    slm: str, rivals: Sequence[str] = tuple(RIVALS.values()), gpus: Sequence[str] = GPUS,
    shapes: Sequence[str] = ("chat", "agent step"), base: Setting | None = None, n: int = 2_000, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Rival over small model without a latency limit: cost, energy and latency a token, by GPU and shape of call.

    `ratio` (cost a token on the same GPU) with `low` and `high` from both prediction errors; `energy` with
    `energy_low`, `energy_high`, which add the error of the power curve; `latency` is the ratio of the seconds a token
    of one user alone, with the error of the smallest concurrency band in `latency_low`, `latency_high`.
    """
    base, rows = base or Setting(), []
    for card in gpus:
        for shape in shapes:
            setting = replace(base, gpu=card, input_tokens=SHAPES[shape][0], output_tokens=SHAPES[shape][1],
                              tpot_limit_s=None, ttft_limit_s=None)  # fmt: skip
            small = capacity(slm, setting)
            alone = single_stream_s(slm, setting)
            for rival in rivals:
                large = capacity(rival, setting)
                if small is None or large is None:
                    continue
                latency = single_stream_s(rival, setting) / alone
                rows.append(
                    {"gpu": card, "shape": shape, "slm": small["model"], "llm": large["model"]}
                    | _ratios(small, large, latency, _alone_errors(slm, rival, setting, small, large), n, seed)
                    | {"sparse": architecture(rival).moe, "slm_tok_s_per_gpu": small["tok_s_per_gpu"],
                       "llm_tok_s_per_gpu": large["tok_s_per_gpu"], "slm_gpus": small["n_gpus"],
                       "llm_gpus": large["n_gpus"], "slm_regime": small["regime"], "llm_regime": large["regime"],
                       "slm_joules": small["joules"], "llm_joules": large["joules"]}
                )  # fmt: skip
    return pd.DataFrame(rows)


def _alone_errors(slm: str, llm: str, setting: Setting, small: pd.Series, large: pd.Series) -> tuple[Range, Range]:
    pairs = ((slm, small), (llm, large))
    return tuple(
        prediction_range(*error_of(model, setting.gpu, str(found["precision"]), 1)[1:]) for model, found in pairs
    )


def _ratios(
    small: pd.Series, large: pd.Series, latency: float, alone: tuple[Range, Range], n: int, seed: int
) -> dict[str, float]:
    errors = [prediction_range(part["median_ape"], part["p90_ape"]) for part in (small, large)]
    base = small["tok_s_per_gpu"] / large["tok_s_per_gpu"]
    joules = large["joules"] / small["joules"]
    cost = monte_carlo(lambda a, b: base * a / b, {"a": errors[0], "b": errors[1]}, n, seed)
    curves = {"a": errors[0], "b": errors[1], "p": ENERGY_CURVE, "q": ENERGY_CURVE}
    power = monte_carlo(lambda a, b, p, q: joules * a / b * p / q, curves, n, seed)
    speed = monte_carlo(lambda a, b: latency * a / b, {"a": alone[0], "b": alone[1]}, n, seed)
    return {
        "ratio": cost.estimate, "low": cost.low, "high": cost.high,
        "energy": power.estimate, "energy_low": power.low, "energy_high": power.high,
        "latency": speed.estimate, "latency_low": speed.low, "latency_high": speed.high,
    }  # fmt: skip


def ratio_map(
    slm: str, llm: str, setting: Setting, limits_ms: Sequence[float] = (), relative_load: Sequence[float] = LOADS
) -> pd.DataFrame:
    """Cost ratio over the latency limit (ms a token) and the small model's busy share over the large one's.

    `floor_ms` is the least ms a token that the large model reaches on up to `max_gpus` GPUs; below it there is no
    ratio. Without `limits_ms`, 24 limits from just above that floor to 120 ms. InputError where a model does not fit.
    """
    for model in (slm, llm):
        hosted(model, replace(setting, tpot_limit_s=None, ttft_limit_s=None))
    floor, rows = single_stream_s(llm, setting) * 1e3, []
    for limit in limits_ms or floor * (1 + np.geomspace(0.02, max(2, 120 / floor - 1), 24)):
        limited = replace(setting, tpot_limit_s=limit / 1e3)
        small, large = capacity(slm, limited), capacity(llm, limited)
        ratio = np.nan if small is None or large is None else small["tok_s_per_gpu"] / large["tok_s_per_gpu"]
        error = np.nan if np.isnan(ratio) else max(small["median_ape"], large["median_ape"])
        rows += [
            {"limit_ms": limit, "relative_load": load, "ratio": ratio * load, "error_median": error}
            for load in relative_load
        ]
    return pd.DataFrame(rows).assign(floor_ms=floor)


def frontiers(models: Sequence[str], setting: Setting) -> pd.DataFrame:
    """Tokens/s a user against tokens/s a GPU of each model's best deployments; columns of `deployment.frontier`."""
    kept = ["tok_s_per_user", "tok_s_per_gpu", "batch", "tp", "pp", "precision", "ttft_s"]
    parts = []
    for model in dict.fromkeys(models):
        table = frontier(
            model, setting.gpu, input_tokens=setting.input_tokens, output_tokens=setting.output_tokens,
            max_gpus=setting.max_gpus, precisions=setting.precisions,
        )  # fmt: skip
        parts.append(table[kept].assign(model=architecture(model).name))
    return pd.concat(parts, ignore_index=True)


def gpus_needed(
    card: str = "H100-SXM", precisions: Sequence[str] = ("bf16", "fp8"), requests: int = 8, context: int = 4_096
) -> pd.DataFrame:
    """Least cards, by bytes, that hold weights and the cache of `requests` requests of `context` tokens, a model."""
    known, rows = gpu(card), []
    for name in architectures()["name"]:
        arch = architecture(name)
        for precision in precisions:
            needs = arch.weight_bytes(precision) + requests * arch.kv_bytes(context)
            rows.append(
                {"model": name, "params_b": arch.params / 1e9, "sparse": arch.moe, "precision": precision,
                 "gpu": known.name, "needs_bytes": needs, "cards": int(np.ceil(needs / known.memory_bytes))}
            )  # fmt: skip
    return pd.DataFrame(rows)


def energy_table(models: Sequence[str], setting: Setting, batches: Sequence[int] = (1, 8, 64, 256)) -> pd.DataFrame:
    """J and g CO2 a token by batch, with the interval of prediction and power curve; whole server where `with_host`."""
    rows, tdp = [], card_of(setting.gpu)
    off = energy.curve_error(tdp, gpu(setting.gpu).name)
    for model in dict.fromkeys(models):
        table = candidates(
            model, setting.gpu, input_tokens=setting.input_tokens, output_tokens=setting.output_tokens,
            max_gpus=setting.max_gpus, precisions=setting.precisions,
        )  # fmt: skip
        table = table[table["fits"] & (table["batch"] >= table["concurrency"] * 0.999)]
        for batch in batches:
            fits = table[table["concurrency"] == batch]
            if fits.empty:
                continue
            watts = energy.gpu_watts(fits["compute_share"], fits["memory_share"], tdp)
            joules = pd.Series(watts * fits["n_gpus"] / fits["out_tok_s_total"], index=fits.index)
            at = joules.idxmin()
            _, median, p90 = error_of(model, setting.gpu, fits.loc[at, "precision"], batch)
            ranges = {"r": prediction_range(median, p90), "p": Range(1 - off, 1, 1 + off)}
            gpu_only = monte_carlo(lambda r, p, j=joules[at]: j * p / r, ranges)
            whole = ranges | {"host": energy.HOST_SHARE, "pue": energy.PUE}
            server = monte_carlo(lambda r, p, host, pue, j=joules[at]: j * p / r * (1 + host) * pue, whole)
            rows.append(
                {"model": architecture(model).name, "batch": batch, "n_gpus": fits.loc[at, "n_gpus"],
                 "joules": gpu_only.estimate, "low": gpu_only.low, "high": gpu_only.high,
                 "server_joules": server.estimate, "server_low": server.low, "server_high": server.high,
                 "g_co2_per_mtok": float(energy.grams_co2(server.estimate * 1e6)), "watts_per_gpu": float(joules[at])
                 * fits.loc[at, "out_tok_s_total"] / fits.loc[at, "n_gpus"]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def experts_read(models: Sequence[str] = ("Mixtral-8x7B", "Qwen3-30B-A3B", "DeepSeek-V3")) -> pd.DataFrame:
    """Expected share of a layer's experts that a step of `batch` tokens reads, routing uniform: 1 - (1 - k/E)^B."""
    batch = np.geomspace(1, 1_024, 31)
    parts = []
    for arch in (architecture(model) for model in models):
        share = 1 - (1 - arch.experts_per_token / arch.experts) ** batch
        label = f"{arch.name}: {arch.experts_per_token} of {arch.experts}"
        parts.append(pd.DataFrame({"model": label, "batch": batch, "share": share}))
    return pd.concat(parts, ignore_index=True)
