"""Call or no call by a threshold: fitted on a split of its own, shipped with the model, switched off at will."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random

import pytest
from folders import NAMED_TEMPLATE, write_model

from slmkit import models
from slmkit.errors import InputError
from slmkit.files import sha256
from slmkit.mini import corpus, threshold
from slmkit.models import Request
from slmkit.models.calling.decision import FILE, call_logprobs

TOOL = {"type": "object", "properties": {"hour": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["hour"]}
TOOLS = [{"type": "function", "function": {"name": "set_alarm", "description": "Wake", "parameters": TOOL}}]
ASKED = [Request([{"role": "user", "content": f"wake me at {hour}"}], TOOLS) for hour in range(9)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"), template=NAMED_TEMPLATE)


def ship(folder: Path, value: float, weights: str = "") -> None:
    told = {"call_logprob": value, "weights_sha256": weights or sha256(folder / "model.safetensors")}
    (folder / FILE).write_text(json.dumps(told), encoding="utf-8")


def calls(folder: Path, requests: list[Request], **options: object) -> list[bool]:
    replies = models.load(str(folder), **options).chat_many(requests, constrained=True, max_tokens=60)
    assert all(reply.error is None for reply in replies)
    return ["<|call|>" in reply.content or bool(reply.tool_calls or reply.malformed) for reply in replies]


def test_the_best_threshold_parts_the_two_classes() -> None:
    assert threshold.best([True, True, False, False], [-0.1, -0.3, -0.9, -4.0]) == (pytest.approx(-0.6), 1.0)
    dice = Random(1)
    wanted = [dice.random() < 0.4 for _ in range(300)]
    scores = [dice.gauss(-0.5 if one else -2.0, 1.0) for one in wanted]
    found, balanced = threshold.best(wanted, scores)

    def accuracy(cut: float) -> float:
        called = [score >= cut for one, score in zip(wanted, scores, strict=True) if one]
        left = [score < cut for one, score in zip(wanted, scores, strict=True) if not one]
        return (sum(called) / len(called) + sum(left) / len(left)) / 2

    assert balanced == pytest.approx(accuracy(found)) == pytest.approx(max(map(accuracy, [*scores, 9.0])))
    assert 0.7 < threshold.auroc(wanted, scores) < 0.98
    assert threshold.auroc([True, False], [-1.0, -1.0]) == 0.5
    with pytest.raises(InputError, match="want none"):
        threshold.best([True, True], [0.0, 1.0])


def test_the_split_keeps_clear_of_the_evaluation_sets() -> None:
    items = threshold.split(120)
    assert {name: all(bool(item["calls"]) == (name != "no_tool") for item in some) for name, some in items.items()} == {
        "seen": True,
        "renamed": True,
        "no_tool": True,
    }
    for name, some in items.items():
        evaluated = {item["messages"][-1]["content"] for item in corpus.evaluation_set(name, 1_000)}
        assert len(some) > 50 and not evaluated & {item["messages"][-1]["content"] for item in some}
    with pytest.raises(InputError, match="seed of its own"):
        threshold.split(10, seed=0)


def test_a_threshold_decides_and_can_be_switched_off(folder: Path) -> None:
    scores = call_logprobs(models.load(str(folder)), ASKED)
    assert all(score < 0 for score in scores) and len(set(scores)) == len(ASKED)
    middle = sorted(scores)[4]
    free = calls(folder, ASKED)
    assert calls(folder, ASKED, call_threshold=middle) == [score >= middle for score in scores]
    ship(folder, -1e9)
    try:
        assert calls(folder, ASKED) == [True] * 9
        assert calls(folder, ASKED, call_threshold="off") == free != [True] * 9
        assert calls(folder, ASKED, call_threshold=0.0) == [False] * 9
        loaded, off = models.load(str(folder)), models.load(str(folder), call_threshold="off")
        assert loaded.fingerprint != off.fingerprint and "call_threshold=-1e+09" in loaded.fingerprint
    finally:
        (folder / FILE).unlink()


def test_without_a_grammar_only_the_first_token_is_decided(folder: Path) -> None:
    plain = Request([{"role": "user", "content": "hello"}])
    off = models.load(str(folder)).chat_many([plain, *ASKED], max_tokens=25)
    none = models.load(str(folder), call_threshold=0.0).chat_many([plain, *ASKED], max_tokens=25)
    assert none[0].content == off[0].content  # no tools on offer, nothing to decide
    assert not any(reply.tool_calls or reply.malformed for reply in none[1:])
    named = models.load(str(folder), call_threshold=-math.inf).chat_many(ASKED, max_tokens=1)
    assert all("set_alarm".startswith(reply.content) and reply.content for reply in named)
    required = models.load(str(folder), call_threshold=0.0).chat_many(ASKED, max_tokens=60, tool_choice="required")
    assert all(reply.tool_calls or reply.finish_reason == "length" for reply in required)


@pytest.mark.parametrize("asked", ["on", "nan", [1]])
def test_a_threshold_that_is_none_is_refused(folder: Path, asked: object) -> None:
    with pytest.raises(InputError, match="call_threshold must be a number"):
        models.load(str(folder), call_threshold=asked)


def test_a_threshold_of_other_weights_is_refused(folder: Path) -> None:
    try:
        ship(folder, -1.0, "0" * 64)
        with pytest.raises(InputError, match=r"other weights.*slmkit mini threshold"):
            models.load(str(folder))
        assert models.load(str(folder), call_threshold="off").call_threshold is None
        (folder / FILE).write_text("{}", encoding="utf-8")
        with pytest.raises(InputError, match="call_logprob"):
            models.load(str(folder))
    finally:
        (folder / FILE).unlink()


def test_the_fitted_threshold_is_written_and_read(folder: Path) -> None:
    assert threshold.fit(folder, n=12, write=False)["validation"]["sets"].keys() == {"seen", "renamed", "no_tool"}
    assert not (folder / FILE).exists()
    made = threshold.fit(folder, n=12)
    try:
        assert models.load(str(folder)).call_threshold == made["call_logprob"]
        assert made["validation"]["balanced_accuracy"] >= 0.5
    finally:
        (folder / FILE).unlink()


def test_balanced_accuracy_of_pairs_of_sets() -> None:
    rows = [
        {"set": name, "decoding": way, "n": 100, "made_a_call": made}
        for way, pair in {"free": (0.9, 0.4), "threshold": (0.8, 0.1)}.items()
        for name, made in zip(("seen", "no_tool"), pair, strict=True)
    ]
    free, decided = threshold.balanced_accuracy([*rows, {**rows[0], "set": "procedural"}])
    assert (free["balanced_accuracy"], decided["balanced_accuracy"]) == (pytest.approx(0.75), pytest.approx(0.85))
    assert decided["sensitivity"] == 0.8 and decided["specificity"] == pytest.approx(0.9)
    # By hand: Wilson (0.711, 0.867) and (0.826, 0.945), distances joined and halved.
    assert decided["low"] == pytest.approx(0.85 - math.hypot(0.089, 0.074) / 2, abs=2e-3)
    assert decided["high"] == pytest.approx(0.85 + math.hypot(0.067, 0.045) / 2, abs=2e-3)
    assert "| `seen` | `no_tool` | threshold | **85.0%**" in threshold.table([free, decided])
