"""Weights & Biases: one run a notebook, grouped by pass; offline unless the user asks for more.

Files are the truth and nothing reads its inputs from here, so a run without W&B loses nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def mode() -> str:
    """`online`, `offline` or `disabled`, from `WANDB_MODE`; offline when it is not set."""
    return os.environ.get("WANDB_MODE", "offline")


class Tracker:
    """The W&B run of one notebook."""

    def __init__(self, folder: Path, notebook: str, scale: str, parameters: dict[str, Any]):
        """Start a run that writes into `folder`, with the notebook as job type and the scale as tag."""
        import wandb

        os.environ.setdefault("WANDB_SILENT", "true")
        os.environ.setdefault("WANDB_NOTEBOOK_NAME", f"{notebook}.ipynb")
        self.run = wandb.init(
            project="slmkit",
            group=folder.parent.parent.name,
            job_type=notebook,
            name=f"{notebook}-{scale}",
            tags=[scale],
            config=parameters,
            dir=folder,
            mode=mode(),
            settings=wandb.Settings(silent=True, console="off"),
        )

    def table(self, name: str, rows: pd.DataFrame) -> None:
        """Log a table once, as the run's final state."""
        import wandb

        # W&B infers one type a column; objects such as lists and None go as text.
        plain = rows.map(lambda value: value if isinstance(value, int | float | bool | str) else str(value))
        self.run.log({name: wandb.Table(dataframe=plain)})

    def summary(self, values: dict[str, Any]) -> None:
        """Set summary fields such as verdicts and headline numbers."""
        self.run.summary.update(values)

    def artifact(self, name: str, kind: str, path: Path) -> None:
        """Attach a file or folder (an adapter, a results.json) as an artifact of `kind`."""
        import wandb

        artifact = wandb.Artifact(name, type=kind)
        artifact.add_dir(str(path)) if path.is_dir() else artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def finish(self) -> None:
        """Close the run."""
        self.run.finish()
