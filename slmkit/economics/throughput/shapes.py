"""Models, devices and layouts as arrays: what the step times are computed from, one entry a configuration."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace

import numpy as np

from slmkit.economics.architecture import BITS, Architecture, architecture, number_format
from slmkit.economics.catalogue import GPU, gpu

ENGINES = ("trtllm", "vllm", "sglang", "llama.cpp")


def model_shape(arch: Architecture, precision: str, kv_format: str) -> dict[str, float]:
    """Sums over layers, in parameters, bytes and values, of one model in one number format."""
    rest, routed = arch.format_of_rest(precision), arch.format_of_experts(precision)
    layers = arch.layers - arch.mixer_layers
    if arch.attention == "mla":
        # Decoding works on the latent (absorbed projections); prefill on full heads. arXiv 2412.19437, section 2.1.
        decode_width = 2 * arch.kv_lora + arch.rope_dim
        prefill_width = arch.nope_dim + arch.rope_dim + arch.v_dim
    else:
        decode_width = prefill_width = 2 * arch.head_dim
    return {
        "layers": arch.layers,
        "hidden": arch.hidden,
        "moe_layers": arch.moe_layers,
        "experts": max(arch.experts, 1),
        "top_k": arch.experts_per_token,
        "mixing_params": arch.mixing_params,
        "dense_params": arch.dense_params,
        "expert_params": arch.expert_params,
        "moe_width": arch.moe_intermediate,
        "head_params": arch.head_params,
        "head_bytes": arch.head_bytes(precision),
        "rest_bytes": BITS[rest] / 8,
        "routed_bytes": BITS[routed] / 8,
        "weight_bytes": arch.weight_bytes(precision),
        "mixing_bytes": arch.mixing_params * BITS[rest] / 8,
        "full_layers": layers - arch.window_layers,
        "window_layers": arch.window_layers,
        "window": max(arch.window, 1),
        "kv_layer_bytes": arch.kv_values_per_layer * BITS[kv_format] / 8,
        "kv_shards": 1 if arch.attention == "mla" else arch.kv_heads,
        "decode_flops": 2 * arch.heads * decode_width,  # a layer, a query token, a cached token
        "prefill_flops": 2 * arch.heads * prefill_width,
        "mla": arch.attention == "mla",
    }


def device_shape(device: GPU, arch: Architecture, precision: str) -> dict[str, float]:
    """Peaks, bandwidths and memory of one device, for the formats that this model has in this precision."""
    rest, routed = arch.format_of_rest(precision), arch.format_of_experts(precision)
    width = {"fp32": 16, "bf16": 16, "fp8": 8, "int8": 8, "fp4": 4}

    def unit(name: str) -> int:  # bits of the matrix unit that the weights end up in
        return width[name] if name in width and name in (*device.peak_flops, "bf16", "fp32") else 16

    return {
        "peak_rest": device.peak(rest),
        "peak_routed": device.peak(routed),
        "peak_16": device.peak_flops["bf16"],
        "rest_bits": unit(rest),
        "routed_bits": unit(routed),
        "bandwidth": device.bandwidth_bytes_s,
        "memory": device.memory_bytes,
        "link": max(device.link_bytes_s, 1e9),
        "switched": device.fabric == "nvlink",
        "mesh": device.fabric == "infinity",
        "domain": device.fabric_gpus,
        "arm": device.host == "arm",
    }


def kv_default(precision: str) -> str:
    """Format of the cache when none is named: 8-bit beside 8- and 4-bit floating-point weights, else 16-bit."""
    return "fp8" if number_format(precision) in ("fp8", "fp4") else "bf16"


def as_list(value: object) -> list:
    """A scalar as a list of one; any sequence or array as a list."""
    if isinstance(value, str | Architecture | GPU) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def shapes(arch: object, device: object, precision: object, kv_precision: object) -> SimpleNamespace:
    """Arrays of every field above for (sequences of) models, devices and formats, broadcast to one length."""
    lists = [as_list(value) for value in (arch, device, precision, kv_precision)]
    n = max(map(len, lists))
    keys, found, index = {}, [], np.zeros(n, int)
    for i, key in enumerate(zip(*[entry * n if len(entry) == 1 else entry for entry in lists], strict=True)):
        if key not in keys:
            model, card, weights, cached = key
            keys[key] = len(found)
            missing = cached is None or cached != cached or cached == ""
            cached = kv_default(weights) if missing else number_format(cached)
            card = card if isinstance(card, GPU) else gpu(card)
            model = architecture(model)
            found.append(model_shape(model, weights, cached) | device_shape(card, model, weights))
        index[i] = keys[key]
    columns = {name: np.array([entry[name] for entry in found], float)[index] for name in found[0]}
    if n == 1:
        columns = {name: value[0] for name, value in columns.items()}
    return SimpleNamespace(**columns)
