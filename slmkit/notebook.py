"""What a notebook calls first and last: `setup()` opens the run, `verdict()` judges, writes and closes it.

A run is a folder with `results.json`, a CSV for each table and an SVG beside the CSV of each figure. With
`source="recorded"` the tables come from the committed results and no model is called.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit import allocator, claims, config, figures, files, provenance, report, tracking
from slmkit.errors import InputError
from slmkit.parameters import declared
from slmkit.records import Verdict

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.figure import Figure


def run_folder(scale: str) -> Path:
    """Where this pass writes: the runner's folder, or `outputs/lab/<scale>` when a person runs the notebook."""
    if folder := os.environ.get("SLMKIT_RUN"):
        return Path(folder)
    return config.outputs() / "lab" / scale


class Run:
    """One pass of one notebook: its sizes, its random generator, and the record of what it produced."""

    def __init__(self, notebook: str, scale: config.Scale, source: str, seed: int, parameters: dict[str, Any]):
        import numpy as np

        self.notebook, self.scale, self.source, self.seed, self.parameters = notebook, scale, source, seed, parameters
        self.folder = run_folder(scale.name) / notebook
        self.folder.mkdir(parents=True, exist_ok=True)
        # A result of an earlier pass must not stand beside the tables of this one if it is interrupted.
        (self.folder / "results.json").unlink(missing_ok=True)
        self.rng: np.random.Generator = np.random.default_rng(seed)
        self.numbers: dict[str, Any] = {}
        self.figures: list[dict[str, str]] = []
        self.inputs: dict[str, str] = {}
        self.notes: list[str] = []
        self.started_at, self._start = datetime.now(UTC), time.perf_counter()
        self.tracker = tracking.Tracker(self.folder, notebook, scale.name, parameters)

    @property
    def live(self) -> bool:
        """Whether models may be called."""
        return self.source == "live"

    def table(
        self, name: str, compute: Callable[[], pd.DataFrame], needs: str = "", packed: bool = False
    ) -> pd.DataFrame:
        """A result table: computed and written to `<name>.csv`, or taken from the committed results when recorded.

        Where data set `needs` is not at hand, the committed table serves, with a note that says so. `packed` writes
        `.csv.gz`, for a row an item. The table is always read back from the file, so that both sources give the same
        types.
        """
        import pandas as pd

        path = self.folder / (f"{name}.csv.gz" if packed else f"{name}.csv")
        at_hand = not needs or config.has_dataset(needs, self.parameters.get("data"))
        if self.live and not at_hand:
            get = f"`slmkit data pull {needs}` gets it"
            self.note(f"Table `{name}` is the recorded one, since data set `{needs}` is not at hand: {get}.")
        if self.live and at_hand:
            files.write_csv(path, compute())
        else:
            recorded = config.resource(f"data/results/{self.notebook}") / path.name
            if not recorded.is_file():
                raise InputError(f"{recorded}: no such recorded table; run with source='live' to compute it")
            files.write_bytes(path, self.input(recorded).read_bytes())
        return pd.read_csv(path)

    def figure(self, name: str, figure: Figure, table: pd.DataFrame, caption: str) -> None:
        """Show a figure with its caption, and write it as SVG with its data as CSV beside it."""
        from IPython.display import SVG, Markdown, display

        files.write_csv(self.folder / f"{name}.csv", table)
        picture = self.folder / f"{name}.svg"
        figure.savefig(picture, format="svg", metadata={"Date": None})
        self.figures.append({"name": name, "caption": caption})
        self.tracker.table(name, table)
        display(SVG(filename=str(picture)), Markdown(f"*{caption}*"))

    def claims(self) -> list[claims.Claim]:
        """The rows of the ledger that this notebook is to judge."""
        return claims.owned_by(self.notebook)

    def number(self, **values: float | int | str) -> None:
        """Record headline numbers, with units in their names."""
        self.numbers.update(values)

    def note(self, text: str) -> None:
        """Say something that a reader of the results must know, on the page and in `results.json`."""
        from IPython.display import Markdown, display

        self.notes.append(text)
        display(Markdown(f"> **Note.** {text}"))

    def input(self, path: str | Path) -> Path:
        """Register a file that the results depend on by its SHA-256, and pass the path on."""
        path = Path(path)
        self.inputs[config.display(path)] = files.sha256(path)
        return path

    def results(self, verdicts: Iterable[Verdict]) -> dict[str, Any]:
        """The content of `results.json`."""
        return {
            "notebook": self.notebook,
            "scale": self.scale.name,
            "source": self.source,
            "verdicts": [verdict.model_dump() for verdict in verdicts],
            "numbers": self.numbers,
            "notes": self.notes,
            "figures": self.figures,
            "parameters": self.parameters,
            "provenance": {
                "started_at": self.started_at.isoformat(timespec="seconds"),
                "wall_s": round(time.perf_counter() - self._start, 1),
                "seed": self.seed,
                "hardware": provenance.hardware(),
                "git": provenance.git_state(Path(__file__).parent),
                "versions": provenance.versions(),
                "inputs": self.inputs,
            },
        }


def setup(notebook: str, namespace: Mapping[str, Any]) -> Run:
    """Open a run: check the dial, seed everything, set the figure style and the allocator, say what runs where.

    `namespace` is the notebook's `globals()`, from which its declared parameters are taken. Raises InputError naming
    the nearest known scale or source.
    """
    from IPython.display import Markdown, display

    parameters = {name: namespace[name] for name in declared(notebook) if name in namespace}
    sizes, source = config.scale(parameters["scale"]), config.source(parameters["source"])
    allocator.tune()
    random.seed(parameters["seed"])
    figures.use_style(evidence=sizes.evidence)
    run = Run(notebook, sizes, source, parameters["seed"], parameters)
    found = provenance.versions()
    packages = ", ".join(f"{name} {found[name]}" for name in ("python", "torch", "transformers") if name in found)
    display(
        Markdown(f"**{notebook}** · scale `{sizes.name}` · source `{source}` · {provenance.hardware()} · {packages}")
    )
    return run


def verdict(run: Run, verdicts: Iterable[Verdict]) -> None:
    """Check the verdicts against the ledger, show them, write `results.json`, and close the run.

    Raises InputError when a verdict has no ledger row, or one that it may not judge.
    """
    from IPython.display import HTML, display

    stamped = [
        each.model_copy(update={"notebook": run.notebook, "scale": run.scale.name, "hardware": provenance.hardware()})
        for each in verdicts
    ]
    for each in stamped:
        claims.check_verdict(each)
    results = run.results(stamped)
    path = files.write_json(run.folder / "results.json", results)
    run.tracker.summary({f"verdict/{each.claim_id}": each.outcome for each in stamped} | run.numbers)
    run.tracker.artifact(f"{run.notebook}-results", "results", path)
    run.tracker.finish()
    display(HTML(report.verdict_page(results["verdicts"])))
