"""TRL's trainer with a few fixed shapes, the vocabulary for answers only, and evaluation by task reward.

What makes it fast on a CPU: padded shapes that repeat (oneDNN compiles each new one), answers aligned at the right end
so that only they go through the vocabulary, no gradient checkpointing, bfloat16 where the processor has units for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.mini.objective import has_bfloat16
from slmkit.models.local import LocalModel
from slmkit.specialization import fused
from slmkit.specialization.data import Encoded, Row, collate
from slmkit.specialization.reward import rewards
from slmkit.specialization.settings import Settings
from slmkit.specialization.trimmed import Trim

if TYPE_CHECKING:
    from trl import SFTTrainer

    from slmkit.specialization.run import Job

BFLOAT16_FROM = 5_000_000  # parameters; below, the casts of autocast cost what the products save
ROWS = 16  # of a batch of the validation loss
TIE = 1e-4  # weight of the validation loss in the choice of a checkpoint: it decides between equal rewards


class Divergence(Exception):
    """The loss is not a number any more."""


class Plan:
    """The batches of a run as a batch sampler."""

    drop_last = True

    def __init__(self, batches: Sequence[list[int]], batch_size: int):
        self.batches, self.batch_size = batches, batch_size

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def arguments(settings: Settings, n_rows: int, model: Any, out: Path) -> Any:
    """TRL's configuration of a run."""
    from trl import SFTConfig

    return SFTConfig(**common(settings, n_rows, model, out), dataset_kwargs={"skip_prepare_dataset": True})


def common(settings: Settings, n_rows: int, model: Any, out: Path) -> dict[str, Any]:
    """What the configurations of all TRL trainers share."""
    device, every = model.device.type, settings.n_between(n_rows)
    pays = device != "cpu" or model.num_parameters() >= BFLOAT16_FROM
    return dict(
        output_dir=str(out),
        max_steps=settings.n_steps(n_rows),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=settings.batch_size,  # of the trainer's own reckoning; `Plan` makes the batches
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=pays and has_bfloat16(device),
        use_cpu=device == "cpu",
        gradient_checkpointing=None,  # the old name, which TRL sets
        activation_checkpointing=settings.gradient_checkpointing,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_choice",
        greater_is_better=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_num_workers=0,
        dataloader_pin_memory=device == "cuda",
        max_length=None,
    )


def make_trainer(job: Job, batches: Sequence[list[int]], config: Any, lora: Any, tracker: Any) -> SFTTrainer:
    """A trainer over `batches` (indices of the job's rows and then of its general rows) that evaluates by reward."""
    import torch
    from datasets import Dataset
    from trl import SFTTrainer

    rows = [*job.rows, *job.general]
    trim = Trim(None)

    class Trainer(judged(SFTTrainer, job)):  # type: ignore[misc]
        def get_train_dataloader(self):  # type: ignore[no-untyped-def]
            return loader(self, rows, batches, lambda chosen: collate(chosen, job.pad))

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            labels = inputs.pop("labels")
            with trim.only(labels.shape[1]):
                logits = model(**inputs, use_cache=False, logits_to_keep=labels.shape[1]).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            if num_items_in_batch is None:
                return loss / (labels[:, 1:] != -100).sum().clamp(min=1)
            return loss / num_items_in_batch * self.accelerator.num_processes

    columns = {"input_ids": [row.ids for row in job.rows[:2]], "labels": [row.ids for row in job.rows[:2]]}
    unused = Dataset.from_dict(columns)  # the trainer wants one; batches come from the loader above
    trainer = Trainer(
        model=job.model, args=config, train_dataset=unused, eval_dataset=unused, processing_class=job.tokenizer,
        peft_config=lora,
    )  # fmt: skip
    if not job.settings.gradient_checkpointing:  # which runs layers again when the positions are forgotten
        trim = Trim(trainer.model)
    return ready(trainer, job, tracker)


def judged(kind: type, job: Job) -> type:
    """A class of TRL trainer that evaluates by task reward, stops at a loss that is no number, and keeps time."""
    from accelerate.utils import broadcast_object_list
    from transformers import Trainer

    class Judged(kind):  # type: ignore[valid-type, misc]
        trained_s = 0.0  # wall time of training steps alone
        trained_tokens = 0  # without padding, all processes

        def training_step(self, model, inputs, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            if not self.trained_tokens and self.state.log_history:  # resumed
                last = self.state.log_history[-1]
                self.trained_s, self.trained_tokens = last["trained_s"], last["trained_tokens"]
            began, tokens = time.perf_counter(), inputs["attention_mask"].sum().to(self.args.device)
            loss = super().training_step(model, inputs, num_items_in_batch)
            if not math.isfinite(self.accelerator.gather(loss.detach()).sum().item()):
                raise Divergence
            self.trained_s += time.perf_counter() - began
            self.trained_tokens += int(self.accelerator.gather(tokens).sum())
            return loss

        def log(self, logs, start_time=None):  # type: ignore[no-untyped-def]
            logs |= {"trained_s": self.trained_s, "trained_tokens": self.trained_tokens}
            Trainer.log(self, logs, start_time)

        def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):  # type: ignore[no-untyped-def]
            found = None
            if self.is_world_process_zero():
                model = self.accelerator.unwrap_model(self.model)
                found = measure(model, job.validation, job.tokenizer, job.pad, job.reference.text)
            found = broadcast_object_list([found])[0]
            named = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
            self.log(dict(named))
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
            return named

    return Judged


def loader(trainer: Any, rows: Sequence[Any], batches: Sequence[list[int]], collate: Any) -> Any:
    """The batches of a run, each shared out among the processes; InputError where that cannot be."""
    from torch.utils.data import DataLoader

    world, size = trainer.args.world_size, len(batches[0])
    if size % world:
        raise InputError(f"a batch of {size} rows cannot be shared by {world} processes; change batch_size")
    shares = [batch[rank::world] for batch in batches for rank in range(world)]
    made = DataLoader(
        rows,  # type: ignore[arg-type]
        batch_sampler=Plan(shares, size // world),
        collate_fn=collate,
        pin_memory=trainer.args.dataloader_pin_memory,
    )
    return trainer.accelerator.prepare(made)


def ready(trainer: Any, job: Job, tracker: Any) -> Any:
    """The trainer with our progress bar, early stop and curves, and its LoRA layers fused where that helps."""
    from transformers import PrinterCallback

    from slmkit.specialization import callbacks

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(callbacks.Progress(job.reference.text))
    trainer.add_callback(callbacks.StopEarly(job.settings.patience))
    if tracker is not None:
        trainer.add_callback(callbacks.Curves(tracker))
    if hasattr(trainer.model, "peft_config"):
        fused.fuse(trainer.model)
    return trainer


def measure(
    model: Any, validation: tuple[Sequence[Row], Sequence[Encoded]], tokenizer: Any, pad: int, ref: str
) -> dict[str, float]:
    """Reward (share of rows right) and loss (nats a token) of a model on validation rows, and what chooses by them."""
    import torch

    rows, encoded = validation
    training = model.training
    model.eval()
    sure: list[bool] = []
    total, n = 0.0, 0
    try:
        with torch.inference_mode():
            for at in range(0, len(encoded), ROWS):
                batch = {name: part.to(model.device) for name, part in collate(encoded[at : at + ROWS], pad).items()}
                labels = batch.pop("labels")
                logits = model(**batch, use_cache=False, logits_to_keep=labels.shape[1]).logits[:, :-1].float()
                wanted = labels[:, 1:]
                total += torch.nn.functional.cross_entropy(
                    logits.flatten(0, 1), wanted.flatten(), ignore_index=-100, reduction="sum"
                ).item()
                n += int((wanted != -100).sum())
                sure += ((logits.argmax(-1) == wanted) | (wanted == -100)).all(1).tolist()
        # Greedy decoding of a row whose every next token is the right one gives the answer: no need to run it.
        open_rows = [row for row, known in zip(rows, sure, strict=True) if not known]
        longest = max(len(row.answer) for row in encoded)
        found = rewards(LocalModel(ref, model, tokenizer), open_rows, max_tokens=longest + longest // 2 + 8)
    finally:
        model.train(training)
    reward, loss = (sum(sure) + sum(found)) / len(rows), total / max(1, n)
    choice = reward - TIE * min(loss, 1e3) if math.isfinite(loss) else -1.0
    return {"reward": reward, "loss": loss, "choice": choice}
