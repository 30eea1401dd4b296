"""Pre-training of the mini models from scratch on a processor core: LFM2 blocks, Muon and AdamW.

`slmkit mini train` calls it. A run is fixed by its seed and number of steps; minutes only pick that number from the
pace of the first steps. A killed run resumes from its folder.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit import allocator
from slmkit.errors import InputError, unknown
from slmkit.files import sha256
from slmkit.mini import tokenizer as tokenizers
from slmkit.mini.batches import Weights
from slmkit.mini.recipe import SIZES, Recipe
from slmkit.mini.trainer import Trainer, replace_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def pretrain(
    model: str,
    out: str | Path,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    threads: int = 1,
    recipe: Recipe | None = None,
    start_from: str | Path | None = None,
    checkpoint_minutes: float = 5.0,
    tokenizer: PreTrainedTokenizerFast | None = None,
    stop_after: int | None = None,
) -> Path:
    """Train a mini model and return its folder `out/model` (bf16 safetensors, tokenizer, template).

    Give `minutes` or `steps`. `start_from` is a model folder to train on from: a further stage of the same size, or a
    model of half the width, which is widened first (`grow`). `stop_after`
    ends after so many steps with a checkpoint, as an interruption would. Raises InputError for an unknown
    model, a missing budget, or a folder that holds another run.
    """
    if not minutes and not steps:
        raise InputError("pretrain: give --minutes or --steps")
    if model not in SIZES:
        raise unknown("mini model", model, SIZES)
    allocator.tune()
    import torch

    torch.set_num_threads(threads)
    recipe, out = recipe or Recipe(), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if tokenizer is None:
        tokenizer = tokenizers.load(start_from) if start_from else _tokenizer(out)
        tokenizer.chat_template = tokenizers.template()
    trainer = Trainer(model, tokenizer, recipe, seed, start_from)
    start = sha256(Path(start_from) / "model.safetensors") if start_from else None
    identity = {"model": model, "seed": seed, "recipe": asdict(recipe), "start_from": start}
    checkpoint = out / "checkpoint.pt"
    if checkpoint.is_file():
        trainer.restore(checkpoint, identity)
    if steps:
        trainer.steps = steps
    trainer.run(out, identity, minutes, checkpoint_minutes, stop_after)
    return out / "model"


def _tokenizer(out: Path) -> PreTrainedTokenizerFast:
    """The tokenizer of an earlier start of the same run, else a new one."""
    if not (out / "tokenizer").is_dir():
        replace_folder(out / "tokenizer", tokenizers.build().save_pretrained)
    return tokenizers.load(out / "tokenizer")


def changed_recipe(changes: list[str]) -> Recipe:
    """The recipe with fields, or loss weights, changed by `NAME=NUMBER`; InputError for what is no field or number."""
    own = {field.name: getattr(Recipe(), field.name) for field in fields(Recipe) if field.name != "weights"}
    weights = asdict(Recipe().weights)
    values: dict[str, Any] = {}
    for change in changes:
        name, _, text = change.partition("=")
        if name not in own | weights:
            raise unknown("recipe field", name, own | weights)
        try:
            values[name] = type((own | weights)[name])(text)
        except ValueError:
            raise InputError(f"--set {change}: {text!r} is not a number") from None
    changed = Weights(**{name: values.pop(name, value) for name, value in weights.items()})
    return Recipe(**values, weights=changed)
