"""Preferences with a verifiable reward: DPO on a specialist's own mistakes, found by the scorer.

The specialist answers its training rows several times; an answer that the scorer finds wrong is worse than the row's
own. TRL's DPO (Rafailov et al. 2023) moves the adapter away from these, with the adapter as it was for reference, and
a term of plain likelihood on the right answer that keeps it probable (Pang et al. 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.models import parse_reference
from slmkit.specialization import data
from slmkit.specialization.data import Encoded, Row
from slmkit.specialization.finetune import Settings, Tuned, load
from slmkit.specialization.reward import MAX_TOKENS, request, score

if TYPE_CHECKING:
    from slmkit.models.base import Model

RATE_SHARE = 0.1  # of the supervised learning rate: what the adapter knows is to be moved, not made anew


@dataclass(frozen=True)
class Preference:
    """How pairs are found and weighed: answers a row, their temperature, DPO's beta, weight of the likelihood."""

    samples: int = 4
    temperature: float = 1.0
    beta: float = 0.1
    likelihood: float = 0.5


@dataclass(frozen=True)
class Pair:
    """A prompt with the right answer and a wrong one of the model's own, in tokens."""

    chosen: Encoded
    rejected: Encoded

    @property
    def length(self) -> int:
        return max(len(self.chosen.ids), len(self.rejected.ids))


def mistakes(model: Model, rows: Sequence[Row], how: Preference) -> list[tuple[int, dict[str, Any]]]:
    """(row's place, the row with a wrong answer instead), one for each row that is missed: its most probable miss."""
    worst: dict[int, tuple[float, dict[str, Any]]] = {}
    for seed in range(how.samples):
        replies = model.chat_many(
            [request(row) for row in rows],
            progress=False,
            max_tokens=MAX_TOKENS,
            temperature=how.temperature if seed else 0.0,  # the greedy answer first
            seed=seed,
        )
        for place, (row, reply) in enumerate(zip(rows, replies, strict=True)):
            said = reply.message()
            if reply.malformed:
                said["content"] = "\n".join(filter(None, [reply.content, *reply.malformed]))
            if reply.error or score(row, reply).correct or not (said["content"] or reply.tool_calls):
                continue
            chance = reply.logprob if reply.logprob is not None else 0.0
            if place not in worst or chance > worst[place][0]:
                worst[place] = (chance, {**row, "messages": [*row["messages"][:-1], said]})
    return [(place, row) for place, (_, row) in sorted(worst.items())]


def prefer(
    start: Tuned,
    rows: Sequence[Row],
    validation_rows: Sequence[Row],
    settings: Settings,
    out: str | Path,
    how: Preference | None = None,
    *,
    device: str = "auto",
    tracker: Any = None,
) -> Tuned:
    """The adapter `start` trained on by DPO on its mistakes at `rows`; an adapter of the same base, in `out/adapter`.

    `settings` are those of the DPO run; its learning rate is a tenth of the supervised one unless set. A batch holds
    `batch_size / 2` pairs. The result is never worse on the validation rows than its best checkpoint, but may be
    worse than `start`. Resumes like `finetune`; InputError also where there are fewer than two mistakes to learn from.
    """
    from slmkit import models
    from slmkit.specialization import card as cards
    from slmkit.specialization import checkpoints, run

    how, out = how or Preference(), Path(out)
    if settings.method != "lora" or not (start.adapter / "adapter_config.json").is_file():
        raise InputError("preference training goes on from a LoRA adapter; fine-tune with method='lora' first")
    if settings.batch_size % 2:
        raise InputError(f"batch_size {settings.batch_size}: preference training needs an even one, two rows a pair")
    validation_rows = list(validation_rows)[: settings.validation_items]
    data.check(rows, "training rows")
    data.check(validation_rows, "validation rows")
    reference = parse_reference(start.base)
    identity = {
        **run.identity(reference, rows, (), validation_rows, settings),
        "start": cards.weights_hash(start.adapter),
        "preference": asdict(how),
    }
    checkpoints.claim(out, identity)
    if (out / "adapter").is_dir():
        return load(out / "adapter")
    found = mistakes(models.load(start.reference, device=device), rows, how)
    if len(found) < 2:
        raise InputError(f"{len(found)} mistakes in {len(rows)} rows; give more or harder rows, or raise `samples`")
    job = run.prepare(reference, [rows[place] for place, _ in found], (), validation_rows, settings, device)
    wrong = data.encode(job.tokenizer, [row for _, row in found], settings.longest, "wrong answers")
    pairs = [Pair(right, miss) for right, miss in zip(job.rows, wrong, strict=True)]
    if not settings.learning_rate:
        job.settings = replace(job.settings, learning_rate=job.settings.learning_rate * RATE_SHARE)
    job.model = _trainable(job.model, start.adapter)
    known = {**identity, **run.splits(rows, validation_rows), "n_pairs": len(pairs)}
    run.complete(job, out, known, tracker, lambda job, folder, tracker: _trainer(job, pairs, how, folder, tracker))
    return load(out / "adapter")


def _trainable(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)


def _trainer(job: Any, pairs: Sequence[Pair], how: Preference, folder: Path, tracker: Any) -> Any:
    """TRL's DPO trainer over our batches, evaluated by reward."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer
    from trl.trainer.dpo_trainer import DataCollatorForPreference

    from slmkit.specialization import training

    settings = job.settings
    steps = settings.n_steps(len(pairs))
    batches = data.plan([pair.length for pair in pairs], settings.batch_size // 2, steps, settings.seed)
    pad = DataCollatorForPreference(pad_token_id=job.pad, pad_to_multiple_of=data.BUCKET)

    class Trainer(training.judged(DPOTrainer, job)):  # type: ignore[misc]
        def get_train_dataloader(self):  # type: ignore[no-untyped-def]
            return training.loader(self, pairs, batches, lambda chosen: pad([_columns(pair) for pair in chosen]))

    unused = Dataset.from_list([{"prompt": "1", "chosen": "\n2", "rejected": "\n3"}] * 2)
    config = DPOConfig(
        **training.common(settings, len(pairs), job.model, folder),
        beta=how.beta,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, how.likelihood],
    )
    trainer = Trainer(
        model=job.model, args=config, train_dataset=unused, eval_dataset=unused, processing_class=job.tokenizer
    )
    return training.ready(trainer, job, tracker)


def _columns(pair: Pair) -> dict[str, list[int]]:
    asked = pair.chosen.ids[: pair.chosen.start]
    return {"prompt_ids": asked, "chosen_ids": pair.chosen.answer, "rejected_ids": pair.rejected.answer}
