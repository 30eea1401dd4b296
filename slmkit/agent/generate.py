"""Tasks by the thousand: drawn from the items of `data/agent/tasks/`, on databases of their own, each split apart.

A task strings items together until it has the wanted number of calls. Every item is played on the task's database
while the task is made, so that its ids exist, its answers are known, and its goal can be reached. Splits differ in
phrasings, databases and values.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

from slmkit.agent.language import read
from slmkit.agent.script import Blocked, Stage
from slmkit.agent.tasks import Task, Turn
from slmkit.agent.world import DOMAINS
from slmkit.errors import InputError, unknown

SPLITS = {"train": 0, "calibration": 1, "test": 2}
WORDINGS = ("new", "known")
SIZES = {"train": 1_000, "calibration": 300, "test": 1_000}
# Weight of tasks by number of calls, 1 to 12.
LENGTHS = {1: 24, 2: 20, 3: 14, 4: 10, 5: 7, 6: 6, 7: 5, 8: 4, 9: 3, 10: 3, 11: 2, 12: 2}
# Share of tasks that begin with an item of a special kind, the most special kind first.
SPECIAL = {"refuse": 0.16, "clarify": 0.1, "tool_error": 0.14, "conditional": 0.12, "chain": 0.22}
TROUBLES = ("timed out", "timed out", "service unavailable")
POPULATIONS = 150  # databases of a split
JOINED = 0.2  # share of neighbouring writes that are asked for in one breath


def make_tasks(
    split: str,
    n: int | None = None,
    seed: int = 0,
    domains: tuple[str, ...] = DOMAINS,
    length: int | None = None,
    wordings: str = "new",
) -> list[Task]:
    """The first `n` tasks of a split (by default its whole size), the same for the same seed.

    `length` fixes the number of calls of the goal (1 to 12) instead of drawing it. `wordings`: `new`, the split's own
    phrasings, or `known`, those of training, with the values and databases of the split all the same. Raises InputError
    for an unknown split, domain or kind of wordings, or a length that no task has.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if wordings not in WORDINGS:
        raise unknown("wordings", wordings, WORDINGS)
    if length is not None and length not in LENGTHS:
        raise InputError(f"length {length}: tasks have {min(LENGTHS)} to {max(LENGTHS)} calls")
    for name in domains:
        if name not in DOMAINS:
            raise unknown("domain", name, DOMAINS)
    n = SIZES[split] if n is None else n
    said = "train" if wordings == "known" else split
    return [_task(split, said, number, seed, domains[number % len(domains)], length) for number in range(n)]


def _task(split: str, said: str, number: int, seed: int, domain: str, length: int | None) -> Task:
    rng = Random(f"{seed} {split} {domain} {number} {length or ''}")
    wanted = length or rng.choices(list(LENGTHS), list(LENGTHS.values()))[0]
    mark = ("" if said == split else "known-") + ("" if length is None else f"l{length}-")
    task_id = f"{domain.split('_')[0]}-{split}-{seed}-{mark}{number}"
    for _ in range(200):
        world_seed = 1_000 * SPLITS[split] + rng.randrange(POPULATIONS) + 10_000 * seed
        with suppress(Blocked):  # no such row on this database, or a call that fails in this state
            return _drawn(task_id, domain, split, said, world_seed, wanted, rng)
    raise RuntimeError(f"{task_id}: no task of {wanted} calls could be made")


def _drawn(task_id: str, domain: str, split: str, said: str, world_seed: int, wanted: int, rng: Random) -> Task:
    with Stage(domain, said, world_seed, rng) as stage:
        items = _chosen(read(f"tasks/{domain}")["items"], wanted, rng)
        turns, kinds = [], set()
        for item in items:
            made = stage.play(item)
            kinds.add(item["kind"])
            if turns and _joins(turns[-1], made, rng):
                turns[-1] = _joined(turns[-1], made[0], rng.choice(read("tasks/joins")[said]))
                kinds.add("several")
            else:
                turns += made
    troubles: dict[int, str] = {}
    calls = sum(len(turn.calls) for turn in turns)
    if calls and "refuse" not in kinds and rng.random() < 0.1:
        troubles = {rng.randrange(calls): rng.choice(TROUBLES)}
        kinds.add("tool_error")
    return Task(task_id, domain, split, _kind(kinds, len(items)), world_seed, tuple(turns), troubles)


def _chosen(items: list[dict[str, Any]], wanted: int, rng: Random) -> list[dict[str, Any]]:
    """Items with `wanted` calls in all, the special kinds in their shares; one that follows needs what it refers to."""
    first = rng.choices([*SPECIAL, "call"], [*SPECIAL.values(), 1 - sum(SPECIAL.values())])[0]
    chosen: list[dict[str, Any]] = []
    left, known = wanted, set()

    def fits(item: dict[str, Any], kind: str | None) -> bool:
        follows = item.get("follows")
        return cost(item) <= left and (kind is None or item["kind"] == kind) and (not follows or follows in known)

    pick = [item for item in items if fits(item, first)]
    for _ in range(40):
        if pick:
            item = rng.choice(pick)
            chosen.append(item)
            left -= cost(item)
            known = {"rental", "claim"} & _slots(item)
        if left == 0:
            return chosen
        kind = None if rng.random() < 0.5 else "call"
        pick = [item for item in items if fits(item, kind) and (cost(item) or len(chosen) < 2)]
    raise Blocked(f"{wanted} calls cannot be made up")


def cost(item: dict[str, Any]) -> int:
    """Number of calls on the way of an item."""
    return sum(len(turn.get("calls", ())) for turn in item.get("turns", [item]))


def _slots(item: dict[str, Any]) -> set[str]:
    """Entities that an item names so that the next may say `it`."""
    return {name for name in ("rental", "claim") if f"AS {name}" in item.get("rows", "") or item.get("follows") == name}


def _joins(last: Turn, made: list[Turn], rng: Random) -> bool:
    plain = last.end == "done" and len(made) == 1 and made[0].end == "done" and last.calls and made[0].calls
    if not plain or len(last.calls) + len(made[0].calls) > 4 or rng.random() >= JOINED:
        return False
    return not any(call in last.calls for call in made[0].calls)  # the same call twice in a breath looks like a loop


def _joined(one: Turn, other: Turn, join: str) -> Turn:
    """Two turns in one: both are asked for, and closed together."""
    answers = (*one.answers, *other.answers)
    text = one.text.rstrip(".?! ") + join + other.text
    return Turn(text, (*one.calls, *other.calls), "done", " ".join(["Done.", *answers]), answers)


def _kind(kinds: set[str], count: int) -> str:
    """One word for a task: the most special kind of its items."""
    other = "several" if count > 1 or "several" in kinds else "call"
    return next((kind for kind in SPECIAL if kind in kinds), other)
