"""The shape of a decoder, and what follows from it: parameters, bytes of weights, bytes of cache.

Counting as in the published configurations: a gated MLP has three matrices, attention four; norms and biases
are counted as two vectors a layer, which is below 0.1 % of any model here.
"""

from __future__ import annotations

from dataclasses import dataclass

from slmkit.errors import unknown

# Bits a weight, with the scales of its blocks: MXFP4 has one byte for 32 values, NVFP4 for 16, GGUF Q4_K_M 4.85.
BITS = {"fp32": 32, "bf16": 16, "fp8": 8, "int8": 8, "fp4": 4.5, "int4": 4.5, "q4": 4.85, "q8": 8.5}
FORMATS = {"fp16": "bf16", "half": "bf16", "bfloat16": "bf16", "float16": "bf16", "float32": "fp32", "mxfp4": "fp4"}
FORMATS |= {"nvfp4": "fp4", "w4a16": "int4", "uint4": "int4", "awq": "int4", "gptq": "int4", "w8a8": "int8"}
FORMATS |= {"q4_0": "q4", "q4_k_m": "q4", "q4_0(assumed)": "q4", "q8_0": "q8", "e4m3": "fp8"}


def number_format(precision: str) -> str:
    """The canonical name of a number format: `fp16` and `bf16` are `bf16`, `NVFP4` is `fp4`. InputError if unknown."""
    name = str(precision).strip().lower()
    name = FORMATS.get(name, name)
    if name not in BITS:
        raise unknown("precision", str(precision), [*BITS, *FORMATS])
    return name


@dataclass(frozen=True)
class Architecture:
    """Shape of a decoder. Sizes are counts; `0` where a field doesn't apply."""

    name: str
    layers: int
    hidden: int
    heads: int  # query heads
    kv_heads: int
    head_dim: int
    intermediate: int  # width of a dense MLP
    vocab: int
    tied: bool = False  # input and output embedding are one matrix
    mlp_matrices: int = 3  # gate, up, down; 2 without a gate
    attention: str = "gqa"  # or "mla"
    q_lora: int = 0  # MLA: rank of the query path, 0 for a full matrix
    kv_lora: int = 0  # MLA: rank of the cached latent
    rope_dim: int = 0
    nope_dim: int = 0
    v_dim: int = 0
    experts: int = 0  # routed experts of a MoE layer
    experts_per_token: int = 0
    moe_intermediate: int = 0  # width of one routed expert
    shared_intermediate: int = 0  # width of all shared experts together
    moe_layers: int = 0
    window: int = 0  # tokens that a sliding-window layer looks back
    window_layers: int = 0
    mixer_layers: int = 0  # layers without attention (short convolution)
    mixer_params: int = 0  # of one such layer
    expert_format: str = ""  # experts are always stored so (gpt-oss: fp4)
    family: str = ""

    @property
    def moe(self) -> bool:
        """Whether a router chooses experts."""
        return self.experts > 0

    @property
    def attention_params(self) -> int:
        """Weights of one layer's attention. GQA: h d (2 q + 2 g). MLA: down and up projections of q and kv, and o."""
        h, q = self.hidden, self.heads
        if self.attention != "mla":
            return h * self.head_dim * (2 * q + 2 * self.kv_heads)
        d = self.nope_dim + self.rope_dim
        query = self.q_lora * (h + q * d) if self.q_lora else h * q * d
        latent = h * (self.kv_lora + self.rope_dim) + self.kv_lora * q * (self.nope_dim + self.v_dim)
        return query + latent + q * self.v_dim * h

    @property
    def expert_params(self) -> int:
        """Weights of one routed expert of one layer."""
        return self.mlp_matrices * self.hidden * self.moe_intermediate

    @property
    def mixing_params(self) -> int:
        """Weights of attention, or what stands in its place, of all layers."""
        return (self.layers - self.mixer_layers) * self.attention_params + self.mixer_layers * self.mixer_params

    @property
    def dense_params(self) -> int:
        """Weights of dense MLPs, shared experts and routers of all layers: read for every token."""
        dense = (self.layers - self.moe_layers) * self.mlp_matrices * self.hidden * self.intermediate
        shared = self.moe_layers * self.mlp_matrices * self.hidden * self.shared_intermediate
        return dense + shared + self.moe_layers * self.hidden * self.experts

    @property
    def routed_params(self) -> int:
        """Weights of all routed experts."""
        return self.moe_layers * self.experts * self.expert_params

    @property
    def head_params(self) -> int:
        """Weights of the output head."""
        return self.vocab * self.hidden

    @property
    def params(self) -> int:
        """All parameters, embeddings and norms included."""
        norms = self.hidden * (2 * self.layers + 1)
        embeddings = self.head_params * (1 if self.tied else 2)
        return self.mixing_params + self.dense_params + self.routed_params + embeddings + norms

    @property
    def active_params(self) -> int:
        """Parameters that one token passes through: k of E experts, and the output head but not the input embedding."""
        idle = self.moe_layers * (self.experts - self.experts_per_token) * self.expert_params
        return self.params - idle - (0 if self.tied else self.head_params)

    def format_of_experts(self, precision: str) -> str:
        """Number format of routed experts when the model is served in `precision`."""
        return self.expert_format or number_format(precision)

    def format_of_rest(self, precision: str) -> str:
        """Number format of attention and dense weights: a model with a format of its own for experts keeps bf16."""
        return "bf16" if self.expert_format else number_format(precision)

    def weight_bytes(self, precision: str) -> float:
        """Bytes of all weights."""
        rest, routed = BITS[self.format_of_rest(precision)] / 8, BITS[self.format_of_experts(precision)] / 8
        ends = self.head_params * (1 if self.tied else 2) * self.head_bytes(precision)
        return (self.mixing_params + self.dense_params) * rest + self.routed_params * routed + ends

    def head_bytes(self, precision: str) -> float:
        """Bytes a weight of embeddings and output head: 16-bit unless the format is 32-bit, or a GGUF one (8-bit)."""
        name = number_format(precision)
        return 1.0 if name.startswith("q") else max(2.0, BITS[name] / 8)

    def kv_bytes_per_token(self, precision: str = "bf16") -> float:
        """Cache bytes that one more token takes before any window closes: 2 L g d b, or L (r_kv + r_rope) b for MLA."""
        return (self.layers - self.mixer_layers) * self.kv_values_per_layer * BITS[number_format(precision)] / 8

    @property
    def kv_values_per_layer(self) -> int:
        """Values that one layer caches of one token."""
        if self.attention == "mla":
            return self.kv_lora + self.rope_dim
        return 2 * self.kv_heads * self.head_dim

    def kv_bytes(self, tokens: float, precision: str = "bf16") -> float:
        """Cache bytes of one request of `tokens` tokens; a sliding-window layer keeps its window only."""
        full = self.layers - self.mixer_layers - self.window_layers
        kept = full * tokens + self.window_layers * min(tokens, self.window)
        return kept * self.kv_values_per_layer * BITS[number_format(precision)] / 8
