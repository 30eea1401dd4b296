"""Throughput and latency of a deployment, predicted from the model's shape, the device and the traffic."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

from slmkit.economics.constants import fitted
from slmkit.economics.throughput.latency import by_engine, reported
from slmkit.economics.throughput.shapes import shapes
from slmkit.economics.throughput.steps import step
from slmkit.errors import InputError

SMALL_WORKSPACE = 0.05  # of the memory: engines on small devices keep less back
MAX_BATCH = 4096  # sequences that one scheduler takes at once, whatever the memory


def layout(s: SimpleNamespace, tp, pp, dp, ep) -> SimpleNamespace:
    """Adds the parallel layout: tp GPUs share a layer, of which attention is data parallel over dp (1 or tp)."""
    s.tp, s.pp, s.dp, s.ep = (np.asarray(value, float) for value in (tp, pp, dp, ep))
    s.attention_tp = np.maximum(s.tp / s.dp, 1)
    s.n_gpus = s.tp * s.pp
    return s


def engine_overheads(s: SimpleNamespace, c: Mapping[str, float], engine: object) -> SimpleNamespace:
    """Adds what the host costs by engine family, in seconds: a step, a sequence in a step, a new request; and whether
    prompts join decode steps (`fused`) or run in steps of their own. An Arm host is slower by `host_arm`.
    """
    s.engine = np.asarray(engine)
    slow = np.where(s.arm > 0, c["host_arm"], 1.0)
    for field in ("step_s", "sequence_s", "request_s"):
        setattr(s, field, by_engine(field, s.engine, c) * slow)
    s.fused = s.engine != "sglang"
    return s


def memory_limit(s: SimpleNamespace, c: Mapping[str, float], n_in, n_out) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that the cache holds, and bytes missing for one: (M n cap - weights - n workspace) / (c R).

    R = input + `reserve` x output: 1 where a scheduler reserves the whole request, 0.5 where the cache grows.
    """
    workspace = np.minimum(c["workspace_bytes"], SMALL_WORKSPACE * s.memory)
    copies = (s.dp - 1) * (
        s.mixing_bytes + s.dense_params * s.rest_bytes + 4 * s.head_params
    )  # data-parallel ranks hold all
    room = s.memory * s.n_gpus * c["memory_share"] - s.weight_bytes - copies - s.n_gpus * workspace
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
    """What a deployment does under a steady load of equal requests: tokens/s, seconds, shares. All inputs broadcast.

    `arch` and `gpu` are names or objects, or sequences of them. tp GPUs share each layer and pp stages follow each
    other; `dp` = tp makes attention data parallel, `ep` is over how many of the tp GPUs whole experts are spread.
    `concurrency` requests are always in flight (closed loop); None or NaN for as many as memory holds. One cycle serves
    `batch` requests: each takes in its prompt and decodes `output_tokens`, at X = batch output / cycle tokens/s.

    Returns arrays: `out_tok_s_total`, `out_tok_s_per_gpu`, `in_tok_s_total` (tokens/s); `tpot_s` (a token in steady
    state, prompts of others included); `ttft_s` (mean, as a load test reports it: `throughput.latency`);
    `ttft_floor_s` (of a steady load, waiting included, with the queue where concurrency exceeds the batch; a lower
    bound); `queue_s` (that queue); `burst_s` (mean wait where a whole batch arrives at once); `prefill_s` (one prompt
    alone);
    `decode_step_s`; `batch` (requests at once); `fits`; `short_bytes` (missing for one request); `compute_share`,
    `memory_share` (achieved FLOP/s and bytes/s of a GPU over its peak); `input_time_share` (of the cycle, spent on
    prompts). InputError for unknown names, and for lengths or a concurrency below 1.
    """
    for name, value in (("input_tokens", input_tokens), ("output_tokens", output_tokens), ("concurrency", concurrency)):
        values = np.asarray(1 if value is None else value, float)
        wrong = values[(values < 1) | (np.isnan(values) & (name != "concurrency"))]
        if wrong.size:
            raise InputError(f"{name} is {wrong.flat[0]:g}; it must be at least 1")
    s = shapes(arch, gpu, precision, kv_precision)
    c = constants or fitted()
    s = engine_overheads(layout(s, tp, pp, dp, ep), c, engine)
    return evaluate(s, c, input_tokens, output_tokens, concurrency)


def evaluate(s: SimpleNamespace, c: Mapping[str, float], n_in, n_out, concurrency) -> dict[str, np.ndarray]:
    """The prediction from prepared arrays; see `predict`."""
    n_in, n_out = np.asarray(n_in, float), np.asarray(n_out, float)
    offered = np.nan if concurrency is None else np.asarray(concurrency, float)
    slots, short = memory_limit(s, c, n_in, n_out)
    most = np.minimum(slots, MAX_BATCH * s.dp)
    batch = np.maximum(np.fmin(most, offered), 1)
    context = n_in + n_out / 2
    # Prompts arrive as requests end, batch / n_out a step: one at a time or several in a step, up to the chunk limit.
    prompts = np.minimum(np.maximum(batch / n_out, 1.0), c["chunk_tokens"] * s.dp / n_in)
    takes = batch / prompts  # steps a cycle that take in prompts
    none = np.zeros_like(batch)
    plain = step(s, c, batch, context)
    mixed = step(s, c, batch, context, prompts, n_in)
    apart = step(s, c, none, context, prompts, n_in)
    joint = np.maximum(n_out - takes, 0) * plain.seconds + takes * mixed.seconds
    cycle = np.where(s.fused, joint, n_out * plain.seconds + takes * apart.seconds)
    # A pipeline takes a prompt in pp chunks, the last of which waits for the stages to fill.
    prefill = step(s, c, none, context, np.ones_like(batch), n_in).seconds * (2 - 1 / s.pp)
    queue = np.nan_to_num(np.maximum(offered - batch, 0) / batch * cycle)
    # A new request waits half a step, then for prompts before it (as in a queue with even service), then for its own.
    busy = np.clip(1 - n_out * plain.seconds / cycle, 0, 1)
    service = np.where(s.fused, mixed.seconds, apart.seconds) / np.minimum(prompts, 1)
    wait = plain.seconds / 2 + service * busy / (2 * np.maximum(1 - busy, 0.05))
    floor = np.maximum(service, prefill) + wait
    # A batch that arrives at once is taken in chunk by chunk, k prompts each or a part of one: half of it waits before.
    k = c["chunk_tokens"] * s.dp / n_in
    k = np.minimum(np.where(k < 1, k, np.floor(k)), batch)
    burst = (batch / 2 + 0.5) * step(s, c, none, context, k, n_in).seconds / k
    found = {
        "out_tok_s_total": batch * n_out / cycle,
        "out_tok_s_per_gpu": batch * n_out / cycle / s.n_gpus,
        "in_tok_s_total": batch * n_in / cycle,
        "tpot_s": cycle / n_out,
        "ttft_s": reported(floor, burst, s.engine, c) + queue,
        "ttft_floor_s": floor + queue,
        "burst_s": burst,
        "queue_s": queue,
        "prefill_s": prefill,
        "decode_step_s": plain.seconds,
        "batch": batch,
        "fits": short <= 0,
        "short_bytes": short,
        "compute_share": np.minimum((n_out * plain.flops + takes * apart.flops) / cycle / s.peak_rest, 1),
        "memory_share": np.minimum((n_out * plain.traffic + takes * apart.traffic) / cycle / s.bandwidth, 1),
        "input_time_share": busy,
    }
    return dict(zip(found, np.broadcast_arrays(*found.values()), strict=True))
