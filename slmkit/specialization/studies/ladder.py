"""The ladder, the learning curve, rank and data: how far tuning lifts the small model, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from slmkit import stats
from slmkit.specialization.studies.lab import SHOTS, Arm, Lab, short

TASK, NO_CALL = "task", "no call"
ATTENTION = ("q_proj", "k_proj", "v_proj")


def forms(ref: str, role: str, name: str = "") -> list[Arm]:
    """A model asked plainly, with examples in the prompt, and bound by the grammar of the tools."""
    name = name or short(ref)
    return [
        Arm(name, ref, role),
        Arm(f"{name}, {SHOTS} examples in the prompt", ref, role, shots=SHOTS),
        Arm(f"{name}, grammar", ref, role, constrained=True),
    ]


def ladder(lab: Lab) -> pd.DataFrame:
    """Item by item: base, LoRA and full tuning of the small model, and the larger one, in the same forms."""
    arms = [*forms(lab.base, "slm"), *forms(lab.llm, "llm")]
    for seed in range(lab.sizes.n_seeds):
        tuned = lab.specialist(seed=seed)
        bound = Arm(f"{tuned.name}, grammar", tuned.ref, tuned.role, True, 0, seed, tuned.n)
        arms += [tuned, bound] if seed == 0 else [tuned]
    return lab.answers(arms, lab.sets)


def curve(lab: Lab) -> pd.DataFrame:
    """Item by item: the specialist at each number of examples, several seeds each, on the task's test set.

    At numbers below the headline's there is one seed where the scale allows no more.
    """
    arms = []
    for n in lab.sizes.rungs:
        seeds = lab.sizes.n_seeds if n >= lab.sizes.n_examples or lab.sizes.arm_seeds > 1 else lab.sizes.arm_seeds
        arms += [lab.specialist(n, seed) for seed in range(seeds)]
    return lab.answers(arms, {TASK: lab.sets[TASK]})


def ranks(lab: Lab) -> pd.DataFrame:
    """Item by item: each rank on each number of examples, attention layers alone, and full tuning at equal steps.

    On the task's test set (learning) and on the general skills (forgetting); no general data is mixed in. Columns
    beyond those of `Lab.answers`: rank (0: all weights), modules, seconds, trained_parameters.
    """
    tables = []
    for n in lab.sizes.grid:
        ways = [("all-linear", rank, "lora") for rank in lab.sizes.ranks]
        if n == lab.sizes.grid[0]:
            ways.append(("all-linear", 0, "full"))
        if len(lab.sizes.ranks) > 2:
            ways.append((ATTENTION, lab.rank, "lora"))
        for modules, rank, method in ways:
            settings = lab.settings(
                n, rank=rank or lab.rank, alpha=2 * (rank or lab.rank), method=method, target_modules=modules,
                general_share=0.0, steps=lab.sizes.arm_steps,
            )  # fmt: skip
            tuned = lab.tune("rank and data", lab.rows("train", n), settings)
            label = "all weights" if method == "full" else f"rank {rank}"
            label += ", attention alone" if modules != "all-linear" else ""
            found = lab.answers([Arm(label, tuned.reference, "specialist", n=n)], lab.side_sets)
            tables.append(
                found.assign(
                    rank=rank,
                    modules="attention" if modules != "all-linear" else "all",
                    train_seconds=tuned.card["training_seconds"],
                    trained_parameters=tuned.card["trainable_parameters"],
                )
            )
    base = lab.answers([Arm(short(lab.base), lab.base)], lab.side_sets)
    none = {"rank": 0, "modules": "none", "train_seconds": 0.0, "trained_parameters": 0}
    return pd.concat([base.assign(**none), *tables], ignore_index=True)


def share(items: pd.DataFrame, by: Sequence[str] = ("name",), column: str = "correct") -> pd.DataFrame:
    """Share of items by group, seeds pooled: columns *by, role, n_items, estimate, low, high.

    Wilson over items with one seed; with several, a bootstrap over items, each with all its seeds.
    """
    rows = []
    for keys, group in items.groupby(list(by), sort=False):
        values = group[column].astype(float)
        if group["seed"].nunique() > 1:
            found = stats.bootstrap(values, unit=group["id"], n_resamples=1_000)
            low, high, middle = found.low, found.high, found.estimate
        else:
            k, middle = int(values.sum()), values.mean()
            low, high = stats.wilson(k, len(values))
        named = dict(zip(by, keys, strict=True))
        seeds = {"seeds": group["seed"].nunique(), "role": group["role"].iloc[0]}
        rows.append(named | seeds | {"n_items": group["id"].nunique(), "estimate": middle, "low": low, "high": high})
    return pd.DataFrame(rows)


def difference(
    a: pd.DataFrame, b: pd.DataFrame, margin: float | None = None, n_resamples: int = 2_000, seed: int = 0,
    column: str = "correct",
) -> stats.PairedDifference:  # fmt: skip
    """Mean of `a` minus `b` over the items that both answered, an item with all its seeds being one unit.

    With several seeds the spread between seeds is added to the interval in squares.
    """
    right = b.groupby("id")[column].mean()
    both = a[a["id"].isin(right.index)]
    wide = both.groupby("id")[column].mean().astype(float)
    found = stats.paired_difference(
        wide, right.loc[wide.index].astype(float), margin=margin, n_resamples=n_resamples, rng=seed
    )
    by_seed = both.groupby("seed")[column].mean()
    if len(by_seed) < 2:
        return found
    spread = 1.96 * by_seed.std(ddof=1) / len(by_seed) ** 0.5
    low = found.difference - ((found.difference - found.low) ** 2 + spread**2) ** 0.5
    high = found.difference + ((found.high - found.difference) ** 2 + spread**2) ** 0.5
    verdict = None if margin is None else stats.non_inferiority(low, high, margin)
    return found._replace(low=low, high=high, verdict=verdict)


def arm(items: pd.DataFrame, name: str, set_name: str = TASK) -> pd.DataFrame:
    """The items of one arm and set."""
    return items[(items["name"] == name) & (items["set"] == set_name)]
