"""From tokens per second to money: per million tokens, per call, per solved task, with what every price rests on.

A price is never a bare number here: `Tariff` carries model, hardware, precision, utilization, latency limit, the rent
with its date and source, and the error of the throughput prediction. Money is US dollars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from slmkit.errors import InputError, unknown

HOURS_PER_MONTH = 730.0  # 365 days / 12
SECONDS_PER_HOUR = 3600.0
# A cached input token skips its prefill but still fills memory and is read at each step. Providers charge 0.0 to 0.5
# of the input price for one (median 0.1 over the rows of the catalogue that name one); a self-hosted cache is taken
# alike, as an assumption that `uncertainty` moves.
CACHED_SHARE = 0.1


def above_zero(**amounts: Any) -> None:
    """Raise InputError naming the first amount that is missing, zero or negative; arrays are checked throughout."""
    for name, amount in amounts.items():
        if not (np.asarray(amount, dtype=float) > 0).all():
            raise InputError(f"{name}: expected an amount above 0, found {amount}")


def not_negative(**amounts: Any) -> None:
    """Raise InputError naming the first amount that is missing or negative."""
    for name, amount in amounts.items():
        if not (np.asarray(amount, dtype=float) >= 0).all():
            raise InputError(f"{name}: expected 0 or more, found {amount}")


def check_share(**shares: Any) -> None:
    """Raise InputError naming the first share outside (0, 1], such as a utilization of 0 or of 30 for 30 %."""
    for name, share in shares.items():
        value = np.asarray(share, dtype=float)
        if not ((value > 0) & (value <= 1)).all():
            raise InputError(f"{name}: expected a share in (0, 1], such as 0.3 for 30 %, found {share}")


@dataclass(frozen=True)
class Tariff:
    """What tokens of one model cost from one source, and all that this rests on.

    `usd_per_mtok_*` in USD per million input, cached input and output tokens; `usd_per_month` is what is due whatever
    the traffic (0 for an API); `error` is the prediction's median absolute error in this regime as a fraction, None
    for a list price; `source` names where rent or price stands and its date.
    """

    name: str
    kind: str  # self-hosted, api or device
    model: str
    usd_per_mtok_in: float
    usd_per_mtok_out: float
    usd_per_mtok_cached: float
    hardware: str = ""
    precision: str = ""
    utilization: float = 1.0
    latency_limit: str = "none"
    usd_per_hour: float = 0.0
    usd_per_month: float = 0.0
    error: float | None = None
    source: str = ""

    def call_usd(self, input_tokens: Any, output_tokens: Any, cached_tokens: Any = 0) -> Any:
        """USD of one call; `cached_tokens` of the input are charged at the cached rate."""
        rates = (self.usd_per_mtok_in, self.usd_per_mtok_out, self.usd_per_mtok_cached)
        return call_usd(rates, input_tokens, output_tokens, cached_tokens)

    def says(self) -> str:
        """One line with everything that a quoted cost must name."""
        if self.kind == "api":
            return f"{self.model} by {self.hardware}, {self.source}"
        error = "prediction error unknown" if self.error is None else f"prediction ±{self.error:.0%} (median)"
        rent = f"{self.hardware} at ${self.usd_per_hour:,.2f} an hour ({self.source})"
        use = f"busy {self.utilization:.0%} of the time, limit {self.latency_limit}"
        return ", ".join(part for part in (self.model, self.precision, rent, use, error) if part)


def usd_per_mtok(
    usd_per_gpu_hour: Any,
    n_gpus: Any,
    out_tok_s: Any,
    input_tokens: Any,
    output_tokens: Any,
    input_time_share: Any,
    utilization: Any = 1.0,
) -> tuple[Any, Any]:
    """USD per million input and per million output tokens of a deployment, split by the time that each takes.

    rent/s = p n / 3600; input tokens flow at `out_tok_s * input_tokens / output_tokens`. Input carries
    `input_time_share` (0 to 1) of the rent, output the rest; both are divided by the busy share `utilization`, since
    idle hours are paid too. Source: evidence page of the economics, step 12. InputError for amounts out of range.
    """
    above_zero(
        usd_per_gpu_hour=usd_per_gpu_hour, n_gpus=n_gpus, out_tok_s=out_tok_s,
        input_tokens=input_tokens, output_tokens=output_tokens,
    )  # fmt: skip
    check_share(utilization=utilization)
    usd_per_s = np.asarray(usd_per_gpu_hour, dtype=float) * n_gpus / SECONDS_PER_HOUR / utilization
    in_tok_s = np.asarray(out_tok_s, dtype=float) * input_tokens / output_tokens
    return usd_per_s * input_time_share / in_tok_s * 1e6, usd_per_s * (1 - input_time_share) / out_tok_s * 1e6


def usd_per_mtok_all_in(usd_per_gpu_hour: Any, n_gpus: Any, out_tok_s: Any, utilization: Any = 1.0) -> Any:
    """USD per million output tokens with their input included: p n 1e6 / (3600 X u)."""
    above_zero(usd_per_gpu_hour=usd_per_gpu_hour, n_gpus=n_gpus, out_tok_s=out_tok_s)
    check_share(utilization=utilization)
    return np.asarray(usd_per_gpu_hour, dtype=float) * n_gpus * 1e6 / (SECONDS_PER_HOUR * out_tok_s * utilization)


def call_usd(rates: tuple[Any, Any, Any], input_tokens: Any, output_tokens: Any, cached_tokens: Any = 0) -> Any:
    """USD of one call at rates (input, output, cached input) in USD per million tokens."""
    not_negative(input_tokens=input_tokens, output_tokens=output_tokens, cached_tokens=cached_tokens)
    if (np.asarray(cached_tokens) > np.asarray(input_tokens)).any():
        raise InputError(f"cached_tokens: {cached_tokens} of them, but the input has only {input_tokens}")
    usd_in, usd_out, usd_cached = rates
    fresh = np.asarray(input_tokens, dtype=float) - cached_tokens
    return (fresh * usd_in + np.asarray(cached_tokens) * usd_cached + np.asarray(output_tokens) * usd_out) / 1e6


def solved_task_usd(usd_per_call: Any, calls_per_task: Any, success: Any) -> Any:
    """USD per solved task: failed tasks are paid for as well, so the price of an attempt is divided by `success`."""
    not_negative(usd_per_call=usd_per_call)
    above_zero(calls_per_task=calls_per_task)
    check_share(success=success)
    return np.asarray(usd_per_call, dtype=float) * calls_per_task / success


def cascade_usd(slm_usd: Any, llm_usd: Any, acceptance: Any, router_usd: Any = 0.0, verify_usd: Any = 0.0) -> Any:
    """USD per call of small first, large when refused: c_S + c_router + c_verify + (1 - a) c_L; both are paid."""
    not_negative(slm_usd=slm_usd, llm_usd=llm_usd, router_usd=router_usd, verify_usd=verify_usd)
    share = np.asarray(acceptance, dtype=float)
    if not ((share >= 0) & (share <= 1)).all():
        raise InputError(f"acceptance: expected a share from 0 to 1, found {acceptance}")
    return slm_usd + router_usd + verify_usd + (1 - share) * llm_usd


def cascade_break_even(slm_usd: Any, llm_usd: Any, router_usd: Any = 0.0, verify_usd: Any = 0.0) -> Any:
    """The acceptance above which the cascade is cheaper than the large model alone; above 1 it never is."""
    above_zero(llm_usd=llm_usd)
    return (np.asarray(slm_usd, dtype=float) + router_usd + verify_usd) / llm_usd


def break_even_utilization(busy_call_usd: Any, other_call_usd: Any) -> Any:
    """The busy share at which a deployment equals another offer; above 1 it never does.

    `busy_call_usd` is its cost a call at full utilization, so that its cost at `u` is `busy_call_usd / u`.
    """
    above_zero(busy_call_usd=busy_call_usd, other_call_usd=other_call_usd)
    return np.asarray(busy_call_usd, dtype=float) / other_call_usd


def break_even_tokens_per_month(usd_per_month: Any, usd_per_mtok: Any, other_usd_per_mtok: Any) -> Any:
    """Tokens a month at which a fixed cost is repaid by a lower price a token; infinite where it is not lower."""
    above_zero(other_usd_per_mtok=other_usd_per_mtok)
    not_negative(usd_per_month=usd_per_month, usd_per_mtok=usd_per_mtok)
    saved = np.asarray(other_usd_per_mtok, dtype=float) - usd_per_mtok
    with np.errstate(divide="ignore"):
        return np.where(saved > 0, np.asarray(usd_per_month, dtype=float) / np.where(saved > 0, saved, 1) * 1e6, np.inf)


def self_hosted(
    prediction: Mapping[str, Any],
    *,
    model: str,
    hardware: str,
    precision: str,
    n_gpus: int,
    usd_per_gpu_hour: float,
    input_tokens: int,
    output_tokens: int,
    utilization: float = 1.0,
    latency_limit: str = "none",
    error: float | None = None,
    source: str = "",
    cached_share: float = CACHED_SHARE,
) -> Tariff:
    """The tariff of a deployment whose `prediction` gives `out_tok_s_total` and `input_time_share`."""
    usd_in, usd_out = usd_per_mtok(
        usd_per_gpu_hour, n_gpus, prediction["out_tok_s_total"], input_tokens, output_tokens,
        prediction["input_time_share"], utilization,
    )  # fmt: skip
    per_hour = usd_per_gpu_hour * n_gpus
    return Tariff(
        f"{model}, self-hosted", "self-hosted", model, float(usd_in), float(usd_out), float(usd_in) * cached_share,
        f"{n_gpus} x {hardware}", precision, utilization, latency_limit, per_hour, per_hour * HOURS_PER_MONTH,
        error, source,
    )  # fmt: skip


def by_api(row: Mapping[str, Any]) -> Tariff:
    """The tariff of a row of the API prices: `provider, model, usd_per_1m_*, as_of, source_url`."""
    usd_in, usd_out = float(row["usd_per_1m_input"]), float(row["usd_per_1m_output"])
    above_zero(usd_per_1m_input=usd_in, usd_per_1m_output=usd_out)
    cached = row.get("usd_per_1m_cached_input")
    known = cached is not None and np.isfinite(float(cached))
    return Tariff(
        f"{row['model']} by {row['provider']}", "api", str(row["model"]), usd_in, usd_out,
        float(cached) if known else usd_in, hardware=str(row["provider"]),
        source=f"list price, {str(row['as_of'])[:10]}",
    )  # fmt: skip


def pick_api(prices: Any, model: str, provider: str = "") -> dict[str, Any]:
    """One row of the API prices by model (or part of its name), the cheapest blend where several providers have it.

    Raises InputError with the nearest name where none fits.
    """
    rows = prices[prices["provider"].astype(str).str.startswith(provider)] if provider else prices
    exact = rows[rows["model"].astype(str).str.lower() == model.lower()]
    found = (
        exact if len(exact) else rows[rows["model"].astype(str).str.lower().str.contains(model.lower(), regex=False)]
    )
    if found.empty:
        raise unknown("model with an API price", model, set(prices["model"].astype(str)))
    order = blended(found["usd_per_1m_input"], found["usd_per_1m_output"]).argsort().to_numpy()
    return found.iloc[int(order[0])].to_dict()


def blended(usd_in: Any, usd_out: Any, input_share: float = 0.75) -> Any:
    """USD per million tokens of a mix, by default three input tokens to one output token."""
    return usd_in * input_share + usd_out * (1 - input_share)
