"""What makes a result of fine-tuning believable: every gate on the headline's adapter, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from slmkit import models
from slmkit.specialization import gates
from slmkit.specialization.data import Row
from slmkit.specialization.studies.generality import drift
from slmkit.specialization.studies.lab import Lab

LIMIT = 0.03  # of general skill that may be lost, a share of the items
N_ROWS = 8  # that are rendered and run through both models


def mask(lab: Lab) -> pd.DataFrame:
    """The tokens of one training row, and which of them are in the loss; GateError where the mask is wrong."""
    row = next(row for row in lab.rows("train", lab.sizes.n_examples) if row["messages"][-1].get("tool_calls"))
    return gates.loss_mask(models.load(lab.base).tokenizer, row)  # type: ignore[attr-defined]


def shown(tokens: pd.DataFrame, width: int = 96) -> str:
    """The masked row as Markdown, what is learnt in bold; runs of tokens are joined."""
    runs = (tokens["in_loss"] != tokens["in_loss"].shift()).cumsum()
    parts = []
    for _, run in tokens.groupby(runs, sort=False):
        text = "".join(run["token"].astype(str)).replace("\n", "⏎").replace("`", "'")
        learnt = bool(run["in_loss"].iloc[0])
        text = text if learnt or len(text) <= 2 * width else f"{text[:width]} … {text[-width:]}"
        parts.append(f"**`{text}`**" if learnt else f"`{text}`")
    return " ".join(parts)


def table(lab: Lab, items: pd.DataFrame) -> pd.DataFrame:
    """A row a gate: what it asks, whether it passed, what it measured. Gates of validity raise GateError.

    `items` is the table of `generality`, whose old skills say what was forgotten: the drift is a result and not a
    fault, so that it is written down where it is over the limit too.
    """
    before, after = pairs(items, lab.share)
    rows, arm = lab.rows("train", lab.sizes.n_examples), lab.specialist()
    some: list[Row] = rows[:N_ROWS]
    active = gates.adapter_active(lab.base, arm.ref, some)
    splits = {"validation": lab.rows("validation", lab.sizes.validation_items), **lab.sets}
    fresh = set(splits) if lab.task.changed else set()
    found = gates.contamination(rows, splits, same_tools=set(splits), new_phrasings=fresh)
    old = gates.contamination(rows, {f"old skills, {name}": items for name, items in lab.general_sets.items()})
    checked = int(found["n"].sum() + old["n"].sum())
    passed: list[tuple[str, bool, str]] = [
        ("tokens in the loss", True, f"{int(mask(lab)['in_loss'].sum())} of the row above, which spell its answer"),
        ("no padding with None", True, f"{gates.no_padding(rows)} rows without a null that no schema allows"),
        ("one prompt", True, f"{gates.same_prompt(models.load(lab.base), some)} rows rendered alike in training "
         "and serving"),
        ("adapter active", True, f"largest change of a logit {active['logit_change']:.2f}, weights "
         f"`{active['weights_hash']}`"),
        ("merged equals unmerged", True, _merge(lab, arm.ref, some)),
        ("no contamination", True, f"{checked:,} looks for text, phrasing, tools and schemas of tests in training"),
        _drift(before, after),
    ]  # fmt: skip
    return pd.DataFrame(passed, columns=["gate", "passed", "measured"])


def pairs(items: pd.DataFrame, share: float) -> tuple[list[bool], list[bool]]:
    """Which items of the old skills the base got right, and the specialist with this share of general data."""
    old = drift(items, share)
    wide = old.pivot_table(index=["set", "id"], columns=old["share"] < 0, values="correct", aggfunc="first").dropna()
    return wide[True].astype(bool).tolist(), wide[False].astype(bool).tolist()


def _merge(lab: Lab, ref: str, rows: Sequence[Row]) -> str:
    from slmkit.models import parse_reference
    from slmkit.specialization import export

    adapter: Any = parse_reference(ref).adapter
    folder = lab.run.folder / "adapters" / f"merged-{adapter.parent.name}"
    if not folder.is_dir():
        export.export(adapter, folder, lab.base)
    return f"largest difference of a logit {gates.merged_equals(ref, folder, rows):.1e}"


def _drift(before: Sequence[bool], after: Sequence[bool]) -> tuple[str, bool, str]:
    try:
        found = gates.drift(before, after, LIMIT)
    except gates.GateError as error:
        return "old skills kept", False, str(error)
    interval = f"[{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
    return "old skills kept", True, f"{100 * found.difference:+.1f} points {interval}, limit -{100 * LIMIT:.0f}"
