"""A small and a large model side by side: hosted by oneself and by API, with the price, error and load of each.

`Setting` is what a user chooses; `hosted` finds the best deployment under its limits and prices it; `compare` gives one
row an offer, the ratio with its interval, and where one offer becomes cheaper than another.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from slmkit.economics import cost, energy
from slmkit.economics.architecture import architecture
from slmkit.economics.catalogue import devices, gpu
from slmkit.economics.cost import Tariff
from slmkit.economics.deployment import Deployment, best
from slmkit.economics.market import rent, served_by_api
from slmkit.economics.throughput.regimes import latency_error, regime_error
from slmkit.economics.uncertainty import Range, monte_carlo, prediction_range
from slmkit.errors import InputError

# Median and 90th percentile of the error where nothing was measured: an assumption, wider than any regime that was.
OUTSIDE = {"tok_s": (0.40, 1.00), "tpot": (0.40, 1.00), "ttft": (0.60, 2.00)}
WEIGHTS = ("bf16", "fp8")
USABLE = 0.9  # share of a card's memory that an engine gives to weights and cache


@dataclass(frozen=True)
class Setting:
    """Traffic and hardware of a comparison; limits in seconds, None for none."""

    gpu: str = "H100-SXM"
    usd_per_gpu_hour: float = 0.0
    input_tokens: int = 1_000
    output_tokens: int = 1_000
    tpot_limit_s: float | None = None
    ttft_limit_s: float | None = None
    utilization: float = 1.0
    max_gpus: int = 8
    precisions: tuple[str, ...] = WEIGHTS

    def __post_init__(self) -> None:
        cost.check_share(utilization=self.utilization)
        cost.above_zero(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        for name in ("tpot_limit_s", "ttft_limit_s"):
            if getattr(self, name) is not None:
                cost.above_zero(**{name: getattr(self, name)})

    def says(self) -> str:
        """The latency limits in words."""
        limits = [f"{limit * 1e3:g} ms a token" for limit in [self.tpot_limit_s] if limit]
        limits += [f"{limit * 1e3:g} ms to the first" for limit in [self.ttft_limit_s] if limit]
        return ", ".join(limits) or "none"


@dataclass(frozen=True)
class Hosted:
    """A deployment with its price, its error factor and its regime ("outside the validated range" if so).

    `latency` has the error factor of "ttft" and of "tpot", each with its own regime.
    """

    deployment: Deployment
    tariff: Tariff
    error: Range
    regime: str
    joules_per_token: float
    latency: dict[str, tuple[str, Range]]


def error_of(model: str, card: str, precision: str, concurrency: float | None = None) -> tuple[str, float, float]:
    """(regime, median, 90th percentile) of the prediction error as fractions; `OUTSIDE` where nothing was measured."""
    found = regime_error(model, card, precision, concurrency)
    return (found, *OUTSIDE["tok_s"]) if isinstance(found, str) else found


def latency_of(what: str, found: Deployment) -> tuple[str, Range]:
    """(regime, error factor) of "ttft" or "tpot" at a deployment; widest where nothing was measured."""
    error = latency_error(what, found.model, found.gpu, found.precision, found.batch)
    regime, median, p90 = (error, *OUTSIDE[what]) if isinstance(error, str) else error
    return regime, prediction_range(median, p90)


def deploy(model: str, setting: Setting) -> Deployment:
    """The best deployment in a setting, or one that says why there is none; neither price nor load change it."""
    return _deploy(str(model), replace(setting, usd_per_gpu_hour=0.0, utilization=1.0))


@functools.lru_cache(maxsize=4_096)
def _deploy(model: str, setting: Setting) -> Deployment:
    return best(
        model, setting.gpu, input_tokens=setting.input_tokens, output_tokens=setting.output_tokens,
        tpot_limit_s=setting.tpot_limit_s, ttft_limit_s=setting.ttft_limit_s, max_gpus=setting.max_gpus,
        precisions=setting.precisions,
    )  # fmt: skip


def hosted(model: str, setting: Setting) -> Hosted:
    """The best deployment, priced. InputError saying by how many bytes or ms it misses, and what would do."""
    found = deploy(model, setting)
    if not found.fits:
        raise InputError(_misses(model, setting, found.why))
    card, price = gpu(setting.gpu), rent(setting.gpu, setting.usd_per_gpu_hour)
    regime, median, p90 = error_of(model, setting.gpu, found.precision, found.batch)
    tariff = cost.self_hosted(
        vars(found), model=found.model, hardware=card.name, precision=found.precision, n_gpus=found.n_gpus,
        usd_per_gpu_hour=price.usd.mid, input_tokens=setting.input_tokens, output_tokens=setting.output_tokens,
        utilization=setting.utilization, latency_limit=setting.says(), error=median, source=price.source,
    )  # fmt: skip
    tdp = card.tdp_w or energy.FITTED_TDP_W
    joules = energy.joules_per_token(
        energy.gpu_watts(found.compute_share, found.memory_share, tdp), found.n_gpus, found.out_tok_s_total,
        setting.utilization, tdp,
    )  # fmt: skip
    latency = {what: latency_of(what, found) for what in ("ttft", "tpot")}
    return Hosted(found, tariff, prediction_range(median, p90), regime, float(joules), latency)


def joules_per_token(model: str, input_tokens: int, output_tokens: int, gpu: str = "H100-SXM") -> float:
    """J an output token of the best deployment, always busy, GPUs alone; the prompt's share is included.

    InputError for a model or GPU that the catalogue lacks, or a model that does not fit.
    """
    return hosted(model, Setting(gpu, input_tokens=input_tokens, output_tokens=output_tokens)).joules_per_token


def _misses(model: str, setting: Setting, why: str) -> str:
    """By how many bytes or milliseconds a model misses, and what would do."""
    arch, card = architecture(model), gpu(setting.gpu)
    form = setting.precisions[-1]
    needs = arch.weight_bytes(form) + arch.kv_bytes(setting.input_tokens + setting.output_tokens)
    room = setting.max_gpus * USABLE * card.memory_bytes
    if needs <= room:
        return f"{why}; allow a longer limit or more GPUs, or take a faster one"
    cards = int(np.ceil(needs / (USABLE * card.memory_bytes)))
    larger = [
        (known.memory_bytes, known.name)
        for known in devices().values()
        if known.kind == "datacenter" and USABLE * known.memory_bytes * setting.max_gpus >= needs
    ]
    other = f", or {setting.max_gpus} x {min(larger)[1]}" if larger else ""
    return (
        f"{arch.name} lacks {needs - room:,.0f} bytes on {setting.max_gpus} x {card.name} in {form}; {cards} of them "
        f"would hold it{other}"
    )


def ratio(slm: Hosted, llm: Hosted, setting: Setting, n: int = 2_000, rng: int = 0) -> dict[str, float]:
    """LLM cost over SLM cost a call with its interval: both predictions err on their own, the rent is the same."""
    call = (setting.input_tokens, setting.output_tokens)
    base = llm.tariff.call_usd(*call) / slm.tariff.call_usd(*call)
    found = monte_carlo(
        lambda slm_rate, llm_rate: base * slm_rate / llm_rate, {"slm_rate": slm.error, "llm_rate": llm.error}, n, rng
    )
    return {"ratio": found.estimate, "low": found.low, "high": found.high}


def latencies(host: Hosted | None) -> dict[str, float | str | None]:
    """TPOT and TTFT of an offer in ms, as a load test would report them, with the 95 % ends of their error."""
    found: dict[str, float | str | None] = {}
    for what in ("tpot", "ttft"):
        regime, error = host.latency[what] if host else (None, None)
        ms = getattr(host.deployment, f"{what}_s") * 1e3 if host else None
        ends = (ms * error.low, ms * error.high) if host else (None, None)
        found |= {f"{what}_ms": ms, f"{what}_ms_low": ends[0], f"{what}_ms_high": ends[1], f"{what}_regime": regime}
    return found


def row(tariff: Tariff, setting: Setting, role: str, host: Hosted | None = None) -> dict[str, Any]:
    """One offer as a row of the comparison."""
    deployed = host.deployment if host else None
    call = float(tariff.call_usd(setting.input_tokens, setting.output_tokens))
    return {
        "role": role, "offer": tariff.name, "kind": tariff.kind, "usd_per_mtok_in": tariff.usd_per_mtok_in,
        "usd_per_mtok_out": tariff.usd_per_mtok_out, "usd_per_1k_calls": call * 1e3,
        "hardware": tariff.hardware, "precision": tariff.precision,
        "tp": deployed.tp if deployed else None, "pp": deployed.pp if deployed else None,
        "batch": float(deployed.batch) if deployed else None,
        "out_tok_s_per_gpu": float(deployed.out_tok_s_per_gpu) if deployed else None,
        **latencies(host),
        "joules_per_token": host.joules_per_token if host else None,
        "utilization": tariff.utilization if host else None, "latency_limit": tariff.latency_limit if host else None,
        "usd_per_gpu_hour": tariff.usd_per_hour / deployed.n_gpus if deployed else None, "price_source": tariff.source,
        "rests_on": tariff.says() if host else "",
        "error_median": tariff.error, "regime": host.regime if host else "list price",
    }  # fmt: skip


def compare(slm: str, llm: str, setting: Setting, n: int = 2_000, rng: int = 0) -> dict[str, Any]:
    """Offers of both models, `ratio` of the hosted ones with interval, and break-even points of the small one."""
    hosts = {"slm": hosted(slm, setting), "llm": hosted(llm, setting)}
    rows = [row(host.tariff, setting, role, host) for role, host in hosts.items()]
    busy = hosted(slm, replace(setting, utilization=1.0)).tariff
    busy_call = busy.call_usd(setting.input_tokens, setting.output_tokens)
    turns = []
    for role, model in (("slm", slm), ("llm", llm)):
        for offer in served_by_api(model).to_dict("records"):
            tariff = cost.by_api(offer)
            rows.append(row(tariff, setting, role))
            call = tariff.call_usd(setting.input_tokens, setting.output_tokens)
            share = float(cost.break_even_utilization(busy_call, call))
            calls = busy.usd_per_month / call
            turns.append(
                {"against": tariff.name, "role": role, "utilization": share, "reachable": share <= 1,
                 "calls_per_month": float(calls), "tokens_per_month": float(calls * sum(_call(setting)))}
            )  # fmt: skip
    return {
        "setting": {"gpu": gpu(setting.gpu).name, "input_tokens": setting.input_tokens,
                    "output_tokens": setting.output_tokens, "latency_limit": setting.says(),
                    "utilization": setting.utilization},
        "offers": rows, "ratio": ratio(hosts["slm"], hosts["llm"], setting, n, rng), "break_even": turns,
    }  # fmt: skip


def _call(setting: Setting) -> tuple[int, int]:
    return setting.input_tokens, setting.output_tokens
