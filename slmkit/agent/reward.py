"""The reward of a task: final state of the database and required answers; and pass^k over trials.

As in tau-bench (Yao et al. 2024, arXiv 2406.12045): 1 where the database ends as the goal's calls leave it and each
required string was told to the user, else 0.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from slmkit.agent.language import ENDS, marked
from slmkit.agent.tasks import Task, Turn


def answered(task: Task, closings: Sequence[str]) -> tuple[bool, str]:
    """Whether each turn was closed as it should be, and else what is missing in the first that was not."""
    for place, turn in enumerate(task.turns):
        if place >= len(closings):
            return False, f"turn {place + 1} was not closed"
        if problem := _problem(turn, closings[place]):
            return False, f"turn {place + 1}: {problem}"
    return True, ""


def _problem(turn: Turn, text: str) -> str:
    for end in ENDS:
        if marked(text, end) != (turn.end == end):
            return f"should {turn.end}" if turn.end in ENDS else f"should not {end}"
    told = _plain(text)
    missing = [answer for answer in turn.answers if _plain(answer) not in told]
    return f"{missing[0]!r} was not told" if missing else ""


def _plain(text: str) -> str:
    """Words and numbers of a text with spaces around, so that 14 is not found in 140."""
    kept = "".join(sign if sign.isalnum() else " " for sign in text.casefold())
    return f" {' '.join(kept.split())} "


def pass_hat_k(rewards: Iterable[tuple[str, float]], k: int) -> float:
    """pass^k: the chance that k trials of a task all succeed, as a mean over tasks.

    `rewards` are (task, reward) of each trial. For a task with c successes in n trials the unbiased estimate is
    C(c, k) / C(n, k). NaN where no task has k trials.
    """
    by_task: dict[str, list[float]] = defaultdict(list)
    for task, reward in rewards:
        by_task[task].append(reward)
    chances = [
        math.comb(sum(reward >= 1 for reward in all_), k) / math.comb(len(all_), k)
        for all_ in by_task.values()
        if len(all_) >= k
    ]
    return sum(chances) / len(chances) if chances else math.nan
