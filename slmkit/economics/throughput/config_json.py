"""A hub `config.json` read as an architecture, whatever its family calls the fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slmkit.economics.throughput.decoder import Architecture
from slmkit.errors import InputError

# Our field, and what configurations call it.
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers"),
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "vocab": ("vocab_size",),
}
WITHOUT_GATE = ("gpt2", "gptj", "gpt_neox", "gpt_neo", "gpt_bigcode", "opt", "bloom", "falcon", "phi", "starcoder2")
WITHOUT_GATE += ("nemotron", "mpt", "codegen")
TIED_UNLESS_SAID = ("gemma", "gpt2", "gpt_neo", "gpt_bigcode", "opt", "bloom", "falcon", "cohere", "mpt")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "top_k_experts")
SHARED = ("shared_expert_intermediate_size", "intermediate_size_mlp")
UNREAD = ("mamba", "rwkv", "linear_attention", "recurrent")


def from_config(path: str | Path) -> Architecture:
    """The architecture that a `config.json`, or a folder with one, describes.

    Reads dense models, GQA, MLA, sliding windows, mixtures of experts and layers of short convolutions. InputError
    names the file and the field that is missing, not a whole number, or of a kind that isn't counted (state spaces).
    """
    path = Path(path)
    file = path / "config.json" if path.is_dir() else path
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a model's config.json ({error})") from None
    if not isinstance(config, dict):
        raise InputError(f"{file}: expected a JSON object with a model's configuration")
    return read(config, name=file.parent.name if path.is_dir() or file.name == "config.json" else file.stem, file=file)


def read(config: dict[str, Any], name: str, file: Path) -> Architecture:
    """The architecture of a configuration already loaded; `file` is only named in errors."""
    outer, config = config, config.get("text_config") or config.get("llm_config") or config
    kind = str(config.get("model_type") or outer.get("model_type") or "")
    layer_types = [str(value) for value in config.get("layer_types") or config.get("layers_block_type") or []]
    unread = next((word for word in UNREAD if word in kind or any(word in value for value in layer_types)), None)
    if unread:
        raise InputError(f"{file}: {unread} layers are not counted yet; name a model of attention layers")

    def whole(names: tuple[str, ...], default: int | None = None) -> int:
        for field in names:
            if config.get(field) is not None:
                value = config[field]
                if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                    raise InputError(f"{file}: {field} is {value!r}; it must be a whole number")
                return value
        if default is None:
            raise InputError(f"{file}: no {' or '.join(names)}; is it a language model's config.json?")
        return default

    shape = {field: whole(names) for field, names in NAMES.items()}
    if any(value < 1 for value in shape.values()):
        raise InputError(f"{file}: {min(shape, key=lambda field: shape[field])} is 0; it must be at least 1")
    layers, hidden, heads = shape["layers"], shape["hidden"], shape["heads"]
    single = bool(config.get("multi_query")) and not config.get("new_decoder_architecture")
    kv_heads = 1 if single else whole(("num_key_value_heads", "num_kv_heads", "n_head_kv"), heads)
    inner = config.get("ffn_dim") or config.get("n_inner") or config.get("ffn_hidden_size")
    dense_names = ("intermediate_size_mlp", "intermediate_size")
    intermediate = inner if isinstance(inner, int) else whole(dense_names, 4 * hidden)
    window, window_layers = windows(config, layer_types, layers, kind)
    convolutions = layer_types.count("conv")
    tied = config.get("tie_word_embeddings", outer.get("tie_word_embeddings"))
    return Architecture(
        name=name,
        family=kind,
        **shape,
        kv_heads=kv_heads,
        head_dim=whole(("head_dim", "attention_head_dim"), hidden // heads),
        intermediate=intermediate,
        tied=bool(kind.startswith(TIED_UNLESS_SAID) if tied is None else tied),
        mlp_matrices=2 if kind in WITHOUT_GATE else 3,
        **latent(config, whole),
        **experts(config, whole, layers, intermediate),
        window=window,
        window_layers=window_layers,
        mixer_layers=convolutions,
        mixer_params=4 * hidden * hidden + hidden * whole(("conv_L_cache",), 3) if convolutions else 0,
        expert_format="fp4" if kind == "gpt_oss" else "",
    )


def latent(config: dict[str, Any], whole: Any) -> dict[str, Any]:
    """The fields of multi-head latent attention, where a configuration has a rank for keys and values."""
    if not config.get("kv_lora_rank"):
        return {}
    return {
        "attention": "mla",
        "q_lora": config.get("q_lora_rank") or 0,
        "kv_lora": whole(("kv_lora_rank",)),
        "rope_dim": whole(("qk_rope_head_dim",)),
        "nope_dim": whole(("qk_nope_head_dim",)),
        "v_dim": whole(("v_head_dim",)),
    }


def experts(config: dict[str, Any], whole: Any, layers: int, intermediate: int) -> dict[str, int]:
    """The fields of a mixture of experts: which layers have one, how many experts, how wide."""
    count = whole(EXPERTS, 0)
    if count < 2:
        return {}
    width = whole(("moe_intermediate_size", "expert_ffn_hidden_size"), 0)
    width = width or whole(("intermediate_size",), intermediate)
    shared = whole(SHARED, 0) or whole(("n_shared_experts", "num_shared_experts"), 0) * width
    if config.get("intermediate_size_mlp"):  # Llama 4: the shared expert is as wide as a routed one
        shared = width
    first = whole(("first_k_dense_replace", "moe_layer_start_index"), 0)
    every = whole(("interleave_moe_layer_step", "decoder_sparse_step", "moe_layer_freq", "moe_every_n_layers"), 1)
    listed = config.get("mlp_only_layers") or []
    moe_layers = len([i for i in range(first, layers) if (i + 1 - first) % max(every, 1) == 0 and i not in listed])
    if isinstance(config.get("moe_layers"), list):
        moe_layers = len(config["moe_layers"])
    return {
        "experts": count,
        "experts_per_token": whole(PER_TOKEN),
        "moe_intermediate": width,
        "shared_intermediate": shared,
        "moe_layers": moe_layers,
    }


def windows(config: dict[str, Any], layer_types: list[str], layers: int, kind: str) -> tuple[int, int]:
    """(tokens, layers) of sliding or chunked attention; (0, 0) where all layers look back to the start."""
    size = config.get("sliding_window") or config.get("attention_chunk_size") or 0
    if not size or config.get("use_sliding_window") is False:
        return 0, 0
    if layer_types:
        local = sum("sliding" in value or "chunked" in value for value in layer_types)
    elif config.get("sliding_window_pattern"):  # every n-th layer is global
        local = layers - layers // int(config["sliding_window_pattern"])
    elif kind == "llama4_text":
        local = layers - layers // 4
    else:
        local = layers // 2 if kind in ("gemma2", "gpt_oss") else layers
    return (int(size), local) if local else (0, 0)
