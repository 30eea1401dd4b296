"""One arm of the speed test, in a process of its own: our trainer, or TRL's SFTTrainer as it comes.

Seconds are processor seconds of training steps: on an idle machine with one thread they are wall time, and a busy
neighbour does not count.
Usage: speed_arm.py ours|trl BASE ROWS.jsonl VALIDATION.jsonl N_ROWS OUT.json, where N_ROWS are shown in all.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from slmkit import files
from slmkit.models import hub, loading, parse_reference
from slmkit.specialization import data, training
from slmkit.specialization.finetune import Settings, finetune

RATE = 2e-3


def ours(base: str, rows: list[dict], validation: list[dict], n: int) -> dict[str, float]:
    training.time = SimpleNamespace(perf_counter=time.process_time)
    settings = Settings(steps=n // 16, evaluate_every=n // 16, learning_rate=RATE, warmup_steps=0)
    with tempfile.TemporaryDirectory() as folder:
        tuned = finetune(base, rows, validation, settings, folder)
    return {
        "tokens": tuned.card["tokens"],
        "seconds": tuned.card["training_seconds"],
        "loss": tuned.card["best"]["loss"],
    }


def trl(base: str, rows: list[dict], validation: list[dict], n: int) -> dict[str, float]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    reference = parse_reference(base)
    tokenizer = loading.load_tokenizer(reference, hub.source(reference))
    model = loading.load_weights(reference, hub.source(reference), "cpu", "auto", False)
    found = {"tokens": 0.0, "seconds": 0.0}

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.process_time()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            found["seconds"] += time.process_time() - self.began

    columns = [
        {"prompt": row["messages"][:-1], "completion": row["messages"][-1:], "tools": json.dumps(row["tools"])}
        for row in rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            folder, max_steps=n // 8, learning_rate=RATE, use_cpu=True, report_to="none", disable_tqdm=True
        )
        lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
        trainer = SFTTrainer(
            model, config, train_dataset=Dataset.from_list(columns), processing_class=tokenizer, peft_config=lora,
            callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    found["tokens"] = float(trainer._total_train_tokens)
    encoded = data.encode(tokenizer, validation)
    found["loss"] = training.measure(trainer.model, (validation, encoded), tokenizer, tokenizer.pad_token_id, base)[
        "loss"
    ]
    return found


if __name__ == "__main__":
    arm, base, *paths, n, out = sys.argv[1:]
    rows, validation = (list(files.read_jsonl(path)) for path in paths)
    files.write_json(Path(out), {"ours": ours, "trl": trl}[arm](base, rows, validation, int(n)))
