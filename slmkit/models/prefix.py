"""Prompts that begin alike, such as those over the same system message and tools, share the work for that part.

What a model keeps of a token (keys, values, the inputs of its short convolutions) depends on the tokens before it
alone, so it is the same in every prompt that begins with them. A batch then runs over the last tokens of each
prompt only. Rows of a batch run over equally many of them: a row with a short rest runs over some of the shared
tokens again, and does not look at their stored copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from transformers.cache_utils import LinearAttentionLayer

from slmkit.models.cache import GrowingLayer, growing_cache

SHORTEST = 48  # tokens; for fewer, a forward pass more costs what it saves
GAIN = 0.2  # share of a group's prompt tokens that must be saved
BATCH = 4_096  # tokens; a batch of its own costs about as much, in the steps that it does not share
LARGEST = 1_024  # prompts of a group
KEPT_BYTES = 512_000_000


@dataclass
class Prefix:
    """The tokens of a shared beginning, and what each layer keeps of them: keys and values, or inputs."""

    ids: list[int]
    layers: list[tuple[torch.Tensor, ...]]

    @property
    def bytes(self) -> int:
        return sum(states.nbytes for layer in self.layers for states in layer)

    def rows(self, config: Any, starts: Sequence[int]) -> Any:
        """A cache for rows that go on at these places; a mask must choose what each sees of the prefix."""
        cache = growing_cache(config)
        for layer, held in zip(cache.layers, self.layers, strict=True):
            if isinstance(layer, GrowingLayer):
                layer.update(*(states[:, :, : max(starts)].expand(len(starts), -1, -1, -1) for states in held))
                continue
            inputs, size = held[0], int(held[1])
            padded = torch.nn.functional.pad(inputs[0], (size, 0))
            states = torch.stack([padded[:, start : start + size] for start in starts])
            layer.lazy_initialization(conv_states=states, conv_kernel_size=size)
            layer.conv_states[0].copy_(states)
            layer.has_previous_state[0] = True
        return cache


def recording(config: Any) -> Any:
    """An empty cache whose convolutions keep all of their inputs, for `take` to take them out."""
    cache = growing_cache(config)
    for layer in cache.layers:
        if isinstance(layer, LinearAttentionLayer):
            layer.activate_past_recording()
    return cache


def take(ids: list[int], cache: Any) -> Prefix:
    """What the first row of a recording cache holds of these tokens; the cache may be used on."""
    layers: list[tuple[torch.Tensor, ...]] = []
    for layer in cache.layers:
        if isinstance(layer, GrowingLayer):
            layers.append((layer.keys[:1, :, : len(ids)].clone(), layer.values[:1, :, : len(ids)].clone()))
        else:
            layers.append((layer.conv_states[0][:1, :, -len(ids) :].clone(), torch.tensor(layer.conv_kernel_size[0])))
            layer.crop(0)
            layer.record_past = False
    return Prefix(ids, layers)


def shareable(model: Any) -> bool:
    """Whether every layer keeps what a prefix can be made of: plain attention or a short convolution."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = growing_cache(inner.config).layers
    kinds = {type(layer) for layer in layers}
    plain = kinds <= {GrowingLayer, LinearAttentionLayer} and bool(layers)
    return plain and (LinearAttentionLayer not in kinds or inner.config.model_type.startswith("lfm2"))


def common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens two prompts begin with in common."""
    short = min(len(first), len(second))
    if first[:short] == second[:short]:
        return short
    low, high = 0, short
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[:middle] == second[:middle] else (low, middle - 1)
    return low


def groups(prompts: Sequence[list[int]]) -> list[tuple[int, list[int]]]:
    """Indices of prompts that begin with so many tokens in common; those that share too little come last, with 0."""
    order = sorted(range(len(prompts)), key=lambda index: prompts[index])
    like_last = [0, *(common(prompts[one], prompts[two]) for one, two in pairwise(order)), 0]
    found, alone, at = [], [], 0
    while at < len(order):
        size, end = len(prompts[order[at]]) - 1, at + 1
        while (shared := min(size, like_last[end], len(prompts[order[end - 1]]) - 1)) >= SHORTEST:
            if end == len(order) or end - at == LARGEST or shared * (end - at) < size * (end - at - 1):
                break
            size, end = shared, end + 1
        members = order[at:end]
        size = min(size, *(len(prompts[index]) - 1 for index in members))
        saved, of = size * (len(members) - 1), sum(len(prompts[index]) for index in members)
        if len(members) > 2 and saved > GAIN * of and (saved > BATCH or len(members) == len(prompts)):
            found.append((size, members))
            at = end
        else:
            alone.append(order[at])
            at += 1
    return [*found, *([(0, alone)] if alone else [])]


class Prefixes:
    """The beginnings that were worked out last, for later batches."""

    def __init__(self) -> None:
        self.kept: list[Prefix] = []

    def add(self, prefix: Prefix) -> None:
        """Keep a beginning; it takes the place of those that it goes on from."""
        self.kept = [prefix, *(old for old in self.kept if old.ids != prefix.ids[: len(old.ids)])]
        while len(self.kept) > 1 and sum(old.bytes for old in self.kept) > KEPT_BYTES:
            self.kept.pop()

    def find(self, ids: list[int], shortest: int = SHORTEST) -> Prefix | None:
        """The stored beginning with most tokens of these; None where it has fewer than `shortest`."""
        best = max(self.kept, key=lambda prefix: common(prefix.ids, ids), default=None)
        return best if best and common(best.ids, ids) >= shortest else None
