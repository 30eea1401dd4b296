"""A trajectory as a card that a person can read: who answered, why it escalated, what changed in the database."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from slmkit.agent.outcome import Effect, Outcome, Step

STYLE = """<style>
.traj {font: 13px/1.45 system-ui, sans-serif; max-width: 60em; border: 1px solid #ccc; border-radius: 6px;
  padding: .6em .9em}
.traj .say {margin: .35em 0} .traj .who {display: inline-block; min-width: 6.5em; color: #666}
.traj code {background: rgba(127,127,127,.12); padding: 0 .25em} .traj .up {color: #b45309} .traj .bad {color: #b91c1c}
.traj .good {color: #15803d} .traj .diff {margin: .1em 0 .1em 6.8em; color: #666}
</style>"""


class Card:
    """The card of one outcome; a notebook shows it as HTML, a terminal as text."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    def _repr_html_(self) -> str:
        body = "".join(_html(kind, who, text, notes) for kind, who, text, notes in lines(self.outcome))
        return f'{STYLE}<div class="traj">{body}</div>'

    def __repr__(self) -> str:
        made = []
        for _, who, text, notes in lines(self.outcome):
            made += [f"{who:>14}  {text}", *(f"{'':>14}  {note}" for _, note in notes)]
        return "\n".join(made)


Line = tuple[str, str, str, list[tuple[str, str]]]  # kind, who, text, notes (kind, text)


def lines(outcome: Outcome) -> list[Line]:
    """The card line by line: each word of the user, each step with its notes, and the end."""
    made: list[Line] = [("head", outcome.task_id, f"{outcome.kind}, {outcome.n_calls} calls wanted", [])]
    steps = iter(outcome.steps)
    for message in outcome.messages:
        if message["role"] == "user":
            made.append(("say", "user", str(message["content"]), []))
        elif message["role"] == "assistant":
            for step in steps:
                made.append(_step(step))
                if step.kind != "errand:plan":  # a plan is no part of the conversation
                    break
    made += [_step(step) for step in steps]
    good = outcome.reward >= 1
    end = "solved" if good else f"not solved ({outcome.status}): {outcome.reason}"
    calls = ", ".join(f"{count} of {model}" for model, count in outcome.calls_by_model().items()) or "none"
    made.append(("good" if good else "bad", "end", end, [("note", f"model calls: {calls}")]))
    return made


def _step(step: Step) -> Line:
    decision, notes = step.decision, []
    if decision.escalated_because:
        notes.append(("up", f"escalated: {', '.join(decision.escalated_because)}"))
    if decision.gave_up:
        notes.append(("bad", decision.gave_up))
    for effect in step.effects:
        notes += _effect(effect)
    notes += [("note", f"not shown to the model: {dropped}") for dropped in step.dropped]
    calls = [f"{call.name}({_short(call.arguments)})" for call in decision.reply.tool_calls]
    text = "; ".join(calls) or decision.reply.content or decision.reply.error or " ".join(decision.reply.malformed)
    return "say", decision.answered_by, text, notes


def _effect(effect: Effect) -> list[tuple[str, str]]:
    kind = "note" if effect.status == "ok" else "bad"
    notes = [(kind, f"{effect.status}: {effect.text if len(effect.text) < 160 else effect.text[:157] + '...'}")]
    if effect.changes and not effect.wanted:
        notes.append(("bad", "this write is no part of the goal"))
    return notes + [("diff", change) for change in effect.changes]


def _short(arguments: str) -> str:
    """`rental_id='RN1234', extra_days=2` of a call's JSON."""
    try:
        value: Any = json.loads(arguments)
        return ", ".join(f"{name}={part!r}" for name, part in value.items())
    except (ValueError, AttributeError, RecursionError):
        return arguments[:160]


def _html(kind: str, who: str, text: str, notes: list[tuple[str, str]]) -> str:
    said = f"<code>{escape(text)}</code>" if kind == "say" and who != "user" else escape(text)
    tail = "".join(f'<div class="diff {note_kind}">{escape(note)}</div>' for note_kind, note in notes)
    mark = kind if kind in ("good", "bad") else ""
    return f'<div class="say"><span class="who">{escape(who)}</span><span class="{mark}">{said}</span>{tail}</div>'
