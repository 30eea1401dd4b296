"""Running endpoints: load and price against APIs, shared adapters, fixed cost, payback of development."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from slmkit.economics import adapters, cost, demand, tuning
from slmkit.economics.architecture import architecture
from slmkit.economics.catalogue import gpu
from slmkit.economics.compare import Hosted, Setting, hosted
from slmkit.economics.market import rent, served_by_api
from slmkit.economics.studies.workloads import CALLS_PER_TASK, SUCCESS
from slmkit.economics.throughput.shapes import kv_default
from slmkit.economics.uncertainty import Range, draw, monte_carlo

LOADS = np.geomspace(0.01, 1.0, 41)
FIXED_USD_PER_MONTH = (500.0, 1_500.0, 5_000.0, 20_000.0)  # engineering share, monitoring, redundancy
REFRESHES = (0, 4, 12)  # later rounds of development before payback is counted


def by_utilization(slm: str, llm: str, setting: Setting) -> pd.DataFrame:
    """USD per million tokens (in and out of the setting's calls) of own endpoints by busy share, and of APIs.

    Rows of kind `self-hosted` carry `utilization`; those of kind `api` are one a provider, without it. `low`, `high`:
    prediction error and the range of rents.
    """
    call, rows = (setting.input_tokens, setting.output_tokens), []
    price = rent(setting.gpu, setting.usd_per_gpu_hour).usd
    for role, model in (("slm", slm), ("llm", llm)):
        host = hosted(model, replace(setting, utilization=1.0))
        busy = host.tariff.call_usd(*call) / sum(call) * 1e6
        factor = monte_carlo(lambda rate, usd: usd / price.mid / rate, {"rate": host.error, "usd": price})
        for load in LOADS:
            usd = busy / load
            rows.append({"role": role, "offer": host.tariff.name, "kind": "self-hosted", "utilization": load,
                         "usd_per_mtok": usd, "low": usd * factor.low, "high": usd * factor.high,
                         "break_even": np.nan})  # fmt: skip
        for offer in served_by_api(model).to_dict("records"):
            usd = cost.by_api(offer).call_usd(*call) / sum(call) * 1e6
            rows.append({"role": role, "offer": f"{architecture(model).name} by {offer['provider']}", "kind": "api",
                         "utilization": np.nan, "usd_per_mtok": usd, "low": usd, "high": usd,
                         "break_even": busy_share(rows, usd)})  # fmt: skip
    return pd.DataFrame(rows)


def busy_share(rows: Sequence[dict], usd_per_mtok: float) -> float:
    """Busy share at which the small model's endpoint costs as much as an API."""
    full = next(row["usd_per_mtok"] for row in reversed(rows) if row["role"] == "slm" and row["kind"] == "self-hosted")
    return float(cost.break_even_utilization(full, usd_per_mtok))


def break_even_load(slm: str, llm: str, setting: Setting, n: int = 2_000, seed: int = 0) -> dict[str, float]:
    """u_SLM / u_LLM at which a solved task costs the same on both endpoints, with its 95 % interval."""
    hosts = [hosted(model, replace(setting, utilization=1.0)) for model in (slm, llm)]
    call = (setting.input_tokens, setting.output_tokens)
    base = hosts[0].tariff.call_usd(*call) / hosts[1].tariff.call_usd(*call)
    ranges = {"s": hosts[0].error, "l": hosts[1].error, "ps": SUCCESS["slm"], "pl": SUCCESS["llm"]}
    found = monte_carlo(lambda s, l, ps, pl: base / s * l * pl / ps, ranges, n, seed)  # noqa: E741
    return {"estimate": found.estimate, "low": found.low, "high": found.high, "n": n}


def queue_of(host: Hosted, setting: Setting) -> dict[str, float]:
    """A deployment as a queue: seconds that a request holds its slot, and slots."""
    deployment = host.deployment
    service = deployment.ttft_s + deployment.tpot_s * setting.output_tokens
    return {"service_s": float(service), "slots": int(max(1, deployment.batch))}


def shared_base(
    slm: str, llm: str, setting: Setting, counts: Sequence[int] = (1, 2, 5, 10, 25, 50),
    loads: Sequence[float] = (0.01, 0.02, 0.05, 0.1, 0.2), n: int = 500, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """k adapters on one base against k own endpoints and one LLM endpoint, by k and load an adapter."""
    small, large = hosted(slm, setting), hosted(llm, setting)
    rival = queue_of(large, setting) | {"cost": large.deployment.n_gpus / small.deployment.n_gpus}
    base = queue_of(small, setting) | {"llm": rival, "adapter_share": adapter_share(slm, small, setting)}
    return pd.DataFrame([adapters.gain(base, k, load, n, seed) for k in counts for load in loads])


def adapter_share(model: str, host: Hosted, setting: Setting, rank: int = 16) -> float:
    """Bytes of a LoRA adapter of this rank on all linear layers over the bytes of a decode step of its base."""
    arch, found = architecture(model), host.deployment
    size = adapters.adapter_bytes(
        arch.hidden, arch.layers, arch.intermediate, arch.kv_heads * arch.head_dim, rank
    )  # fmt: skip
    context = setting.input_tokens + setting.output_tokens / 2
    step = arch.weight_bytes(found.precision) + found.batch * arch.kv_bytes(context, kv_default(found.precision))
    return float(size / step)


def demand_curves(slm: str, setting: Setting) -> pd.DataFrame:
    """Replicas, busy share and USD a thousand requests of the small model, by shape of the day and mean load."""
    host = hosted(slm, replace(setting, utilization=1.0))
    queue = queue_of(host, setting)
    loads = np.geomspace(0.02, 30, 25) * queue["slots"] / queue["service_s"] / 10
    return demand.sweep(loads, **queue, usd_per_replica_hour=host.tariff.usd_per_hour)


def fixed_cost(slm: str, llm: str, setting: Setting, n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Tokens a month at which an own endpoint equals the cheaper API, by fixed cost, with the 95 % interval.

    The endpoint pays its replicas by the month, as many as the tokens need at `setting.utilization`, at least one.
    """
    host = hosted(slm, replace(setting, utilization=1.0))
    call, price = (setting.input_tokens, setting.output_tokens), rent(setting.gpu, setting.usd_per_gpu_hour).usd
    offers = [cost.by_api(row) for model in (slm, llm) for row in served_by_api(model).to_dict("records")]
    listed = sorted(offer.call_usd(*call) / sum(call) for offer in offers)
    if not listed:
        return pd.DataFrame(columns=["fixed_usd_per_month", "estimate", "low", "high", "reached", "against"])
    cheapest = min(offers, key=lambda offer: offer.call_usd(*call)).name
    replica_tokens = host.deployment.out_tok_s_total * sum(call) / call[1] * setting.utilization * 730 * 3600
    api = Range(listed[0], listed[0], listed[len(listed) // 2], says="API, USD a token")

    def tokens(fixed: float, rate, usd, listed_usd):
        """Least tokens at which fixed cost and whole replicas cost no more than the API."""
        monthly = usd * host.deployment.n_gpus * cost.HOURS_PER_MONTH
        most = replica_tokens * rate
        replicas = np.arange(1, 201)[:, None]
        needed = (fixed + replicas * np.atleast_1d(monthly)) / np.atleast_1d(listed_usd)
        reached = np.where(needed <= replicas * np.atleast_1d(most), needed, np.inf)
        return reached.min(axis=0)

    ranges, rows = {"rate": host.error, "usd": price, "listed_usd": api}, []
    for fixed in FIXED_USD_PER_MONTH:
        drawn = tokens(fixed, **draw(ranges, n, seed))
        middle = float(tokens(fixed, host.error.mid, price.mid, api.mid)[0])
        low, high = np.quantile(drawn, [0.025, 0.975], method="closest_observation")
        rows.append({"fixed_usd_per_month": fixed, "estimate": middle, "low": min(low, middle),
                     "high": max(high, middle), "reached": float(np.isfinite(drawn).mean()),
                     "against": cheapest})  # fmt: skip
    return pd.DataFrame(rows)


def payback(
    slm: str, setting: Setting, rivals: Sequence[str] = ("Llama-3.1-70B", "gpt-oss-120b", "Llama-3.1-405B"),
    n: int = 2_000, seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Tasks until a tuned small model has repaid its development, for each open LLM price and number of refreshes.

    The small model costs what its cheapest to dearest offer does, by API or on an own endpoint at the setting's load.
    """
    call, arch, card = (setting.input_tokens, setting.output_tokens), architecture(slm), gpu(setting.gpu)
    own = [hosted(slm, setting).tariff.call_usd(*call)]
    ours = sorted(own + [cost.by_api(row).call_usd(*call) for row in served_by_api(slm).to_dict("records")])
    per_task = CALLS_PER_TASK / SUCCESS["slm"].mid
    small = Range(ours[0] * per_task, ours[len(ours) // 2] * per_task, ours[-1] * per_task)
    rows = []
    for model in rivals:
        for offer in served_by_api(model).to_dict("records"):
            usd = cost.by_api(offer).call_usd(*call) * CALLS_PER_TASK / SUCCESS["llm"].mid
            for refreshes in REFRESHES:
                found = tuning.payback(
                    usd, small, parameters=arch.params, peak_flop_s=card.peak_flops["bf16"], refreshes=refreshes,
                    usd_per_gpu_hour=rent(setting.gpu, setting.usd_per_gpu_hour).usd, n=n, rng=seed,
                )  # fmt: skip
                rows.append({"llm": architecture(model).name, "provider": offer["provider"], "refreshes": refreshes,
                             "llm_usd_per_task": usd, "slm_usd_per_task": small.mid, "tasks": found.estimate,
                             "low": found.low, "high": found.high})  # fmt: skip
    return pd.DataFrame(rows)


def development(slm: str, setting: Setting, n: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """USD of one development round by what it is spent on, with 95 % intervals."""
    arch, card, price = architecture(slm), gpu(setting.gpu), rent(setting.gpu, setting.usd_per_gpu_hour).usd
    ranges = tuning.DEVELOPMENT | {"usd_per_gpu_hour": price}
    fixed = {"parameters": arch.params, "peak_flop_s": card.peak_flops["bf16"]}
    rows = []
    for part in ("labels", "gpu", "evaluation", "people", "total"):
        found = monte_carlo(lambda part=part, **drawn: tuning.development_usd(**fixed, **drawn)[part], ranges, n, seed)
        rows.append({"part": part, "usd": found.estimate, "low": found.low, "high": found.high})
    return pd.DataFrame(rows)
