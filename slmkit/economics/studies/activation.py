"""How many feed-forward units of a model carry its activation mass (A2.6): measured on our own models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from slmkit import models, stats
from slmkit.errors import InputError
from slmkit.mini import corpus

MASS = 0.9
SETS = ("seen", "renamed", "held_out_tools", "no_tool")
SEED = 20_260_301  # far from the seeds of training and of the evaluation


def share_of_units(mass: np.ndarray, part: float = MASS) -> np.ndarray:
    """Least share of units (last axis) that together hold `part` of the mass, for each row."""
    ordered = -np.sort(-np.asarray(mass, dtype=float), axis=-1)
    total = ordered.sum(-1, keepdims=True)
    held = ordered.cumsum(-1) >= part * np.where(total > 0, total, 1)
    return (held.argmax(-1) + 1) / mass.shape[-1]


def measure(ref: str, requests: Sequence[models.Request]) -> pd.DataFrame:
    """Per prompt and layer the share of feed-forward units that hold 90 % of the mean absolute activation.

    An activation is what the last matrix of the feed-forward network multiplies, averaged over the prompt's tokens.
    Columns: model, prompt, layer, share. InputError for a model that runs elsewhere.
    """
    import torch

    model = models.load(ref)
    if not hasattr(model, "model"):
        raise InputError(f"{ref}: activations need a model in this process")
    seen: dict[int, np.ndarray] = {}

    def keep(layer: int) -> Any:
        return lambda module, inputs: seen.__setitem__(layer, inputs[0].abs().mean((0, 1)).float().cpu().numpy())

    hooks = [matrix.register_forward_pre_hook(keep(layer)) for layer, matrix in enumerate(_last_matrices(model.model))]
    rows = []
    try:
        with torch.inference_mode():
            for number, request in enumerate(requests):
                ids = model.tokenizer.encode(model.render(request.messages, request.tools), add_special_tokens=False)
                model.model(torch.tensor([ids[-model.context :]], device=model.model.device), use_cache=False)
                rows += [{"model": ref, "prompt": number, "layer": layer, "share": float(share_of_units(mass))}
                         for layer, mass in seen.items()]  # fmt: skip
    finally:
        for hook in hooks:
            hook.remove()
    return pd.DataFrame(rows)


def _last_matrices(model: Any) -> list[Any]:
    """The down projection of each layer: `w2` in LFM2, `down_proj` in most others, in order."""
    found = [module for name, module in model.named_modules() if name.rsplit(".", 1)[-1] in ("w2", "down_proj")]
    if not found:
        raise InputError("no feed-forward network with a down projection was found in this model")
    return found


def prompts(n: int, seed: int = 0) -> list[models.Request]:
    """`n` prompts of our own conversations from four sets, tools seen and unseen; the same for every model."""
    sets = [corpus.evaluation_set(name, -(-n // len(SETS)), SEED + seed) for name in SETS]
    items = [item for group in zip(*sets, strict=True) for item in group]
    return [models.Request(item["messages"], item["tools"]) for item in items[:n]]


def compare(small: pd.DataFrame, large: pd.DataFrame, n_resamples: int = 2_000, seed: int = 0) -> pd.DataFrame:
    """Larger minus smaller share in points, over all layers and in each, paired by prompt, bootstrap over prompts.

    A layer of the larger model is held against that of the smaller one at the same depth, from first to last.
    """
    layers = {"all layers": (None, None)}
    deep, flat = int(large["layer"].max()), int(small["layer"].max())
    for layer in range(deep + 1):
        layers[f"layer {layer + 1} of {deep + 1}"] = (layer, round(layer * flat / max(1, deep)))
    rows = []
    for part, (of_large, of_small) in layers.items():
        shares = [_by_prompt(table, layer) for table, layer in ((large, of_large), (small, of_small))]
        found = stats.paired_difference(*(share.to_numpy() for share in shares), n_resamples=n_resamples, rng=seed)
        rows.append(
            {"part": part, "small_model": small["model"].iloc[0], "large_model": large["model"].iloc[0],
             "large": shares[0].mean(), "small": shares[1].mean(), "difference": found.difference,
             "low": found.low, "high": found.high, "n": found.n}
        )  # fmt: skip
    return pd.DataFrame(rows)


def _by_prompt(table: pd.DataFrame, layer: int | None) -> pd.Series:
    """Share of units in percent by prompt, of one layer or the mean of all."""
    rows = table if layer is None else table[table["layer"] == layer]
    return rows.groupby("prompt")["share"].mean() * 100
