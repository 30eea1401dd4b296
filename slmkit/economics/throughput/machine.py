"""This machine as a device of the throughput model: its bandwidth, arithmetic and overheads, measured in seconds.

Nothing is fitted to a language model that is then predicted: bandwidth comes from products of one row with large
matrices (what decoding does), arithmetic from products of many rows, the loss of few rows from products of few, and
overhead from a model so narrow that its arithmetic takes no time. On a processor that others use as well, seconds are
those in which this process really ran, so that rates are those of an idle machine; `Clock` says what share it got.
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
    "workspace_bytes": 0.0, "sharpness": 50.0,
}  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """Measured rates: bytes/s read, FLOP/s in products, seconds a layer and a step that no arithmetic explains.

    `products`: (rows, seconds a weight) of the products measured, fewest rows first; `flop_s` is that of the last.
    """

    name: str
    device: str
    dtype: str
    memory_bytes: float
    bandwidth_bytes_s: float
    flop_s: float
    products: tuple[tuple[float, float], ...]
    layer_s: float
    step_s: float

    def rows_half(self, rows: float) -> float:
        """A product of so many rows takes as long as one with this many rows more at full speed."""
        sizes, took = zip(*self.products, strict=True)
        return max(0.0, float(np.interp(rows, sizes, took)) * self.flop_s / 2 - rows)

    def gpu(self) -> GPU:
        """The machine in the form that `roofline.predict` takes."""
        return GPU(
            self.name, "this machine", self.memory_bytes, self.bandwidth_bytes_s, {"bf16": self.flop_s}, kind="edge",
            source="measured here",
        )  # fmt: skip


class Clock:
    """Wall seconds since it was started, and the share of the processor that this process got in them.

    On a CPU: processor seconds over wall seconds x threads; 1 on another device.
    """

    def __init__(self, device: str) -> None:
        import torch

        self.threads = torch.get_num_threads() if device == "cpu" else 0
        self.wall, self.used = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """(wall seconds, share)."""
        wall, used = time.perf_counter() - self.wall, time.process_time() - self.used
        if not self.threads or wall <= 0:
            return wall, 1.0
        return wall, min(1.0, max(1e-3, used / (wall * self.threads)))


def measure(device: str = "cpu", dtype: Any = None, repeats: int = 3, width: int = 2048) -> Machine:
    """Measure the device that models run on, with products of vectors of `width`: narrow ones read memory less well."""
    import torch

    dtype = dtype or (torch.float32 if device == "cpu" else torch.bfloat16)
    cuda = device.startswith("cuda")
    name = torch.cuda.get_device_name() if cuda else provenance.hardware()
    memory = torch.cuda.get_device_properties(0).total_memory if cuda else _memory_bytes()
    with torch.inference_mode():
        products = _products(device, dtype, repeats, width)
    bandwidth = torch.empty(0, dtype=dtype).element_size() / products[0][1]
    flop = 2 * products[-1][0] / products[-1][1]
    layer, step = overheads(device, dtype, repeats)
    kind = str(dtype).removeprefix("torch.")
    return Machine(name, device, kind, memory, bandwidth, flop, products, layer, step)


def _memory_bytes() -> float:
    import os

    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def seconds(work: Callable[[], Any], repeats: int, device: str = "cpu") -> float:
    """The fastest of several runs, after one to warm up; as if nobody else used the processor."""
    import torch

    def once() -> float:
        clock = Clock(device)
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        wall, share = clock.read()
        return wall * share

    once()
    return min(once() for _ in range(repeats))


def _products(device: str, dtype: Any, repeats: int, width: int) -> tuple[tuple[float, float], ...]:
    """(rows, seconds a weight) of products of one row, of few and of many with matrices beyond the cache."""
    import torch

    outputs, many = 2048, 256 if device == "cpu" else 4096
    size = torch.empty(0, dtype=dtype).element_size()
    count = max(2, READ_BYTES // (outputs * width * size))
    matrices = [torch.ones(outputs, width, dtype=dtype, device=device) for _ in range(count)]
    found = []
    for n, used in ((1, matrices), (2, matrices), (4, matrices), (8, matrices), (many, matrices[: max(2, count // 8)])):
        rows = torch.ones(n, width, dtype=dtype, device=device)
        took = seconds(lambda: [torch.nn.functional.linear(rows, m) for m in used], repeats, device)  # noqa: B023
        found.append((float(n), took / (len(used) * outputs * width)))
    return tuple(found)


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
        prompt, steps = Prompt(list(range(16)), 24), []
        for _ in range(repeats + 1):
            clock = Clock(device)
            out = generate(model, [prompt], ends=frozenset(), pad=0)[0]
            steps.append((out.latency_s - out.ttft_s) / 23 * clock.read()[1])
        took.append(min(steps[1:]))
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    layer = max(0.0, float(np.diff(took)[0]) / (depths[1] - depths[0]))
    return layer, max(0.0, took[0] - depths[0] * layer)
