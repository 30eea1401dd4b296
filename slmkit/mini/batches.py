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
    """Token ids and loss weights, (rows, length), with the first token of each answer that calls and that does not."""

    ids: np.ndarray
    weights: np.ndarray
    calls: np.ndarray
    texts: np.ndarray


@dataclass(frozen=True)
class Weights:
    """Loss weights: 1 on what the assistant says, little on the prompt, much on an answer's first token."""

    prompt: float = 0.05
    first: float = 8.0
    sampled: float = 0.2  # share of prompt tokens in the loss; their weight makes up for the others


class Stream:
    """Batches of `tokens` tokens from chunks of the corpus; `cursor` is its (chunk, position)."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
        easy: bool,
        core: float,
        tokens: int,
        longest: int,
        weights: Weights,
        chunk: int = 2048,
    ):
        self.tokenizer, self.seed, self.easy, self.core = tokenizer, seed, easy, core
        self.tokens, self.longest, self.weights, self.chunk = tokens, longest, weights, chunk
        self.cursor = [0, 0]
        self._batches = lru_cache(maxsize=1)(self._make)

    def __next__(self) -> Batch:
        chunk, position = self.cursor
        while position >= len(batches := self._batches(chunk)):  # none at all, when few rows of a chunk are alike
            chunk, position = chunk + 1, 0
        self.cursor = [chunk, position + 1] if position + 1 < len(batches) else [chunk + 1, 0]
        return batches[position]

    def _make(self, index: int) -> list[Batch]:
        conversations = list(islice(corpus.stream(f"{self.seed}/{index}", self.easy, self.core), self.chunk))
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
        marks = self.tokenizer.convert_tokens_to_ids(["<|assistant|>", "<|call|>", self.tokenizer.eos_token])
        spoken, first, calls = answers(ids, *marks)
        sampled = (rng.random(ids.shape) < self.weights.sampled) & (ids != self.tokenizer.pad_token_id)
        weights = np.where(spoken, 1.0, sampled * self.weights.prompt / self.weights.sampled)
        return Batch(
            ids, np.where(first, self.weights.first, weights).astype(np.float32), first & calls, first & ~calls
        )


def answers(ids: np.ndarray, assistant: int, call: int, end: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks over ids (rows, length): what the assistant says with the end token, its first token, answers that call."""
    spoken = np.zeros(ids.shape, bool)
    speaking = np.zeros(len(ids), bool)
    for column in range(ids.shape[1]):
        spoken[:, column] = speaking
        speaking = (speaking & (ids[:, column] != end)) | (ids[:, column] == assistant)
    first = np.zeros(ids.shape, bool)
    first[:, 1:] = spoken[:, 1:] & ~spoken[:, :-1]
    calls = np.zeros(ids.shape, bool)
    calling = np.zeros(len(ids), bool)
    for column in reversed(range(ids.shape[1])):  # from an answer's end to its start: has a call been met?
        calling = spoken[:, column] & (calling | (ids[:, column] == call))
        calls[:, column] = calling
    return spoken, first, calls
