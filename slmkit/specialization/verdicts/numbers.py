"""Headline numbers of notebook 03, for `results.json`; units stand in the names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from slmkit.specialization.studies import generality, price
from slmkit.specialization.studies.lab import short
from slmkit.specialization.studies.ladder import arm


def headline(tables: Mapping[str, pd.DataFrame], base: str, llm: str, share: float) -> dict[str, float]:
    """Shares in percent, drift in points, seconds, tokens/s and megabytes of the headline's training."""
    ladder, wide = tables["ladder"], tables["generality"]
    mine = price.headline(tables["trainings"])
    old = generality.drift(wide, share)
    kept, before = (old.loc[part, "correct"].mean() for part in (np.isclose(old["share"], share), old["share"] < 0))
    percent = {
        "base_percent": arm(ladder, short(base)),
        "specialist_percent": arm(ladder, f"{short(base)} + LoRA"),
        "llm_percent": arm(ladder, short(llm)),
    }
    found = {name: round(100 * float(items["correct"].mean()), 1) for name, items in percent.items()}
    return found | {
        "n_test": int(percent["base_percent"]["id"].nunique()),
        "n_examples": int(mine["n"].iloc[0]),
        "drift_points": round(100 * float(kept - before), 1),
        "training_s": round(float(mine["seconds"].max()), 1),
        "training_tokens_per_s": round(float(mine["tokens_per_s"].mean()), 1),
        "training_memory_mb": round(float(mine["peak_memory_bytes"].max()) / 1e6, 1),
        "adapter_mb": round(float(mine["adapter_bytes"].max()) / 1e6, 3),
    }
