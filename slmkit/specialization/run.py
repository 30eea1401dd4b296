"""The course of one run: load, train or resume, keep the best checkpoint, write adapter, log and card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter as clock
from typing import Any

from slmkit import allocator, files, provenance
from slmkit.errors import InputError
from slmkit.models import hub, loading
from slmkit.models.reference import Reference
from slmkit.specialization import card as cards
from slmkit.specialization import checkpoints, data, memory, peft_config
from slmkit.specialization.data import Encoded, Row
from slmkit.specialization.quiet import quiet
from slmkit.specialization.settings import Settings


@dataclass
class Job:
    """A run's model and rows in memory."""

    reference: Reference
    settings: Settings
    model: Any
    tokenizer: Any
    rows: list[Encoded]
    general: list[Encoded]
    validation: tuple[Sequence[Row], Sequence[Encoded]]
    order: list[int] | None  # rows from easy to hard, for a curriculum

    @property
    def pad(self) -> int:
        """The token that fills rows up; it is masked."""
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.tokenizer.eos_token_id


def prepare(
    reference: Reference,
    rows: Sequence[Row],
    general: Sequence[Row],
    validation: Sequence[Row],
    settings: Settings,
    device: str,
) -> Job:
    """Load the base and encode the rows; InputError as `finetune` says."""
    allocator.tune()
    source, device = hub.source(reference), loading.pick_device(device)
    tokenizer = loading.load_tokenizer(reference, source)
    named = {"training rows": rows, "general rows": general, "validation rows": validation}
    encoded = [data.encode(tokenizer, some, settings.longest, name) for name, some in named.items()]
    dtype = "float32" if settings.method == "full" else "auto"
    model = loading.load_weights(reference, source, device, dtype, settings.load_in_4bit)
    order = None
    if settings.order == "curriculum":
        tools = [len(row.get("tools") or ()) for row in rows]
        order = sorted(range(len(rows)), key=lambda index: data.difficulty(encoded[0][index], tools[index]))
    settings = replace(settings, learning_rate=settings.rate(model.num_parameters()))
    return Job(reference, settings, model, tokenizer, *encoded[:2], (validation, encoded[2]), order)


def identity(
    reference: Reference, rows: Sequence[Row], general: Sequence[Row], validation: Sequence[Row], settings: Settings
) -> dict[str, Any]:
    """What decides a run's outcome; two runs alike in it give the same adapter."""
    return {
        "base": reference.text,
        "base_fingerprint": loading.fingerprint(reference),
        "data_hash": cards.rows_hash(rows),
        "validation_hash": cards.rows_hash(validation),
        "general_hash": cards.rows_hash(general),
        "settings": json.loads(json.dumps(settings.record())),
    }


def splits(rows: Sequence[Row], validation: Sequence[Row]) -> dict[str, Any]:
    """What the card says about the rows: how many, and their ids."""
    return {
        "n_rows": len(rows),
        "n_validation": len(validation),
        "rows": [cards.row_id(row) for row in rows],
        "validation_rows": [cards.row_id(row) for row in validation],
    }


Maker = Callable[[Job, Path, Any], Any]  # job, folder of the checkpoints, tracker -> a `judged` trainer


def supervised(job: Job, folder: Path, tracker: Any) -> Any:
    """The trainer of plain supervised fine-tuning."""
    from slmkit.specialization import training

    settings, n_rows = job.settings, len(job.rows)
    lengths, general = ([len(row.ids) for row in rows] for rows in (job.rows, job.general))
    steps, share = settings.n_steps(n_rows), settings.general_share
    batches = data.plan(lengths, settings.batch_size, steps, settings.seed, general, share, job.order)
    config = training.arguments(settings, n_rows, job.model, folder)
    lora = peft_config.lora(job.model, settings) if settings.method == "lora" else None
    return training.make_trainer(job, batches, config, lora, tracker)


def train(job: Job, out: Path, tracker: Any, make: Maker) -> tuple[Any, str, dict[str, float]]:
    """The trainer after its run, with the best weights; why it ended early, if so; reward and loss before."""
    from slmkit.specialization import training

    settings = job.settings
    before = training.measure(job.model, job.validation, job.tokenizer, job.pad, job.reference.text)
    trainer = make(job, out / "checkpoints", tracker)
    with trainer.args.main_process_first():
        resumed = checkpoints.last_whole(out / "checkpoints")
    stopped = ""
    try:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
        if trainer.state.global_step < trainer.args.max_steps:
            stopped = f"step {trainer.state.global_step}: no better reward in {settings.patience} evaluations"
    except training.Divergence:
        stopped = f"step {trainer.state.global_step + 1}: the loss is not a number; lower learning_rate"
        if not trainer.state.best_model_checkpoint:
            raise InputError(f"{stopped} (it is {settings.learning_rate}); no checkpoint was reached") from None
        trainer._load_best_model()
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
            raise
        longest = max(len(row.ids) for row in [*job.rows, *job.general])
        size = f"batches of {settings.batch_size} rows of up to {longest:,} tokens"
        further = "" if settings.gradient_checkpointing else ", or set gradient_checkpointing=True"
        raise InputError(f"out of memory with {size}; lower batch_size{further}") from None
    return trainer, stopped, before


def complete(job: Job, out: Path, known: dict[str, Any], tracker: Any, make: Maker = supervised) -> None:
    """Train, and write `out/adapter` with its card, which says what is `known` and what the run found."""
    began = clock()
    memory.reset_peak(job.model.device.type)
    with quiet():
        trainer, stopped, before = train(job, out, tracker, make)
    made = {**known, **facts(job, trainer, stopped, before, clock() - began)}
    if trainer.is_world_process_zero():
        write(job, trainer, out, made)
        if tracker is not None:
            track(tracker, out / "adapter")
    trainer.accelerator.wait_for_everyone()


def log_table(history: list[dict[str, Any]]) -> Any:
    """The trainer's log as a table, a row a step."""
    import pandas as pd

    rows: dict[int, dict[str, Any]] = {}
    for entry in history:
        row = rows.setdefault(entry["step"], {"step": entry["step"]})
        if "loss" in entry:
            row |= {"loss": entry["loss"], "learning_rate": entry["learning_rate"]}
            row |= {"tokens": entry["trained_tokens"], "seconds": round(entry["trained_s"], 3)}
        if "eval_reward" in entry:
            row |= {"reward": entry["eval_reward"], "validation_loss": entry["eval_loss"]}
    columns = ["step", "loss", "learning_rate", "tokens", "seconds", "reward", "validation_loss"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def facts(job: Job, trainer: Any, stopped: str, before: dict[str, float], seconds: float) -> dict[str, Any]:
    """What the card says about the course of a run."""
    state = trainer.state
    best = next(row for row in state.log_history if row["step"] == state.best_global_step and "eval_choice" in row)
    return {
        "steps": state.global_step,
        "before": {name: before[name] for name in ("reward", "loss")},
        "best": {"step": best["step"], "reward": best["eval_reward"], "loss": best["eval_loss"]},
        "seconds": round(seconds, 2),
        "training_seconds": round(trainer.trained_s, 2),
        "tokens": trainer.trained_tokens,
        "tokens_per_s": round(trainer.trained_tokens / max(trainer.trained_s, 1e-9), 1),
        "peak_memory_bytes": memory.peak_bytes(job.model.device.type),
        "trainable_parameters": sum(part.numel() for part in trainer.model.parameters() if part.requires_grad),
        "hardware": provenance.hardware(),
        "stopped": stopped,
    }


def write(job: Job, trainer: Any, out: Path, made: dict[str, Any]) -> None:
    """The folder `out/adapter` in one step: weights, log, and the card with size and hash of the weights."""
    shutil.rmtree(part := out / ".adapter.part", ignore_errors=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "peft_config"):
        model.save_pretrained(part, selected_adapters=["default"])
    else:
        model.save_pretrained(part)
    path = part / "adapter_config.json"
    if path.is_file():  # the base by its reference, not by where it lies on this machine
        files.write_json(path, {**json.loads(path.read_text("utf-8")), "base_model_name_or_path": made["base"]})
    else:
        job.tokenizer.save_pretrained(part)
    made = {**made, "size_bytes": cards.size_bytes(part), "weights_hash": cards.weights_hash(part)}
    files.write_csv(part / "log.csv", log_table(trainer.state.log_history))
    cards.write(part, made)
    part.rename(out / "adapter")
    shutil.rmtree(out / "checkpoints", ignore_errors=True)


def track(tracker: Any, adapter: Path) -> None:
    """Scores and the adapter, as the W&B run's final state."""
    made = cards.read(adapter)
    kept = ("steps", "seconds", "tokens_per_s", "peak_memory_bytes", "size_bytes", "data_hash", "base")
    shown = {name: made[name] for name in kept} | {f"best_{name}": value for name, value in made["best"].items()}
    tracker.summary({f"finetune/{name}": value for name, value in shown.items()})
    tracker.artifact(f"adapter-{made['weights_hash']}", "adapter", adapter)
