"""The size line of the definition: the largest dense model that at least half of a set of devices run."""

from __future__ import annotations

import pandas as pd

from slmkit.economics import edge

COHORTS = (2020, 2023, 2025)  # one phone, laptop and graphics card of the same product lines in each
BAR_TOK_S = 10.0


def line(table: pd.DataFrame, precision: str = "4 bit") -> tuple[float, float, float]:
    """Billions of parameters that at least half of the devices run at 10 tokens/s: middle, lower and upper end.

    The ends carry the error of the edge regime, the same on all devices at once.
    """
    error = edge.fit().error
    middle, low, high = (edge.line_bn(table, BAR_TOK_S, precision, factor) for factor in (1.0, error.low, error.high))
    return middle, low, high


def growth() -> tuple[float, float, float]:
    """The line of the last cohort over that of the first: at the middle, and the range over the edge regime's error.

    The error is the same in both years, so that it mostly cancels.
    """
    table = cohorts()
    ratios = table.iloc[-1] / table.iloc[0]
    return ratios["estimate"], ratios.min(), ratios.max()


def cohorts() -> pd.DataFrame:
    """The line by year (index), for the newest device of each product line that was sold throughout."""
    known, rows = edge.owned().dropna(subset="product_line"), {}
    lines = [name for name, part in known.groupby("product_line") if part["released"].min() <= COHORTS[0]]
    for year in COHORTS:
        sold = known[(known["released"] <= year) & known["product_line"].isin(lines)]
        rows[year] = line(sold.sort_values("released").groupby("product_line").last().reset_index())
    return pd.DataFrame.from_dict(rows, orient="index", columns=["estimate", "low", "high"])


def table() -> pd.DataFrame:
    """Rows of the figure: all consumer devices by bits, each class in 4 bit, each cohort of the same product lines."""
    people, rows = edge.consumer(), []
    for precision in edge.PRECISIONS:
        rows.append(("devices", f"all {len(people)} devices, {precision}", *line(people, precision)))
    for kind in edge.CLASSES:
        mine = people[people["device_class"] == kind]
        rows.append(("classes", f"{kind} ({len(mine)}), 4 bit", *line(mine)))
    for year, ends in cohorts().iterrows():
        rows.append(("years", f"three product lines in {year}, 4 bit", *ends))
    return pd.DataFrame(rows, columns=["group", "what", "estimate", "low", "high"])
