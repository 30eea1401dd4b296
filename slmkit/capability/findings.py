"""One line on each table of notebook 01: the finding as a figure's title, worked out from the table it titles."""

from __future__ import annotations

import numpy as np
import pandas as pd


def _name(reference: str) -> str:
    """A model reference short enough for a title."""
    return reference.rsplit("/", 1)[-1]


def _points(share: float) -> str:
    return f"{share * 100:+.0f} points"


def by_task(scores: pd.DataFrame, slm: str) -> str:
    """Where the small model is good and where it is not."""
    mine = scores[scores["model"] == slm].sort_values("estimate")
    worst, best = mine.iloc[0], mine.iloc[-1]
    return (f"{_name(slm)} gets {best['estimate']:.0%} of {best['task']} right "
            f"and {worst['estimate']:.0%} of {worst['task']}")  # fmt: skip


def by_difference(differences: pd.DataFrame) -> str:
    """How many of the paired comparisons are settled, and which way."""
    counts = differences["verdict"].value_counts()
    parts = [f"{counts[word]} {word}" for word in ("non-inferior", "inferior", "inconclusive") if word in counts]
    return f"Small against large on {len(differences)} sets of the same items: {', '.join(parts)}"


def by_split(splits: pd.DataFrame, slm: str) -> str:
    """What the small model loses on tools that it never saw."""
    mine = splits[splits["model"] == slm].set_index("group")["estimate"]
    seen, unseen = mine.get("tools seen in training", np.nan), mine.get("tools never seen", np.nan)
    return f"Tools never seen cost {_name(slm)} {_points(unseen - seen).lstrip('-+')}: {seen:.0%} becomes {unseen:.0%}"


def by_error(errors: pd.DataFrame, slm: str) -> str:
    """The most frequent kind of miss of the small model."""
    mine = errors[(errors["model"] == slm) & ~errors["constrained"] & (errors["outcome"] != "right")]
    if mine.empty:
        return f"{_name(slm)} makes no mistake here"
    worst = mine.sort_values("share").iloc[-1]
    return f"What goes wrong most often with {_name(slm)}: {worst['outcome'].replace('_', ' ')} ({worst['share']:.0%})"


def by_grammar(grammar: pd.DataFrame, slm: str) -> str:
    """What the grammar is worth to the small model on tools that it never saw."""
    mine = grammar[grammar["model"] == slm].set_index("schema")["difference"]
    return f"A grammar changes {_name(slm)}'s score by {_points(mine.get('out', np.nan))} on tools it never saw"


def by_speed(speed: pd.DataFrame, slm: str, llm: str) -> str:
    """How much faster the small model is."""
    free = speed[~speed["constrained"]].set_index("model")["tokens_per_s"]
    if slm == llm or slm not in free or llm not in free:
        return f"{_name(slm)} writes {free.iloc[0]:,.0f} tokens a second here"
    return f"{_name(slm)} writes {free[slm] / free[llm]:.1f} times the tokens a second of {_name(llm)}"


def by_size(models: pd.DataFrame) -> str:
    """The best small and the best large model of one table."""
    best = models.groupby("size")["score"].max()
    return f"The best model under 10 bn reaches {best['small']:.0f} %, the best of 30 bn and more {best['large']:.0f} %"


def by_date(models: pd.DataFrame) -> str:
    """How the best small score has moved."""
    small = models[models["size"] == "small"].dropna(subset="released").sort_values("released")
    first, last = small["score"].iloc[: len(small) // 2].max(), small["score"].iloc[len(small) // 2 :].max()
    return f"The best under 10 bn: {first:.0f} % among the older half, {last:.0f} % among the newer"


def by_gap(gaps: pd.DataFrame) -> str:
    """Columns in which the best small model is near the best large one, and the widest gap."""
    near, worst = gaps[gaps["estimate"] >= -5], gaps.sort_values("estimate").iloc[0]
    return (f"Small is near large in {len(near)} of {len(gaps)} columns; "
            f"in {worst['column']} it is {-worst['estimate']:.0f} points behind")  # fmt: skip


def by_ability(gaps: pd.DataFrame) -> str:
    """The ability in which small models are nearest, and the one in which they are furthest behind."""
    ordered = gaps.sort_values("estimate")
    first, last = ordered.iloc[-1], ordered.iloc[0]
    return (
        f"Within one table small trails large by {-first['estimate']:.0f} points ({first['ability']}) "
        f"to {-last['estimate']:.0f} ({last['ability']})"
    )


def by_slope(slopes: pd.DataFrame) -> str:
    """Which skill depends most on size, and which least."""
    ordered = slopes.sort_values("estimate")
    first, last = ordered.iloc[-1], ordered.iloc[0]
    return (f"Ten times the size buys {first['estimate']:.0f} points of {first['skill']} "
            f"and {last['estimate']:.0f} of {last['skill']}")  # fmt: skip


def by_rank(ranks: pd.DataFrame) -> str:
    """How well general scores rank models for agents."""
    low, high = ranks["estimate"].min(), ranks["estimate"].max()
    return f"General and agentic ranks correlate at {low:.2f} to {high:.2f}"


def by_audit(summary: pd.DataFrame) -> str:
    """How many of the paper's bullets match their sources."""
    whole = int((summary["n_match"] == summary["n_details"]).sum())
    matched, checked = int(summary["n_match"].sum()), int(summary["n_details"].sum())
    return f"{whole} of {len(summary)} bullets match their source in every detail; {matched} of {checked} details do"


def by_parity(audit: pd.DataFrame) -> str:
    """How often the small model is where the paper puts it."""
    rows = audit[audit["unit"] == "points"].dropna(subset="difference")
    ahead = int((rows["difference"] >= 0).sum())
    worst = -rows["difference"].min()
    return (
        f"The small model is level or ahead in {ahead} of {len(rows)} comparisons, {worst:.0f} points behind at worst"
    )


def by_format(formats: pd.DataFrame) -> str:
    """Who depends most on the prompt format."""
    tuned = formats[formats["specialist"].astype(bool)]["spread"].median()
    large = formats[formats["size"] == "large"]["spread"].median()
    return f"Another format moves tool specialists by {tuned:.0f} points, large models by {large:.0f} (medians)"


def by_undecodable(shares: pd.DataFrame) -> str:
    """Unreadable calls of tuned small, untuned small and large models."""
    small = shares[shares["size"] == "small"]
    tuned, untuned = small[small["tuned_for_tools"]], small[~small["tuned_for_tools"]]
    large = shares[shares["size"] == "large"]
    medians = [group["estimate"].median() for group in (tuned, large, untuned)]
    return "Unreadable calls, median: tuned small {:.1%}, large {:.1%}, untuned small {:.1%}".format(*medians)


def by_profile(profile: pd.DataFrame, slm: str) -> str:
    """The largest part of a small model's time, and how near it comes to the machine's bound."""
    mine = profile[(profile["model"] == slm) & (profile["part"] != "total")]
    if mine.empty:
        return f"{_name(slm)} does not run in this process"
    most = mine.sort_values("share").iloc[-1]
    return (
        f"{most['share']:.0%} of the time of {_name(slm)} goes into {most['part']}, "
        f"at {most['reached']:.0%} of what the machine could do"
    )


def by_agreement(pairs: pd.DataFrame, kinds: pd.DataFrame) -> str:
    """How far two models are right on the same items, by kind of pair."""
    kind = kinds["size"].mask((kinds["size"] == "small") & kinds["tuned_for_tools"], "tuned small")
    both = pd.DataFrame({side: kind.reindex(pairs[side]).to_numpy() for side in ("a", "b")})
    medians = [
        pairs["kappa"][(both == "large").any(axis=1).to_numpy() & (both == other).any(axis=1).to_numpy()].median()
        for other in ("tuned small", "small")
    ]
    large = pairs["kappa"][(both == "large").all(axis=1).to_numpy()].median()
    return (
        f"Agreement with large models (median kappa): tuned small {medians[0]:.2f}, "
        f"untuned small {medians[1]:.2f}, large {large:.2f}"
    )


def by_ladder(steps: pd.DataFrame) -> str:
    """How often the next size of a family scores higher."""
    up = (steps["rise"] > 0).mean()
    return f"Within a family the next size scores higher at {up:.0%} of {len(steps)} steps on agentic benchmarks"


def by_large(parts: pd.DataFrame) -> str:
    """The range of what only the large model solves."""
    needed = parts[(parts["part"] == "large only") & (parts["group"] == "all")]["estimate"]
    return f"Of real calls, {needed.min():.0%} to {needed.max():.0%} need the large model, by which small one is asked"
