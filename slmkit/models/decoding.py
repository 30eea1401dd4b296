"""Batched generation, token by token: left-padded prompts in a few shapes, rows that end leave the batch.

What one step costs on a CPU is nearly the same for one row as for eight, so short answers must not wait for
long ones with idle rows: as soon as half of the batch has ended, the rest goes on as a smaller batch.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from slmkit.models.cache import growing_cache
from slmkit.models.prefix import SHORTEST, Prefix, Prefixes, common, recording, take

REST_STRIDE = 16
STRIDE = 64  # padded lengths are multiples of this: a new shape costs more than a few pad tokens


@dataclass
class Prompt:
    """A row to generate for: token ids, how many may follow, and the seed of its own random numbers."""

    ids: list[int]
    limit: int
    seed: int = 0


@dataclass
class Generated:
    """What came out: token ids with the end token if there was one, and the sum of their log-probabilities.

    `cached` counts the tokens of the prompt that were not run over, since their work was stored.

    Log-probabilities are those of the model itself, before temperature, top-p and any constraint. Seconds
    count from the moment the row's batch started, so they hold the work for the other rows too: the latency
    of a request in a batch of that size, not of one alone.
    """

    ids: list[int] = field(default_factory=list)
    logprob: float = 0.0
    finish_reason: str = "length"
    ttft_s: float = 0.0
    latency_s: float = 0.0
    cached: int = 0


def batches(lengths: Sequence[int], budget_tokens: int, max_rows: int) -> Iterator[list[int]]:
    """Indices in batches of like length, longest first: rows times padded length within `budget_tokens`."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    at = 0
    while at < len(order):
        rows = min(max_rows, max(1, budget_tokens // _padded(lengths[order[at]])))
        yield order[at : at + rows]
        at += rows


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Prompt],
    *,
    ends: frozenset[int],
    pad: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    constraint: Any = None,
    stopped: Callable[[list[int]], bool] | None = None,
    prefixes: Prefixes | None = None,
    shared: int = 0,
) -> list[Generated]:
    """Generate for one batch of prompts, in their order.

    A row ends with a token of `ends`, where `stopped` says so of its ids, or at its limit. `constraint` is a
    logits processor, called with the last token of each row and the logits (rows, vocabulary); its
    `keep(rows)` is told when the batch shrinks. The prompts begin with `shared` tokens in common, whose work is
    taken from `prefixes` or put there; the work for a prompt alone is put there as a whole.
    """
    started = time.perf_counter()
    outputs = [Generated() for _ in prompts]
    dice = [random.Random(prompt.seed) for prompt in prompts]
    rows = list(range(len(prompts)))  # the prompt that each place of the batch works on
    waiting = set(rows)

    forward = _forward(model)
    ids = [prompt.ids for prompt in prompts]
    records = prefixes is not None and len(ids) == 1 and len(ids[0]) >= SHORTEST
    prefix = None
    if prefixes is not None and (shared or records):
        prefix = _prefix(forward, model, ids[0], prefixes, shared)
        records = records and prefix is None
    tokens, mask, positions, cache = _start(model, ids, pad, prefix)
    if records:
        cache = recording(model.config)
    for output, start in zip(outputs, positions[:, 0].tolist(), strict=True):
        output.cached = start

    while True:
        logits = forward(tokens, mask, positions, cache)
        if records:
            prefixes.add(take(ids[0], cache))  # type: ignore[union-attr]
            records = False
        own = logits
        if constraint is not None:
            logits = constraint(tokens, logits)
        chosen = _choose(logits, [dice[row] for row in rows], temperature, top_p, top_k)
        gains = (own.gather(1, chosen[:, None])[:, 0] - own.logsumexp(-1)).tolist()
        now = time.perf_counter() - started

        for row, token, gain in zip(rows, chosen.tolist(), gains, strict=True):
            if row not in waiting:
                continue
            output = outputs[row]
            output.ids.append(token)
            output.logprob += gain
            output.latency_s = now
            if len(output.ids) == 1:
                output.ttft_s = now
            if token in ends or (stopped is not None and stopped(output.ids)):
                output.finish_reason = "stop"
                waiting.discard(row)
            elif len(output.ids) >= prompts[row].limit:
                waiting.discard(row)
        if not waiting:
            return outputs

        places = [place for place, row in enumerate(rows) if row in waiting]
        positions = positions[:, -1:] + 1
        if len(places) <= len(rows) // 2:
            rows = [rows[place] for place in places]
            kept = torch.tensor(places, device=chosen.device)
            chosen, mask, positions = chosen[kept], mask[kept], positions[kept]
            cache.reorder_cache(kept)
            if constraint is not None:
                constraint.keep(places)
        tokens = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)


def _forward(model: Any) -> Callable[..., torch.Tensor]:
    """Gives the last logits, (rows, vocabulary) in float32; passes only what this model knows."""
    import inspect

    # A PEFT wrapper takes anything, so the signature is read from the model inside.
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    known = inspect.signature(inner.forward).parameters

    def forward(tokens: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Any) -> torch.Tensor:
        extra: dict[str, Any] = {"position_ids": positions} if "position_ids" in known else {}
        if "logits_to_keep" in known:
            extra["logits_to_keep"] = 1
        output = model(input_ids=tokens, attention_mask=mask, past_key_values=cache, use_cache=True, **extra)
        return output.logits[:, -1].float()

    return forward


def _choose(
    logits: torch.Tensor, dice: list[random.Random], temperature: float, top_p: float, top_k: int
) -> torch.Tensor:
    """A token for each row: the likeliest, or one drawn with the row's own random numbers."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities, tokens = (logits / temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
    before = probabilities.cumsum(-1) - probabilities
    probabilities[before >= top_p] = 0
    if top_k:
        probabilities[:, top_k:] = 0
    mass = probabilities.cumsum(-1)
    draws = torch.tensor([[die.random()] for die in dice], dtype=mass.dtype, device=mass.device)
    places = torch.searchsorted(mass, draws * mass[:, -1:], right=True)
    last = (probabilities > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(1, torch.minimum(places, last))[:, 0]


def _prefix(forward: Any, model: Any, ids: list[int], prefixes: Prefixes, shared: int) -> Prefix | None:
    """The stored work for the beginning of a prompt; worked out and stored where it is shared and not there."""
    found = prefixes.find(ids[: shared or len(ids) - 1], shared or SHORTEST)
    if found or not shared:
        return found
    tokens = torch.tensor([ids[:shared]], device=model.device)
    cache = recording(model.config)
    forward(tokens, torch.ones_like(tokens), torch.arange(shared, device=model.device)[None], cache)
    prefixes.add(made := take(ids[:shared], cache))
    return made


def _start(model: Any, ids: list[list[int]], pad: int, prefix: Prefix | None) -> tuple[Any, Any, Any, Any]:
    """Tokens to run over first, with their mask, positions and cache; mask: (rows, stored and new tokens)."""
    if prefix is None:
        tokens, mask = _left_padded(ids, pad, model.device)
        return tokens, mask, (mask.cumsum(1) - 1).clamp(min=0), growing_cache(model.config)
    rest = max(len(row) - min(common(prefix.ids, row), len(row) - 1) for row in ids)
    rest = -(-rest // REST_STRIDE) * REST_STRIDE if len(ids) > 1 else rest
    starts = [max(0, len(row) - rest) for row in ids]
    tokens, mask = _left_padded([row[start:] for row, start in zip(ids, starts, strict=True)], pad, model.device, rest)
    begun = torch.tensor(starts, device=model.device)[:, None]
    positions = (mask.cumsum(1) - 1).clamp(min=0) + begun
    stored = (torch.arange(max(starts), device=model.device)[None] < begun).to(mask.dtype)
    return tokens, torch.cat([stored, mask], dim=1), positions, prefix.rows(model.config, starts)


def _left_padded(prompts: list[list[int]], pad: int, device: Any, length: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, (rows, padded length)."""
    longest = max(map(len, prompts))
    length = length or (_padded(longest) if len(prompts) > 1 else longest)
    ids = torch.full((len(prompts), length), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, length - len(prompt) :] = torch.tensor(prompt)
        mask[row, length - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


def _padded(length: int) -> int:
    return -(-length // STRIDE) * STRIDE
