"""Many LoRA adapters on one shared base against an endpoint for each: how much idle hardware sharing removes.

A step with several adapters reads each of them once beside the base, and computes two thin products a token. What the
gather of adapters costs beyond that is an engine's affair, taken as a range (`ENGINE_SHARE`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slmkit.economics import demand
from slmkit.economics.cost import above_zero, check_share
from slmkit.economics.uncertainty import Range
from slmkit.errors import InputError

# Throughput with mixed adapters as a share of the base's own. An assumption, wide on purpose: published serving
# systems for many adapters report losses from a tenth to about half, by rank and engine.
ENGINE_SHARE = Range(0.5, 0.8, 1.0, ceiling=1.0, says="throughput kept with mixed adapters")
WAIT_SCV = 1.0


def adapter_bytes(
    hidden: int, layers: int, intermediate: int, kv_width: int, rank: int, bytes_per_weight: int = 2
) -> int:
    """Bytes of one LoRA adapter on all linear layers: rank x (rows + columns) of each matrix.

    Per layer: q and o (hidden x hidden), k and v (hidden x kv_width), gate, up, down (hidden x intermediate).
    """
    above_zero(hidden=hidden, layers=layers, intermediate=intermediate, kv_width=kv_width, rank=rank)
    sides = 2 * 2 * hidden + 2 * (hidden + kv_width) + 3 * (hidden + intermediate)
    return layers * sides * rank * bytes_per_weight


def step_slowdown(k: int, batch: Any, bytes_of_adapter: float, step_bytes: Any) -> Any:
    """Decode step with `k` adapters over one without, by bytes read: 1 + (adapters touched) x size / bytes of a step.

    With `batch` requests drawn evenly from `k` adapters, k (1 - (1 - 1/k)^batch) of them are touched.
    """
    above_zero(k=k, step_bytes=step_bytes)
    touched = k * (1 - (1 - 1 / k) ** np.asarray(batch, dtype=float))
    return 1 + touched * bytes_of_adapter / np.asarray(step_bytes, dtype=float)


def compare(
    k: int,
    load_share: Any,
    *,
    service_s: float,
    slots: int,
    engine_share: Any = ENGINE_SHARE.mid,
    wait_limit_s: float = 1.0,
    adapter_share: float = 0.0,
    llm: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Replicas of own endpoints and of the shared base at the same arrivals and waiting limit.

    `load_share`: arrivals of one adapter as a share of the capacity of one endpoint of the base. `cost_ratio`: own
    endpoints over shared base, in replicas, which cost the same. `adapter_share`: bytes of one adapter over those that
    a decode step of the base reads; each adapter in a full batch is read beside the base. With `llm` (`service_s`,
    `slots`, and `cost` of a replica in units of one of the small model's), `llm_over_shared` is what the LLM costs for
    the same arrivals over what the shared base does. Vectorized in `load_share` and `engine_share`.
    """
    check_share(load_share=load_share, engine_share=engine_share)
    if k < 1 or slots < 1:
        raise InputError(f"adapters: expected at least 1 adapter and 1 slot, found {k} and {slots}")
    rps = np.asarray(load_share, dtype=float) * slots / service_s
    own = k * _replicas(rps, service_s, slots, wait_limit_s)
    slower = step_slowdown(k, slots, adapter_share, 1.0) / np.asarray(engine_share)
    shared = _replicas(k * rps, service_s * slower, slots, wait_limit_s)
    found = {
        "k": k, "load_share": load_share, "engine_share": engine_share, "own_replicas": own, "shared_replicas": shared,
        "cost_ratio": own / shared, "shared_utilization": k * np.asarray(load_share) * slower / shared,
    }  # fmt: skip
    if llm:
        rivals = _replicas(k * rps, llm["service_s"], llm["slots"], wait_limit_s)
        found["llm_over_shared"] = rivals * llm["cost"] / shared
    return found


def _replicas(rps: Any, service_s: Any, slots: Any, wait_limit_s: float) -> Any:
    most = demand.highest_load_rps(service_s, slots, wait_limit_s, WAIT_SCV)
    return np.maximum(1, np.ceil(np.asarray(rps) / most - 1e-9))


def gain(base: Mapping[str, Any], k: int, load_share: float, n: int = 500, rng: int = 0) -> dict[str, float]:
    """Cost ratio with its 95 % interval over what the engine loses and over the load (a factor of 1.3 each way).

    `base`: the other arguments of `compare`. `llm_low` is the lower end of `llm_over_shared`.
    """
    generator = np.random.default_rng(rng)
    loads = Range(load_share / 1.3, load_share, load_share * 1.3, ceiling=1.0).at(generator.standard_normal(n))
    drawn = compare(k, loads, engine_share=ENGINE_SHARE.at(generator.standard_normal(n)), **base)
    middle = {name: float(value) for name, value in compare(k, load_share, **base).items()}
    low, high = np.quantile(drawn["cost_ratio"], [0.025, 0.975])
    ends = {"low": min(float(low), middle["cost_ratio"]), "high": max(float(high), middle["cost_ratio"]), "n": n}
    if "llm_over_shared" in drawn:
        ends["llm_low"] = min(float(np.quantile(drawn["llm_over_shared"], 0.025)), middle["llm_over_shared"])
    return middle | ends
