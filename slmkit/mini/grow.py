"""A model of twice the width that starts with the function of a trained one (HyperCloning, Samragh et al. 2024).

Every activation of the wide model holds that of the narrow one twice. A matrix W becomes four blocks whose rows
sum to it, W/2 + N and W/2 - N, so that nothing changes at first and noise N lets the halves part in training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slmkit.errors import InputError

if TYPE_CHECKING:
    import torch
    from transformers import Lfm2Config, PreTrainedModel

NOISE = 0.3  # of a matrix's own standard deviation


def widened(narrow: PreTrainedModel, config: Lfm2Config, seed: int = 0) -> PreTrainedModel:
    """A model of `config` that gives the same logits as `narrow`, which has half its width and heads.

    Raises InputError where the shapes are not the double.
    """
    import torch
    from transformers import AutoModelForCausalLM

    wide = AutoModelForCausalLM.from_config(config)
    dice = torch.Generator().manual_seed(seed)
    old, new = narrow.state_dict(), wide.state_dict()
    if set(old) != set(new):
        raise InputError("cannot grow: the two models differ in their layers, or in what kind each is")
    made = {}
    for name, value in old.items():
        made[name] = _widened(name, value, dice)
        if made[name].shape != new[name].shape:
            shapes = f"{name} would be {tuple(made[name].shape)}, not {tuple(new[name].shape)}"
            raise InputError(f"cannot grow: {shapes}; hidden size, heads and feed-forward must be the double")
    wide.load_state_dict(made)
    wide.tie_weights()
    return wide


def _widened(name: str, value: torch.Tensor, dice: torch.Generator) -> torch.Tensor:
    """One tensor of the wide model."""
    import torch

    if "layernorm" in name:  # of one head's size, which stays
        return value.clone()
    if name.endswith("embedding_norm.weight"):  # the doubled product with the tied embedding, halved
        return torch.cat([value, value]) / 2
    if "embed_tokens" in name or name == "lm_head.weight":
        return torch.cat([value, value], dim=1)
    if value.ndim != 2:  # norms, and the kernels of convolutions
        return torch.cat([value, value])
    parts = value.chunk(3) if "in_proj" in name else (value,)  # three projections in one matrix
    rows = []
    for part in parts:
        for _ in range(2):
            noise = torch.randn(part.shape, generator=dice) * part.std() * NOISE
            rows.append(torch.cat([part / 2 + noise, part / 2 - noise], dim=1))
    return torch.cat(rows)
