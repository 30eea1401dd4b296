"""Models trained from scratch at equal tokens: two designs, two sizes, and the same model on parts of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from slmkit import config
from slmkit.specialization import tasks
from slmkit.specialization.studies.lab import Arm, Lab

SMALL, LARGE = "mini-2m", "mini-8m"
SKILLS = ("procedural", "core_said", "no_tool")  # unseen tools first
DATA = ("both", "no tool calls", "no instructions")  # conversations with tools, and errands without
TOOLS = "<|tools|>"  # the token that opens a list of tools in the template of the minis
BATCH_TOKENS = 2_048  # of a step, the default of `mini.recipe`
COLUMNS = ["name", "set", "id", "seed", "correct", "design", "size", "data", "steps"]


def scratch(lab: Lab) -> pd.DataFrame:
    """Item by item at each number of steps: LFM2 and Llama blocks, a larger LFM2, and LFM2 on parts of the data.

    Empty where the scale trains nothing from scratch. Columns beyond those of `Lab.answers`: design, size, data,
    steps.
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    runs = [("LFM2", SMALL, "both"), ("Llama", SMALL, "both"), ("LFM2", LARGE, "both")]
    runs += [("LFM2", SMALL, data) for data in DATA[1:]]
    for design, size, data in runs if lab.sizes.scratch_steps else ():
        for seed in range(lab.sizes.n_seeds):
            folder = lab.run.folder / "adapters" / f"scratch-{design}-{size}-{data.replace(' ', '_')}-{seed}"
            for steps, model in train(folder, design, size, data, seed, lab.sizes.scratch_steps):
                asked = {name: tasks.general(name, lab.sizes.n_side, lab.seed) for name in SKILLS}
                arm = Arm(f"{design}, {size}" + (f", {data}" if data != "both" else ""), str(model), seed=seed)
                found = lab.answers([arm], asked)
                tables.append(found.assign(design=design, size=size, data=data, steps=steps))
    return pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)


def train(
    folder: Path, design: str, size: str, data: str, seed: int, steps: Sequence[int]
) -> Iterator[tuple[int, Path]]:
    """Train from scratch and give the model's folder at each of `steps`; what is there already is not trained again."""
    from slmkit.mini import tokenizer as tokenizers
    from slmkit.mini.recipe import Recipe
    from slmkit.mini.trainer import Trainer

    wanted = sorted(steps)
    if not all((folder / str(step) / "config.json").is_file() for step in wanted):
        tokens = tokenizers.load(config.resource("data/mini/mini-2m"))
        tokens.chat_template = tokenizers.template()
        recipe = replace(Recipe(), warmup_steps=min(30, wanted[-1]), chunk=min(2_048, 64 * wanted[-1]))
        trainer = Trainer(size if design == "LFM2" else f"{size}-llama", tokens, recipe, seed, None)
        trainer.steps = wanted[-1]
        if data != "both":
            trainer.streams = {easy: Part(stream, data) for easy, stream in trainer.streams.items()}  # type: ignore
        for step in wanted:
            while trainer.step < step:
                trainer.train_step()
            trainer.export(folder / str(step))
    yield from ((step, folder / str(step)) for step in wanted)


class Part:
    """A stream of batches in which only a part of the conversations has weight in the loss."""

    def __init__(self, stream: Any, data: str):
        self.stream, self.data = stream, data
        self.tools = stream.tokenizer.convert_tokens_to_ids(TOOLS)

    def __next__(self) -> Any:
        while True:
            batch = next(self.stream)
            with_tools = (batch.ids == self.tools).any(axis=1)
            keep = (~with_tools if self.data == "no tool calls" else with_tools)[:, None]
            if keep.any():
                return batch._replace(weights=batch.weights * keep, calls=batch.calls & keep, texts=batch.texts & keep)
