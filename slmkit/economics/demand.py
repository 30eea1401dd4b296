"""Traffic over a day, the capacity it needs, and the share of that capacity which stands idle.

A deployment is a queue of `slots` (requests it can hold at once) served in `service_s` each, so its capacity is
slots / service_s requests a second. Times are seconds, loads requests a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from slmkit.economics.cost import above_zero, check_share
from slmkit.errors import InputError, unknown

HOURS = 24
# Shape of the load by hour, relative to its mean, and the squared coefficient of variation of the gaps between calls
# (1: independent callers). `daily`: a raised cosine with the day's peak at 14 h and a night at a tenth. `bursty`: an
# agent's fan-out, where calls come in batches of about eight.
SHAPES = ("constant", "daily", "bursty")
ARRIVAL_SCV = {"constant": 1.0, "daily": 1.0, "bursty": 8.0}
SERVICE_SCV = 0.5  # answers differ in length less than an exponential would


def curve(shape: str, mean_rps: float) -> np.ndarray:
    """Requests a second in each of the 24 hours, with mean `mean_rps`. InputError for an unknown shape."""
    if shape not in SHAPES:
        raise unknown("demand shape", shape, SHAPES)
    above_zero(mean_rps=mean_rps)
    hours = np.arange(HOURS)
    if shape == "constant":
        relative = np.ones(HOURS)
    else:
        wave = (1 + np.cos((hours - 14) / HOURS * 2 * np.pi)) / 2
        relative = 0.1 + 0.9 * wave if shape == "daily" else 0.02 + 0.98 * wave**3
    return mean_rps * relative / relative.mean()


def peak_to_mean(shape: str) -> float:
    """How many times the mean load the busiest hour has."""
    return float(curve(shape, 1.0).max())


def erlang_c(servers: Any, offered: Any) -> Any:
    """Probability that a request has to wait in a queue of `servers` at `offered` = arrivals x service time.

    Erlang's delay formula; his loss formula inside it is the Poisson probability of `servers` over that of at most
    `servers`. 1 where the queue is not stable.
    """
    servers, offered = np.asarray(servers, dtype=float), np.asarray(offered, dtype=float)
    if (servers < 1).any() or (offered < 0).any():
        raise InputError(f"erlang_c: expected at least 1 server and a load of 0 or more, found {servers}, {offered}")
    stable = np.minimum(offered, servers * (1 - 1e-12))
    at = special.xlogy(servers, stable) - stable - special.gammaln(servers + 1)
    blocked = np.exp(at) / special.pdtr(servers, stable)
    found = blocked / (1 - stable / servers * (1 - blocked))
    return np.where(offered < servers, found, 1.0)


def wait_s(
    load_rps: Any, service_s: Any, slots: Any, arrival_scv: float = 1.0, service_scv: float = SERVICE_SCV
) -> Any:
    """Mean wait for a slot, seconds; infinite at capacity and above.

    Allen and Cunneen's correction of the Erlang wait: C / (slots/s - load) x (ca2 + cs2) / 2.
    """
    above_zero(service_s=service_s)
    spare = np.asarray(slots, dtype=float) / service_s - load_rps
    delayed = erlang_c(slots, np.asarray(load_rps, dtype=float) * service_s)
    return np.where(spare > 0, delayed / np.where(spare > 0, spare, 1), np.inf) * (arrival_scv + service_scv) / 2


def highest_load_rps(
    service_s: Any, slots: Any, wait_limit_s: Any, arrival_scv: float = 1.0, service_scv: float = SERVICE_SCV
) -> Any:
    """The most requests a second at which the mean wait stays within `wait_limit_s`, by bisection."""
    above_zero(service_s=service_s, slots=slots, wait_limit_s=wait_limit_s)
    high = np.asarray(slots, dtype=float) / service_s
    low = np.zeros_like(high)
    for _ in range(40):
        middle = (low + high) / 2
        fits = wait_s(middle, service_s, slots, arrival_scv, service_scv) <= wait_limit_s
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return low


def plan(shape: str, mean_rps: float, service_s: float, slots: int, wait_limit_s: float = 1.0) -> dict[str, Any]:
    """Replicas that the busiest hour needs, and how busy they are over the day.

    Each replica gets its even share of the load. Returns `replicas`, `utilization` (mean load over the capacity of
    all), `peak_wait_s`, `peak_to_mean`. Without autoscaling: what is bought for the peak is paid for at night.
    """
    most = float(highest_load_rps(service_s, slots, wait_limit_s, ARRIVAL_SCV.get(shape, 1.0)))
    if most <= 0:
        raise InputError(f"wait_limit_s: no load keeps the wait within {wait_limit_s} s; allow a longer wait")
    peak = float(curve(shape, mean_rps).max())
    replicas = max(1, int(np.ceil(peak / most - 1e-9)))
    return {
        "shape": shape,
        "mean_rps": mean_rps,
        "replicas": replicas,
        "utilization": mean_rps * service_s / (slots * replicas),
        "peak_wait_s": float(wait_s(peak / replicas, service_s, slots, ARRIVAL_SCV[shape])),
        "peak_to_mean": peak_to_mean(shape),
    }


def sweep(
    mean_rps: np.ndarray, service_s: float, slots: int, usd_per_replica_hour: float, wait_limit_s: float = 1.0
) -> pd.DataFrame:
    """Replicas, utilization and USD per thousand requests by shape and mean load (requests a second)."""
    rows = []
    for shape in SHAPES:
        for load in mean_rps:
            found = plan(shape, float(load), service_s, slots, wait_limit_s)
            hourly = found["replicas"] * usd_per_replica_hour
            rows.append(found | {"usd_per_1k_requests": hourly / (load * 3600) * 1e3})
    return pd.DataFrame(rows)


def effective_ratio(saturated_ratio: Any, slm_utilization: Any, llm_utilization: Any) -> Any:
    """LLM cost over SLM cost when both stand partly idle: R_sat x u_S / u_L (evidence, step 16)."""
    check_share(slm_utilization=slm_utilization, llm_utilization=llm_utilization)
    return np.asarray(saturated_ratio, dtype=float) * slm_utilization / llm_utilization
