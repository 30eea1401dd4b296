"""One fine-tuning run: from a base and rows to an adapter with its card, resumable, chosen by held-out reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.specialization import data
from slmkit.specialization.data import Row
from slmkit.specialization.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tuned:
    """What a run gives.

    `adapter` is a PEFT folder, or a whole model folder after full fine-tuning; `reference` loads either. `log` has a
    row a step: step, loss (nats a token), learning_rate, tokens (without padding, so far), seconds (of training steps,
    so far), and reward and validation_loss where there was an evaluation. `seconds` is the wall time of the run with
    its evaluations, `tokens_per_s` non-pad tokens over the time of training steps. `stopped` says why it ended early.
    """

    base: str
    adapter: Path
    log: pd.DataFrame
    seconds: float
    tokens_per_s: float
    peak_memory_bytes: int
    card: dict[str, Any]
    stopped: str = ""

    @property
    def reference(self) -> str:
        """The model reference that loads the tuned model."""
        return f"{self.base}+{self.adapter}" if (self.adapter / "adapter_config.json").is_file() else str(self.adapter)


def finetune(
    base_ref: str,
    rows: Sequence[Row],
    validation_rows: Sequence[Row],
    settings: Settings | None = None,
    out: str | Path = "outputs/adapter",
    *,
    general_rows: Sequence[Row] | None = None,
    device: str = "auto",
    tracker: Any = None,
) -> Tuned:
    """Train `base_ref` on `rows`, choose the checkpoint by the reward on `validation_rows`, write `out/adapter`.

    The same call again resumes a killed run, to the same result, and gives back a finished one as it is.
    `general_rows` are mixed in as `settings.general_share` says; by default the minis' own training stream.
    `tracker` is a `slmkit.tracking.Tracker`: curves, summary and the adapter go there.
    Raises InputError in one line for rows without target, calls that do not match their tool, too few rows, a base
    without a usable chat template, a rank above a layer's size, memory that does not suffice, and a folder that holds
    another run. A loss that is no number stops the run; the last good checkpoint is kept and `stopped` says so.
    """
    settings, out = settings or Settings(), Path(out)
    if len(rows) < 2 or not validation_rows:
        raise InputError(f"{len(rows)} rows to train on and {len(validation_rows)} to validate; give at least 2 and 1")
    data.check(rows, "training rows")
    data.check(validation_rows, "validation rows")
    from slmkit.specialization import run

    return run.run(base_ref, rows, validation_rows, settings, out, general_rows, device, tracker)
