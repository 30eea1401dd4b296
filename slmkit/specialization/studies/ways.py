"""Ways to train side by side, at equal examples and equal steps; and two sizes, before and after the same examples."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from slmkit.mini import catalog
from slmkit.specialization import tasks
from slmkit.specialization.data import Row
from slmkit.specialization.finetune import Tuned
from slmkit.specialization.studies import asking
from slmkit.specialization.studies.lab import SHOTS, Arm, Lab, short

SUPERVISED, FULL, DISTILLED = "supervised (LoRA)", "supervised, all weights", "distilled from the larger model"
CURRICULUM, MULTI_TASK, PREFERENCE = "curriculum", "multi-task", "preference (DPO)"
FULL_RATE = 5e-4  # all weights take a quarter of an adapter's rate


def ways(lab: Lab) -> pd.DataFrame:
    """Item by item, on the task, on restraint and on old skills: the base and each way to train it, every seed."""
    asked = lab.sets | lab.general_sets
    made: dict[str, Callable[[Lab, list[Row], int], Tuned]] = {
        SUPERVISED: lambda lab, rows, seed: lab.tune(SUPERVISED, rows, lab.arm_settings(seed)),
        FULL: lambda lab, rows, seed: lab.tune(
            FULL, rows, lab.arm_settings(seed, method="full", learning_rate=FULL_RATE)
        ),
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


def taught(lab: Lab, rows: list[Row]) -> list[dict]:
    """Rows with the larger model's answers, given examples and the grammar, where these are valid calls of one tool.

    The requests are the same; only what is learnt from them changes. Requests that want no call keep their answer.
    """
    from slmkit import models

    shown = [asking.with_examples(row, rows, SHOTS) for row in rows]
    replies = models.load(lab.llm).chat_many(
        [asking.request(row) for row in shown], progress=False, constrained=True, max_tokens=96
    )
    found = []
    for row, reply in zip(rows, replies, strict=True):
        if not row["messages"][-1].get("tool_calls"):
            found.append(dict(row))
        elif reply.tool_calls and not asking.invalid(row, reply):
            message = {"role": "assistant", "content": "", "tool_calls": [call.openai() for call in reply.tool_calls]}
            found.append({**row, "messages": [*row["messages"][:-1], message]})
    return found


def _distilled(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    learnt = taught(lab, rows)
    right = sum(one["messages"][-1].get("tool_calls") is not None for one in learnt)
    if len(learnt) < 2 or not right:  # a teacher without one valid call teaches what the requests without call teach
        learnt = [row for row in rows if not row["messages"][-1].get("tool_calls")] * 2 or list(rows[:2])
    return lab.tune(DISTILLED, learnt, lab.arm_settings(seed))


def _multi_task(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    """One adapter for the task and one more held-out domain, half of the examples each."""
    other = next(name for name in catalog.held_out_domains() if name != lab.task.name)
    half = len(rows) // 2
    return lab.tune(
        MULTI_TASK, [*rows[:half], *tasks.get(other).rows("train", len(rows) - half, seed)], lab.arm_settings(seed)
    )


def _preferred(lab: Lab, rows: list[Row], seed: int) -> Tuned:
    raise NotImplementedError


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
