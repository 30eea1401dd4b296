"""Joules and grams of CO2 a token, from a measured power curve and its error.

The curve was fitted to 82 measured points of one H100: watts = 292 + 862 f_c + 297 f_m, at most 700, with f_c and f_m
the achieved shares of peak FLOP/s and of memory bandwidth; its mean error is 11 % (evidence page, step 13). Another
GPU gets the curve scaled by its TDP, which no point confirms, so its error is taken as twice that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slmkit.economics.cost import above_zero, check_share, not_negative
from slmkit.economics.uncertainty import Range

BASE_W, COMPUTE_W, MEMORY_W, CAP_W = 292.0, 862.0, 297.0, 700.0
FITTED_TDP_W = 700.0
MEAN_ERROR = 0.11
SCALED_ERROR = 0.22
# Assumptions: the host's draw beside its GPUs, power usage effectiveness of a data centre, draw of an idle GPU as a
# share of TDP, grams of CO2 a kWh of a grid.
HOST_SHARE = Range(0.15, 0.30, 0.60, says="host beside GPU, share")
PUE = Range(1.1, 1.25, 1.6, says="power usage effectiveness")
IDLE_SHARE = Range(0.08, 0.12, 0.25, says="idle GPU, share of TDP")
GRID_G_PER_KWH = Range(30, 350, 700, says="grid, g CO2 a kWh")
USD_PER_KWH = Range(0.05, 0.10, 0.30, says="USD a kWh")


def gpu_watts(compute_share: Any, memory_share: Any, tdp_w: float = FITTED_TDP_W) -> Any:
    """Watts of one GPU at these achieved shares of peak FLOP/s and bandwidth (0 to 1), capped at its TDP."""
    above_zero(tdp_w=tdp_w)
    compute, memory = np.asarray(compute_share, dtype=float), np.asarray(memory_share, dtype=float)
    not_negative(compute_share=compute, memory_share=memory)
    watts = np.minimum(CAP_W, BASE_W + COMPUTE_W * compute + MEMORY_W * memory)
    return watts * tdp_w / FITTED_TDP_W


def curve_error(tdp_w: float, gpu: str = "") -> float:
    """Mean absolute error of the curve for a GPU, as a fraction: as fitted for an H100, doubled for any other."""
    return MEAN_ERROR if "H100" in gpu.upper() and tdp_w == FITTED_TDP_W else SCALED_ERROR


def joules_per_token(
    watts_per_gpu: Any,
    n_gpus: Any,
    out_tok_s: Any,
    utilization: Any = 1.0,
    tdp_w: float = FITTED_TDP_W,
    host_share: Any = 0.0,
    pue: Any = 1.0,
    idle_share: Any = IDLE_SHARE.mid,
) -> Any:
    """J an output token: (busy watts + idle watts x (1 - u) / u) x n x (1 + host) x PUE / tokens a second.

    With the defaults only the GPUs count, as in published measurements; idle hours are paid for by the busy ones.
    """
    above_zero(out_tok_s=out_tok_s, n_gpus=n_gpus)
    check_share(utilization=utilization)
    utilization = np.asarray(utilization, dtype=float)
    watts = np.asarray(watts_per_gpu) + idle_share * tdp_w * (1 - utilization) / utilization
    return watts * n_gpus * (1 + np.asarray(host_share)) * pue / np.asarray(out_tok_s, dtype=float)


def grams_co2(joules: Any, grid_g_per_kwh: Any = GRID_G_PER_KWH.mid) -> Any:
    """Grams of CO2 of an amount of energy: J / 3.6e6 x g a kWh."""
    not_negative(joules=joules, grid_g_per_kwh=grid_g_per_kwh)
    return np.asarray(joules, dtype=float) / 3.6e6 * grid_g_per_kwh


def usd(joules: Any, usd_per_kwh: Any = USD_PER_KWH.mid) -> Any:
    """USD of an amount of energy: what a device at home pays instead of rent."""
    not_negative(joules=joules, usd_per_kwh=usd_per_kwh)
    return np.asarray(joules, dtype=float) / 3.6e6 * usd_per_kwh
