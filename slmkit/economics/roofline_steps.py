"""Time of one engine step, from first principles: weights, attention, output head, links, overheads.

A step puts `tokens` new tokens through the model. Each part is the larger of its arithmetic and its memory
traffic (smoothly: neither overlaps perfectly), on a deployment of tp GPUs for a layer and pp stages. Times are
seconds, bytes are bytes, and `s` is a namespace of arrays from `roofline_shapes.shapes` with the layout added.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np

Array = np.ndarray
Constants = Mapping[str, float]


def larger(a: Array, b: Array, sharpness: float) -> Array:
    """Smooth maximum (a^p + b^p)^(1/p): arithmetic and traffic overlap, but not perfectly where they are near."""
    top = np.maximum(a, b)
    safe = np.where(top > 0, top, 1.0)
    return top * ((a / safe) ** sharpness + (b / safe) ** sharpness) ** (1 / sharpness)


def by_bits(bits: Array, c: Constants) -> Array:
    """Share of the peak that large matrix products reach, by the width of the unit (16, 8, 4 bit)."""
    return np.where(bits >= 16, c["mfu_16"], np.where(bits >= 8, c["mfu_8"], c["mfu_4"]))


def linear(s: SimpleNamespace, c: Constants, tokens: Array) -> tuple[Array, Array, Array]:
    """Time, FLOP and bytes a GPU, of attention projections and dense MLPs: max(2 N T / P, N b / W).

    With attention data parallelism each GPU holds all attention weights and sees its share of the tokens.
    """
    mixing, dense = s.mixing_params / s.attention_tp, s.dense_params / s.tp
    flops = 2 * tokens * (s.mixing_params + s.dense_params) / s.tp
    rows = tokens  # below the plateau a product takes as long as with rows_half more rows
    padded = 2 * (tokens + c["rows_half"]) * (s.mixing_params + s.dense_params) / s.tp
    traffic = (mixing + dense) * s.rest_bytes
    compute = padded / (by_bits(s.rest_bits, c) * s.peak_rest)
    del rows
    return larger(compute, traffic / (c["mbu_weights"] * s.bandwidth), c["sharpness"]), flops, traffic


def touched(s: SimpleNamespace, tokens: Array) -> Array:
    """Expected share of a layer's experts that a step of `tokens` reads, routing uniform: 1 - (1 - k/E)^T."""
    return 1 - (1 - np.minimum(s.top_k / s.experts, 1 - 1e-9)) ** tokens


def routed(s: SimpleNamespace, c: Constants, tokens: Array) -> tuple[Array, Array, Array]:
    """Time, FLOP and bytes a GPU, of routed experts as one grouped product a layer.

    Each touched expert pads its rows by `expert_rows_half`; the fullest of `ep` ranks sets the pace: its excess is
    `expert_skew` (popular experts) plus the sampling excess sqrt(2 ln ep / (T k / ep)).
    """
    share = touched(s, tokens)
    assigned = tokens * s.top_k
    flops = 2 * s.moe_layers * assigned * s.expert_params / s.tp
    padded = 2 * s.moe_layers * (assigned + c["expert_rows_half"] * s.experts * share) * s.expert_params / s.tp
    traffic = s.moe_layers * s.experts * share * s.expert_params * s.routed_bytes / s.tp
    ranks = np.maximum(s.ep, 1)
    sampling = np.sqrt(2 * np.log(ranks) * ranks / np.maximum(assigned, 1))
    excess = 1 + np.where(ranks > 1, c["expert_skew"] * (1 - 1 / ranks) + np.minimum(sampling, ranks - 1), 0)
    compute = padded / (by_bits(s.routed_bits, c) * c["expert_mfu"] * s.peak_routed)
    read = traffic / (c["mbu_experts"] * s.bandwidth)
    return np.where(s.moe_layers > 0, larger(compute, read, c["sharpness"]) * excess, 0.0), flops, traffic


def decode_attention(s: SimpleNamespace, c: Constants, batch: Array, context: Array) -> tuple[Array, Array, Array]:
    """Time, FLOP and bytes a GPU, of one query token for each of `batch` sequences over `context` cached tokens.

    A cache with fewer heads than tp is copied: MLA has one latent, so tensor parallelism doesn't divide it.
    """
    kept = s.full_layers * context + s.window_layers * np.minimum(context, s.window)
    shards = np.minimum(s.attention_tp, s.kv_shards) * s.dp
    traffic = batch * kept * s.kv_layer_bytes / shards
    flops = batch * kept * s.decode_flops / s.tp
    compute = flops / (c["mfu_attention"] * s.peak_16)
    return larger(compute, traffic / (c["mbu_cache"] * s.bandwidth), c["sharpness"]), flops, traffic


def prefill_attention(s: SimpleNamespace, c: Constants, length: Array) -> tuple[Array, Array]:
    """Time and FLOP a GPU, of causal attention over one prompt: L x (flops a pair) x S^2 / 2, windows capped."""
    pairs = s.full_layers * length**2 / 2
    seen = np.minimum(length, s.window)
    pairs = pairs + s.window_layers * (length * seen - seen**2 / 2)
    flops = pairs * s.prefill_flops / s.tp
    return flops / (c["mfu_attention"] * s.peak_16), flops


def head(s: SimpleNamespace, c: Constants, rows: Array) -> tuple[Array, Array, Array]:
    """Time, FLOP and bytes a GPU, of the output head in 16 bits for `rows` sequences."""
    flops = 2 * rows * s.head_params / s.tp
    traffic = 2 * s.head_params / s.tp
    compute = flops / (c["mfu_16"] * s.peak_16)
    return larger(compute, traffic / (c["mbu_weights"] * s.bandwidth), c["sharpness"]), flops, traffic


def links(s: SimpleNamespace, c: Constants, tokens: Array) -> Array:
    """Time on the fabric: two all-reduces a layer, 2 (tp-1)/tp T h 2 bytes each; with attention data parallelism
    an all-to-all to the experts and back, (1 + 2) bytes x T k h / n x (n-1)/n, in each MoE layer.
    """
    crossing = s.tp > s.domain
    share = np.where(s.switched > 0, c["link_share_switched"], c["link_share_other"])
    latency = np.where(s.switched > 0, c["allreduce_s_switched"], c["allreduce_s_other"])
    rate = share * np.where(crossing, np.minimum(s.link, 50e9), s.link)
    ring = 2 * (s.tp - 1) / s.tp * tokens * s.hidden * 2 / rate
    parallel = np.where(s.tp > 1, 2 * s.layers * (latency * (1 + 0.25 * (np.log2(np.maximum(s.tp, 2)) - 1)) + ring), 0)
    spread = 3 * tokens * np.maximum(s.top_k, 1) * s.hidden / s.tp * (s.tp - 1) / s.tp / rate
    exchange = s.moe_layers * (2 * c["alltoall_s"] + spread)
    return np.where(s.dp > 1, exchange, parallel)


def overhead(s: SimpleNamespace, c: Constants) -> Array:
    """Launches, norms and the host, a decode step: L t_layer + L_moe t_router + t_step, t_step by engine family."""
    return s.layers * c["layer_s"] + s.moe_layers * c["router_s"] + s.step_s


def decode_step(s: SimpleNamespace, c: Constants, batch: Array, context: Array) -> tuple[Array, Array, Array]:
    """Seconds of a decode step of `batch` sequences, and FLOP and bytes a GPU. A pipeline runs pp micro-batches."""
    rows = batch / s.pp
    parts = [linear(s, c, rows), routed(s, c, rows), decode_attention(s, c, rows, context), head(s, c, rows)]
    seconds = sum(part[0] for part in parts) + links(s, c, rows) + overhead(s, c) + batch * s.sequence_s
    return seconds, sum(part[1] for part in parts) / 1, sum(part[2] for part in parts)


def prefill(s: SimpleNamespace, c: Constants, length: Array) -> tuple[Array, Array, Array]:
    """Seconds that one prompt of `length` tokens takes alone, and FLOP and bytes a GPU."""
    parts = [linear(s, c, length), routed(s, c, length), head(s, c, np.ones_like(length))]
    attention, pairs = prefill_attention(s, c, length)
    seconds = sum(part[0] for part in parts) + attention + links(s, c, length)
    seconds = seconds + s.layers * c["prefill_layer_s"] + s.request_s
    return seconds, sum(part[1] for part in parts) + pairs, sum(part[2] for part in parts)
