"""Time of one engine step, from first principles: weights, attention, output head, links, overheads.

A step puts `tokens` new tokens through the model. Each part is the larger of its arithmetic and its memory
traffic (smoothly: neither overlaps perfectly), on a deployment of tp GPUs for a layer and pp stages. Times are
seconds, bytes are bytes, and `s` is a namespace of arrays from `throughput.shapes.shapes` with the layout added.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from scipy import special

Array = np.ndarray
Constants = Mapping[str, float]


def larger(a: Array, b: Array, sharpness: float) -> Array:
    """Smooth maximum (a^p + b^p)^(1/p): arithmetic and traffic overlap, but not perfectly where they are near."""
    top = np.maximum(a, b)
    ratio = np.minimum(a, b) / np.where(top > 0, top, 1.0)
    return top * (1 + ratio**sharpness) ** (1 / sharpness)


class Part(NamedTuple):
    """Seconds of a part of a step, and what one GPU does in it: FLOP, and bytes from or to its memory."""

    seconds: Array
    flops: Array
    traffic: Array


def plateau(bits: Array, c: Constants) -> Array:
    """Share of the peak that large matrix products reach, by the width of the unit (16, 8, 4 bit)."""
    return np.where(bits >= 16, c["mfu_16"], np.where(bits >= 8, c["mfu_8"], c["mfu_4"]))


def linear(s: SimpleNamespace, c: Constants, tokens: Array) -> Part:
    """Attention projections and dense MLPs: max(2 N (T + T0) / P, N b / W). T0 = `rows_half`: a product of few rows
    takes as long as one of T0 more. `tokens` are those of one rank where attention is data parallel.
    """
    params = (s.mixing_params + s.dense_params) / s.attention_tp
    compute = 2 * (tokens + c["rows_half"]) * params / (plateau(s.rest_bits, c) * s.peak_rest)
    traffic = params * s.rest_bytes
    seconds = larger(compute, traffic / (c["mbu_weights"] * s.bandwidth), c["sharpness"])
    return Part(seconds, 2 * tokens * params, traffic)


def touched(s: SimpleNamespace, c: Constants, tokens: Array) -> Array:
    """Expected share of a layer's experts that a step of `tokens` reads: 1 - (1 + T k / (E a))^-a.

    That is 1 - exp(-T p) averaged over experts whose popularity p is gamma distributed around k / E with shape a
    (`routing_evenness`); for large a it is 1 - exp(-T k / E), near the 1 - (1 - k / E)^T of uniform routing.
    """
    a = c["routing_evenness"]
    return 1 - (1 + tokens * s.top_k / (s.experts * a)) ** -a


def fullest(s: SimpleNamespace, c: Constants, assigned: Array) -> Array:
    """Load of the fullest of `ep` expert ranks over the mean: popular experts (`expert_skew` per ln ep), and chance.

    `assigned` (T k) choices fall on ep ranks with a spread of sqrt((ep - 1) / (T k)); the largest of ep normal values
    lies at the quantile (ep - 3/8) / (ep + 1/4) (Blom). `chance_share`: routers are trained to balance.
    """
    largest = special.ndtri((s.ep - 0.375) / (s.ep + 0.25))
    chance = c["chance_share"] * largest * np.sqrt((s.ep - 1) / np.maximum(assigned, 1))
    return 1 + np.minimum(c["expert_skew"] * np.log(s.ep) + chance, s.ep - 1)


def routed(s: SimpleNamespace, c: Constants, tokens: Array) -> Part:
    """Routed experts, one grouped product a layer. Each touched expert pads its rows by `expert_rows_half`; a narrow
    slice of an expert (I_e ep / tp columns) is read less well; the fullest rank sets the pace.
    """
    share = touched(s, c, tokens)
    assigned = tokens * s.top_k
    expert = s.moe_layers * s.expert_params / s.tp
    flops = 2 * assigned * expert
    traffic = s.experts * share * expert * s.routed_bytes
    width = np.maximum(s.moe_width * s.ep / s.tp, 1)
    narrow = width / (width + c["expert_width_half"])
    padded = 2 * (assigned + c["expert_rows_half"] * s.experts * share) * expert
    compute = padded / (plateau(s.routed_bits, c) * c["expert_mfu"] * s.peak_routed)
    seconds = larger(compute, traffic / (c["mbu_experts"] * s.bandwidth), c["sharpness"]) / narrow
    return Part(seconds * fullest(s, c, assigned), flops, traffic)


def activations(s: SimpleNamespace, c: Constants, tokens: Array, mine: Array) -> Part:
    """Norms, residuals, quantization, routing and permutation stream the activations through memory, 2 bytes a value:
    `passes` x h a layer for a rank's tokens `mine`, `expert_passes` x k (h / ep + I_e / tp) for all in a MoE layer.
    """
    dense = mine * s.layers * s.hidden * c["passes"]
    spread = tokens * s.moe_layers * s.top_k * (s.hidden / s.ep + s.moe_width / s.tp) * c["expert_passes"]
    traffic = 2 * (dense + spread)
    return Part(traffic / (c["mbu_cache"] * s.bandwidth), 0.0, traffic)


def decode_attention(s: SimpleNamespace, c: Constants, batch: Array, context: Array) -> Part:
    """One query token for each of `batch` sequences over `context` cached tokens; windows capped. A cache with fewer
    heads than tp is copied: MLA has one latent, so that tensor parallelism doesn't divide it.
    """
    kept = s.full_layers * context + s.window_layers * np.minimum(context, s.window)
    traffic = batch * kept * s.kv_layer_bytes / (np.minimum(s.attention_tp, s.kv_shards) * s.dp)
    flops = batch * kept * s.decode_flops / s.tp
    compute = flops / (c["mfu_decode_attention"] * s.peak_16)
    return Part(larger(compute, traffic / (c["mbu_cache"] * s.bandwidth), c["sharpness"]), flops, traffic)


def prefill_attention(s: SimpleNamespace, c: Constants, prompts: Array, length: Array) -> Part:
    """Causal attention over `prompts` prompts of one rank: L x (FLOP a pair) x S^2 / 2 each, windows capped."""
    seen = np.minimum(length, s.window)
    pairs = s.full_layers * length**2 / 2 + s.window_layers * (length * seen - seen**2 / 2)
    flops = prompts * pairs * s.prefill_flops / s.attention_tp
    return Part(flops / (c["mfu_attention"] * s.peak_16), flops, 0.0)


def head(s: SimpleNamespace, c: Constants, rows: Array) -> Part:
    """Output head for `rows` sequences, multiplied in 16 bits."""
    flops, traffic = 2 * rows * s.head_params / s.tp, s.head_bytes * s.head_params / s.attention_tp
    compute = 2 * (rows + c["rows_half"]) * s.head_params / s.tp / (c["mfu_16"] * s.peak_16)
    return Part(larger(compute, traffic / (c["mbu_weights"] * s.bandwidth), c["sharpness"]), flops, traffic)


def links(s: SimpleNamespace, c: Constants, tokens: Array) -> Array:
    """Seconds on the fabric. Tensor parallel: two all-reduces of m = T h 2 bytes a layer, each the faster of reading
    all peers at once, (tp-1) m, and a ring of 2 (tp-1) hops that carry m / tp. Attention data parallel: to the experts
    and back in each MoE layer, (1 + 2) bytes x T/n min(k, n) h (n-1)/n a GPU.
    """
    switched = s.switched > 0
    share = np.where(switched, c["link_share_switched"], c["link_share_other"])
    latency = np.where(switched, c["allreduce_s_switched"], c["allreduce_s_other"])
    rate = share * s.link * np.where(s.mesh > 0, np.maximum(s.tp - 1, 1), 1)  # a mesh has a link to each peer
    peers, message = s.tp - 1, tokens * s.hidden * 2
    ring = 2 * peers * (c["ring_hop_s"] + message / s.tp / rate)
    reduce = 2 * s.layers * (latency + np.minimum(peers * message / rate, ring))
    sent = 3 * tokens / s.tp * np.minimum(np.maximum(s.top_k, 1), s.tp) * s.hidden * peers / s.tp
    exchange = s.moe_layers * (2 * c["alltoall_s"] + sent / rate)
    return np.where(s.tp > 1, np.where(s.dp > 1, exchange, reduce), 0.0)


def step(
    s: SimpleNamespace, c: Constants, batch: Array, context: Array, prompts: Array = 0.0, length: Array = 0.0
) -> Part:
    """One step that decodes `batch` sequences at `context` and takes in `prompts` prompts of `length` tokens (a part
    of one counts as a fraction). A pipeline of pp stages runs pp micro-batches, so weights are read pp times in all.

    The host works beside the GPU: a step takes the longer of the two, and what can't overlap (`step_s`, each stage).
    """
    rows, new = batch / s.pp, prompts * length / s.pp
    tokens = rows + new
    # The rank with most to do sets the pace: until every data-parallel rank has a prompt, one has a whole one.
    share = prompts / s.dp
    busiest = (share + c["prefill_imbalance"] * np.maximum(np.minimum(prompts, 1) - share, 0)) / s.pp
    mine = rows / s.dp + busiest * length
    parts = [
        linear(s, c, mine),
        routed(s, c, tokens),
        activations(s, c, tokens, mine),
        decode_attention(s, c, rows, context),
        prefill_attention(s, c, busiest, length),
        head(s, c, rows + prompts / s.pp),
    ]
    eager = np.where(new > 0, c["prefill_layer_s"], 0.0)  # a step with prompts runs outside the captured graph
    launches = s.layers * (c["layer_s"] + eager) + s.moe_layers * c["router_s"]
    launches = launches + np.where(s.mla > 0, s.layers * c["mla_s"], 0.0)
    device = sum(part.seconds for part in parts) + links(s, c, tokens) + launches
    host = (batch * s.sequence_s + prompts * s.request_s) / s.dp
    seconds = larger(device, host, c["host_sharpness"]) + s.pp * s.step_s
    return Part(seconds, sum(part.flops for part in parts), sum(part.traffic for part in parts))
