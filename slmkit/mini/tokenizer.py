"""Tokenizer and chat template of the mini models: byte-level BPE, 4,096 tokens, `iso` pre-tokenization.

Spaces, digits, underscores and camel-case humps stand alone, and so does JSON punctuation after a quote: the
same string then has the same tokens in a request and inside a call, and copying is the identity on tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.mini import corpus

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, CALL = "<|pad|>", "<|begin|>", "<|end|>", "<|call|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", "<|tools|>")
SPECIAL = (PAD, BOS, EOS, CALL, *ROLES)
VOCABULARY = 4096

# A quote with the JSON behind it; a comma before a quote; a digit; a hump; capitals; one blank; the rest.
ISO = r'"(?:: ?[\[{]*"?|, ?\{?"?|[\]}]+)?|, "|\d|[A-Z]?[a-z]+|[A-Z]+|_|\s|[^\sA-Za-z\d_"]+'


def template() -> str:
    """The chat template (Jinja), with generation marks around what the assistant says."""
    return resources.files("slmkit.mini").joinpath("template.jinja").read_text(encoding="utf-8")


def train(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer fitted to `texts`; the same texts give the same tokenizer."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(ISO), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        additional_special_tokens=[CALL, *ROLES],
        padding_side="left",
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = template()
    return tokenizer


def build(seed: int = 0, conversations: int = 12_000) -> PreTrainedTokenizerFast:
    """The mini models' tokenizer, fitted to the first conversations of a training stream."""
    return train(plain_text(conversation) for conversation in islice(corpus.stream(seed), conversations))


def plain_text(conversation: dict[str, Any]) -> str:
    """A conversation as the template renders it."""
    return _renderer()(conversation["messages"], conversation["tools"])


def _renderer() -> Any:
    from transformers.utils.chat_template_utils import render_jinja_template

    def render(messages: list[dict], tools: list[dict]) -> str:
        rendered, _ = render_jinja_template(
            [messages], tools=tools or None, chat_template=template(), bos_token=BOS, eos_token=EOS
        )
        return rendered[0]

    return render


def load(folder: str | Path) -> PreTrainedTokenizerFast:
    """The tokenizer of a model folder."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
