"""The course of one run: load, train or resume, keep the best checkpoint, write adapter, log and card."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slmkit import allocator, files, provenance
from slmkit.errors import InputError
from slmkit.models import hub, loading, parse_reference
from slmkit.specialization import card as cards
from slmkit.specialization import data, memory, peft_config
from slmkit.specialization.data import Row
from slmkit.specialization.finetune import Tuned
from slmkit.specialization.settings import Settings


def run(
    base_ref: str,
    rows: Sequence[Row],
    validation_rows: Sequence[Row],
    settings: Settings,
    out: Path,
    general_rows: Sequence[Row] | None,
    device: str,
    tracker: Any,
) -> Tuned:
    """See `finetune.finetune`."""
    began = time.perf_counter()
    allocator.tune()
    reference = parse_reference(base_ref)
    if reference.kind != "local" or reference.adapter:
        raise InputError(f"{base_ref}: only a model in process can be trained; name a mini, a hub id or a folder")
    loading.check_folder(reference)
    validation_rows = list(validation_rows)[: settings.validation_items]
    general = list(general_rows or ())
    if settings.general_share and not general:
        general = list(data.general_rows(max(64, len(rows)), settings.seed))
    identity = {
        "base": base_ref,
        "base_fingerprint": loading.fingerprint(reference),
        "data_hash": cards.rows_hash(rows),
        "validation_hash": cards.rows_hash(validation_rows),
        "general_hash": cards.rows_hash(general),
        "settings": json.loads(json.dumps(settings.record())),
    }
    if finished := _finished(out, identity):
        return finished
    source, device = hub.source(reference), loading.pick_device(device)
    tokenizer = loading.load_tokenizer(reference, source)
    encoded, old, validation = (
        data.encode(tokenizer, some, settings.longest, name)
        for some, name in ((rows, "training rows"), (general, "general rows"), (validation_rows, "validation rows"))
    )
    dtype = "float32" if settings.method == "full" else "auto"
    model = loading.load_weights(reference, source, device, dtype, settings.load_in_4bit)
    config = peft_config.lora(model, settings) if settings.method == "lora" else None

    from slmkit.specialization import training

    memory.reset_peak(device)
    steps = settings.n_steps(len(rows))
    order = sorted(range(len(rows)), key=lambda i: data.difficulty(encoded[i], len(rows[i].get("tools") or ())))
    batches = data.plan(
        [len(row.ids) for row in encoded],
        settings.batch_size,
        steps,
        settings.seed,
        [len(row.ids) for row in old],
        settings.general_share,
        order if settings.order == "curriculum" else None,
    )
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    before = training.measure(model, (validation_rows, validation), tokenizer, pad, base_ref)
    trainer = training.make_trainer(
        model,
        tokenizer,
        [*encoded, *old],
        batches,
        (validation_rows, validation),
        settings,
        training.arguments(settings, len(rows), model, out / "checkpoints"),
        config,
        base_ref,
    )
    stopped = ""
    trainer.train()
    best = next(
        row
        for row in trainer.state.log_history
        if row["step"] == trainer.state.best_global_step and "eval_choice" in row
    )
    log = _log(trainer.state.log_history)
    adapter = out / "adapter"
    shutil.rmtree(part := out / ".adapter.part", ignore_errors=True)
    trainer.model.save_pretrained(part)
    made = {
        **identity,
        "rows": [cards.row_id(row) for row in rows],
        "validation_rows": [cards.row_id(row) for row in validation_rows],
        "n_rows": len(rows),
        "n_validation": len(validation_rows),
        "steps": trainer.state.global_step,
        "before": before,
        "best": {"step": best["step"], "reward": best["eval_reward"], "loss": best["eval_loss"]},
        "seconds": round(time.perf_counter() - began, 2),
        "training_seconds": round(trainer.trained_s, 2),
        "tokens": trainer.trained_tokens,
        "tokens_per_s": round(trainer.trained_tokens / trainer.trained_s, 1),
        "peak_memory_bytes": memory.peak_bytes(device),
        "trainable_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
        "size_bytes": cards.size_bytes(part),
        "weights_hash": cards.weights_hash(part),
        "hardware": provenance.hardware() if hasattr(provenance, "hardware") else device,
        "stopped": stopped,
    }
    cards.write(part, made)
    files.write_csv(part / "log.csv", log)
    shutil.rmtree(adapter, ignore_errors=True)
    part.rename(adapter)
    return _tuned(adapter, made, log)


def _tuned(adapter: Path, made: dict[str, Any], log: Any) -> Tuned:
    return Tuned(
        base=made["base"],
        adapter=adapter,
        log=log,
        seconds=made["seconds"],
        tokens_per_s=made["tokens_per_s"],
        peak_memory_bytes=made["peak_memory_bytes"],
        card=made,
        stopped=made["stopped"],
    )


def _finished(out: Path, identity: dict[str, Any]) -> Tuned | None:
    """The run that `out` holds when it is this one and came to its end; InputError when it is another."""
    import pandas as pd

    adapter = out / "adapter"
    if not (adapter / "card.json").is_file():
        return None
    made = cards.read(adapter)
    if any(made.get(name) != value for name, value in identity.items()):
        raise InputError(f"{out}: holds the run of another base, data or settings; choose another folder or remove it")
    return _tuned(adapter, made, pd.read_csv(adapter / "log.csv"))


def _log(history: list[dict[str, Any]]) -> Any:
    """The trainer's log, a row a step."""
    import pandas as pd

    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"], "reward": None, "validation_loss": None})
        if "loss" in entry:
            row |= {"loss": entry["loss"], "learning_rate": entry["learning_rate"]}
            row |= {"tokens": entry["trained_tokens"], "seconds": round(entry["trained_s"], 3)}
        if "eval_reward" in entry:
            row |= {"reward": entry["eval_reward"], "validation_loss": entry["eval_loss"]}
    columns = ["step", "loss", "learning_rate", "tokens", "seconds", "reward", "validation_loss"]
    return pd.DataFrame(list(rows.values()), columns=columns)
