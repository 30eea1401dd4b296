"""Five uses for which small models are said to win (S0-12): the cheapest small and large way to meet each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from slmkit.economics import cost
from slmkit.economics.architecture import architecture, architectures
from slmkit.economics.compare import Setting, hosted
from slmkit.economics.edge import consumer, first_token_s, fit, memory_bytes, tokens_per_s
from slmkit.economics.market import served_by_api
from slmkit.economics.studies.workloads import SUCCESS, device_usd_per_s
from slmkit.economics.uncertainty import Range, monte_carlo
from slmkit.errors import InputError

GPUS = ("H100-SXM", "H200-SXM", "A100-SXM-80GB", "L40S", "RTX-4090", "L4")
LARGE = ("Llama-3.1-70B", "gpt-oss-120b", "Qwen3-32B", "Qwen3-30B-A3B", "Qwen3-235B-A22B", "DeepSeek-V3")
CALLS_PER_MONTH = 100e6
SITE_CALLS_PER_MONTH = 1e6
EXACT = Range(1.0, 1.0, 1.0)
Way = tuple[str, float, Range]  # name, USD a call, factor of its error


def table(slm: str, setting: Setting | None = None, n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """One row a use: cheapest way of either size, USD a thousand solved tasks of a call each, ratio with interval.

    `only`: no large model meets it. `ratio` is large over small; where `only`, it is infinite.
    """
    setting = setting or Setting(input_tokens=2_000, output_tokens=200)
    soon = replace(setting, ttft_limit_s=0.5)
    uses = {
        "first token within 0.5 s": lambda model: [*_hosted(model, soon, 0.5), *_listed(model, setting)],
        "on a device of 8 to 24 GB": lambda model: _on_devices(model, setting),
        "least cost at 10 % load": lambda model: [*_hosted(model, setting, 0.1), *_listed(model, setting)],
        "no data leaves the site": lambda model: _on_site(model, setting, SITE_CALLS_PER_MONTH),
        "100 M calls a month": lambda model: [*_on_site(model, setting, CALLS_PER_MONTH), *_listed(model, setting)],
    }
    return pd.DataFrame([_row(use, ways, slm, n, seed) for use, ways in uses.items()])


def _row(use: str, ways: Any, slm: str, n: int, seed: int) -> dict[str, Any]:
    small = min(ways(slm), key=lambda way: way[1])
    large = min((way for model in LARGE for way in ways(model)), key=lambda way: way[1], default=None)
    row = {"use": use, "slm_way": small[0], "slm_usd": small[1] / SUCCESS["slm"].mid * 1e3, "only": large is None}
    if large is None:
        return row | {"llm_way": "", "llm_usd": np.inf, "ratio": np.inf, "low": np.inf, "high": np.inf}
    ranges = {"s": small[2], "l": large[2], "ps": SUCCESS["slm"], "pl": SUCCESS["llm"]}
    base = large[1] / small[1]
    found = monte_carlo(lambda s, l, ps, pl: base * s / l * ps / pl, ranges, n, seed)  # noqa: E741
    return row | {"llm_way": large[0], "llm_usd": large[1] / SUCCESS["llm"].mid * 1e3, "ratio": found.estimate,
                  "low": found.low, "high": found.high}  # fmt: skip


def _hosted(model: str, setting: Setting, load: float) -> Iterable[Way]:
    """Own endpoints at a busy share, one a GPU type on which the limits can be met."""
    for card in GPUS:
        try:
            host = hosted(model, replace(setting, gpu=card, utilization=load))
        except InputError:
            continue
        usd = float(host.tariff.call_usd(setting.input_tokens, setting.output_tokens))
        yield f"{architecture(model).name} on {host.tariff.hardware}", usd, host.error


def _on_site(model: str, setting: Setting, calls_per_month: float) -> Iterable[Way]:
    """Whole replicas of 1, 2, 4 or 8 GPUs for a number of calls a month, never busier than 80 %."""
    for card, gpus in itertools.product(GPUS, (1, 2, 4, 8)):
        try:
            host = hosted(model, replace(setting, gpu=card, max_gpus=gpus))
        except InputError:
            continue
        monthly = host.deployment.out_tok_s_total / setting.output_tokens * 0.8 * cost.HOURS_PER_MONTH * 3600
        replicas = int(np.ceil(calls_per_month / monthly))
        usd = replicas * host.tariff.usd_per_month / calls_per_month
        name = f"{architecture(model).name} on {host.tariff.hardware}" + f", {replicas} times" * (replicas > 1)
        # One replica that is not full costs the same, however fast it really is.
        yield name, usd, host.error if replicas > 1 else EXACT


def _listed(model: str, setting: Setting) -> Iterable[Way]:
    for row in served_by_api(model).to_dict("records"):
        offer = cost.by_api(row)
        yield offer.name, float(offer.call_usd(setting.input_tokens, setting.output_tokens)), EXACT


def _on_devices(model: str, setting: Setting, precision: str = "q4", least_tok_s: float = 10.0) -> Iterable[Way]:
    """Consumer devices that hold the model in 4 bit and decode 10 tokens/s; hardware and power."""
    arch = architecture(model)
    for where in consumer().to_dict("records"):
        speed = tokens_per_s(arch, where, precision)
        if memory_bytes(arch, precision) > where["memory_bytes"] or speed < least_tok_s:
            continue
        busy_s = float(first_token_s(arch, where, precision, setting.input_tokens)) + setting.output_tokens / speed
        yield f"{arch.name} on {where['device']}", busy_s * device_usd_per_s(where)[1], fit().error


def parameter_ratios() -> pd.DataFrame:
    """Parameters of large over small: the pairs that the paper names, the medians of the table, and active ones."""
    known = architectures()
    params, active = (known.set_index("name")[column] / 1e9 for column in ("params", "active_params"))
    small, large = params[params < 10], params[params >= 30]
    sparse = active[(params >= 30) & (active < params * 0.5)]
    rows = [
        ("7 bn against 70 bn", params["Llama-2-70B"] / params["Llama-2-7B"], True),
        ("7 bn against 175 bn", params["GPT-3-175B"] / params["Llama-2-7B"], True),
        ("median small against median large", large.median() / small.median(), True),
    ]
    rows += [
        (f"8 bn against the active part of {name}", value / active["Llama-3.1-8B"], False)
        for name, value in sparse.items()
    ]
    return pd.DataFrame(rows, columns=["pair", "ratio", "named"])
