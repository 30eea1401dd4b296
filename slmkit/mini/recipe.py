"""Sizes of the mini family, and everything else that decides their weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slmkit.errors import unknown
from slmkit.mini.batches import Weights

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedTokenizerFast


@dataclass(frozen=True)
class Size:
    """Shape of a mini model; `architecture` is lfm2 or llama."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    architecture: str = "lfm2"


SIZES = {
    "mini-1m": Size(128, 4, 4, 352),
    "mini-2m": Size(192, 4, 4, 512),
    "mini-8m": Size(384, 4, 8, 1024),
    "mini-test": Size(32, 2, 2, 64),
    # Twins for comparison: a plain Llama of the same shape, whose attention weighs as much as a short convolution.
    "mini-2m-llama": Size(192, 4, 4, 512, "llama"),
    "mini-8m-llama": Size(384, 4, 8, 1024, "llama"),
    "mini-test-llama": Size(32, 2, 2, 64, "llama"),
}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights beside model size, seed and number of steps."""

    batch_tokens: int = 2048
    longest: int = 1024
    easy: float = 0.2  # share of the steps, at the start, on which of a few tools is meant
    core: float = 0.0  # share of the hand-written tools' conversations that stay with the core tools
    warmup_steps: int = 30
    constant: float = 0.5  # share of the steps before the rate falls linearly
    last_rate: float = 0.02
    muon_lr: float = 0.02
    adamw_lr: float = 4e-3
    weights: Weights = field(default_factory=Weights)
    chunk: int = 2048  # conversations generated at a time


def config(model: str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedConfig:
    """The configuration of a mini model: LFM2 with short convolutions and full attention in turn, or a plain Llama.

    Raises InputError, with the nearest names, for an unknown model.
    """
    from transformers import Lfm2Config, LlamaConfig

    if model not in SIZES:
        raise unknown("mini model", model, SIZES)
    size = SIZES[model]
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": size.hidden,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "intermediate_size": size.feed_forward,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if size.architecture == "llama":
        return LlamaConfig(**shape)
    layers = ["full_attention" if layer % 2 else "conv" for layer in range(size.layers)]
    return Lfm2Config(**shape, layer_types=layers, block_auto_adjust_ff_dim=False)
