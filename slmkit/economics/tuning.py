"""What it costs to make a small model fit for a job, and after how many tasks that is earned back.

Labels, GPU hours, evaluation and people are paid once and again at every refresh; a task served by the small model
saves the difference of prices. Money is US dollars, amounts are a development round.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slmkit.economics.cost import above_zero, not_negative
from slmkit.economics.uncertainty import Range, draw
from slmkit.stats import Estimate

# Ranges of one development round, 95 %. GPU throughput: share of peak in published tuning runs and in our evidence
# (0.05 to 0.4). Labels: machine-labelled with a person's check at the low end, expert-written at the high end.
# Assumptions where no source is named; every one of them is a parameter.
DEVELOPMENT: dict[str, Range] = {
    "n_labels": Range(500, 3_000, 20_000, says="labelled examples"),
    "usd_per_label": Range(0.01, 0.10, 1.00, says="USD a label"),
    "tokens_per_example": Range(300, 1_000, 3_000, says="tokens an example"),
    "epochs": Range(1, 3, 5, says="epochs"),
    "mfu": Range(0.05, 0.20, 0.40, ceiling=1.0, says="share of peak FLOP/s in training"),
    "runs": Range(1, 4, 15, says="training runs until one is kept"),
    "evaluation_usd": Range(20, 200, 2_000, says="evaluation, USD a round"),
    "people_hours": Range(4, 24, 120, says="people's hours a round"),
    "usd_per_person_hour": Range(40, 80, 150, says="USD an hour of people"),
}


def training_flop(parameters: Any, tokens: Any, full: bool = False) -> Any:
    """FLOP of one pass: 6 N D for full tuning, 4 N D for adapters, which need no weight gradients of the base.

    Forward 2 N D, gradient of activations 2 N D, gradient of weights 2 N D (Kaplan et al. 2020).
    """
    above_zero(parameters=parameters, tokens=tokens)
    return (6 if full else 4) * np.asarray(parameters, dtype=float) * tokens


def training_usd(
    parameters: Any, tokens: Any, peak_flop_s: Any, mfu: Any, usd_per_gpu_hour: Any, full: bool = False
) -> Any:
    """USD of GPU time: FLOP / (mfu x peak) x USD an hour / 3600. `peak_flop_s` of one GPU; more GPUs cost the same."""
    above_zero(peak_flop_s=peak_flop_s, mfu=mfu, usd_per_gpu_hour=usd_per_gpu_hour)
    return training_flop(parameters, tokens, full) / (np.asarray(mfu) * peak_flop_s) * usd_per_gpu_hour / 3600


def development_usd(
    *,
    parameters: float,
    peak_flop_s: float,
    usd_per_gpu_hour: Any,
    n_labels: Any,
    usd_per_label: Any,
    tokens_per_example: Any,
    epochs: Any,
    mfu: Any,
    runs: Any,
    evaluation_usd: Any,
    people_hours: Any,
    usd_per_person_hour: Any,
) -> dict[str, Any]:
    """USD of one development round by what it is spent on: `labels, gpu, evaluation, people` and `total`."""
    tokens = np.asarray(n_labels, dtype=float) * tokens_per_example * epochs * runs
    parts = {
        "labels": np.asarray(n_labels, dtype=float) * usd_per_label,
        "gpu": training_usd(parameters, tokens, peak_flop_s, mfu, usd_per_gpu_hour),
        "evaluation": np.asarray(evaluation_usd, dtype=float),
        "people": np.asarray(people_hours, dtype=float) * usd_per_person_hour,
    }
    return parts | {"total": sum(parts.values())}


def payback_tasks(
    development_usd: Any, llm_usd_per_task: Any, slm_usd_per_task: Any, refreshes: Any = 0.0, refresh_share: Any = 0.5
) -> Any:
    """Tasks until the savings equal development and `refreshes` more rounds at `refresh_share` of its cost each.

    Infinite where the small model saves nothing on a task.
    """
    not_negative(development_usd=development_usd, refreshes=refreshes, slm_usd_per_task=slm_usd_per_task)
    saved = np.asarray(llm_usd_per_task, dtype=float) - slm_usd_per_task
    spent = np.asarray(development_usd, dtype=float) * (1 + np.asarray(refreshes, dtype=float) * refresh_share)
    return np.where(saved > 0, spent / np.where(saved > 0, saved, 1.0), np.inf)


def payback(
    llm_usd_per_task: float,
    slm_usd_per_task: Range,
    *,
    parameters: float,
    peak_flop_s: float,
    usd_per_gpu_hour: Range,
    refreshes: float = 0.0,
    ranges: Mapping[str, Range] = DEVELOPMENT,
    n: int = 2_000,
    rng: int = 0,
) -> Estimate:
    """Tasks to payback with the 95 % interval over all ranges; ends may be infinite."""
    inputs = dict(ranges) | {"usd_per_gpu_hour": usd_per_gpu_hour, "slm": slm_usd_per_task}
    drawn = draw(inputs, n, rng)
    middle = {name: given.mid for name, given in inputs.items()}

    def tasks(values: dict[str, Any]) -> Any:
        values = dict(values)
        slm = values.pop("slm")
        total = development_usd(parameters=parameters, peak_flop_s=peak_flop_s, **values)["total"]
        return payback_tasks(total, llm_usd_per_task, slm, refreshes)

    low, high = np.quantile(tasks(drawn), [0.025, 0.975], method="closest_observation")
    estimate = float(tasks(middle))
    return Estimate(estimate, float(min(low, estimate)), float(max(high, estimate)), n)
