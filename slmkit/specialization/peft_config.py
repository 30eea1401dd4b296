"""The LoRA configuration of a run, checked against the base's layers."""

from __future__ import annotations

from typing import Any

from slmkit.errors import InputError
from slmkit.specialization.settings import Settings


def lora(model: Any, settings: Settings) -> Any:
    """PEFT's configuration; InputError for modules that the base lacks and a rank above the size of one of them."""
    from peft import LoraConfig

    targets = settings.target_modules if isinstance(settings.target_modules, str) else list(settings.target_modules)
    for name, (rows, columns) in linear_layers(model).items():
        if _targeted(name, targets) and settings.rank > min(rows, columns):
            size = f"{name} is {rows} x {columns}"
            raise InputError(f"rank {settings.rank} is above the size of a layer: {size}; lower the rank")
    if targets != "all-linear" and not any(_targeted(name, targets) for name in linear_layers(model)):
        known = ", ".join(sorted({name.rpartition(".")[2] for name in linear_layers(model)}))
        raise InputError(f"target_modules {targets}: the base has none of them; it has {known}")
    return LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=0.0, target_modules=targets, task_type="CAUSAL_LM"
    )


def linear_layers(model: Any) -> dict[str, tuple[int, int]]:
    """Name -> (outputs, inputs) of every linear layer but the output head."""
    import torch

    head = model.get_output_embeddings()
    return {
        name: (module.out_features, module.in_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    }


def _targeted(name: str, targets: str | list[str]) -> bool:
    if targets == "all-linear":
        return True
    wanted = [targets] if isinstance(targets, str) else targets
    return any(name == target or name.endswith(f".{target}") for target in wanted)
