"""What specialization costs: other names, another style, another format, other domains, restraint, old skills."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from slmkit.mini import catalog
from slmkit.specialization import tasks
from slmkit.specialization.rows import STYLES
from slmkit.specialization.studies import asking
from slmkit.specialization.studies.lab import Arm, Lab, short

IN_SCHEMA = "the task, in schema"
FORMAT = "another format: JSON in words"
OUT_OF_SCHEMA = ("the task, camelCase", "the task, renamed", FORMAT, "another domain")
OLD = {"core_said": "old: known tools", "seen": "old: known tools, new words", "no_tool": "old: no tool fits"}
GENERAL = tuple(OLD.values())


def sets(lab: Lab) -> dict[str, list]:
    """The same items in schema and out of it, another held-out domain, restraint, and old skills."""
    items = lab.rows("test", lab.sizes.n_test)[: lab.sizes.n_side]
    other = next(name for name in catalog.held_out_domains() if name != lab.task.name)
    found = {IN_SCHEMA: items}
    found |= {f"the task, {style}": [change(row) for row in items] for style, change in STYLES.items()}
    found[FORMAT] = [asking.as_object(row) for row in items]
    found["another domain"] = tasks.get(other).rows("test", lab.sizes.n_side, lab.seed)
    found["no call"] = lab.sets["no call"]
    return found | {OLD[name]: rows for name, rows in lab.general_sets.items()}


def generality(lab: Lab) -> pd.DataFrame:
    """Item by item: base, larger model, the headline's specialist, and short trainings with more or less general data.

    Column `share`: of general data in the headline's training, -1 for the untuned; `mix`: that of the short
    trainings, which have equal examples and steps and are asked the task and old skills alone.
    """
    asked, n = sets(lab), lab.sizes.arm_examples
    plain = [Arm(short(lab.base), lab.base), Arm(short(lab.llm), lab.llm, "llm")]
    main = replace(lab.specialist(), name=f"{short(lab.base)} + LoRA")
    tables = [lab.answers(plain, asked).assign(share=-1.0), lab.answers([main], asked).assign(share=lab.share)]
    few = {name: asked[name] for name in (IN_SCHEMA, "no call", *GENERAL)}
    for share in lab.sizes.shares:
        tuned = lab.tune("general data", lab.rows("train", n), lab.arm_settings(general_share=share))
        arm = Arm(f"{share:.0%} general data", tuned.reference, "specialist", n=n)
        tables.append(lab.answers([arm], few).assign(mix=share))
    return pd.concat(tables, ignore_index=True)


def drift(items: pd.DataFrame, share: float) -> pd.DataFrame:
    """Items of the old skills answered by the specialist at one share of general data, and by the base: both arms."""
    old = items[items["set"].isin(GENERAL)]
    return old[np.isclose(old["share"], share) | ((old["share"] < 0) & (old["role"] == "slm"))]
