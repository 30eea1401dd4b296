"""What the mini models are trained to do: weighted next-token prediction, and a look ahead at the tool's name."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slmkit.mini.batches import Batch
from slmkit.mini.tokenizer import CALL

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

AHEAD = (5, 7)  # where the first two parts of a called tool's name stand, seen from the answer's first token
BLOCK = 256  # positions that go through the vocabulary come in multiples of it: few shapes


class Objective:
    """The loss of a batch; `look_ahead` is a head of use in training only, thrown away with the optimisers."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, ahead: float):
        import torch

        self.model, self.ahead, self.device = model, ahead, model.device
        self.call = tokenizer.convert_tokens_to_ids(CALL)
        hidden = model.config.hidden_size
        self.look_ahead = torch.nn.Linear(hidden, hidden * len(AHEAD), bias=False, device=self.device)

    def loss(self, batch: Batch) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss to minimise, and what to report: loss and accuracy of answers, accuracy of their first token by kind.

        Only positions with weight go through the vocabulary.
        """
        import torch

        weights = torch.from_numpy(batch.weights[:, 1:].reshape(-1).copy())
        chosen = weights.nonzero().squeeze(1)
        chosen = torch.cat([chosen, chosen.new_zeros(-len(chosen) % BLOCK)])
        weight = weights[chosen] * (torch.arange(len(chosen)) < (weights > 0).sum())
        first = torch.from_numpy(batch.first[:, 1:].reshape(-1).copy())[chosen] & (weight > 0)
        ids = torch.from_numpy(batch.ids)
        wanted = ids[:, 1:].reshape(-1)[chosen].to(self.device)
        weight, first, chosen = (tensor.to(self.device) for tensor in (weight, first, chosen))
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=has_bfloat16(self.device.type)):
            hidden = self.model.model(input_ids=ids.to(self.device), use_cache=False).last_hidden_state[:, :-1]
            logits = self.model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen])
        losses = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        right, spoken = (logits.argmax(-1) == wanted).float(), weight >= 1
        report = {
            "loss": losses[spoken],
            "accuracy": right[spoken],
            "call_recall": right[first & (wanted == self.call)],
            "no_call_recall": right[first & (wanted != self.call)],
        }
        if self.ahead:
            report["ahead"] = foretold = self._foretell(batch, hidden)
            loss = loss + self.ahead * foretold.mean()
        return loss, {name: values.detach().mean().item() for name, values in report.items() if len(values)}

    def _foretell(self, batch: Batch, hidden: torch.Tensor) -> torch.Tensor:
        """Losses of the tokens `AHEAD` of an answer's first token, foretold where the answer is due.

        It makes the model look up the tool before it decides between call and refusal.
        """
        import torch

        rows, columns = np.nonzero(batch.first)
        near = columns + max(AHEAD) < batch.ids.shape[1]
        rows, columns = rows[near], columns[near]
        states = self.look_ahead(hidden[rows, columns - 1]).reshape(-1, hidden.shape[-1])
        wanted = np.stack([batch.ids[rows, columns + offset] for offset in AHEAD], axis=1).reshape(-1)
        logits = self.model.lm_head(states).float()
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(wanted).to(self.device), reduction="none")


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
