"""When2Call: call a tool, ask for what is missing, or say that it cannot be done?

Source: Ross et al. 2025, "When2Call: When (not) to Call Tools" (NAACL, arXiv:2504.18851), the set for judged
free replies. The source compares four candidate replies by log-likelihood, or has a language model sort a
free reply into tool_call, request_for_info, cannot_answer or direct; its figures are accuracy, macro F1 and
the tool hallucination rate, the share of items without any tool on which the model calls one. `aggregate`
gives these.

Different here: no judge. A reply that calls is tool_call, whatever it calls, exactly. Text is sorted by the
rule of `decision`: it declines if it says that something cannot be done and does not end in a question; else
it asks if it ends in a question or requests something, a closing offer ("Would you like ...?" after a
statement) not counted; else it answers directly. On the source's own candidate texts, 603 for 201 items, on
which the rule was written, it agrees with the label 598 times (cannot_answer 201 of 201, request_for_info
200, direct 197); real replies are more varied.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from slmkit.capability.scoring import Score, decoded, score_any_call, score_no_call
from slmkit.capability.suites.items import Item
from slmkit.capability.suites.source import entries
from slmkit.capability.suites.tools import toolbox
from slmkit.files import either
from slmkit.records import Reply

CATEGORIES = ("tool_call", "request_for_info", "cannot_answer")
METRIC = "decision"
LICENCE = "Apache-2.0"

DECLINES = re.compile(
    r"\b(can(no|')?t|can not|unable|not able|(do|does)(n't| not) have|(beyond|outside) my"
    r"|not (equipped|capable)|no (tool|function)s?)\b",
    re.IGNORECASE,
)
ENDS_IN_QUESTION = re.compile(r"\?[\"'”)\s]*$")
REQUESTS = re.compile(
    r"\bplease (provide|specify|confirm|tell|clarify|share|let me know)"
    r"|\b(could|can|would) you (please )?(tell|specify|provide|confirm|clarify|share|give)"
    r"|\bI('ll| will)? (need|require) (to know|to confirm|more|some|the|your|additional|you to confirm)\b",
    re.IGNORECASE,
)
OFFERS = re.compile(
    r"[.!]\s+(would you like|do you want|shall i|should i|is there anything)\b[^.!?]*\?\W*$", re.IGNORECASE
)


def load(folder: Path, category: str) -> Iterator[Item]:
    """Items whose right decision is `category`."""
    path = either(folder, "when2call_test_llm_judge.jsonl")
    for entry in entries(path, "uuid", "question", "correct_answer", "answers", "tools"):
        if entry["correct_answer"] != category:
            continue
        made, names = toolbox([json.loads(tool) for tool in entry["tools"]])
        yield Item(
            suite="when2call",
            category=category,
            id=entry["uuid"],
            messages=[{"role": "user", "content": entry["question"]}],
            tools=made,
            wants="call" if category == "tool_call" else "no_call",
            gold=category,
            meta={"names": names, "answers": entry["answers"], "file": str(path)},
        )


def decision(reply: Reply) -> str:
    """What the reply decides: tool_call, request_for_info, cannot_answer, direct. A broken call is a call."""
    if reply.tool_calls or reply.malformed:
        return "tool_call"
    text = reply.content.replace("’", "'")
    question = bool(ENDS_IN_QUESTION.search(text))
    if DECLINES.search(text) and not question:
        return "cannot_answer"
    if (question or REQUESTS.search(text)) and not OFFERS.search(text):
        return "request_for_info"
    return "cannot_answer" if DECLINES.search(text) else "direct"


def score(item: Item, reply: Reply) -> Score:
    """Correct when the decision is the right one; which tool is called, and how, is not judged."""
    if item.gold == "tool_call":
        return score_any_call(reply)
    called = score_no_call(reply)
    if not called.correct or reply.error:
        return called
    if not reply.content.strip():
        return Score(False, "wrong_reply", "empty reply")
    found = decision(reply)
    return Score(True) if found == item.gold else Score(False, "wrong_reply", f"{found} instead of {item.gold}")


def aggregate(items: Sequence[Item], replies: Sequence[Reply]) -> dict[str, float]:
    """Accuracy, macro F1 over the three decisions, and tool hallucination where items have no tool at all."""
    pairs = list(zip(items, replies, strict=True))
    right = Counter(item.gold for item, reply in pairs if score(item, reply).correct)
    either_one = Counter(item.gold for item in items) + Counter(map(decision, replies))
    f1 = [2 * right[label] / max(1, either_one[label]) for label in CATEGORIES]
    values = {"accuracy": right.total() / max(1, len(pairs)), "macro_f1": sum(f1) / len(f1)}
    if bare := [bool(decoded(reply)) for item, reply in pairs if not item.tools]:
        values["tool_hallucination"] = sum(bare) / len(bare)
    return values
