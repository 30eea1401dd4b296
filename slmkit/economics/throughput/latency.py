"""The time to the first token as load tests report it, from the engine's own floor and the burst that starts a test.

A load test sends all its requests at once and then one for each that ends. Its mean time to the first token is

    a x floor + d x burst + queue

with `queue` the wait of requests beyond the batch; `floor` that of a steady load, which `roofline` derives; a >= 1,
what an engine adds to it (web server, tokenizer, a scheduler that lets prompts wait); `burst`, the mean wait of a batch
that arrives at once; and d, the share of the requests that meet it, 1/10 in a test of ten waves. a and d are fitted
for each engine. They say nothing of a service whose requests come one by one: there the floor is what to expect, and
`roofline_open` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from slmkit.economics.constants import LATENCY
from slmkit.economics.throughput.shapes import ENGINES

FEWEST = 4  # rows of an engine that a fit needs; below, the guesses stay


def by_engine(field: str, engine: object, c: Mapping[str, float]) -> np.ndarray:
    """A constant that differs by engine family, for an array of names; vLLM's for a family without one."""
    names = np.asarray(engine)
    default = c[f"{field}_vllm"]
    choices = [np.full(names.shape, c.get(f"{field}_{name}", default)) for name in ENGINES]
    return np.select([names == name for name in ENGINES], choices, default)


def reported(floor_s: np.ndarray, burst_s: np.ndarray, engine: object, c: Mapping[str, float]) -> np.ndarray:
    """Mean time to the first token of a load test, seconds. Where `c` has no constants for it, the guesses serve."""
    c = {name: constant.guess for name, constant in LATENCY.items()} | dict(c)
    return by_engine("ttft_floor", engine, c) * floor_s + by_engine("ttft_burst", engine, c) * burst_s


def fit(table: pd.DataFrame) -> dict[str, float]:
    """a and d of each engine from rows with `engine`, `ttft_floor_s`, `burst_s`, `queue_s` and the measured `ttft_ms`.

    The loss is soft-L1 on the log ratio, as for throughput. An engine of fewer than `FEWEST` rows keeps the guesses.
    """
    table = table[(table["ttft_ms"] > 0) & table["ttft_floor_s"].notna()]
    found = {name: constant.guess for name, constant in LATENCY.items()}
    for engine, rows in table.groupby("engine"):
        names = [f"ttft_floor_{engine}", f"ttft_burst_{engine}"]
        if len(rows) < FEWEST or names[0] not in LATENCY:
            continue
        guess, low, high = (np.log([LATENCY[name][i] for name in names]) for i in range(3))
        columns = ("ttft_floor_s", "burst_s", "queue_s", "ttft_ms")
        floor, burst, queue, measured = (rows[name].to_numpy(float) for name in columns)

        def error(x: np.ndarray, floor=floor, burst=burst, queue=queue, measured=measured) -> np.ndarray:
            a, d = np.exp(x)
            return np.log((a * (floor - queue) + d * burst + queue) / (measured / 1e3))

        start = np.clip(guess, low + 1e-3, high - 1e-3)
        best = least_squares(error, start, bounds=(low, high), loss="soft_l1", f_scale=0.15)
        found |= {name: float(f"{value:.4g}") for name, value in zip(names, np.exp(best.x), strict=True)}
    return found
