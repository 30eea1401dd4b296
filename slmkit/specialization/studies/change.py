"""After a change: new names and one more field. A new adapter against a new prompt; and how steady prompts are."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from slmkit import config, files
from slmkit.specialization.data import Row
from slmkit.specialization.rows import synonyms
from slmkit.specialization.studies import asking
from slmkit.specialization.studies.lab import SHOTS, Arm, Lab, short

BEFORE, AFTER = "before the change", "after the change"


def schema_change(lab: Lab) -> pd.DataFrame:
    """Item by item, before and after tools and parameters are renamed and a field is added.

    Ways: the old adapter as it is; a new adapter, trained from the base on as many new examples; the larger model
    with its schema in the prompt, and with new examples in the prompt. Column `adapt_seconds`: time until the way
    works again. A prompt takes no training; writing it is left out on both sides, and so are labels.
    """
    n, sizes = lab.sizes.arm_examples, lab.sizes
    make = lab.task.rows_after_change
    counts = {"train": n, "validation": sizes.validation_items, "test": sizes.n_side}
    new = {split: [synonyms(row) for row in make(split, count)] for split, count in counts.items()}
    old = lab.tune(BEFORE, lab.rows("train", n), lab.arm_settings())
    again = lab.tune(AFTER, new["train"], lab.arm_settings(), validation=new["validation"])
    before = {BEFORE: lab.rows("test", sizes.n_test)[: sizes.n_side]}
    after = {AFTER: new["test"]}
    kept = Arm("old adapter", old.reference, "specialist", n=n)
    tuned = Arm("new adapter", again.reference, "specialist", n=n)
    told = Arm(f"{short(lab.llm)}, new schema", lab.llm, "llm")
    tables = [
        lab.answers([kept], before | after).assign(adapt_seconds=0.0),
        lab.answers([tuned], after).assign(adapt_seconds=again.seconds),
        lab.answers([told], before | after).assign(adapt_seconds=0.0),
        _with_new_examples(lab, new["train"], before | after),
    ]
    return pd.concat(tables, ignore_index=True)


def _with_new_examples(lab: Lab, new: list[Row], asked: dict[str, list[Row]]) -> pd.DataFrame:
    """The larger model with examples in its prompt: the old ones before the change, `new` after it."""
    pools = {BEFORE: lab.rows("train", lab.sizes.arm_examples), AFTER: new}
    shown = {name: [asking.with_examples(row, pools[name], SHOTS) for row in rows] for name, rows in asked.items()}
    arm = Arm(f"{short(lab.llm)}, {SHOTS} new examples", lab.llm, "llm")
    return lab.answers([arm], shown).assign(adapt_seconds=0.0)


@cache
def forms() -> list[dict[str, Any]]:
    """The prompt forms of `data/specialization/prompt_forms.yaml`: name, and system, before, after or examples."""
    return files.read_yaml(config.resource("data/specialization/prompt_forms.yaml"))["forms"]


def prompt_forms(lab: Lab) -> pd.DataFrame:
    """Item by item: the untuned larger model and the specialist under every prompt form; column `form`."""
    items = lab.rows("test", lab.sizes.n_test)[: lab.sizes.n_side]
    pool = lab.rows("train", lab.sizes.n_examples)
    arms = [Arm(short(lab.llm), lab.llm, "llm"), lab.specialist()]
    asked = {
        form["name"]: [asking.with_examples(in_form(row, form), pool, form.get("examples", 0)) for row in items]
        for form in forms()
    }
    found = lab.answers(arms, asked)
    return found.assign(form=found["set"])


def in_form(row: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    """The row with its request told in a prompt form."""
    messages = [dict(message) for message in row["messages"]]
    asked = max(index for index, message in enumerate(messages) if message["role"] == "user")
    messages[asked]["content"] = form.get("before", "") + messages[asked]["content"] + form.get("after", "")
    if form.get("system"):
        messages = [{"role": "system", "content": form["system"]}, *messages]
    return {**row, "messages": messages}
