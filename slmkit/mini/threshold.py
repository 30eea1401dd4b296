"""The threshold between call and no call of a mini model: fitted on a validation split of its own.

The split has the form of the evaluation sets `seen`, `renamed` and `no_tool`, with a seed of its own: training tools,
asked for by wordings kept from training, since a model is surer of wordings that it was trained on. No request of an
evaluation set is in it, but wordings are shared with those three; the tools of the held-out sets never occur.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slmkit import models
from slmkit.errors import InputError
from slmkit.files import sha256, write_json
from slmkit.mini import corpus
from slmkit.models.base import Request
from slmkit.models.calling.decision import FILE, OFF, call_logprobs
from slmkit.stats import wilson

CALLS, NO_CALLS = ("seen", "renamed"), ("no_tool",)
SEED = 40_961  # of the split; the evaluation sets have others
EVALUATED = 1_000  # items of each evaluation set that the split keeps clear of
SCORE = "log-probability, at the first token, of all tokens with which a call of an offered tool starts"


def split(n: int, seed: int = SEED, evaluation_seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Items by set, up to `n` with a call and `n` without, none of whose requests stands in an evaluation set.

    Raises InputError where the two seeds are the same.
    """
    if seed == evaluation_seed:
        raise InputError(f"threshold: the split needs a seed of its own, not that of the evaluation sets ({seed})")
    items: dict[str, list[dict[str, Any]]] = {}
    for names in (CALLS, NO_CALLS):
        for name in names:
            taken = {_asked(item) for item in corpus.evaluation_set(name, EVALUATED, evaluation_seed)}
            drawn = corpus.evaluation_set(name, math.ceil(n / len(names)), seed)
            items[name] = [item for item in drawn if _asked(item) not in taken]
    return items


def _asked(item: dict[str, Any]) -> str:
    return item["messages"][-1]["content"]


def best(wanted: Sequence[bool], scores: Sequence[float]) -> tuple[float, float]:
    """The threshold of highest balanced accuracy, and that accuracy.

    Thresholds lie half-way between neighbouring scores; of several equally good ones it is the middle one.
    Raises InputError where one of the two classes is missing.
    """
    called, score = np.asarray(wanted, bool), np.asarray(scores, float)
    if called.all() or not called.any():
        raise InputError("threshold: needs requests that want a call and requests that want none")
    points = np.unique(score)
    cuts = np.r_[points[0] - 1, (points[1:] + points[:-1]) / 2, points[-1] + 1]
    sensitivity = (score[called][None] >= cuts[:, None]).mean(1)
    specificity = (score[~called][None] < cuts[:, None]).mean(1)
    balanced = (sensitivity + specificity) / 2
    top = np.flatnonzero(np.isclose(balanced, balanced.max()))
    return float(cuts[top[len(top) // 2]]), float(balanced.max())


def auroc(wanted: Sequence[bool], scores: Sequence[float]) -> float:
    """Share of pairs of a request with and one without a call in which the first scores higher; ties count half."""
    called, score = np.asarray(wanted, bool), np.asarray(scores, float)
    above = score[called][:, None] - score[~called][None]
    return float((above > 0).mean() + (above == 0).mean() / 2)


def fit(folder: str | Path, n: int = 1_000, seed: int = SEED, write: bool = True) -> dict[str, Any]:
    """Fit the threshold of a model folder and put it there as `call_threshold.json`; returns what stands in it."""
    folder = Path(folder)
    model = models.load(str(folder), call_threshold=OFF)
    items = split(n, seed)
    flat = [item for some in items.values() for item in some]
    wanted = [bool(item["calls"]) for item in flat]
    scores = call_logprobs(model, [Request(item["messages"], item["tools"]) for item in flat])
    threshold, balanced = best(wanted, scores)
    made = {
        "call_logprob": threshold,
        "score": SCORE,
        "weights_sha256": sha256(folder / "model.safetensors"),
        "validation": {
            "sets": {name: len(some) for name, some in items.items()},
            "seed": seed,
            "balanced_accuracy": balanced,
            "auroc": auroc(wanted, scores),
        },
    }
    if write:
        write_json(folder / FILE, made)
    return made


PAIRS = {  # where a call is wanted -> where none is, asked in the same way
    "seen": "no_tool",
    "renamed": "no_tool",
    "seen_said": "no_tool_said",
    "held_out_tools": "no_tool",
    "held_out_domain": "no_tool",
}


def balanced_accuracy(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Balanced accuracy of call / no call from `exam` rows, one for each pair of sets and decoding that they hold.

    Sensitivity is the share of requests for a call that got one, specificity that of the others that got none. The
    95 % interval joins the Wilson intervals of the two (MOVER: Zou and Donner, Statistics in Medicine 2008).
    """
    by = {(row["set"], row["decoding"]): row for row in rows}
    result = []
    for (name, decoding), row in by.items():
        against = by.get((PAIRS.get(name, ""), decoding))
        if against is None:
            continue
        shares = row["made_a_call"], 1 - against["made_a_call"]
        bounds = [wilson(round(p * r["n"]), r["n"]) for p, r in zip(shares, (row, against), strict=True)]
        below, above = (
            math.hypot(*(p - bound[side] for p, bound in zip(shares, bounds, strict=True))) / 2 for side in (0, 1)
        )
        middle = sum(shares) / 2
        result.append(
            {
                "calls": name,
                "no_calls": PAIRS[name],
                "decoding": decoding,
                "n": [row["n"], against["n"]],
                "balanced_accuracy": middle,
                "low": middle - below,
                "high": middle + above,
                "sensitivity": shares[0],
                "specificity": shares[1],
            }
        )
    return result


def table(rows: Iterable[dict[str, Any]]) -> str:
    """The rows of `balanced_accuracy` as a Markdown table."""
    lines = ["| call wanted | none wanted | decided by | balanced accuracy | sensitivity | specificity |"]
    lines.append("|---|---|---|---|---|---|")
    says = {"free": "decoding", "constrained": "decoding, constrained", "threshold": "threshold"}
    for row in rows:
        share = f"**{row['balanced_accuracy']:.1%}** [{row['low']:.1%}, {row['high']:.1%}]"
        lines.append(
            f"| `{row['calls']}` | `{row['no_calls']}` | {says[row['decoding']]} | {share} | "
            f"{row['sensitivity']:.1%} | {row['specificity']:.1%} |"
        )
    return "\n".join(lines)
