"""One training run of a mini model: model, optimisers, data, checkpoints."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slmkit.errors import InputError, unknown
from slmkit.mini.batches import Batch, Stream, Weights
from slmkit.mini.tokenizer import CALL

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

AHEAD = (5, 7)  # where the first two parts of a called tool's name stand, seen from the answer's first token
BLOCK = 256  # positions that go through the vocabulary come in multiples of it: few shapes


@dataclass(frozen=True)
class Size:
    """Shape of a mini model."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int


SIZES = {"mini-1m": Size(128, 4, 4, 352), "mini-2m": Size(192, 4, 4, 512), "mini-8m": Size(320, 6, 5, 864), "mini-test": Size(32, 2, 2, 64)}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights beside model size, seed and number of steps."""

    batch_tokens: int = 2048
    longest: int = 1024
    easy: float = 0.12  # share of the steps, at the start, on conversations with one tool
    warmup_steps: int = 30
    constant: float = 0.5  # share of the steps before the rate falls linearly
    last_rate: float = 0.02
    muon_lr: float = 0.02
    adamw_lr: float = 4e-3
    weights: Weights = field(default_factory=Weights)
    chunk: int = 2048  # conversations generated at a time
    ahead: float = (
        0.0  # weight of the look-ahead loss: before it answers, the model foretells the name it will call
    )


def config(model: str, tokenizer: PreTrainedTokenizerFast) -> Any:
    """The LFM2 configuration of a mini model: short convolutions and full attention in turn."""
    from transformers import Lfm2Config

    if model not in SIZES:
        raise unknown("mini model", model, SIZES)
    size = SIZES[model]
    return Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        intermediate_size=size.feed_forward,
        block_auto_adjust_ff_dim=False,
        layer_types=["full_attention" if layer % 2 else "conv" for layer in range(size.layers)],
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


class Trainer:
    """Model, optimisers and data of one run."""

    def __init__(
        self,
        model: str,
        tokenizer: PreTrainedTokenizerFast,
        recipe: Recipe,
        seed: int,
        start_from: str | Path | None,
    ):
        import torch
        from transformers import AutoModelForCausalLM

        from slmkit.mini.muon import Muon

        torch.manual_seed(seed)
        self.tokenizer, self.recipe = tokenizer, recipe
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        made = (
            AutoModelForCausalLM.from_pretrained(start_from, dtype=torch.float32)
            if start_from
            else AutoModelForCausalLM.from_config(config(model, tokenizer))
        )
        self.model: PreTrainedModel = made.to(self.device)
        hidden = self.model.config.hidden_size
        self.ahead = torch.nn.Linear(
            hidden, hidden * len(AHEAD), bias=False, device=self.device
        )  # thrown away later
        named = list(self.model.named_parameters()) + list(self.ahead.named_parameters())
        matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
        others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
        self.optimizers = [
            Muon(matrices, lr=recipe.muon_lr),
            torch.optim.AdamW(others, lr=recipe.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.streams = {
            easy: Stream(
                tokenizer, seed, easy, recipe.batch_tokens, recipe.longest, recipe.weights, recipe.chunk
            )
            for easy in (True, False)
        }
        self.step, self.steps, self.tokens, self.seconds = 0, 0, 0, 0.0
        self.means: dict[str, float] = {}

    def run(
        self,
        out: Path,
        identity: dict,
        minutes: float | None,
        checkpoint_minutes: float,
        stop_after: int | None,
    ) -> None:
        """Train to the last step, writing `log.jsonl`, checkpoints and the model into `out`."""
        from tqdm import tqdm

        last, began = self.step + stop_after if stop_after else None, time.monotonic()
        earlier, saved, logged = self.seconds, time.monotonic(), 0.0
        pace = None if self.steps else 40
        with (
            tqdm(total=self.steps or None, initial=self.step, unit="step", desc=identity["model"]) as bar,
            open(out / "log.jsonl", "a", encoding="utf-8") as log,
        ):
            while not self.steps or self.step < self.steps:
                self.train_step()
                bar.update()
                self.seconds = earlier + time.monotonic() - began
                if pace and self.step == 10:
                    warm = time.monotonic()
                if pace and self.step == pace:
                    each = (time.monotonic() - warm) / (pace - 10)
                    self.steps = bar.total = max(pace + 1, round((minutes * 60 - self.seconds) / each) + pace)
                if self.seconds - logged > 15 or self.step == self.steps:
                    logged = self.seconds
                    row = {
                        "step": self.step,
                        "steps": self.steps,
                        "seconds": round(self.seconds, 1),
                        "tokens": self.tokens,
                        **{k: round(v, 4) for k, v in self.means.items()},
                    }
                    log.write(json.dumps(row) + "\n")
                    log.flush()
                    bar.set_postfix({key: row[key] for key in ("loss", "accuracy") if key in row})
                if self.step == last and self.step != self.steps:
                    return self.save(out / "checkpoint.pt", identity)
                if time.monotonic() - saved > checkpoint_minutes * 60:
                    self.save(out / "checkpoint.pt", identity)
                    self.export(out / "model")
                    saved = time.monotonic()
        self.save(out / "checkpoint.pt", identity)
        self.export(out / "model")

    def rate(self) -> float:
        """Share of the full learning rate at this step: warm-up, constant, linear fall."""
        done = self.step / self.steps if self.steps else 0.0
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        return warm * (
            1.0
            if done < self.recipe.constant
            else max(self.recipe.last_rate, (1 - done) / (1 - self.recipe.constant))
        )

    def train_step(self) -> None:
        """One batch forward and back, one update."""
        import torch

        easy = self.recipe.easy > 0 and (not self.steps or self.step < self.recipe.easy * self.steps)
        batch = next(self.streams[easy])
        rate = self.rate()
        for optimizer, rates in zip(self.optimizers, self.rates, strict=True):
            for group, full in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = full * rate
        loss = self.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.tokens += batch.ids.size

    def loss(self, batch: Batch) -> torch.Tensor:
        """Weighted cross-entropy; only positions with weight go through the vocabulary."""
        import torch

        weights = torch.from_numpy(batch.weights[:, 1:].reshape(-1).copy())
        chosen = weights.nonzero().squeeze(1)
        chosen = torch.cat([chosen, chosen.new_zeros(-len(chosen) % BLOCK)])  # few fixed shapes
        real = torch.arange(len(chosen)) < (weights > 0).sum()
        ids = torch.from_numpy(batch.ids)
        weight = (weights[chosen] * real).to(self.device)
        wanted = ids[:, 1:].reshape(-1)[chosen].to(self.device)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=has_bfloat16(self.device)):
            hidden = self.model.model(input_ids=ids.to(self.device), use_cache=False).last_hidden_state[
                :, :-1
            ]
            logits = self.model.lm_head(hidden.reshape(-1, hidden.shape[-1])[chosen.to(self.device)])
        losses = torch.nn.functional.cross_entropy(logits.float(), wanted, reduction="none")
        self._note(batch, chosen, weight, wanted, logits, losses)
        loss = (losses * weight).sum() / weight.sum()
        return loss + self.recipe.ahead * self._look_ahead(batch, hidden) if self.recipe.ahead else loss

    def _look_ahead(self, batch: Batch, hidden: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the tokens `AHEAD` of an answer's first token, foretold where the answer is due.

        It makes the model look up the tool before it decides between call and refusal.
        """
        import torch

        rows, columns = np.nonzero(batch.first)
        near = columns + max(AHEAD) < batch.ids.shape[1]
        rows, columns = rows[near], columns[near]
        states = self.ahead(hidden[rows, columns - 1]).reshape(-1, hidden.shape[-1])
        wanted = np.stack([batch.ids[rows, columns + offset] for offset in AHEAD], axis=1).reshape(-1)
        logits = self.model.lm_head(states).float()
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(wanted).to(self.device))
        self._mean("ahead", loss.item())
        return loss

    def _note(self, batch: Batch, chosen: Any, weight: Any, wanted: Any, logits: Any, losses: Any) -> None:
        """Running means over what the assistant says: loss, accuracy, accuracy of its first token by kind."""
        import torch

        with torch.no_grad():
            right = (logits.argmax(-1) == wanted).float()
            spoken = weight >= 1
            first = torch.from_numpy(batch.first[:, 1:].reshape(-1).copy())[chosen].to(self.device) & (
                weight > 0
            )
            call = wanted == self.tokenizer.convert_tokens_to_ids(CALL)
            found = {
                "loss": losses[spoken],
                "accuracy": right[spoken],
                "call_recall": right[first & call],
                "no_call_recall": right[first & ~call],
            }
            for name, values in found.items():
                if len(values):
                    self._mean(name, values.mean().item())

    def _mean(self, name: str, now: float) -> None:
        self.means[name] = 0.97 * self.means.get(name, now) + 0.03 * now

    def save(self, path: Path, identity: dict) -> None:
        """Checkpoint in one step: a reader finds the old one or the new one."""
        import torch

        state = {
            "identity": identity,
            "model": self.model.state_dict(),
            "ahead": self.ahead.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "cursors": {easy: stream.cursor for easy, stream in self.streams.items()},
            "step": self.step,
            "steps": self.steps,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "means": self.means,
            "rng": torch.get_rng_state(),
        }
        torch.save(state, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)

    def restore(self, path: Path, identity: dict) -> None:
        """Take up a run where its checkpoint left it; InputError when the checkpoint is another run's."""
        import torch

        state = torch.load(path, weights_only=True)
        if state["identity"] != identity:
            raise InputError(
                f"{path}: belongs to another model, seed or recipe; choose another --out or remove it"
            )
        self.model.load_state_dict(state["model"])
        self.ahead.load_state_dict(state["ahead"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for easy, stream in self.streams.items():
            stream.cursor = state["cursors"][easy]
        self.step, self.steps, self.tokens = state["step"], state["steps"], state["tokens"]
        self.seconds, self.means = state["seconds"], state["means"]
        torch.set_rng_state(state["rng"])

    def export(self, folder: Path) -> None:
        """The model folder that transformers loads: bf16 weights, configuration, tokenizer, template."""
        import torch

        half = copy.deepcopy(self.model).to(torch.bfloat16)

        def write(target: str) -> None:
            half.save_pretrained(target)
            self.tokenizer.save_pretrained(target)

        replace_folder(folder, write)


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


def replace_folder(folder: Path, write: Any) -> None:
    """Fill a folder beside `folder` and put it in its place."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write(str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
