"""What tuning costs: here in seconds and bytes, and for larger models in GPU hours and money, from FLOP and MFU.

Money and FLOP come from the cost model of notebook 02, which the notebook passes in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from slmkit import models
from slmkit.specialization.studies import asking
from slmkit.specialization.studies.lab import HEADLINE, MAX_TOKENS, Arm, Lab

PARAMETERS = {"1.5 bn": 1.5e9, "8 bn": 8e9, "70 bn": 70e9}
EXAMPLES, TOKENS = 10_000, 1_024  # of the claim A2.4
CYCLE_EXAMPLES, CYCLE_EPOCHS = 200, 4  # of the claim S4-4: one short round
MFU = (0.05, 0.20, 0.40)  # share of peak in training, low, middle, high: published runs; no GPU was at hand
USD_PER_LABEL = (0.01, 0.10, 1.00)  # machine-made with a check, to written by an expert; as notebook 02 assumes
ALONE = 12  # requests that are asked one at a time for the latency


def projection(
    flop: Callable[..., float], peak_flop_s: float, usd_per_gpu_hour: Sequence[float], mfu: Sequence[float] = MFU
) -> pd.DataFrame:
    """GPU hours and USD of a LoRA by model size and job.

    `flop(parameters, tokens)` counts one pass over the tokens; `usd_per_gpu_hour` and `mfu` are low, middle, high.
    Jobs: `10,000 examples` of 1,024 tokens, one pass, and `one cycle` of 200 examples, four passes. Columns: model,
    parameters, job, tokens, hours, hours_low, hours_high, usd, usd_low, usd_high, labels_usd (and _low, _high).
    """
    jobs = {f"{EXAMPLES:,} examples": (EXAMPLES, 1), "one cycle": (CYCLE_EXAMPLES, CYCLE_EPOCHS)}
    rows = []
    for model, parameters in PARAMETERS.items():
        for job, (examples, passes) in jobs.items():
            tokens = examples * TOKENS * passes
            hours = [float(flop(parameters, tokens)) / (peak_flop_s * share) / 3600 for share in reversed(mfu)]
            usd = [hour * price for hour, price in zip(hours, usd_per_gpu_hour, strict=True)]
            labels = [examples * each for each in USD_PER_LABEL]
            row = {"model": model, "parameters": parameters, "job": job, "tokens": tokens}
            for name, values in (("hours", hours), ("usd", usd), ("labels_usd", labels)):
                row |= {f"{name}_low": values[0], name: values[1], f"{name}_high": values[2]}
            rows.append(row)
    return pd.DataFrame(rows)


def headline(trainings: pd.DataFrame) -> pd.DataFrame:
    """The headline's LoRAs among the trainings: one row a seed."""
    return trainings[trainings["name"] == HEADLINE].drop_duplicates("seed")


def serving(lab: Lab) -> pd.DataFrame:
    """The specialist and the larger model asked one request at a time: name, role, latency_s a request, weight_bytes.

    `weight_bytes` are the weights held in memory, the adapter's included.
    """
    rows = []
    items = lab.rows("test", lab.sizes.n_test)[: min(ALONE, lab.sizes.n_test)]
    for arm in (lab.specialist(), Arm(lab.llm, lab.llm, "llm")):
        model = models.load(arm.ref)
        weights = getattr(model, "model", None)
        held = sum(p.numel() * p.element_size() for p in weights.parameters()) if weights is not None else np.nan
        model.chat_many([asking.request(items[0])], progress=False, max_tokens=8)  # the first call builds kernels
        for row in items:
            began = time.perf_counter()
            reply = model.chat_many([asking.request(row)], progress=False, max_tokens=MAX_TOKENS)[0]
            rows.append(
                {"name": arm.name, "role": arm.role, "id": row["id"], "latency_s": time.perf_counter() - began,
                 "completion_tokens": reply.usage.completion, "weight_bytes": held}
            )  # fmt: skip
    return pd.DataFrame(rows)


def cycle(trainings: pd.DataFrame, items: pd.DataFrame) -> dict[str, float]:
    """Seconds of one cycle here: train on the headline's examples and answer its test set once, the slowest seed."""
    mine: Mapping[str, float] = headline(trainings)["seconds"]
    timed = items[(items["role"] == "specialist") & (items["seed"] == items["seed"].min()) & ~items["constrained"]]
    answered = timed["seconds"].dropna()
    evaluation = float(answered.mean() * len(timed)) if len(answered) else 0.0
    return {"train_s": float(np.max(mine)), "evaluate_s": evaluation, "n": int(headline(trainings)["n"].iloc[0])}
