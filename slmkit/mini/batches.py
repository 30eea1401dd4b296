"""Training batches of a few fixed shapes, made chunk by chunk from the endless stream.

Chunk k of a seed is always the same, so that an interrupted run takes up the stream where it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from slmkit.mini import corpus

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BUCKET = 64  # lengths are padded to multiples of it


class Batch(NamedTuple):
    """Token ids and loss weights, both (rows, length); `first` marks the first token of each answer."""

    ids: np.ndarray
    weights: np.ndarray
    first: np.ndarray


@dataclass(frozen=True)
class Weights:
    """Loss weights: 1 on what the assistant says, little on the prompt, much on an answer's first token."""

    prompt: float = 0.05
    first: float = 4.0
    sampled: float = 0.2  # share of prompt tokens in the loss; their weight makes up for the others


class Stream:
    """Batches of `tokens` tokens from chunks of the corpus; `cursor` is its (chunk, position)."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        easy: bool,
        tokens: int,
        longest: int,
        weights: Weights,
        chunk: int = 2048,
    ):
        self.tokenizer, self.seed, self.easy = tokenizer, seed, easy
        self.tokens, self.longest, self.weights, self.chunk = tokens, longest, weights, chunk
        self.cursor = [0, 0]
        self._batches = lru_cache(maxsize=1)(self._make)

    def __next__(self) -> Batch:
        chunk, position = self.cursor
        batches = self._batches(chunk)
        self.cursor = [chunk, position + 1] if position + 1 < len(batches) else [chunk + 1, 0]
        return batches[position]

    def _make(self, index: int) -> list[Batch]:
        conversations = list(islice(corpus.stream(f"{self.seed}/{index}", self.easy), self.chunk))
        texts = [
            self.tokenizer.apply_chat_template(made["messages"], tools=made["tools"], tokenize=False)
            for made in conversations
        ]
        rows = [np.array(ids, np.int64) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]
        rng = np.random.default_rng([self.seed, index, int(self.easy)])
        buckets: dict[int, list[np.ndarray]] = {}
        for row in rows:
            if len(row) <= self.longest:
                buckets.setdefault(-(-len(row) // BUCKET) * BUCKET, []).append(row)
        batches = []
        for length, bucket in sorted(buckets.items()):
            size = max(1, self.tokens // length)
            for start in range(0, len(bucket) - size + 1, size):
                batches.append(self._pad(bucket[start : start + size], length, rng))
        rng.shuffle(batches)  # type: ignore[arg-type]
        return batches

    def _pad(self, rows: list[np.ndarray], length: int, rng: np.random.Generator) -> Batch:
        ids = np.full((len(rows), length), self.tokenizer.pad_token_id, np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
        spoken, first = answers(ids, *self.tokenizer.convert_tokens_to_ids(["<|assistant|>", self.tokenizer.eos_token]))
        sampled = (rng.random(ids.shape) < self.weights.sampled) & (ids != self.tokenizer.pad_token_id)
        weights = np.where(spoken, 1.0, sampled * self.weights.prompt / self.weights.sampled)
        return Batch(ids, np.where(first, self.weights.first, weights).astype(np.float32), first)


def answers(ids: np.ndarray, assistant: int, end: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks over ids (rows, length): what the assistant says, end token included, and its first token."""
    spoken = np.zeros(ids.shape, bool)
    speaking = np.zeros(len(ids), bool)
    for column in range(ids.shape[1]):
        spoken[:, column] = speaking
        speaking = (speaking & (ids[:, column] != end)) | (ids[:, column] == assistant)
    first = np.zeros(ids.shape, bool)
    first[:, 1:] = spoken[:, 1:] & ~spoken[:, :-1]
    return spoken, first
