"""Measure a model on this machine or behind a server, price it, and hold the prediction against it.

Every batch size is run with random prompts of one length and answers of another, none ended early: throughput does not
depend on what the tokens say, nor on the values of weights, so `random:NAME` runs any shape of the catalogue.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from slmkit.economics import cost
from slmkit.economics.architecture import Architecture, architecture
from slmkit.economics.catalogue import devices, find
from slmkit.economics.constants import fitted
from slmkit.economics.market import rent
from slmkit.economics.roofline import predict
from slmkit.economics.throughput.machine import IDEAL, Clock, Machine, measure
from slmkit.errors import InputError
from slmkit.models.reference import parse_reference

RANDOM = "random:"
# Rent of a shared two-core machine; an assumption that --usd-per-hour replaces.
USD_PER_HOUR = 0.05
PRICE_SOURCE = "assumed rent of a small machine, not a quote; name your own with --usd-per-hour"


def rows(
    ref: str,
    batches: Sequence[int] = (1, 2, 4, 8),
    input_tokens: int = 256,
    output_tokens: int = 32,
    *,
    usd_per_hour: float | None = None,
    price_source: str = "",
    machine: Machine | None = None,
    device: str = "auto",
    repeats: int = 2,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a batch size (a server: concurrency): seconds, tokens/s, peak bytes, USD, and the prediction.

    Columns: model, params, device, dtype, batch, input_tokens, output_tokens, ttft_s, tpot_s, out_tok_s, peak_bytes,
    cpu_share (of the processor, that the run got beside others), usd_per_mtok_in, usd_per_mtok_out, usd_per_hour,
    price_source, predicted_ttft_s, predicted_tpot_s, predicted_out_tok_s, error (of tokens/s, predicted over measured
    minus 1). The faster of `repeats` runs counts: a shared machine only ever adds time. The prediction is that of the
    idle machine divided by `cpu_share`. No prediction for a server. Without a price the catalogue's rent of a GPU
    counts, else `USD_PER_HOUR`. InputError for a reference without speed (`replay:`), a price or size of 0 or less,
    and a batch that fails.
    """
    if usd_per_hour is not None:
        cost.above_zero(usd_per_hour=usd_per_hour)
    cost.above_zero(input_tokens=input_tokens, output_tokens=output_tokens - 1)
    if not batches or min(batches) < 1:
        raise InputError(f"batches: expected sizes of 1 or more, found {list(batches)}")
    if ref.startswith("replay:"):
        raise InputError(f"{ref}: recorded calls have no speed; name a model that runs")
    if ref.startswith("openai:"):
        found = list(_served(ref, batches, input_tokens, output_tokens, seed))
    else:
        found = list(_local(ref, batches, input_tokens, output_tokens, machine, device, repeats, seed))
    table = pd.DataFrame(found)
    if usd_per_hour is None:
        usd_per_hour, price_source = price_of(str(table["device"].iloc[0]))
    return table.assign(**_priced(table, usd_per_hour), usd_per_hour=usd_per_hour, price_source=price_source)


def price_of(device: str) -> tuple[float, str]:
    """USD an hour of the hardware and where that stands: the catalogue's rent of a GPU, or the assumption."""
    known = find(device)
    if known is None or devices()[known].kind != "datacenter":
        return USD_PER_HOUR, PRICE_SOURCE
    found = rent(known)
    return found.usd.mid, found.source


def _priced(table: pd.DataFrame, usd_per_hour: float) -> dict[str, Any]:
    """Rent divided by tokens, split by the time to the first token and after it."""
    whole = table["ttft_s"] + table["tpot_s"] * (table["output_tokens"] - 1)
    usd_in, usd_out = cost.usd_per_mtok(
        usd_per_hour, 1, table["out_tok_s"].to_numpy(), table["input_tokens"].to_numpy(),
        table["output_tokens"].to_numpy(), (table["ttft_s"] / whole).clip(upper=1).to_numpy(),
    )  # fmt: skip
    return {"usd_per_mtok_in": usd_in, "usd_per_mtok_out": usd_out}


def random_model(name: str, device: str, seed: int = 0) -> tuple[Any, Architecture]:
    """A model with random weights in a dense shape of the catalogue, and that shape. InputError for a sparse one."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    arch = architecture(name)
    if arch.moe or arch.attention != "gqa" or arch.window_layers or arch.mixer_layers:
        raise InputError(f"{RANDOM}{name}: only dense shapes with full attention can be made; take another")
    shape = LlamaConfig(
        vocab_size=arch.vocab, hidden_size=arch.hidden, intermediate_size=arch.intermediate,
        num_hidden_layers=arch.layers, num_attention_heads=arch.heads, num_key_value_heads=arch.kv_heads,
        head_dim=arch.head_dim, max_position_embeddings=32_768, tie_word_embeddings=arch.tied,
        bos_token_id=None, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    torch.manual_seed(seed)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if device == "cpu" else torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(shape)
    finally:
        torch.set_default_dtype(before)
    return model.eval(), arch


def _load(ref: str, device: str, seed: int) -> tuple[Any, Architecture | None, str]:
    from slmkit.models import load, loading

    device = loading.pick_device(device)
    if ref.startswith(RANDOM):
        return *random_model(ref.removeprefix(RANDOM), device, seed), device
    model = load(ref, device=device)
    place = parse_reference(ref).path
    try:
        known = architecture(place if place is not None else ref)
    except InputError:
        known = None  # a shape that the throughput model does not read: measured all the same
    return model.model, known, device


def _local(
    ref: str, batches: Sequence[int], input_tokens: int, output_tokens: int, machine: Machine | None, device: str,
    repeats: int, seed: int,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    from slmkit import allocator
    from slmkit.models.decoding import Prompt, generate

    allocator.tune()
    model, arch, device = _load(ref, device, seed)
    context = getattr(model.config, "max_position_embeddings", None) or input_tokens + output_tokens
    if input_tokens + output_tokens > context:
        raise InputError(f"{ref}: {input_tokens} + {output_tokens} tokens exceed its context of {context:,}")
    machine = machine or measure(device, model.dtype, width=model.config.hidden_size)
    dice = random.Random(seed)
    for size in batches:
        prompts = [Prompt([dice.randrange(3, model.config.vocab_size) for _ in range(input_tokens)], output_tokens)
                   for _ in range(size)]  # fmt: skip
        generate(model, [replace(prompts[0], limit=2)], ends=frozenset(), pad=0)
        _reset_peak(device)
        runs = []
        for _ in range(repeats):
            clock = Clock(device)
            first = generate(model, prompts, ends=frozenset(), pad=0)[0]
            runs.append((first.latency_s, first.ttft_s, clock.read()[1]))
        last, ttft, share = min(runs)
        tpot = (last - ttft) / (output_tokens - 1)
        row = {
            "model": ref, "params": model.num_parameters(), "device": machine.name,
            "dtype": str(model.dtype).removeprefix("torch."), "batch": size, "input_tokens": input_tokens,
            "output_tokens": output_tokens, "ttft_s": ttft, "tpot_s": tpot, "out_tok_s": size * output_tokens / last,
            "peak_bytes": _peak(device), "cpu_share": share,
        }  # fmt: skip
        yield row | (_predicted(arch, machine, row) if arch is not None else {})


def _predicted(arch: Architecture, machine: Machine, row: dict[str, Any]) -> dict[str, float]:
    """What the throughput model says of the row, from the machine's rates and the share of it that the run got."""
    constants = dict(fitted()) | IDEAL | {
        "rows_half": machine.rows_half(row["batch"]),
        "layer_s": machine.layer_s, "prefill_layer_s": machine.layer_s, "router_s": 0.0, "memory_share": 1.0,
        "step_s_vllm": machine.step_s, "sequence_s_vllm": 0.0, "request_s_vllm": machine.step_s,
    }  # fmt: skip
    found = predict(
        arch, machine.gpu(), precision="fp32" if machine.dtype == "float32" else "bf16", kv_precision="bf16",
        input_tokens=row["input_tokens"], output_tokens=row["output_tokens"], concurrency=row["batch"],
        constants=constants,
    )  # fmt: skip
    ttft = row["batch"] * float(found["prefill_s"]) / row["cpu_share"]
    tpot = float(found["decode_step_s"]) / row["cpu_share"]
    whole = ttft + tpot * (row["output_tokens"] - 1)
    out = row["batch"] * row["output_tokens"] / whole
    return {"predicted_ttft_s": ttft, "predicted_tpot_s": tpot, "predicted_out_tok_s": out,
            "error": out / row["out_tok_s"] - 1}  # fmt: skip


def _served(
    ref: str, batches: Sequence[int], input_tokens: int, output_tokens: int, seed: int
) -> Iterator[dict[str, Any]]:
    """A server, asked `size` at a time; tokens are those that it counts itself."""
    from slmkit.models import Request, load

    dice = random.Random(seed)
    for size in batches:
        model = load(ref, concurrency=size, max_tries=2)
        words = [" ".join(f"w{dice.randrange(10**4)}" for _ in range(input_tokens // 3)) for _ in range(size)]
        asked = [Request([{"role": "user", "content": f"Write on and on about these words: {text}"}]) for text in words]
        start = time.perf_counter()
        replies = model.chat_many(asked, progress=False, max_tokens=output_tokens)
        took = time.perf_counter() - start
        failed = next((reply.error for reply in replies if reply.error), None)
        if failed:
            raise InputError(f"{ref}: a request failed at concurrency {size} ({failed})")
        done = [reply for reply in replies if reply.usage.completion > 1]
        if not done:
            raise InputError(f"{ref}: no answer of two tokens or more, so there is no speed to measure")
        tokens = sum(reply.usage.completion for reply in replies)
        ttft = sum(reply.ttft_s or 0.0 for reply in done) / len(done)
        steps = [(r.latency_s - (r.ttft_s or 0.0)) / (r.usage.completion - 1) for r in done if r.latency_s]
        yield {
            "model": ref, "params": None, "device": "server", "dtype": "", "batch": size,
            "input_tokens": round(sum(r.usage.prompt for r in replies) / size) or input_tokens,
            "output_tokens": max(2, round(tokens / size)), "ttft_s": ttft, "tpot_s": sum(steps) / max(1, len(steps)),
            "out_tok_s": tokens / took, "peak_bytes": None,
        }  # fmt: skip


def _reset_peak(device: str) -> None:
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> float:
    """Peak bytes: of the device, or of this process since it started (a CPU has no finer count)."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.max_memory_allocated())
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
