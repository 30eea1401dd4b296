"""Which model runs on which device: memory in bytes, and tokens a second for one user.

One decoded token reads all active weights and the cache once: seconds = bytes / (e_m W) + FLOP / (e_c P) + t0, with the
device's bandwidth W and FLOP/s P. The three constants are fitted to published single-user runs; the error is that of
each device predicted by constants fitted without it. Sizes are billions of parameters, speeds tokens a second.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slmkit.economics.architecture import Architecture, architecture
from slmkit.economics.catalogue import measured
from slmkit.economics.tables import read
from slmkit.economics.uncertainty import Range, prediction_range
from slmkit.errors import unknown

CONTEXT_TOKENS = 4_096  # the cache that must fit beside the weights
CONSUMER_BYTES = (8 * 2**30, 24 * 2**30)
CLASSES = ("phone", "laptop", "desktop GPU")
PRECISIONS = {"4 bit": "q4", "8 bit": "q8", "16 bit": "bf16"}
# One family covers the sizes from 0.5 to 72 bn; sizes between its members are interpolated on the log.
LADDER = ("Qwen2.5-0.5B", "Qwen2.5-1.5B", "Qwen2.5-3B", "Qwen2.5-7B", "Qwen2.5-14B", "Qwen2.5-32B", "Qwen2.5-72B")
# Device classes whose prefill is taken as another's: no published run of theirs gives it.
LIKE = {"desktop": "laptop", "board": "laptop"}


@dataclass(frozen=True)
class EdgeFit:
    """Constants (share of bandwidth, share of FLOP/s, seconds a token) and their held-out error (fractions)."""

    memory_share: float
    compute_share: float
    overhead_s: float
    n: int
    median_ape: float
    p90_ape: float

    @property
    def error(self) -> Range:
        """The factor by which a device's speed may differ from its prediction."""
        return prediction_range(self.median_ape, self.p90_ape)


def devices() -> pd.DataFrame:
    """Edge devices: class, release year, memory (bytes), bandwidth (bytes/s), FLOP/s, price (USD), power (W)."""
    return read("edge_devices.csv")


def device(name: str) -> pd.Series:
    """One device by name; InputError with the nearest name."""
    table = devices().set_index("device")
    known = {str(each).lower(): each for each in table.index}
    if name.lower() not in known:
        raise unknown("edge device", name, table.index)
    return table.loc[known[name.lower()]].rename(known[name.lower()])


def owned() -> pd.DataFrame:
    """Phones, laptops and graphics cards that people buy; the other rows are there for their measured runs."""
    table = devices()
    return table[table["consumer"] == "yes"].reset_index(drop=True)


def consumer(until: int = 2025) -> pd.DataFrame:
    """Consumer devices of the three classes sold by a year, with 8 to 24 GB (as GiB)."""
    table = owned()
    fits = table["memory_bytes"].between(*CONSUMER_BYTES) & (table["released"] <= until)
    return table[fits].reset_index(drop=True)


def token_bytes(arch: Architecture, precision: str, context: float = CONTEXT_TOKENS / 2) -> float:
    """Bytes read for one decoded token at batch 1: active weights, and the cache of `context` tokens."""
    stored = arch.weight_bytes(precision) - arch.head_params * (0 if arch.tied else 1) * _head_bytes(precision)
    share = arch.active_params / (arch.params - arch.head_params * (0 if arch.tied else 1))
    return stored * share + arch.kv_bytes(context)


def memory_bytes(arch: Architecture, precision: str, context: int = CONTEXT_TOKENS) -> float:
    """Bytes that must fit: all weights, and the 16-bit cache of `context` tokens."""
    return arch.weight_bytes(precision) + arch.kv_bytes(context)


def _head_bytes(precision: str) -> float:
    return 1.0 if precision.startswith("q") else 2.0


@functools.cache
def published() -> pd.DataFrame:
    """Published single-user runs on devices of the table: bytes and FLOP a token, measured tokens a second.

    From the serving rows (families `edge_*`) and from `edge_runs.csv`, which also has `prompt_tok_s` of prefill.
    """
    known = devices()
    by_alias = {alias: row["device"] for row in known.dropna(subset="measured_as").to_dict("records")
                for alias in str(row["measured_as"]).split(";")}  # fmt: skip
    served = measured()
    served = served[served["family"].str.startswith("edge") & served["hardware"].isin(list(by_alias))]
    served = served[~served["scenario"].str.contains("threads") | served["scenario"].str.contains("8threads")]
    forms = served["weight_precision"].str.lower().map({"bf16": "bf16", "int4": "int4", "w4a16": "int4"}).fillna("q4")
    rows = pd.DataFrame({"device": served["hardware"].map(by_alias), "model": served["model"], "precision": forms,
                         "tok_s": served["out_tok_s_total"], "source": served["source_url"]})  # fmt: skip
    rows = pd.concat([rows, read("edge_runs.csv")], ignore_index=True)
    shapes = [architecture(model) for model in rows["model"]]
    pairs = list(zip(shapes, rows["precision"], strict=True))
    where = known.set_index("device").loc[rows["device"]]
    return rows.assign(
        model=[arch.name for arch in shapes],
        measured=rows["tok_s"],
        bytes=[token_bytes(arch, precision, 256) for arch, precision in pairs],
        flop=[2 * arch.active_params for arch in shapes],
        bandwidth=where["bandwidth_bytes_s"].to_numpy(),
        flop_s=where["fp16_flop_s"].to_numpy(),
        device_class=where["device_class"].to_numpy(),
    )


@functools.cache
def prefill_share(device_class: str) -> Range:
    """Share of peak FLOP/s that prefill reaches on a class of devices: middle and range of its published runs."""
    rows = published().dropna(subset="prompt_tok_s")
    rows = rows[
        rows["precision"] != "bf16"
    ]  # a phone without 8-bit products is four times slower, and not what one runs
    rows = rows[rows["device_class"] == LIKE.get(device_class, device_class)]
    shares = rows["prompt_tok_s"] * rows["flop"] / rows["flop_s"]
    middle = float(shares.median())
    # Few devices of a class are measured, so the range is never narrower than a factor of 1.5 either way.
    low, high = min(float(shares.min()), middle / 1.5), max(float(shares.max()), middle * 1.5)
    return Range(low, middle, high, ceiling=1.0, says=f"share of peak FLOP/s in prefill, {device_class}")


def _seconds(rows: pd.DataFrame, memory: Any, compute: Any, overhead: Any) -> np.ndarray:
    columns = (rows[name].to_numpy()[:, None] for name in ("bytes", "bandwidth", "flop", "flop_s"))
    read_bytes, bandwidth, flop, flop_s = columns
    return read_bytes / (memory * bandwidth) + flop / (compute * flop_s) + overhead


def _best(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Constants with the least mean absolute log error, on a grid."""
    grid = np.meshgrid(np.linspace(0.4, 1.0, 25), np.geomspace(0.05, 1.0, 14), np.r_[0, np.geomspace(1e-4, 4e-3, 15)])
    memory, compute, overhead = (axis.ravel()[None, :] for axis in grid)
    wrong = np.abs(np.log(_seconds(rows, memory, compute, overhead) * rows["measured"].to_numpy()[:, None])).mean(0)
    best = int(wrong.argmin())
    return float(memory[0, best]), float(compute[0, best]), float(overhead[0, best])


@functools.cache
def fit() -> EdgeFit:
    """The constants from all published rows; the error from each device left out in turn."""
    rows = published()
    errors = validation()["ape"]
    return EdgeFit(*_best(rows), len(rows), float(errors.median()), float(errors.quantile(0.9)))


@functools.cache
def validation() -> pd.DataFrame:
    """Each published row with the speed predicted by constants fitted without its device; `ape` as a fraction."""
    rows = published()
    parts = []
    for _, group in rows.groupby("device", sort=False):
        constants = _best(rows.drop(group.index))
        predicted = 1 / _seconds(group, *constants)[:, 0]
        parts.append(group.assign(predicted=predicted, ape=np.abs(predicted / group["measured"] - 1)))
    return pd.concat(parts, ignore_index=True)


def tokens_per_s(arch: Architecture, where: Any, precision: str, context: float = CONTEXT_TOKENS / 2) -> float:
    """Predicted tokens a second of one user on a device (a row of `devices`), whether or not the model fits."""
    known = fit()
    seconds = token_bytes(arch, precision, context) / (known.memory_share * where["bandwidth_bytes_s"])
    seconds += 2 * arch.active_params / (known.compute_share * where["fp16_flop_s"]) + known.overhead_s
    return float(1 / seconds)


def first_token_s(
    arch: Architecture, where: Any, precision: str, prompt_tokens: int = 512, share: float | None = None
) -> float:
    """Seconds to the first token: 2 N S FLOP of prefill at `share` of peak (None: of its class), and a decode step."""
    share = prefill_share(where["device_class"]).mid if share is None else share
    step = 1 / tokens_per_s(arch, where, precision, prompt_tokens)
    return float(2 * arch.active_params * prompt_tokens / (share * where["fp16_flop_s"]) + step)


def fit_map(
    models: Sequence[str] = LADDER, precisions: Sequence[str] = tuple(PRECISIONS), table: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row a model, precision and device: `fits` in memory, `tok_s` with the 95 % ends of its error, `ttft_s`."""
    error, rows = fit().error, []
    for where in (devices() if table is None else table).to_dict("records"):
        for name in models:
            arch = architecture(name)
            for precision in precisions:
                form = PRECISIONS[precision]
                needs, speed = memory_bytes(arch, form), tokens_per_s(arch, where, form)
                rows.append(
                    {"device": where["device"], "device_class": where["device_class"], "consumer": where["consumer"],
                     "model": arch.name, "params_b": arch.params / 1e9, "active_b": arch.active_params / 1e9,
                     "precision": precision, "needs_bytes": needs, "memory_bytes": where["memory_bytes"],
                     "fits": needs <= where["memory_bytes"], "tok_s": speed, "tok_s_low": speed * error.low,
                     "tok_s_high": speed * error.high, "ttft_s": first_token_s(arch, where, form),
                     "ttft_s_high": first_token_s(arch, where, form, share=prefill_share(where["device_class"]).low)}
                )  # fmt: skip
    return pd.DataFrame(rows)


def largest_size_bn(where: Any, bar_tok_s: float = 10.0, precision: str = "4 bit", speed_factor: float = 1.0) -> float:
    """The largest dense size, in billions, that fits a device and decodes at `bar_tok_s`; log-interpolated."""
    sizes, needs, speeds = _ladder(where["device"], precision)
    by_memory = np.interp(np.log(where["memory_bytes"]), np.log(needs), np.log(sizes))
    by_speed = np.interp(-np.log(bar_tok_s / speed_factor), -np.log(speeds), np.log(sizes))
    if where["memory_bytes"] < needs[0] or speeds[0] * speed_factor < bar_tok_s:
        return 0.0
    return float(np.exp(min(by_memory, by_speed)))


@functools.cache
def _ladder(name: str, precision: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    where, form = device(name), PRECISIONS[precision]
    known = [architecture(model) for model in LADDER]
    sizes = np.array([arch.params / 1e9 for arch in known])
    needs = np.array([memory_bytes(arch, form) for arch in known])
    return sizes, needs, np.array([tokens_per_s(arch, where, form) for arch in known])


def line_bn(table: pd.DataFrame, bar_tok_s: float = 10.0, precision: str = "4 bit", speed_factor: float = 1.0) -> float:
    """The largest dense size, in billions, that at least half of the devices of a table run."""
    sizes = sorted(largest_size_bn(row, bar_tok_s, precision, speed_factor) for row in table.to_dict("records"))
    return sizes[-int(np.ceil(len(sizes) / 2))]
