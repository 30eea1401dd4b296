"""Where the time of a model in process goes, and how far it is from what this machine could do at best.

The bound of a part is the longer of two times (the roofline): reading once per step what must be read, at the
bandwidth measured here for so many bytes, and doing the multiplications, at the rate measured here for large
matrices. Read are the weights and the stored keys and values; counted are two operations per weight and token.
Attention itself, norms and activations are left out, and pad tokens count for nothing, so no model reaches 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from slmkit.models.base import Request
from slmkit.models.local import LocalModel

if TYPE_CHECKING:
    import pandas as pd

PARTS = {
    "prompt": "template and tokenizer",
    "prefill": "first pass over the prompts",
    "decode": "one pass for each further token",
    "constraint": "tokens that may follow",
    "reply": "text and calls",
    "rest": "choice of tokens, batches, cache",
}


def profile(model: LocalModel, requests: Sequence[Request], **sampling: Any) -> pd.DataFrame:
    """A row for each of PARTS, and the total, of answering the requests; `sampling` as in `chat_many`.

    Columns: `seconds` (of the calling thread's processor on a CPU, so that a busy neighbour does not count; of the
    clock on a GPU), `share` of the total, `passes` of the model, `tokens` (without padding: of prompts in
    prefill, of replies elsewhere), `us_per_token`, `bandwidth_s` and `compute_s` (the two bounds), and `reached`,
    the longer bound as a share of the seconds. `attrs` holds the measured `gb_per_s` and `gflop_per_s`. The first
    requests are answered once before, so that nothing is measured that happens once.
    """
    import pandas as pd

    model.chat_many(requests[:4], progress=False, **sampling)
    if model.prefixes is not None:
        model.prefixes.kept.clear()
    counts = Counts(model)
    with counts.counting():
        started = counts.now()
        replies = model.chat_many(requests, progress=False, **sampling)
        total = counts.now() - started
    said = sum(reply.usage.completion for reply in replies)
    seconds = counts.seconds | {"rest": total - sum(counts.seconds.values())}
    gb_per_s, gflop_per_s = bandwidth(counts.weight_bytes, model.model.device), compute(model.model)
    rows = []
    for part in PARTS:
        tokens = counts.tokens.get(part, said)
        bandwidth_s = counts.bytes.get(part, 0) / gb_per_s / 1e9
        compute_s = counts.flops.get(part, 0) / gflop_per_s / 1e9
        rows.append([part, seconds[part], counts.passes.get(part, 0), tokens, bandwidth_s, compute_s])
    columns = ["part", "seconds", "passes", "tokens", "bandwidth_s", "compute_s"]
    table = pd.DataFrame(rows, columns=columns).set_index("part")
    table.loc["total"] = table.sum()
    table.loc["total", ["seconds", "tokens"]] = total, counts.tokens["prefill"] + said
    table.insert(1, "share", table["seconds"] / total)
    table.insert(4, "us_per_token", 1e6 * table["seconds"] / table["tokens"])
    bound = table[["bandwidth_s", "compute_s"]].max(axis=1)
    bound["total"] = bound.drop("total").sum()
    table["reached"] = (bound / table["seconds"]).where(bound > 0)
    table.attrs = {"gb_per_s": gb_per_s, "gflop_per_s": gflop_per_s}
    return table


class Counts:
    """Seconds, passes, tokens, bytes and operations by part, taken while a model answers."""

    def __init__(self, model: LocalModel) -> None:
        self.model = model
        inner = model.model
        self.weight_bytes = sum(weight.nbytes for weight in inner.parameters())
        head = inner.get_output_embeddings().weight.numel()
        table = inner.get_input_embeddings().weight
        looked_up = 0 if table is inner.get_output_embeddings().weight else table.numel()
        self.head_flops, self.body_flops = 2 * head, 2 * (sum(w.numel() for w in inner.parameters()) - head - looked_up)
        self.seconds = dict.fromkeys(["prompt", "prefill", "decode", "constraint", "reply"], 0.0)
        self.passes, self.tokens, self.bytes, self.flops = ({"prefill": 0, "decode": 0} for _ in range(4))

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what the model does in this block; it answers as without."""
        model, inner = self.model, self.model.model
        grammar, begun = model.grammar, []
        hooks = [
            inner.register_forward_pre_hook(lambda *_: begun.append(self.now())),
            inner.register_forward_hook(lambda _, __, given, ___: self._passed(given, begun.pop()), with_kwargs=True),
        ]
        model._prompt, model._reply = self._timed("prompt", model._prompt), self._timed("reply", model._reply)
        if grammar is not None:
            constrain = self._timed("constraint", grammar.constrain)
            grammar.constrain = lambda *given: Timed(constrain(*given), self)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
            del model._prompt, model._reply
            if grammar is not None:
                del grammar.constrain

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            started = self.now()
            try:
                return call(*given)
            finally:
                self.seconds[part] += self.now() - started

        return timed

    def _passed(self, given: dict[str, Any], started: float) -> None:
        rows, new = given["input_ids"].shape
        part = "prefill" if new > 1 else "decode"
        tokens = int(given["attention_mask"][:, -new:].sum())
        states = [
            getattr(layer, name, None) for layer in given["past_key_values"].layers for name in ("keys", "values")
        ]
        self.seconds[part] += self.now() - started
        self.passes[part] += 1
        self.tokens[part] += tokens
        self.bytes[part] += self.weight_bytes + sum(held.nbytes for held in states if held is not None)
        self.flops[part] += tokens * self.body_flops + rows * self.head_flops

    def now(self) -> float:
        return clock_s(self.model.model.device)


class Timed:
    """A constraint whose calls are timed."""

    def __init__(self, constraint: Any, counts: Counts) -> None:
        self.constraint = constraint
        self.call = counts._timed("constraint", constraint)

    def __call__(self, *given: Any) -> Any:
        return self.call(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.constraint, name)


def bandwidth(size: int, device: Any, repeats: int = 7) -> float:
    """GB/s at which this many bytes are read over and over: from a cache where they fit into one."""
    block = torch.ones(max(size, 1_000_000) // 4, dtype=torch.float32, device=device)
    return block.nbytes / _best_s(block.sum, device, repeats) / 1e9


def compute(model: Any, repeats: int = 5, width: int = 512) -> float:
    """1e9 operations/s of the product of two square matrices in the model's number format."""
    matrix = torch.ones(width, width, dtype=model.dtype, device=model.device)
    return 2 * width**3 / _best_s(lambda: matrix @ matrix, model.device, repeats) / 1e9


def clock_s(device: Any) -> float:
    """Seconds from some point on: processor seconds of this thread, or, on a GPU, the time at which it is done."""
    if torch.device(device).type != "cuda":
        return time.thread_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def _best_s(call: Callable[[], Any], device: Any, repeats: int) -> float:
    seconds = []
    for _ in range(repeats + 1):
        started = clock_s(device)
        call()
        seconds.append(clock_s(device) - started)
    return min(seconds[1:])
