"""Tasks: enough of them, of all lengths and kinds, reachable, with splits apart; reward and pass^k."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from random import Random

import pytest

from slmkit import models
from slmkit.agent import generate, reward
from slmkit.agent.generate import make_tasks
from slmkit.agent.language import read
from slmkit.agent.loop import run_tasks
from slmkit.agent.oracle import Oracle
from slmkit.agent.rows import training_rows
from slmkit.agent.tasks import KINDS, Turn
from slmkit.agent.world import DOMAINS
from slmkit.errors import InputError
from slmkit.specialization import data

SMALL = {split: make_tasks(split, 70) for split in generate.SPLITS}


def test_there_are_enough_tasks():
    assert sum(generate.SIZES.values()) >= 1_500 and generate.SIZES["test"] >= 1_000


@pytest.mark.full
@pytest.mark.parametrize(
    "split, wordings", [("train", "new"), ("calibration", "new"), ("test", "new"), ("test", "known")]
)
def test_every_task_of_a_split_can_be_solved(split, wordings):
    tasks = make_tasks(split, wordings=wordings)
    assert len({task.task_id for task in tasks}) == generate.SIZES[split]
    assert {task.n_calls for task in tasks} == set(range(1, 13)) and {task.kind for task in tasks} == set(KINDS)
    assert all(outcome.reward == 1 for outcome in run_tasks(tasks, Oracle(tasks), progress=False))


def test_one_breath_never_asks_for_the_same_call_twice():
    one, other = (Turn("", ({"name": "extend_rental", "arguments": {"extra_days": days}},)) for days in (1, 2))
    rolls = [Random(seed) for seed in range(40)]
    assert any(generate._joins(one, [other], rng) for rng in rolls)
    assert not any(generate._joins(one, [one], rng) for rng in rolls)


@pytest.mark.parametrize("split", generate.SPLITS)
def test_the_script_solves_them(split):
    tasks = SMALL[split]
    assert [outcome.reason for outcome in run_tasks(tasks, Oracle(tasks), progress=False) if outcome.reward < 1] == []


def test_kinds_and_lengths_are_mixed():
    tasks = [task for some in SMALL.values() for task in some]
    assert {task.kind for task in tasks} == set(KINDS) and max(Counter(task.kind for task in tasks).values()) < 90
    assert set(range(1, 9)) <= {task.n_calls for task in tasks} <= set(range(1, 13))
    assert [task.n_calls for task in make_tasks("test", 3, length=12)] == [12] * 3


def test_the_same_seed_gives_the_same_tasks():
    assert make_tasks("test", 12) == SMALL["test"][:12]
    assert make_tasks("test", 12, seed=1) != SMALL["test"][:12]


@pytest.mark.parametrize("name", ["car_rental", "insurance_claims"])
def test_phrasings_of_the_splits_are_apart(name):
    said = {split: set() for split in generate.SPLITS}
    for item in read(f"tasks/{name}")["items"]:
        for turn in item.get("turns", [item]):
            for split in generate.SPLITS if "train" in turn else ():
                assert turn[split], item["name"]
                said[split] |= set(turn[split])
    assert not said["train"] & said["test"] and not said["train"] & said["calibration"]
    assert not said["calibration"] & said["test"]


def test_texts_and_databases_of_the_splits_are_apart():
    seeds = {split: {task.world_seed for task in tasks} for split, tasks in SMALL.items()}
    texts = {split: {turn.text for task in tasks for turn in task.turns} for split, tasks in SMALL.items()}
    for one, other in (("train", "test"), ("train", "calibration"), ("calibration", "test")):
        assert not seeds[one] & seeds[other]
        assert len(texts[one] & texts[other]) == 0


def pattern_of(phrasing: str) -> str:
    """A phrasing as a pattern: slots stand for anything, choices for one of their options."""
    parts = re.split(r"\{([^{}]+)\}", phrasing)  # text, slot or choice, text, ...
    for place, part in enumerate(parts):
        words = "|".join(map(re.escape, part.split("|"))) if "|" in part else ".+"
        parts[place] = f"(?:{words})" if place % 2 else re.escape(part)
    return "".join(parts)


def test_known_wordings_are_those_of_training_on_databases_of_the_split():
    known = make_tasks("test", 70, wordings="known")
    assert {task.world_seed for task in known} <= {1_000 * generate.SPLITS["test"] + n for n in range(150)}
    items = [item for name in DOMAINS for item in read(f"tasks/{name}")["items"]]
    said = [text for item in items for turn in item.get("turns", [item]) for text in turn.get("train", ())]
    patterns = [re.compile(pattern_of(text), re.IGNORECASE) for text in said]
    texts = [turn.text for task in known for turn in task.turns]
    first = [re.split("|".join(map(re.escape, read("tasks/joins")["train"])), text)[0] for text in texts]
    assert [text for text in first if not any(pattern.match(text) for pattern in patterns)] == []
    assert all(outcome.reward == 1 for outcome in run_tasks(known, Oracle(known), progress=False))
    with pytest.raises(InputError, match="did you mean 'known'"):
        make_tasks("test", 1, wordings="knwon")


@pytest.mark.parametrize(
    "options, complaint", [({"split": "tests"}, "did you mean 'test'"), ({"split": "test", "length": 13}, "1 to 12")]
)
def test_bad_wishes_are_named(options, complaint):
    with pytest.raises(InputError, match=complaint):
        make_tasks(**options)


@pytest.mark.parametrize(
    "turn, text, good",
    [
        (Turn("", end="answer", answers=("14",)), "14 dollars", True),
        (Turn("", end="answer", answers=("14",)), "140 dollars", False),
        (Turn("", end="answer", answers=("2026-03-04",)), "on 2026-03-04.", True),
        (Turn("", end="refuse"), "Not possible: it is running.", True),
        (Turn("", end="refuse"), "Done.", False),
        (Turn("", end="done"), "Not possible: no", False),
        (Turn("", end="ask"), "please tell me: the day", True),
        (Turn("", end="report", answers=("RN1",)), "That failed: no rental RN1", True),
        (Turn("", end="report", answers=("RN1",)), "That failed.", False),
    ],
)
def test_required_answers(turn, text, good):
    assert (reward._problem(turn, text) == "") == good


def test_pass_hat_k():
    rewards = [("a", 1.0)] * 4 + [("b", 1.0), ("b", 1.0), ("b", 0.0), ("b", 0.0)]
    assert reward.pass_hat_k(rewards, 1) == 0.75
    assert reward.pass_hat_k(rewards, 2) == pytest.approx((1 + 1 / 6) / 2)
    assert reward.pass_hat_k(rewards, 4) == 0.5
    assert math.isnan(reward.pass_hat_k(rewards, 5))


def test_training_rows():
    rows = training_rows(SMALL["train"][:12])
    assert len(rows) == sum(
        len(o.steps) for o in run_tasks(SMALL["train"][:12], Oracle(SMALL["train"]), progress=False)
    )
    for row in rows:
        last = row["messages"][-1]
        assert last["role"] == "assistant" and row["tools"] and row["messages"][0]["role"] == "system"
        for made in last.get("tool_calls", ()):
            assert isinstance(json.loads(made["function"]["arguments"]), dict)
    assert training_rows(SMALL["train"][:12], 5) == rows[:5]
    errands = training_rows(SMALL["train"][:4], agency="code")
    assert all(json.loads(row["messages"][-1]["content"]) is not None and row["tools"] == [] for row in errands)
    with pytest.raises(InputError, match="test split"):
        training_rows(SMALL["test"][:2])


def test_joined_rows_learn_the_same_tokens_after_fewer():
    tokenizer = models.load("mini-1m", device="cpu").tokenizer
    tasks = SMALL["train"][:12]
    rows = {joined: training_rows(tasks, joined=joined) for joined in (False, True)}
    data.check(rows[True])
    made = {joined: data.encode(tokenizer, some) for joined, some in rows.items()}
    learnt = {
        joined: Counter(token for row in some for token in row.labels if token != -100) for joined, some in made.items()
    }
    assert learnt[True] == learnt[False]
    assert sum(row.get("learn", 1) for row in rows[True]) == len(rows[False])
    assert sum(len(row.ids) for row in made[True]) < 0.6 * sum(len(row.ids) for row in made[False])
