"""More compute at test time: does a small model that votes, checks or looks again reach the large one?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from slmkit import stats
from slmkit.agent.studies.arms import Arms
from slmkit.agent.studies.deciders import SelfCritique, Verified, Vote
from slmkit.agent.tasks import Task

SINGLE, LARGE = "one answer", "large, one answer"
AIDS = ("vote of 5", "schema verifier", "self-critique")


def runs(arms: Arms, tasks: Sequence[Task], ks: Sequence[int] = (3, 5)) -> pd.DataFrame:
    """A row a task and way of answering; columns of `Arms.run`."""
    ways = {
        SINGLE: arms.alone(arms.small, "small"),
        **{f"vote of {k}": Vote(arms.small, k, **arms.options) for k in ks},
        "schema verifier": Verified(arms.small, **arms.options),
        "self-critique": SelfCritique(arms.small, **arms.options),
        LARGE: arms.alone(arms.large, "large"),
    }
    parts = [arms.run(f"compute: {way}", decider, tasks).assign(arm=way) for way, decider in ways.items()]
    return pd.concat(parts, ignore_index=True)


def with_energy(
    table: pd.DataFrame, joules_per_token: Callable[[str, int, int], float], small_as: str, large_as: str
) -> pd.DataFrame:
    """`runs` with a column `joules`: energy of a task if its calls were those of the models that ours stand for.

    `joules_per_token` is J an output token of (model, prompt tokens, output tokens), the prompt's share included; each
    arm is taken at the mean lengths of its calls.
    """
    parts = []
    for arm, part in table.groupby("arm", sort=False):
        calls = max(1, int(part[["small_calls", "large_calls"]].to_numpy().sum()))
        lengths = [max(1, round(part[column].sum() / calls)) for column in ("prompt_tokens", "decode_tokens")]
        joules = joules_per_token(large_as if arm == LARGE else small_as, *lengths)
        parts.append(part.assign(joules=joules * part["decode_tokens"]))
    return pd.concat(parts, ignore_index=True)


def summary(table: pd.DataFrame, sparse: float, margin: float, n_resamples: int, rng: int = 0) -> pd.DataFrame:
    """Each way against one small answer and against one large answer, paired by task.

    `sparse` is the price of a sparse large model over that of the dense one, a token. Columns arm, n, success, low,
    high, tokens (prompt and output, a task), joules, usd; gain with gain_low, gain_high and gain_p (normal, two-sided);
    difference to the large one with its low, high and ruling; cost_ratio of USD per solved task to the large one with
    cost_low and cost_high, and sparse_ratio, sparse_low, sparse_high against the sparse one.
    """
    from scipy.special import ndtr

    rows = []
    wide = {arm: part.set_index("task_id") for arm, part in table.groupby("arm", sort=False)}
    single, large = wide[SINGLE], wide[LARGE]
    for arm, part in wide.items():
        k, n = int((part["reward"] >= 1).sum()), len(part)
        low, high = stats.wilson(k, n)
        gain = stats.paired_difference(
            part["reward"], single["reward"].reindex(part.index), None, None, n_resamples, rng
        )
        other = large["reward"].reindex(part.index)
        against = stats.paired_difference(part["reward"], other, None, margin, n_resamples, rng)
        money = np.c_[part["usd"], part["reward"], large["usd"].reindex(part.index), other]
        dear = stats.bootstrap(money, per_solved, n_resamples=n_resamples, rng=rng)
        error = max((gain.high - gain.low) / 2 / 1.96, 1e-12)
        rows.append({
            "arm": arm, "n": n, "success": k / n, "low": low, "high": high,
            "tokens": (part["prompt_tokens"] + part["completion_tokens"]).mean(),
            "joules": part["joules"].mean(), "usd": part["usd"].mean(),
            "gain": gain.difference, "gain_low": gain.low, "gain_high": gain.high,
            "gain_p": float(2 * ndtr(-abs(gain.difference) / error)),
            "difference": against.difference, "difference_low": against.low, "difference_high": against.high,
            "ruling": against.verdict, "cost_ratio": dear.estimate, "cost_low": dear.low, "cost_high": dear.high,
            "sparse_ratio": dear.estimate / sparse, "sparse_low": dear.low / sparse, "sparse_high": dear.high / sparse,
        })  # fmt: skip
    return pd.DataFrame(rows)


def per_solved(rows: np.ndarray) -> float:
    """USD per solved task over that of the other; half a success stands for none, so that it stays finite."""
    usd, solved, other_usd, other_solved = rows.sum(axis=0)
    return float(usd / max(solved, 0.5) / (max(other_usd, 1e-12) / max(other_solved, 0.5)))
