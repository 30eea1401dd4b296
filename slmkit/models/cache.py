"""A key-value cache with room to grow, so that a step writes one column instead of copying all of them.

The dynamic cache of transformers concatenates at every step, which on a CPU costs more than the matrix
products of a small model. Only plain attention layers are replaced; sliding windows and convolution states
stay as they are.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

ROOM = 64  # columns added at a time


class GrowingLayer(DynamicLayer):
    """Keys and values, (batch, heads, tokens, head size), as views of buffers that are larger than needed."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.buffers: list[torch.Tensor | None] = [None, None]
        old = self.get_seq_length()
        new = old + key_states.shape[-2]
        for place, (states, held) in enumerate([(key_states, self.keys), (value_states, self.values)]):
            buffer = self.buffers[place]
            if buffer is None or buffer.shape[-2] < new:
                columns = -(-new // ROOM) * ROOM + ROOM
                buffer = states.new_empty((*states.shape[:-2], columns, states.shape[-1]))
                if old:
                    buffer[..., :old, :] = held
                self.buffers[place] = buffer
            buffer[..., old:new, :] = states
        self.keys, self.values = (buffer[..., :new, :] for buffer in self.buffers)  # type: ignore[index]
        return self.keys, self.values

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        super().reorder_cache(beam_idx)
        self.buffers = [None, None]


def growing_cache(config: Any) -> DynamicCache:
    """An empty cache for a model of this config, its plain attention layers with room to grow."""
    cache = DynamicCache(config=config)
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache
