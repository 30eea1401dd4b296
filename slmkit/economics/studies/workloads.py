"""Cost of a solved task over the grid of limits, loads, shapes of call and rivals; and what moves its ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from slmkit.economics import cost, energy
from slmkit.economics.architecture import architecture
from slmkit.economics.compare import Hosted, Setting, hosted
from slmkit.economics.edge import consumer, first_token_s, memory_bytes, tokens_per_s
from slmkit.economics.market import rent, served_by_api
from slmkit.economics.studies.serving import RIVALS, SHAPES
from slmkit.economics.uncertainty import Z95, Range, tornado
from slmkit.errors import InputError

LIMITS_MS = (None, 100, 50, 30, 20)
LOADS = (1.0, 0.5, 0.3, 0.1, 0.05)  # busy share of the small model's endpoint
# A large model is shared by many uses, so its endpoint is never less busy than this; an assumption.
SHARED_LOAD = 0.5
GRID_RIVALS = {name: RIVALS[name] for name in ("dense 70 bn", "dense 405 bn", "dense 32 bn")} | {
    "sparse LLM": "gpt-oss-120b"
}
BY_API = "LLM by API"  # the open 70 bn model at the middle list price of its providers
API_MODEL = "Llama-3.1-70B"
# Share of tasks solved, as 95 % ranges. No price: what a small model that was tuned for the job and a large general
# one reach differs by task (notebook 01), so both are wide, and the small one lies lower. An assumption.
SUCCESS = {
    "slm": Range(0.55, 0.78, 0.95, ceiling=1.0, says="tasks that the small model solves"),
    "llm": Range(0.70, 0.85, 0.97, ceiling=1.0, says="tasks that the large model solves"),
}
CALLS_PER_TASK = 8
DEVICE_YEARS = 3
DEVICE_HOURS_A_DAY = Range(0.5, 2.0, 8.0, says="hours a day that a device serves")


def grid(slm: str, base: Setting, rivals: Mapping[str, str] = GRID_RIVALS) -> pd.DataFrame:
    """One row a limit, load, shape and rival: USD a thousand calls of both, their ratio a solved task, and its spread.

    `spread` is the standard deviation of the log of the ratio from the two prediction errors. `ratio` is infinite
    where only the small model meets the limit, and 0 where only the large one does. `slm_api_usd` is the small model
    by API, `device_usd` on the middle consumer device that holds it: other ways to run it.
    """
    rows = []
    for shape, (n_in, n_out) in SHAPES.items():
        api = {role: api_call(model, n_in, n_out) for role, model in (("slm", slm), ("llm", API_MODEL))}
        for limit in LIMITS_MS:
            setting = replace(base, input_tokens=n_in, output_tokens=n_out, utilization=1.0,
                              tpot_limit_s=limit and limit / 1e3)  # fmt: skip
            small = _host(slm, setting)
            large = {name: _host(model, setting) for name, model in rivals.items()}
            owned, rented = device_call_usd(slm, n_in, n_out, limit and limit / 1e3)
            for load in LOADS:
                small_usd = _usd(small, setting) / load
                shared = max(load, SHARED_LOAD)
                offers = {name: (_usd(host, setting) / shared, _spread(small, host)) for name, host in large.items()}
                offers[BY_API] = (api["llm"].mid, _spread(small, None))
                rows += [
                    {"shape": shape, "limit_ms": limit, "load": load, "rival": name, "slm_usd": small_usd * 1e3,
                     "llm_usd": usd * 1e3, "slm_api_usd": api["slm"].mid * 1e3, "device_usd": rented * 1e3,
                     "device_power_usd": owned * 1e3, "spread": spread, "ratio": _solved(usd, small_usd)}
                    for name, (usd, spread) in offers.items()
                ]  # fmt: skip
    return pd.DataFrame(rows)


def _host(model: str, setting: Setting) -> Hosted | None:
    try:
        return hosted(model, setting)
    except InputError:
        return None


def _usd(host: Hosted | None, setting: Setting) -> float:
    return np.inf if host is None else float(host.tariff.call_usd(setting.input_tokens, setting.output_tokens))


def _spread(*hosts: Hosted | None) -> float:
    """Standard deviation of the log of a ratio of predicted costs."""
    return float(np.sqrt(sum((np.log(host.error.high) / Z95) ** 2 for host in hosts if host is not None)))


def _solved(llm_usd: float, slm_usd: float) -> float:
    """LLM over SLM a solved task at the middle of both success ranges."""
    if not np.isfinite(slm_usd):
        return 0.0 if np.isfinite(llm_usd) else 1.0
    return llm_usd / slm_usd * SUCCESS["slm"].mid / SUCCESS["llm"].mid


def api_call(model: str, n_in: int, n_out: int) -> Range:
    """USD of a call over the providers of a model: cheapest, middle and dearest; infinite where none sells it."""
    rows = served_by_api(model)
    usd = sorted(cost.by_api(row).call_usd(n_in, n_out) for row in rows.to_dict("records"))
    if not usd:
        return Range(0.0, 1e9, 1e9)
    return Range(float(usd[0]), float(usd[(len(usd) - 1) // 2]), float(usd[-1]), says=f"{model} by API, USD a call")


def device_call_usd(
    model: str, n_in: int, n_out: int, tpot_limit_s: float | None, precision: str = "q4"
) -> tuple[float, float]:
    """USD of a call on the middle consumer device that holds the model in 4 bit within the limit: power alone, and all.

    Power alone counts for a device that is owned anyway; all adds its launch price over `DEVICE_YEARS` at
    `DEVICE_HOURS_A_DAY`. Infinite where no consumer device of 8 to 24 GB does.
    """
    arch, found = architecture(model), []
    for where in consumer().to_dict("records"):
        speed = tokens_per_s(arch, where, precision)
        if memory_bytes(arch, precision) > where["memory_bytes"] or (tpot_limit_s and 1 / speed > tpot_limit_s):
            continue
        busy_s = float(first_token_s(arch, where, precision, n_in)) + n_out / speed
        found.append([busy_s * rate for rate in device_usd_per_s(where)])
    return tuple(np.median(found, axis=0)) if found else (np.inf, np.inf)


def device_usd_per_s(where: Mapping[str, Any], hours_a_day: float = DEVICE_HOURS_A_DAY.mid) -> tuple[float, float]:
    """USD a busy second of a device: electricity alone, and with its launch price spread over its busy time."""
    hardware = where["usd_at_launch"] / (DEVICE_YEARS * 365 * hours_a_day * 3600)
    power = float(energy.usd(where["power_w"]))
    return power, power + hardware


def share_cheaper(
    table: pd.DataFrame, gpu: str, usd_per_gpu_hour: float = 0.0, n: int = 500, seed: int = 0
) -> dict[str, float]:
    """Share of cells whose lower end of the ratio lies above 1, and its 95 % interval over prices and success.

    In each draw the rent, the list prices and the two success shares are moved together in all cells; the lower end
    of a cell then comes from its prediction error alone (1.96 spreads below).
    """
    generator = np.random.default_rng(seed)
    price, api = rent(gpu, usd_per_gpu_hour).usd, api_call(API_MODEL, 1_000, 1_000)
    z = generator.standard_normal((4, n))
    z[:, 0] = 0.0
    moved = price.at(z[0]) / price.mid
    listed = api.at(z[1]) / api.mid
    solved = (SUCCESS["slm"].at(z[2]) / SUCCESS["slm"].mid) / (SUCCESS["llm"].at(z[3]) / SUCCESS["llm"].mid)
    by_api = (table["rival"] == BY_API).to_numpy()[:, None]
    ratio, spread = table["ratio"].to_numpy()[:, None], table["spread"].to_numpy()[:, None]
    factor = np.where(by_api, listed / moved, 1.0) * solved
    share = (ratio * factor * np.exp(-Z95 * spread) > 1).mean(axis=0)
    low, high = np.quantile(share, [0.025, 0.975])
    return {"estimate": float(share[0]), "low": min(float(low), float(share[0])),
            "high": max(float(high), float(share[0])), "n": len(table)}  # fmt: skip


def surely_cheaper(table: pd.DataFrame) -> pd.Series:
    """Which cells the small model wins by more than the prediction error: 1.96 spreads below the ratio is above 1."""
    return table["ratio"] * np.exp(-Z95 * table["spread"]) > 1


def shares(table: pd.DataFrame) -> pd.DataFrame:
    """Share of cells that the small model surely wins, by rival and load."""
    sure = surely_cheaper(table).astype(float)
    found = sure.groupby([table["rival"], table["load"]], sort=False).agg(["mean", "size"]).reset_index()
    return found.set_axis(["rival", "load", "share", "n"], axis=1)


def cheapest_way(table: pd.DataFrame, owned: bool = False) -> pd.Series:
    """For each cell (limit, load, shape) the cheapest way to run the small model: device, own endpoint or API.

    `owned`: the device is there anyway, so that only its electricity counts.
    """
    ways = {"device": "device_power_usd" if owned else "device_usd", "own endpoint": "slm_usd", "API": "slm_api_usd"}
    cells = table.drop_duplicates(["shape", "limit_ms", "load"])
    return cells[list(ways.values())].set_axis(list(ways), axis=1).idxmin(axis=1)


def cost_tornado(slm: str, llm: str, setting: Setting) -> pd.DataFrame:
    """What moves LLM over SLM a solved task, one input at a time over its 95 % range; `flips` where it crosses 1."""
    small, large = hosted(slm, replace(setting, utilization=1.0)), hosted(llm, replace(setting, utilization=1.0))
    base = _usd(large, setting) / _usd(small, setting)
    price = rent(setting.gpu, setting.usd_per_gpu_hour).usd
    ranges = {
        "slm_rate": _named(small.error, "prediction of the small model's speed"),
        "llm_rate": _named(large.error, "prediction of the large model's speed"),
        "slm_load": Range(0.05, max(0.06, min(0.9, setting.utilization)), 0.95, 1.0, "busy share, small model"),
        "llm_load": Range(0.2, 0.6, 0.95, 1.0, "busy share, large model"),
        "slm_rent": Range(price.low, price.mid, price.high, says="rent a GPU hour, small model alone"),
        "slm_success": SUCCESS["slm"],
        "llm_success": SUCCESS["llm"],
        "slm_calls": Range(0.8, 1.0, 1.6, says="calls a task, small over large model"),
    }

    def result(slm_rate, llm_rate, slm_load, llm_load, slm_rent, slm_success, llm_success, slm_calls):
        rate, load = slm_rate / llm_rate, slm_load / llm_load
        return base * rate * load * (price.mid / slm_rent) * (slm_success / llm_success) / slm_calls

    return tornado(result, ranges, bar=1.0)


def _named(given: Range, says: str) -> Range:
    return Range(given.low, given.mid, given.high, given.ceiling, says)


def tasks(
    slm: str, llm: str, setting: Setting, acceptances: Sequence[float] = (0.5, 0.7, 0.9), cached_share: float = 0.5
) -> pd.DataFrame:
    """USD a thousand solved tasks of each way: either model hosted or by API, with a cached prefix, and as a cascade.

    `CALLS_PER_TASK` calls of the setting's shape; a cascade pays for both calls when it falls back and solves what the
    large model solves. `low`, `high`: prediction error and success, 95 %.
    """
    hosts = {"slm": hosted(slm, setting), "llm": hosted(llm, setting)}
    call = (setting.input_tokens, setting.output_tokens)
    cached = round(setting.input_tokens * cached_share)
    offers = []
    for role, model in (("slm", slm), ("llm", llm)):
        host = hosts[role]
        offers.append((role, host.tariff.name, host.tariff.call_usd(*call), host.error, SUCCESS[role]))
        name = f"{host.tariff.name}, {cached_share:.0%} of input cached"
        offers.append((role, name, host.tariff.call_usd(*call, cached), host.error, SUCCESS[role]))
        price = api_call(model, *call)
        if price.mid < 1e8:
            spread = Range(price.low / price.mid, 1.0, price.high / price.mid)
            offers.append(
                (role, f"{architecture(model).name}, by API (middle of list prices)", price.mid, spread, SUCCESS[role])
            )
    pair = [float(hosts[role].tariff.call_usd(*call)) for role in ("slm", "llm")]
    for share in acceptances:
        usd = cost.cascade_usd(*pair, share)
        offers.append(("router", f"cascade, {share:.0%} accepted", usd, hosts["llm"].error, SUCCESS["llm"]))
    rows = []
    for role, name, usd, error, success in offers:
        middle = float(cost.solved_task_usd(usd, CALLS_PER_TASK, success.mid)) * 1e3
        spread = np.hypot(np.log(error.high / error.mid), np.log(success.mid / success.low))
        rows.append({"role": role, "offer": name, "usd_per_1k_tasks": middle, "low": middle * np.exp(-spread),
                     "high": middle * np.exp(spread), "success": success.mid})  # fmt: skip
    return pd.DataFrame(rows)
