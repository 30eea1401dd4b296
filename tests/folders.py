"""Tiny model folders with random weights, saved to disk as a user's would be."""

from __future__ import annotations

from pathlib import Path

CALL, END, PAD = "<|call|>", "<|end|>", "<|pad|>"
ROLES = ["<|system|>", "<|tools|>", "<|user|>", "<|assistant|>", "<|tool|>"]

# The shape of a mini's template: tools as compact lines, calls as `<|call|>` and JSON, `<|end|>` after each
# turn.
TEMPLATE = """
{%- if tools %}<|tools|>{% for tool in tools %}{{ tool.function.name }}(
{%- for name in tool.function.parameters.properties %}{{ name }}{{ ", " if not loop.last }}{% endfor %})
{{ tool.function.description }}
{% endfor %}{% endif %}
{%- for message in messages %}<|{{ message.role }}|>{{ message.content or "" }}
{%- for call in message.tool_calls or [] %}<|call|>{"name": {{ call.function.name | tojson }}, "arguments": \
{{ call.function.arguments | tojson }}}{% endfor %}{% if message.role == "assistant" %}<|end|>{% endif %}
{%- endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"""

# The same with a call as name, `<|call|>` and the arguments, one a line.
NAMED_TEMPLATE = TEMPLATE.replace(
    """<|call|>{"name": {{ call.function.name | tojson }}, "arguments": {{ call.function.arguments | tojson }}}""",
    """{{ ("" if loop.first else "\\n") ~ call.function.name ~ "<|call|>" ~ (call.function.arguments | tojson) }}""",
)

CORPUS = [
    'Set an alarm for 7:30 {"name": "set_alarm", "arguments": {"hour": 7, "minute": 30, "label": "work"}}',
    'What is the weather in Oslo? {"name": "get_weather", "arguments": {"city": "Oslo", "unit": "celsius"}}',
    'Book a table {"name": "book_table", "arguments": {"people": 4, "outside": true, "notes": ["quiet"]}}',
    "I cannot do that with these tools. There is no function for it. A window by the sea.",
]


def write_tokenizer(folder: str | Path, template: str | None = TEMPLATE, vocab_size: int = 512) -> object:
    """Train a byte-level BPE tokenizer on a few lines, save it to `folder` and return it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, END, CALL, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS * 3, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token=PAD, eos_token=END)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_model(
    folder: str | Path,
    architecture: str = "lfm2",
    template: str | None = TEMPLATE,
    hidden_size: int = 48,
    context: int = 1024,
    seed: int = 0,
    spread: float = 0.3,
) -> Path:
    """Save a random-weight model of two layers to `folder` and return it.

    `architecture` is "lfm2" or "llama". `spread` is the standard deviation of the weights: with the usual
    0.02 every token is as likely as any other, and a test of equal outputs would compare ties.
    """
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM, LlamaConfig, LlamaForCausalLM

    tokenizer = write_tokenizer(folder, template)
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden_size,
        "intermediate_size": 2 * hidden_size,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": context,
        "initializer_range": spread,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(seed)
    if architecture == "lfm2":
        layers = ["conv", "full_attention"]
        model = Lfm2ForCausalLM(Lfm2Config(**shape, layer_types=layers, block_auto_adjust_ff_dim=False))
    else:
        model = LlamaForCausalLM(LlamaConfig(**shape))
    model.save_pretrained(folder)
    return Path(folder)
