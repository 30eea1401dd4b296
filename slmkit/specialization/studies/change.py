"""After a change: new names and one more field. A new adapter against a new prompt; and how steady prompts are."""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd
import yaml

from slmkit import config
from slmkit.specialization.rows import synonyms
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
    old_rows = lab.rows("train", n)
    old = lab.tune("before the change", old_rows, lab.arm_settings())
    again = lab.tune("after the change", new["train"], lab.arm_settings(), validation=new["validation"])
    before = {BEFORE: lab.rows("test", sizes.n_test)[: sizes.n_side]}
    after = {AFTER: new["test"]}
    llm = short(lab.llm)
    tables = [
        lab.answers([Arm("old adapter", old.reference, "specialist", n=n)], before | after).assign(adapt_seconds=0.0),
        lab.answers([Arm("new adapter", again.reference, "specialist", n=n)], after).assign(
            adapt_seconds=again.seconds
        ),
        lab.answers([Arm(f"{llm}, new schema", lab.llm, "llm")], before | after).assign(adapt_seconds=0.0),
        _with_new_examples(lab, new["train"], before | after),
    ]
    return pd.concat(tables, ignore_index=True)


def _with_new_examples(lab: Lab, pool: list, asked: dict[str, list]) -> pd.DataFrame:
    from slmkit.specialization.studies import asking

    shown = {
        name: [
            asking.with_examples(row, pool if name == AFTER else lab.rows("train", lab.sizes.arm_examples), SHOTS)
            for row in rows
        ]
        for name, rows in asked.items()
    }
    arm = Arm(f"{short(lab.llm)}, {SHOTS} new examples", lab.llm, "llm")
    return lab.answers([arm], shown).assign(adapt_seconds=0.0)


@cache
def forms() -> list[dict[str, Any]]:
    """The prompt forms of `data/specialization/prompt_forms.yaml`: name, and system, before, after or examples."""
    path = config.resource("data/specialization/prompt_forms.yaml")
    return yaml.safe_load(path.read_text(encoding="utf-8"))["forms"]


def prompt_forms(lab: Lab) -> pd.DataFrame:
    """Item by item: the untuned larger model and the specialist under every prompt form; column `form`."""
    from slmkit.specialization.studies import asking

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
