"""Throughput and latency of a deployment, predicted from the model's shape, the device and the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from slmkit.economics.constants import fitted
from slmkit.economics.roofline_shapes import ENGINES, shapes
from slmkit.economics.roofline_steps import decode_step, prefill

MAX_BATCH = 2048  # sequences that an engine schedules at once, whatever the memory


def layout(s: SimpleNamespace, tp, pp, dp, ep) -> SimpleNamespace:
    """Adds the parallel layout: tp GPUs share a layer, of which attention is data parallel over dp (1 or tp)."""
    s.tp, s.pp = np.asarray(tp, float), np.asarray(pp, float)
    s.dp = np.asarray(dp, float)
    s.ep = np.asarray(ep, float)
    s.attention_tp = np.maximum(s.tp / s.dp, 1)
    s.n_gpus = s.tp * s.pp
    return s


def engine_overheads(s: SimpleNamespace, c: Mapping[str, float], engine: object) -> SimpleNamespace:
    """Adds the host's costs by engine family, in seconds: a step, a sequence in a step, a new request."""
    names = np.asarray(engine)
    for field in ("step_s", "sequence_s", "request_s"):
        default = c[f"{field}_vllm"]
        choices = [np.full(names.shape, c.get(f"{field}_{name}", default)) for name in ENGINES]
        setattr(s, field, np.select([names == name for name in ENGINES], choices, default))
    return s


def memory_limit(
    s: SimpleNamespace, c: Mapping[str, float], input_tokens, output_tokens
) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that the cache holds, and bytes missing for one: (M n cap - weights - n workspace) / (c R).

    R = input + `reserve` x output: 1 where a scheduler reserves the whole request, 0.5 where the cache grows.
    """
    attention = s.mixing_bytes * (s.dp - 1)  # every data-parallel rank holds all attention weights
    room = s.memory * s.n_gpus * c["memory_share"] - s.weight_bytes - attention - s.n_gpus * c["workspace_bytes"]
    tokens = input_tokens + c["reserve"] * output_tokens
    kept = s.full_layers * tokens + s.window_layers * np.minimum(tokens, s.window)
    copies = s.attention_tp / np.minimum(s.attention_tp, s.kv_shards)
    request = kept * s.kv_layer_bytes * copies
    return np.maximum(room, 0) / request, np.maximum(request - room, 0)


def predict(
    arch,
    gpu,
    *,
    tp=1,
    pp=1,
    dp=1,
    ep=1,
    precision="bf16",
    kv_precision=None,
    input_tokens,
    output_tokens,
    concurrency=None,
    engine="vllm",
    constants: Mapping[str, float] | None = None,
) -> dict[str, np.ndarray]:
    """Throughput (tokens/s), latency (s) and achieved shares of one deployment or of many; inputs broadcast."""
    s = shapes(arch, gpu, precision, kv_precision)
    c = constants or fitted()
    s = engine_overheads(layout(s, tp, pp, dp, ep), c, engine)
    return evaluate(s, c, input_tokens, output_tokens, concurrency)


def evaluate(
    s: SimpleNamespace, c: Mapping[str, float], input_tokens, output_tokens, concurrency
) -> dict[str, np.ndarray]:
    """The prediction from prepared arrays; see `predict`."""
    n_in, n_out = np.asarray(input_tokens, float), np.asarray(output_tokens, float)
    offered = np.nan if concurrency is None else np.asarray(concurrency, float)
    offered = np.where(np.isnan(offered), MAX_BATCH, offered)
    slots, short = memory_limit(s, c, n_in, n_out)
    batch = np.maximum(np.minimum(np.minimum(slots, offered), MAX_BATCH), 1)
    t_pre, f_pre, b_pre = prefill(s, c, n_in)
    t_dec, f_dec, b_dec = decode_step(s, c, batch, n_in + n_out / 2)
    t_pre_stage = t_pre / s.pp
    cycle = n_out * t_dec + batch * t_pre_stage
    out = batch * n_out / cycle
    queue = np.maximum(offered - batch, 0) / batch * cycle
    flops = n_out * f_dec * s.pp + batch * f_pre
    traffic = n_out * b_dec + batch * b_pre
    zero = np.zeros_like(cycle)
    return {
        "out_tok_s_total": out,
        "out_tok_s_per_gpu": out / s.n_gpus,
        "in_tok_s_total": batch * n_in / cycle,
        "tpot_s": t_dec + batch * t_pre_stage / n_out,
        "ttft_s": t_pre + t_dec + np.where(offered < MAX_BATCH, queue, 0),
        "prefill_s": t_pre + zero,
        "decode_step_s": t_dec + zero,
        "batch": batch + zero,
        "fits": (short <= 0) & (cycle > 0),
        "short_bytes": short + zero,
        "compute_share": np.minimum(flops / s.pp / cycle / s.peak_rest, 1),
        "memory_share": np.minimum(traffic / s.pp / cycle / s.bandwidth, 1),
        "input_time_share": batch * t_pre_stage / cycle,
    }
