"""Ways to train side by side, at equal examples and equal steps; and two sizes, before and after the same examples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from slmkit.mini import catalog
from slmkit.specialization import tasks
from slmkit.specialization.data import Row
from slmkit.specialization.finetune import Tuned
from slmkit.specialization.studies.lab import Arm, Lab, short

SUPERVISED, FULL, DISTILLED = "supervised (LoRA)", "supervised, all weights", "distilled from the larger model"
CURRICULUM, MULTI_TASK, PREFERENCE = "curriculum", "multi-task", "supervised, then preference (DPO)"


def ways(lab: Lab) -> pd.DataFrame:
    """Item by item, on the task, on restraint and on old skills: the base and each way to train it, every seed."""
    asked = lab.side_sets
    made: dict[str, Callable[[Lab, list[Row], int], Tuned]] = {
        SUPERVISED: lambda lab, rows, seed: lab.tune(SUPERVISED, rows, lab.arm_settings(seed)),
        FULL: lambda lab, rows, seed: lab.tune(FULL, rows, lab.arm_settings(seed, method="full")),
        DISTILLED: _distilled,
        PREFERENCE: _preferred,
        CURRICULUM: lambda lab, rows, seed: lab.tune(CURRICULUM, rows, lab.arm_settings(seed, order="curriculum")),
        MULTI_TASK: _multi_task,
    }
    arms = [Arm(short(lab.base), lab.base)]
    for name, train in made.items():
        for seed in range(lab.sizes.arm_seeds):
            rows = lab.rows("train", lab.sizes.arm_examples, seed)
            tuned = train(lab, rows, seed)
            arms.append(Arm(name, tuned.reference, "specialist", seed=seed, n=len(rows)))
    return lab.answers(arms, asked)


def _distilled(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    """The larger model's own answers, bound by the grammar, in place of the right ones."""
    from slmkit import models
    from slmkit.specialization.methods.distillation import distilled

    taught = distilled(rows, models.load(lab.llm), constrained=True, progress=False)
    return lab.tune(DISTILLED, taught.rows, lab.arm_settings(seed))


def _multi_task(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    """One adapter for the task and one more held-out domain, half of the examples each."""
    from slmkit.specialization.methods.mixture import multi_task

    other = next(name for name in catalog.held_out_domains() if name != lab.task.name)
    both = {lab.task.name: rows, other: tasks.get(other).rows("train", len(rows), seed)}
    return lab.tune(MULTI_TASK, multi_task(both, len(rows), seed), lab.arm_settings(seed))


def _preferred(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    """DPO on the supervised adapter's own mistakes, for half as many steps again."""
    from slmkit.specialization.methods.preference import Preference, prefer

    start = lab.tune(SUPERVISED, rows, lab.arm_settings(seed))
    settings = lab.arm_settings(seed)
    steps = max(1, settings.n_steps(len(rows)) // 2)
    settings = replace(settings, steps=steps, warmup_steps=1)
    folder = start.adapter.parent.with_name(f"{start.adapter.parent.name}-preference")
    validation = lab.rows("validation", lab.sizes.validation_items)
    tuned = prefer(start, rows, validation, settings, folder, Preference(samples=2))
    lab.keep(PREFERENCE, lab.base, len(rows), settings, tuned)
    return tuned


def sizes(lab: Lab) -> pd.DataFrame:
    """Item by item: the small and the larger model, each before and after the same examples; column `tuned`."""
    n = lab.sizes.size_examples
    tables = []
    for base, role in ((lab.base, "slm"), (lab.llm, "llm")):
        name = short(base)
        tables.append(lab.answers([Arm(name, base, role)], {"task": lab.sets["task"]}).assign(tuned=False, size=role))
        for seed in range(lab.sizes.arm_seeds):
            tuned = lab.tune(
                "two sizes", lab.rows("train", n, seed),
                lab.settings(n, seed, steps=lab.sizes.arm_steps, general_share=0.0), base,
            )  # fmt: skip
            arm = Arm(f"{name} + LoRA", tuned.reference, "specialist", seed=seed, n=n)
            tables.append(lab.answers([arm], {"task": lab.sets["task"]}).assign(tuned=True, size=role))
    return pd.concat(tables, ignore_index=True)
