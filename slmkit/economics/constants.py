"""The physical constants of the throughput model: what each means, its bounds, and the values fitted (`fit.py`)."""

from __future__ import annotations

import json
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from slmkit.config import resource

FILE = "data/economics/constants.json"


class Constant(NamedTuple):
    """A guess from first principles, the range that a fit may use, and what the constant is."""

    guess: float
    low: float
    high: float
    meaning: str


# Guesses are round numbers: shares as kernels' authors report them, launches of some microseconds, engines' defaults.
# A prompt in vLLM: gaps between tokens grew from 9 to 27 ms where steps took in prompts (ML.ENERGY, 8B on B200).
CONSTANTS = {
    "mfu_16": Constant(0.7, 0.4, 0.95, "share of peak FLOP/s that large products reach, 16-bit units"),
    "mfu_8": Constant(0.6, 0.3, 0.95, "the same, 8-bit units"),
    "mfu_4": Constant(0.5, 0.2, 0.9, "the same, 4-bit units"),
    "expert_mfu": Constant(0.7, 0.3, 1.0, "of that, the share that grouped products of experts reach"),
    "mfu_attention": Constant(0.5, 0.1, 0.8, "share of peak 16-bit FLOP/s of attention over a prompt"),
    "mfu_decode_attention": Constant(0.2, 0.05, 0.8, "the same, one query token a sequence"),
    "mbu_weights": Constant(0.8, 0.5, 0.95, "share of bandwidth when weights are read"),
    "mbu_cache": Constant(0.8, 0.4, 0.95, "share of bandwidth when cache and activations are read"),
    "mbu_experts": Constant(0.8, 0.3, 0.95, "share of bandwidth when touched experts are read"),
    "sharpness": Constant(
        2.0, 1.1, 6.0, "exponent of the smooth maximum of arithmetic and traffic; large is a maximum"
    ),
    "rows_half": Constant(16.0, 1.0, 200.0, "rows by which a product is padded (tiles, waves)"),
    "expert_rows_half": Constant(16.0, 1.0, 128.0, "rows by which the product of each touched expert is padded"),
    "expert_skew": Constant(0.1, 0.01, 1.0, "excess load of the fullest expert rank, per ln(ranks)"),
    "routing_evenness": Constant(
        1.0, 0.3, 10.0, "shape of the gamma distribution of how popular experts are; 1 is exponential"
    ),
    "chance_share": Constant(0.7, 0.1, 1.2, "share of the uneven load by chance that expert ranks wait for"),
    "expert_width_half": Constant(128.0, 8.0, 1024.0, "columns of an expert's slice at which its products reach half"),
    "prefill_imbalance": Constant(0.5, 0.05, 1.0, "share of a prompt's work that data-parallel ranks wait for"),
    "passes": Constant(8.0, 2.0, 60.0, "times that a layer streams its activations through memory"),
    "expert_passes": Constant(6.0, 2.0, 60.0, "times that a MoE layer streams the tokens of experts"),
    "link_share_switched": Constant(0.5, 0.1, 0.95, "share of link bandwidth in collectives, switched fabric (NVLink)"),
    "link_share_other": Constant(0.5, 0.1, 0.95, "the same, PCIe and meshes"),
    "allreduce_s_switched": Constant(5e-06, 1e-6, 3e-5, "s, latency of an all-reduce, switched fabric"),
    "allreduce_s_other": Constant(2e-05, 1e-6, 1.5e-4, "s, the same, PCIe and meshes"),
    "ring_hop_s": Constant(2e-6, 2e-7, 2e-5, "s a hop of a ring, of which an all-reduce has 2 (tp - 1)"),
    "alltoall_s": Constant(1e-05, 1e-6, 1e-4, "s, latency of an exchange with experts on other GPUs"),
    "layer_s": Constant(3e-05, 5e-6, 2e-4, "s a layer: launches and small kernels of a decode step"),
    "mla_s": Constant(1e-05, 1e-6, 2e-4, "s a layer, more with latent attention"),
    "router_s": Constant(1e-05, 1e-6, 2e-4, "s a MoE layer, more for routing and permutation"),
    "prefill_layer_s": Constant(
        0.0001, 1e-6, 1e-3, "s a layer, more for a step with prompts, outside the captured graph"
    ),
    "host_sharpness": Constant(2.0, 1.5, 8.0, "exponent of the smooth maximum of device and host time"),
    "host_arm": Constant(1.5, 1.0, 3.0, "host time with an Arm processor over that with x86"),
    "chunk_tokens": Constant(8192.0, 2048.0, 32768.0, "prompt tokens that a step takes in at most, a rank"),
    "memory_share": Constant(0.9, 0.8, 0.96, "share of memory that the engine may use"),
    "workspace_bytes": Constant(2000000000.0, 5e8, 6e9, "bytes a GPU for activations and captured graphs"),
    "reserve": Constant(0.9, 0.5, 1.0, "share of the output for which cache is reserved when a request starts"),
    "step_s_trtllm": Constant(0.0003, 2e-5, 1e-2, "s a step of the host that nothing overlaps: TensorRT-LLM"),
    "step_s_vllm": Constant(0.001, 2e-5, 1e-2, "the same: vLLM"),
    "step_s_sglang": Constant(0.001, 2e-5, 1e-2, "the same: SGLang"),
    "step_s_llama.cpp": Constant(0.0003, 2e-5, 1e-2, "the same: llama.cpp and its kin"),
    "sequence_s_trtllm": Constant(
        1e-05, 1e-6, 1.5e-4, "s of the host a sequence and step, beside the GPU: TensorRT-LLM"
    ),
    "sequence_s_vllm": Constant(2e-05, 1e-6, 1.5e-4, "the same: vLLM"),
    "sequence_s_sglang": Constant(2e-05, 1e-6, 1.5e-4, "the same: SGLang"),
    "sequence_s_llama.cpp": Constant(1e-05, 1e-6, 1.5e-4, "the same: llama.cpp and its kin"),
    "request_s_trtllm": Constant(0.001, 5e-5, 2e-2, "s of the host a new request: TensorRT-LLM"),
    "request_s_vllm": Constant(0.01, 5e-5, 2e-2, "the same: vLLM"),
    "request_s_sglang": Constant(0.003, 5e-5, 2e-2, "the same: SGLang"),
    "request_s_llama.cpp": Constant(0.001, 5e-5, 2e-2, "the same: llama.cpp and its kin"),
}


# Of the time to the first token in a load test (`throughput.latency`), fitted after the others: the guesses are a test
# of ten waves on an engine without losses.
LATENCY = {
    f"{name}_{engine}": Constant(guess, low, high, f"{meaning}: {engine}")
    for engine in ("trtllm", "vllm", "sglang")
    for name, guess, low, high, meaning in (
        ("ttft_floor", 1.0, 1.0, 5.0, "time to the first token of a steady load over what the model derives"),
        ("ttft_burst", 0.1, 0.001, 2.0, "share of requests that wait behind the burst which starts a load test"),
    )
}


@cache
def record() -> dict:
    """The committed record of the fit: `constants`, `fitted_on`, `rows_sha256`, `n_rows`, `held_out`, `regimes`;
    `latency` has the errors of TTFT and TPOT.
    """
    return json.loads(resource(FILE).read_text(encoding="utf-8"))


@cache
def fitted() -> MappingProxyType[str, float]:
    """The fitted constants by name, in the units that `CONSTANTS` states."""
    return MappingProxyType(record()["constants"] | record()["latency"]["constants"])
