"""Measured rows as arrays for the model: every layout and batch that a row leaves open, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pandas as pd

from slmkit.economics.catalogue import gpu
from slmkit.economics.roofline import MAX_BATCH, engine_overheads, evaluate, layout
from slmkit.economics.throughput.shapes import shapes

SIZES = (1, 2, 4, 8)  # GPUs of a replica
COLUMNS = ("tpot_s", "ttft_s", "ttft_floor_s", "burst_s", "queue_s")
GRID = np.round(2 ** np.arange(0, np.log2(MAX_BATCH) + 0.1, 0.5))  # batches tried under a latency limit


@dataclass
class Points:
    """Configurations to evaluate, `row` telling which measured row each belongs to."""

    shape: SimpleNamespace
    table: pd.DataFrame
    n_rows: int

    def at_best(self, constants: Mapping[str, float]) -> pd.DataFrame:
        """What each row's best point does that fits and holds the limits, NaN where none does: `out_tok_s` of all
        GPUs, and `COLUMNS` in seconds.

        A benchmark's limit on the first token is for requests that come one by one, so that it holds for the floor.
        """
        t = self.table
        s = engine_overheads(self.shape, constants, t["engine"].to_numpy())
        found = evaluate(
            s, constants, t["input_tokens"].to_numpy(), t["output_tokens"].to_numpy(), t["offered"].to_numpy()
        )
        rate = np.where(t["decode_only"], found["batch"] / found["decode_step_s"], found["out_tok_s_total"])
        good = found["fits"] & ~(found["tpot_s"] > t["tpot_limit_s"].to_numpy())
        good &= ~(found["ttft_floor_s"] > t["ttft_limit_s"].to_numpy())
        table = pd.DataFrame(
            {"row": t["row"], "out_tok_s": rate * t["replicas"]} | {name: found[name] for name in COLUMNS}
        )
        table = table[good & (table["out_tok_s"] > 0)].sort_values("out_tok_s", kind="stable")
        return table.groupby("row").last().reindex(range(self.n_rows))

    def throughput(self, constants: Mapping[str, float]) -> np.ndarray:
        """Output tokens/s of each row, NaN where no point of it fits and holds the limits."""
        return self.at_best(constants)["out_tok_s"].to_numpy()


def open_layouts(row: dict) -> list[dict[str, float]]:
    """Layouts of a row that states none: replicas of 1, 2, 4, 8 GPUs, or all of them for a stated concurrency; with
    and without data-parallel attention for a mixture of experts.
    """
    if row["tp"] > 0:
        stated = {name: row[name] for name in ("tp", "pp", "dp", "ep", "replicas")}
        parallel = stated | {"dp": row["tp"], "ep": row["tp"]}
        return [stated, parallel] if row["open_attention"] and row["tp"] > 1 else [stated]
    n, arch = row["n_gpus"], row["arch"]
    sizes = [size for size in SIZES if size <= min(n, gpu(row["gpu"]).fabric_gpus) and arch.heads % size == 0]
    if row["offered"] > 1:  # so many requests at once on so many GPUs: one deployment
        sizes = sizes[-1:]
    found = [{"tp": size, "pp": 1.0, "dp": 1.0, "ep": 1.0, "replicas": n // size} for size in sizes]
    if arch.moe:
        found += [{"tp": size, "pp": 1.0, "dp": size, "ep": size, "replicas": n // size} for size in sizes if size > 1]
    return found


def points(asked: pd.DataFrame) -> Points:
    """All points of the rows of `throughput.rows.questions` (with `n_gpus`) that can be predicted, in their order."""
    found = []
    for at, row in enumerate(asked.to_dict("records")):
        limited = row["tpot_limit_s"] == row["tpot_limit_s"]
        for option in open_layouts(row):
            for batch in GRID if limited else [row["offered"]]:
                share = 1 if limited else option["replicas"]  # requests in flight are over all replicas
                found.append({**row, **option, "offered": batch / share, "row": at})
    table = pd.DataFrame(found)
    shape = shapes(table["arch"], table["gpu"], table["format"], table["kv"])
    return Points(layout(shape, *(table[name].to_numpy(float) for name in ("tp", "pp", "dp", "ep"))), table, len(asked))
