"""What the mini models are trained to do: weighted next-token prediction."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from slmkit.mini.batches import Batch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

BLOCK = 256  # positions that go through the vocabulary come in multiples of it: few shapes


def loss(model: PreTrainedModel, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss to minimise, and what to report: loss and accuracy of answers, accuracy of their first token by kind.

    Only positions with weight go through the vocabulary.
    """
    import torch

    weights = torch.from_numpy(batch.weights[:, 1:].reshape(-1).copy())
    chosen = weights.nonzero().squeeze(1)
    chosen = torch.cat([chosen, chosen.new_zeros(-len(chosen) % BLOCK)])
    weight = weights[chosen] * (torch.arange(len(chosen)) < (weights > 0).sum())
    starts = [
        torch.from_numpy(mask[:, 1:].reshape(-1).copy())[chosen] & (weight > 0) for mask in (batch.calls, batch.texts)
    ]
    ids = torch.from_numpy(batch.ids)
    wanted = ids[:, 1:].reshape(-1)[chosen].to(model.device)
    weight, chosen, calls, texts = (tensor.to(model.device) for tensor in (weight, chosen, *starts))
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=has_bfloat16(model.device.type)):
        hidden = model.model(input_ids=ids.to(model.device), use_cache=False).last_hidden_state[:, :-1]
        logits = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen])
    losses = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="none")
    loss = (losses * weight).sum() / weight.sum()
    right, spoken = (logits.argmax(-1) == wanted).float(), weight >= 1
    report = {
        "loss": losses[spoken],
        "accuracy": right[spoken],
        "call_recall": right[calls],
        "no_call_recall": right[texts],
    }
    return loss, {name: values.detach().mean().item() for name, values in report.items() if len(values)}


@cache
def has_bfloat16(device: str) -> bool:
    """Whether matrix units for bfloat16 are there; without them autocast is slower than float32."""
    if device != "cpu":
        return True
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags
