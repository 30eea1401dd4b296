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

from slmkit.mini.objective import has_bfloat16
from slmkit.models.local import LocalModel
from slmkit.specialization.data import Encoded, Row, collate
from slmkit.specialization.reward import rewards
from slmkit.specialization.settings import Settings

if TYPE_CHECKING:
    from trl import SFTTrainer

BFLOAT16_FROM = 5_000_000  # parameters; below, the casts of autocast cost what the products save
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

    device, every = model.device.type, settings.n_between(n_rows)
    pays = device != "cpu" or model.num_parameters() >= BFLOAT16_FROM
    return SFTConfig(
        output_dir=str(out),
        max_steps=settings.n_steps(n_rows),
        learning_rate=settings.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=settings.batch_size,
        seed=settings.seed,
        data_seed=settings.seed,
        bf16=pays and has_bfloat16(device),
        use_cpu=device == "cpu",
        gradient_checkpointing=settings.gradient_checkpointing,
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
        dataset_kwargs={"skip_prepare_dataset": True},
        max_length=None,
    )


def make_trainer(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Encoded],
    batches: Sequence[list[int]],
    validation: tuple[Sequence[Row], Sequence[Encoded]],
    settings: Settings,
    config: Any,
    peft_config: Any,
    ref: str,
) -> SFTTrainer:
    """A trainer over `batches` (indices of `rows`) that evaluates on `validation` and stops as `settings` say."""
    import torch
    from datasets import Dataset
    from torch.utils.data import DataLoader
    from trl import SFTTrainer

    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    class Trainer(SFTTrainer):
        trained_s = 0.0  # wall time of training steps alone
        trained_tokens = 0  # without padding, all processes

        def get_train_dataloader(self) -> DataLoader:
            loader = DataLoader(
                rows,  # type: ignore[arg-type]
                batch_sampler=Plan(batches, settings.batch_size),
                collate_fn=lambda chosen: collate(chosen, pad),
                pin_memory=self.args.dataloader_pin_memory,
            )
            return self.accelerator.prepare(loader)

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            labels = inputs.pop("labels")
            logits = model(**inputs, use_cache=False, logits_to_keep=labels.shape[1]).logits
            loss = torch.nn.functional.cross_entropy(
                logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten(), ignore_index=-100, reduction="sum"
            )
            if num_items_in_batch is None:
                return loss / (labels[:, 1:] != -100).sum().clamp(min=1)
            return loss / num_items_in_batch * self.accelerator.num_processes

        def training_step(self, model, inputs, num_items_in_batch=None):  # type: ignore[no-untyped-def]
            began, tokens = time.perf_counter(), inputs["attention_mask"].sum().to(self.args.device)
            loss = super().training_step(model, inputs, num_items_in_batch)
            if not math.isfinite(self.accelerator.gather(loss.detach()).sum().item()):
                raise Divergence
            self.trained_s += time.perf_counter() - began
            self.trained_tokens += int(self.accelerator.gather(tokens).sum())
            return loss

        def log(self, logs, start_time=None):  # type: ignore[no-untyped-def]
            logs |= {"trained_s": self.trained_s, "trained_tokens": self.trained_tokens}
            super(SFTTrainer, self).log(logs, start_time)

        def evaluate(self, eval_dataset=None, ignore_keys=None, metric_key_prefix="eval"):  # type: ignore[no-untyped-def]
            metrics = self.accelerator.unwrap_model(self.model), validation
            found = self._everywhere(measure(*metrics, tokenizer, pad, ref) if self.is_world_process_zero() else None)
            named = {f"{metric_key_prefix}_{name}": value for name, value in found.items()}
            self.log(dict(named))
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, named)
            return named

        def _everywhere(self, found):  # type: ignore[no-untyped-def]
            """What the first process found, in all of them."""
            from accelerate.utils import broadcast_object_list

            return broadcast_object_list([found])[0]

    columns = {"input_ids": [row.ids for row in validation[1]], "labels": [row.ids for row in validation[1]]}
    dummy = Dataset.from_dict(columns)  # the trainer wants one; batches come from the loader above
    return Trainer(
        model=model,
        args=config,
        train_dataset=dummy,
        eval_dataset=dummy,
        processing_class=tokenizer,
        peft_config=peft_config,
    )


def measure(
    model: Any, validation: tuple[Sequence[Row], Sequence[Encoded]], tokenizer: Any, pad: int, ref: str
) -> dict[str, float]:
    """Reward (share of rows right) and loss (nats a token) of a model on validation rows, and what chooses by them."""
    import torch

    rows, encoded = validation
    training = model.training
    model.eval()
    try:
        found = rewards(LocalModel(ref, model, tokenizer), rows)
        total, n = 0.0, 0
        with torch.inference_mode():
            for at in range(0, len(encoded), 16):
                batch = collate(encoded[at : at + 16], pad).items()
                batch = {name: tensor.to(model.device) for name, tensor in batch}
                labels = batch.pop("labels")
                logits = model(**batch, use_cache=False, logits_to_keep=labels.shape[1]).logits
                wanted = labels[:, 1:].flatten()
                total += torch.nn.functional.cross_entropy(
                    logits[:, :-1].flatten(0, 1).float(), wanted, ignore_index=-100, reduction="sum"
                ).item()
                n += int((wanted != -100).sum())
    finally:
        model.train(training)
    reward, loss = sum(found) / len(found), total / max(1, n)
    choice = reward - TIE * min(loss, 1e3) if math.isfinite(loss) else -1.0
    return {"reward": reward, "loss": loss, "choice": choice}
