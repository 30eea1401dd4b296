"""Rules about definitions: what small means on the devices that people own."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slmkit.economics import edge
from slmkit.economics.architecture import architecture, architectures
from slmkit.economics.studies import lines
from slmkit.economics.verdicts.evidence import Evidence, listed, measures, named, spelled, within
from slmkit.judging import Finding, Rule, first_true

METHOD = "edge throughput model fitted to published single-user runs, each device held out in turn for its error"
BARS = (5.0, 20.0)
FLOOR, CEILING = 7, 20  # billions


def same_class(table: pd.DataFrame, factor: float = 1.0) -> pd.Series:
    """Whether each pair of model and device is in the same class at 5 and at 20 tokens/s."""
    runs = [table["fits"].astype(bool) & (table["tok_s"] * factor >= bar) for bar in BARS]
    return runs[0] == runs[1]


def usable(e: Evidence) -> Finding:
    """D.1: share of pairs that keep their class as the bar moves from 5 to 20 tokens/s."""
    table, error = e["fit_map"], edge.fit().error
    shares = [same_class(table, factor).mean() for factor in (1.0, error.low, error.high)]
    moved = table[~same_class(table)].groupby("model", sort=False).size()
    return Finding(
        first_true(holds=shares[0] >= 0.8, conditional=shares[0] >= 0.5, fails=shares[0] < 0.5),
        rule=f"{shares[0]:.0%} of {len(table)} pairs keep their class; those that do not, by size: "
        f"{listed(moved, '{:g}')}",
        condition=f"sizes that change side: {listed(moved, '{:g}')} pairs",
        method=f"{METHOD}; {table['device'].nunique()} devices, memory in bytes with 4,096 tokens of cache",
        figure="figure-edge",
        models=table["model"],
        **measures(shares[0], min(shares), max(shares), len(table), "% of pairs of size, bits and device", 100),
    )


def classes(factor: float = 1.0) -> pd.DataFrame:
    """For each model of the table, and each class, whether at least half of its consumer devices run it (4 bit)."""
    known = edge.fit_map(list(architectures()["name"]), ["4 bit"], edge.owned())
    runs = known["fits"] & (known["tok_s"] * factor >= 10)
    return (runs.groupby([known["model"], known["device_class"]]).mean() >= 0.5).unstack()[list(edge.CLASSES)]


def complement(e: Evidence) -> Finding:
    """D.2: share of models that are small on one class of device and large on another."""
    error = edge.fit().error
    tables = [classes(factor) for factor in (1.0, error.low, error.high)]
    shares = [float((table.any(axis=1) & ~table.all(axis=1)).mean()) for table in tables]
    per_class = tables[0].sum()
    split = tables[0][tables[0].any(axis=1) & ~tables[0].all(axis=1)]
    return Finding(
        first_true(holds=shares[0] <= 0.2, fails=shares[0] == 1, conditional=shares[0] > 0.2),
        rule=f"{shares[0]:.0%} of {len(tables[0])} models change class with the device; small on: "
        f"{listed(per_class, '{:g}')}",
        condition=f"state the device class: {named(split.index[:12])} are small on some and large on others",
        method=f"{METHOD}; 4 bit, 10 tokens/s, a class runs a model where at least half of its devices do",
        figure="figure-edge",
        models=tables[0].index,
        **measures(shares[0], min(shares), max(shares), len(tables[0]), "% of models", 100),
    )


def sparse_models() -> pd.DataFrame:
    """Sparse models: share of consumer devices that are fast enough, and share that hold them (4 bit)."""
    table, names = edge.consumer(), architectures()["name"]
    rows = []
    for arch in (architecture(name) for name in names):
        if not arch.moe:
            continue
        fast = [edge.tokens_per_s(arch, where, "q4") >= 10 for where in table.to_dict("records")]
        holds = edge.memory_bytes(arch, "q4") <= table["memory_bytes"]
        rows.append({"model": arch.name, "params_b": arch.params / 1e9, "fast": np.mean(fast), "holds": holds.mean()})
    return pd.DataFrame(rows).set_index("model")


def breaking() -> pd.DataFrame:
    """Sparse models above 20 bn that at least half of the devices are fast enough for, and fewer than half can hold."""
    table = sparse_models()
    return table[(table["params_b"] > CEILING) & (table["fast"] >= 0.5) & (table["holds"] < 0.5)]


def ten_billion(e: Evidence) -> Finding:
    """D.3: the line at 4 and 8 bit, dense and sparse."""
    four, eight, breaks = lines.line(edge.consumer()), lines.line(edge.consumer(), "8 bit"), breaking()
    dense = within(four[1], four[2], FLOOR, CEILING)
    also_eight = within(eight[1], eight[2], FLOOR, CEILING)
    outside = four[2] < FLOOR or four[1] > CEILING
    return Finding(
        first_true(
            holds=dense and also_eight and breaks.empty,
            conditional=dense,
            fails=outside,
        ),
        rule=f"4 bit {spelled(*four, 'bn')}, 8 bit {spelled(*eight, 'bn')}; sparse models that are small by speed "
        f"and large by memory: {listed(breaks['params_b'], '{:.0f} bn')}",
        condition=f"dense, at 4 bit: {spelled(*four, 'bn')}; at 8 bit {spelled(*eight, 'bn')}; sparse models break "
        f"it ({named(breaks.index)})",
        method=f"{METHOD}; {len(edge.consumer())} consumer devices of 8 to 24 GB sold by 2025",
        figure="figure-line",
        models=edge.LADDER,
        **measures(*four, len(edge.consumer()), "bn parameters, dense, 4 bit"),
    )


def below_ten(e: Evidence) -> Finding:
    """S4-1: D.3 judged twice, dense and sparse."""
    four, breaks = lines.line(edge.consumer()), breaking()
    dense = within(four[1], four[2], FLOOR, CEILING)
    return Finding(
        first_true(holds=dense and len(breaks) > 0, conditional=dense, fails=not dense),
        rule=f"dense {spelled(*four, 'bn')}; by speed alone sparse ones fit too: "
        f"{listed(breaks['params_b'], '{:.0f} bn')}",
        condition="dense; no sparse model above 20 bn breaks the line",
        method=f"{METHOD}; {len(edge.consumer())} consumer devices of 8 to 24 GB sold by 2025",
        figure="figure-line",
        models=[*edge.LADDER, *breaks.index],
        **measures(*four, len(edge.consumer()), "bn parameters, dense, 4 bit"),
    )


def moves_with_hardware(e: Evidence) -> Finding:
    """D.4: the line by year of release, the same product lines throughout."""
    table = lines.cohorts()
    growth, low, high = lines.growth()
    falls = (table["estimate"].diff().dropna() < -1e-9).any()
    return Finding(
        first_true(fails=falls, holds=growth >= 2, conditional=growth > 1),
        rule="line by year: " + ", ".join(f"{year} {spelled(*row, 'bn')}" for year, row in table.iterrows()),
        condition=f"grows {growth:.2g}-fold from {table.index[0]} to {table.index[-1]}, less than twofold",
        method=f"{METHOD}; one phone, one laptop and one graphics card of the same product lines in each year",
        figure="figure-line",
        models=edge.LADDER,
        **measures(growth, low, high, len(table), f"times the line of {table.index[0]} in {table.index[-1]}"),
    )  # fmt: skip


def outlasts(e: Evidence) -> Finding:
    """C.A: read from D.1 and D.4."""
    first, second = usable(e).outcome, moves_with_hardware(e).outcome
    met = [first == "holds", second == "holds"]
    partly = [first in ("holds", "conditional"), second in ("holds", "conditional")]
    return Finding(
        first_true(holds=all(met), conditional=any(partly), fails=True),
        rule=f"D.1 (usable): {first}; D.4 (grows with the hardware): {second}",
        condition=f"D.1 {first}, D.4 {second}",
        method="read from the two verdicts",
        figure="figure-line",
        models=edge.LADDER,
    )


RULES: dict[str, Rule] = {
    "D.1": usable,
    "D.2": complement,
    "D.3": ten_billion,
    "D.4": moves_with_hardware,
    "C.A": outlasts,
    "S4-1": below_ten,
}
