"""Throughput and latency of a deployment, predicted from the model's shape, the device and the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from slmkit.economics.constants import fitted
from slmkit.economics.throughput.shapes import ENGINES, shapes
from slmkit.economics.throughput.steps import step

MAX_BATCH = 4096  # sequences that one scheduler takes at once, whatever the memory


def layout(s: SimpleNamespace, tp, pp, dp, ep) -> SimpleNamespace:
    """Adds the parallel layout: tp GPUs share a layer, of which attention is data parallel over dp (1 or tp)."""
    s.tp, s.pp = np.asarray(tp, float), np.asarray(pp, float)
    s.dp = np.asarray(dp, float)
    s.ep = np.asarray(ep, float)
    s.attention_tp = np.maximum(s.tp / s.dp, 1)
    s.n_gpus = s.tp * s.pp
    return s


def engine_overheads(s: SimpleNamespace, c: Mapping[str, float], engine: object) -> SimpleNamespace:
    """Adds what the host costs by engine family, in seconds: a step, a sequence in a step, a new request; and whether
    prompts join decode steps (`fused`) or run in steps of their own. An Arm host is slower by `host_arm`.
    """
    names = np.asarray(engine)
    slow = np.where(s.arm > 0, c["host_arm"], 1.0)
    for field in ("step_s", "sequence_s", "request_s"):
        default = c[f"{field}_vllm"]
        choices = [np.full(names.shape, c.get(f"{field}_{name}", default)) for name in ENGINES]
        setattr(s, field, np.select([names == name for name in ENGINES], choices, default) * slow)
    s.fused = names != "sglang"
    return s


def memory_limit(s: SimpleNamespace, c: Mapping[str, float], n_in, n_out) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that the cache holds, and bytes missing for one: (M n cap - weights - n workspace) / (c R).

    R = input + `reserve` x output: 1 where a scheduler reserves the whole request, 0.5 where the cache grows.
    """
    copies = (s.dp - 1) * (
        s.mixing_bytes + s.dense_params * s.rest_bytes + 4 * s.head_params
    )  # data-parallel ranks hold all
    room = s.memory * s.n_gpus * c["memory_share"] - s.weight_bytes - copies - s.n_gpus * c["workspace_bytes"]
    kept = s.full_layers * (tokens := n_in + c["reserve"] * n_out) + s.window_layers * np.minimum(tokens, s.window)
    request = kept * s.kv_layer_bytes * s.attention_tp / np.minimum(s.attention_tp, s.kv_shards)
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
    batch = np.maximum(np.minimum(np.minimum(slots, offered), MAX_BATCH * s.dp), 1)
    context = n_in + n_out / 2
    # Prompts arrive as requests end, batch / n_out a step: one at a time, or several in a step, in chunks at most.
    prompts = np.minimum(
        np.maximum(batch / n_out, 1.0), np.maximum(c["chunk_tokens"] / n_in * s.dp, batch / n_out / 64)
    )
    takes = batch / prompts  # steps a cycle that take in prompts
    plain = step(s, c, batch, context)
    mixed = step(s, c, batch, context, prompts, n_in)
    alone = step(s, c, np.zeros_like(batch), context, prompts, n_in)
    joint = np.maximum(n_out - takes, 0) * plain.seconds + takes * mixed.seconds
    cycle = np.where(s.fused, joint, n_out * plain.seconds + takes * alone.seconds)
    single = step(s, c, np.zeros_like(batch), context, np.ones_like(batch), n_in)
    t_pre, t_dec = single.seconds, plain.seconds
    out = batch * n_out / cycle
    queue = np.maximum(offered - batch, 0) / batch * cycle
    flops = (n_out * plain.flops + takes * alone.flops) / cycle
    traffic = (n_out * plain.traffic + takes * alone.traffic) / cycle
    zero = np.zeros_like(cycle)
    return {
        "out_tok_s_total": out,
        "out_tok_s_per_gpu": out / s.n_gpus,
        "in_tok_s_total": batch * n_in / cycle,
        "tpot_s": cycle / n_out,
        "ttft_s": t_pre + t_dec + np.where(offered < MAX_BATCH, queue, 0),
        "prefill_s": t_pre + zero,
        "decode_step_s": t_dec + zero,
        "batch": batch + zero,
        "fits": (short <= 0) & (cycle > 0),
        "short_bytes": short + zero,
        "compute_share": np.minimum(flops / s.peak_rest, 1),
        "memory_share": np.minimum(traffic / s.bandwidth, 1),
        "input_time_share": np.clip(1 - n_out * t_dec / cycle, 0, 1),
    }
