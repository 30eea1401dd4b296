"""What watches a run: the progress bar, early stopping by reward, live curves on Weights & Biases."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback


class Progress(TrainerCallback):
    """One bar a run: steps, loss, and the last reward."""

    def __init__(self, description: str):
        self.description, self.bar, self.shown = description, None, {}  # type: ignore[var-annotated]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc=self.description)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.bar is not None:
            self.bar.update()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        for name, short in (("loss", "loss"), ("eval_reward", "reward")):
            if name in (logs or {}):
                self.shown[short] = f"{float(logs[name]):.3f}"
        if self.bar is not None:
            self.bar.set_postfix(self.shown)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.bar is not None:
            self.bar.close()


class StopEarly(TrainerCallback):
    """Stops after `patience` evaluations without a better choice; reads the log, so a resumed run stops alike."""

    def __init__(self, patience: int):
        self.patience = patience

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        choices = [entry["eval_choice"] for entry in state.log_history if "eval_choice" in entry]
        if self.patience and len(choices) - 1 - choices.index(max(choices)) >= self.patience:
            control.should_training_stop = True


class Curves(TrainerCallback):
    """Sends each logged number to the W&B run of a `slmkit.tracking.Tracker`."""

    NAMES = ("loss", "learning_rate", "grad_norm", "eval_reward", "eval_loss", "trained_tokens")

    def __init__(self, tracker: Any):
        self.tracker = tracker

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if state.is_world_process_zero:
            sent = {f"finetune/{name}": float(logs[name]) for name in self.NAMES if name in (logs or {})}
            if sent:
                self.tracker.run.log({**sent, "finetune/step": state.global_step})
