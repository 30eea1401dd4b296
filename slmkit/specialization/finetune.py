"""One fine-tuning run: from a base and rows to an adapter with its card, resumable, chosen by held-out reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit.errors import InputError
from slmkit.models import parse_reference
from slmkit.specialization import data
from slmkit.specialization.data import Row
from slmkit.specialization.rows import pretraining_rows
from slmkit.specialization.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Settings", "Tuned", "finetune"]


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
    card: dict[str, Any]

    @property
    def reference(self) -> str:
        """The model reference that loads the tuned model."""
        return f"{self.base}+{self.adapter}" if (self.adapter / "adapter_config.json").is_file() else str(self.adapter)

    @property
    def seconds(self) -> float:
        return self.card["seconds"]

    @property
    def tokens_per_s(self) -> float:
        return self.card["tokens_per_s"]

    @property
    def peak_memory_bytes(self) -> int:
        return self.card["peak_memory_bytes"]

    @property
    def stopped(self) -> str:
        return self.card["stopped"]


def load(folder: str | Path) -> Tuned:
    """The run whose adapter lies in `folder`; InputError where there is none."""
    import pandas as pd

    from slmkit.specialization import card as cards

    folder = Path(folder)
    made = cards.read(folder)
    return Tuned(made["base"], folder, pd.read_csv(folder / "log.csv"), made)


def finetune(
    base_ref: str,
    rows: Sequence[Row],
    validation_rows: Sequence[Row],
    settings: Settings | None = None,
    out: str | Path = "outputs/finetune",
    *,
    general_rows: Sequence[Row] | None = None,
    device: str = "auto",
    tracker: Any = None,
) -> Tuned:
    """Train `base_ref` on `rows`, choose the checkpoint by the reward on `validation_rows`, write `out/adapter`.

    The same call again resumes a killed run, to the same result, and gives back a finished one as it is.
    `general_rows` are mixed in as `settings.general_share` says; by default the minis' own training stream.
    `tracker` is a `slmkit.tracking.Tracker`: curves, summary and the adapter go there.
    Under `accelerate launch` each process calls this; a batch is shared out among them.
    Raises InputError in one line for rows without target, calls that do not match their tool, too few rows, a base
    without a usable chat template, a rank above a layer's size, memory that does not suffice, and a folder that holds
    another run. A loss that is no number stops the run; the last good checkpoint is kept and `stopped` says so.
    """
    settings, out = settings or Settings(), Path(out)
    validation_rows = list(validation_rows)[: settings.validation_items]
    if len(rows) < 2 or not validation_rows:
        raise InputError(f"{len(rows)} rows to train on and {len(validation_rows)} to validate; give at least 2 and 1")
    data.check(rows, "training rows")
    data.check(validation_rows, "validation rows")
    reference = parse_reference(base_ref)
    if reference.kind != "local" or reference.adapter:
        raise InputError(f"{base_ref}: only a model in process can be trained; name a mini, a hub id or a folder")
    general = list(general_rows or ())
    if settings.general_share and not general:
        general = list(pretraining_rows(max(64, len(rows)), settings.seed))
    data.check(general, "general rows")

    from slmkit.models import loading
    from slmkit.specialization import checkpoints, run

    loading.check_folder(reference)
    identity = run.identity(reference, rows, general, validation_rows, settings)
    checkpoints.claim(out, identity)
    if not (out / "adapter").is_dir():
        job = run.prepare(reference, rows, general, validation_rows, settings, device)
        run.complete(job, out, {**identity, **run.splits(rows, validation_rows)}, tracker)
    return load(out / "adapter")
