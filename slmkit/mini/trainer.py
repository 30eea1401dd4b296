"""One training run of a mini model: model, optimisers, data, checkpoints."""

from __future__ import annotations

import copy
import json
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.mini.batches import Stream
from slmkit.mini.grow import widened
from slmkit.mini.objective import loss as loss_of
from slmkit.mini.recipe import Recipe, config

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

PACE = (10, 40)  # steps between which a run given in minutes is timed


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
        made = AutoModelForCausalLM.from_config(wanted := config(model, tokenizer))
        if start_from:
            made = AutoModelForCausalLM.from_pretrained(start_from, dtype=torch.float32)
            if made.config.model_type != wanted.model_type:
                raise InputError(f"{start_from}: is a {made.config.model_type}, but {model} is a {wanted.model_type}")
            if made.config.hidden_size != wanted.hidden_size:
                made = widened(made, wanted, seed)
        self.model: PreTrainedModel = made.to("cuda" if torch.cuda.is_available() else "cpu")
        named = list(self.model.named_parameters())
        matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed" not in name]
        others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed" in name]
        self.optimizers = [
            Muon(matrices, lr=recipe.muon_lr),
            torch.optim.AdamW(others, lr=recipe.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.streams = {
            easy: Stream(
                tokenizer, seed, easy, recipe.core, recipe.batch_tokens, recipe.longest, recipe.weights, recipe.chunk
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

        first, last = self.step, self.step + stop_after if stop_after else None
        earlier, saved, logged = self.seconds, time.monotonic(), 0.0
        began = warm = saved
        with (
            tqdm(total=self.steps or None, initial=self.step, unit="step", desc=identity["model"]) as bar,
            open(out / "log.jsonl", "a", encoding="utf-8") as log,
        ):
            while not self.steps or self.step < self.steps:
                self.train_step()
                bar.update()
                self.seconds = earlier + time.monotonic() - began
                if not self.steps and self.step == first + PACE[0]:
                    warm = time.monotonic()
                if not self.steps and self.step == first + PACE[1]:
                    each = (time.monotonic() - warm) / (PACE[1] - PACE[0])
                    left = (minutes * 60 - self.seconds) / each
                    self.steps = bar.total = self.step + max(1, round(left))
                if self.seconds - logged > 15 or self.step == self.steps:
                    logged = self.seconds
                    log.write(json.dumps(self.progress()) + "\n")
                    log.flush()
                    bar.set_postfix({name: round(self.means[name], 3) for name in ("loss", "accuracy")})
                if self.step == last and self.step != self.steps:
                    return self.save(out / "checkpoint.pt", identity)
                if time.monotonic() - saved > checkpoint_minutes * 60:
                    self.save(out / "checkpoint.pt", identity)
                    self.export(out / "model")
                    saved = time.monotonic()
        self.save(out / "checkpoint.pt", identity)
        self.export(out / "model")

    def progress(self) -> dict[str, float]:
        """A row of the log: steps, seconds, tokens, running means."""
        means = {name: round(mean, 4) for name, mean in self.means.items()}
        return {
            "step": self.step,
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "tokens": self.tokens,
            **means,
        }

    def rate(self) -> float:
        """Share of the full learning rate at this step: warm-up, constant, linear fall."""
        done = self.step / self.steps if self.steps else 0.0
        warm = min(1.0, (self.step + 1) / self.recipe.warmup_steps)
        return warm * (
            1.0 if done < self.recipe.constant else max(self.recipe.last_rate, (1 - done) / (1 - self.recipe.constant))
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
        loss, report = loss_of(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        for name, now in report.items():
            self.means[name] = 0.97 * self.means.get(name, now) + 0.03 * now
        self.step += 1
        self.tokens += batch.ids.size

    def save(self, path: Path, identity: dict) -> None:
        """Checkpoint in one step: a reader finds the old one or the new one."""
        import torch

        state = {
            "identity": identity,
            "model": self.model.state_dict(),
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
            raise InputError(f"{path}: belongs to another model, seed or recipe; choose another --out or remove it")
        self.model.load_state_dict(state["model"])
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
            os.chmod(Path(target) / "model.safetensors", 0o644)

        replace_folder(folder, write)


def replace_folder(folder: Path, write: Any) -> None:
    """Fill a folder beside `folder` and put it in its place."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    write(str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
