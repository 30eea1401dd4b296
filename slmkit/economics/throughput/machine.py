"""This machine as a device of the throughput model: its bandwidth, arithmetic and overheads, measured in seconds.

Nothing is fitted to a language model that is then predicted: bandwidth comes from products of one row with large
matrices (what decoding does), arithmetic from products of many rows, the loss of few rows from products of eight, and
overhead from a model so narrow that its arithmetic takes no time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from slmkit import provenance
from slmkit.economics.catalogue import GPU

READ_BYTES = 192 * 2**20  # well beyond the last cache of a desktop processor
# Where nothing slower than the measured rates is at work, every share of them is 1 and nothing is lost on links.
IDEAL = {
    "mfu_16": 1.0, "mfu_8": 1.0, "mfu_4": 1.0, "mfu_attention": 1.0, "mbu_weights": 1.0, "mbu_cache": 1.0,
    "workspace_bytes": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """Measured rates: bytes/s read, FLOP/s in products, seconds a layer and a step that no arithmetic explains.

    `rows_half`: a product of few rows takes as long as one with so many rows more at full speed.
    """

    name: str
    device: str
    dtype: str
    memory_bytes: float
    bandwidth_bytes_s: float
    flop_s: float
    rows_half: float
    layer_s: float
    step_s: float

    def gpu(self) -> GPU:
        """The machine in the form that `roofline.predict` takes."""
        return GPU(
            self.name, "this machine", self.memory_bytes, self.bandwidth_bytes_s, {"bf16": self.flop_s}, kind="edge",
            source="measured here",
        )  # fmt: skip


def measure(device: str = "cpu", dtype: Any = None, repeats: int = 3) -> Machine:
    """Measure the device that models run on; a few seconds."""
    import torch

    dtype = dtype or (torch.float32 if device == "cpu" else torch.bfloat16)
    cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name() if cuda else provenance.hardware()
    memory = torch.cuda.get_device_properties(0).total_memory if cuda else _memory_bytes()
    with torch.inference_mode():
        bandwidth, flop, rows_half = _products(device, dtype, repeats)
    layer, step = overheads(device, dtype, repeats)
    kind = str(dtype).removeprefix("torch.")
    return Machine(name, device, kind, memory, bandwidth, flop, rows_half, layer, step)


def _memory_bytes() -> float:
    import os

    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def seconds(work: Callable[[], Any], repeats: int, device: str = "cpu") -> float:
    """The fastest of several runs, after one to warm up."""
    import torch

    def once() -> float:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        return time.perf_counter() - start

    once()
    return min(once() for _ in range(repeats))


def _products(device: str, dtype: Any, repeats: int) -> tuple[float, float, float]:
    """Bytes/s of one row through large matrices, FLOP/s of many rows, and rows lost by few; see `Machine`."""
    import torch

    width, many = 2048, 256 if device == "cpu" else 4096
    size = torch.empty(0, dtype=dtype).element_size()
    matrices = [
        torch.ones(width, width, dtype=dtype, device=device) for _ in range(READ_BYTES // (width * width * size))
    ]
    took = {}
    for n, used in ((1, matrices), (8, matrices[:4]), (many, matrices[:2])):
        rows = torch.ones(n, width, dtype=dtype, device=device)
        took[n] = seconds(lambda: [torch.nn.functional.linear(rows, m) for m in used], repeats, device) / len(used)  # noqa: B023
    weights = width * width
    flop = 2 * weights * many / took[many]
    return weights * size / took[1], flop, max(0.0, took[8] * flop / (2 * weights) - 8)


def overheads(device: str, dtype: Any, repeats: int = 3) -> tuple[float, float]:
    """Seconds of a decode step a layer, and beside the layers: the slope and the rest over 2 and 10 narrow layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from slmkit.models.decoding import Prompt, generate

    took, depths = [], (2, 10)
    for layers in depths:
        shape = LlamaConfig(
            vocab_size=256, hidden_size=32, intermediate_size=32, num_hidden_layers=layers, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=256, bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        model = LlamaForCausalLM(shape).to(device, dtype).eval()
        prompt = Prompt(list(range(16)), 24)
        out = [generate(model, [prompt], ends=frozenset(), pad=0)[0] for _ in range(repeats + 1)][1:]
        took.append(min((each.latency_s - each.ttft_s) / 23 for each in out))
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    layer = max(0.0, float(np.diff(took)[0]) / (depths[1] - depths[0]))
    return layer, max(0.0, took[0] - depths[0] * layer)
