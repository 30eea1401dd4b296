"""One trial of one task: the canonical conversation, and what each decision does to it and to the world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slmkit.agent.decision import Ask, Decision, State
from slmkit.agent.defence import Defence
from slmkit.agent.guard import Limits, RepeatGuard, Spent
from slmkit.agent.language import language, marked
from slmkit.agent.outcome import Effect, Outcome, Status, Step
from slmkit.agent.reward import answered
from slmkit.agent.tasks import Task
from slmkit.agent.trace import trace_id
from slmkit.agent.user import User
from slmkit.agent.view import View, bounded, compact_tools
from slmkit.agent.world import Session, World, error_text
from slmkit.capability.scoring import same_json
from slmkit.records import Reply, ToolCall


class Episode:
    """A conversation under way. `ask` says what to decide, `apply` carries a decision out, `over` that it is done."""

    def __init__(
        self,
        task: Task,
        trial: int,
        world: World,
        limits: Limits,
        view: View,
        recorded: Sequence[Decision] = (),
        databases: str | Path | None = None,
        defence: Defence | None = None,
    ) -> None:
        self.task, self.trial, self.limits, self.view = task, trial, limits, view
        self.recorded = list(recorded)
        self.session: Session = world.open(task, trial, databases)
        self.tools = compact_tools(self.session.tools) if view.compact else self.session.tools
        self.user = User(task)
        self.defence = defence
        self.tainted = ""
        self.spent = Spent(limits)
        self.guard = RepeatGuard()
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": self.session.system}]
        self.steps: list[Step] = []
        self.dropped: tuple[str, ...] = ()
        self.kind = "call"
        self.failures = self.invalid = self.resumed = 0
        self.status: Status | None = None
        self.reason = ""
        self._wanted = list(task.goal)
        self._hear(self.user.first())

    @property
    def over(self) -> bool:
        return self.status is not None

    def replay(self) -> None:
        """Carry out the decisions of an earlier run; effects that it had are not repeated."""
        for decision in self.recorded:
            if self.over:
                break
            self.ask()
            self.apply(decision)
            self.resumed += 1

    def ask(self) -> Ask:
        """What is to be decided now."""
        messages, self.dropped = bounded(self.messages, self.view)
        return Ask(messages, self.tools, self.state())

    def state(self) -> State:
        return State(
            task_id=self.task.task_id,
            trial=self.trial,
            step=len(self.steps),
            domain=self.task.domain,
            kind=self.kind,
            policy=self.session.system,
            access=self.session.access,
            history=tuple(self.messages),
            failures=self.failures,
            repeats=self.guard.count,
            invalid=self.invalid,
            since_user=self.spent.since_user,
        )

    def apply(self, decision: Decision) -> None:
        """Carry a decision out: call tools, or tell the user."""
        self.spent.add(decision)
        effects: list[Effect] = []
        reply = decision.reply
        if decision.gave_up:
            self._end("gave_up", decision.gave_up)
        elif reply.error:
            self._end("error", f"no reply: {reply.error}")
        elif reply.tool_calls:
            effects = self._call(reply)
        elif reply.malformed or not reply.content.strip():
            self._unreadable(reply)
        else:
            self._say(reply)
        self.steps.append(Step(len(self.steps), self.kind, decision, tuple(effects), self.dropped))
        self.kind = "result" if self.messages[-1]["role"] == "tool" else "call"
        if not self.over and (limit := self.spent.over()):
            self._end("limit", limit)

    def outcome(self) -> Outcome:
        """The end of this trial; closes the database."""
        database = self.session.reached(self.task)
        told, missing = answered(self.task, self.user.closings)
        reached = self.status in ("done", "refused") and database and told
        self.session.close()
        task = self.task
        return Outcome(
            task_id=task.task_id,
            trial=self.trial,
            domain=task.domain,
            kind=task.kind,
            n_calls=task.n_calls,
            reward=float(reached),
            database=database,
            answers=told,
            status=self.status or "error",
            reason=self.reason or missing or ("" if database else "the database is not in the goal's state"),
            steps=tuple(self.steps),
            messages=tuple(self.messages),
            confirmations=self.user.confirmations,
            resumed=self.resumed,
        )

    def _call(self, reply: Reply) -> list[Effect]:
        """Call the tools of a reply, one after the other, each result an observation."""
        place = len(self.steps)
        calls = [
            call if call.id else call.model_copy(update={"id": f"c{place}_{number}"})
            for number, call in enumerate(reply.tool_calls)
        ]
        self.messages.append(Reply(content=reply.content, tool_calls=calls).message())
        effects = []
        for number, call in enumerate(calls):
            effect = self._effect(call, f"{trace_id(self.task.task_id, self.trial)}/{place}/{number}")
            effects.append(effect)
            content = self._shown(effect)
            self.messages.append({"role": "tool", "tool_call_id": call.id, "name": call.name, "content": content})
        if self.guard.count > self.limits.repeats:
            self._end("loop", f"{self.guard.count} calls repeated an earlier one")
        elif self.invalid > self.limits.invalid:
            self._end("error", f"{self.invalid} replies could not be carried out")
        return effects

    def _effect(self, call: ToolCall, key: str) -> Effect:
        access = self.session.access.get(call.name, "")
        if self.guard.repeated(call.name, call.arguments):
            self.failures += 1
            return Effect(call.name, call.parsed(), access, "invalid", error_text(language()["loop"]["repeated"]))
        if self.tainted and access != "read" and access and not self.user.confirms(call.name, call.parsed()):
            self.failures += 1
            return Effect(call.name, call.parsed(), access, "invalid", error_text(language()["loop"]["declined"]))
        done = self.session.call(call, key)
        wrote = done.status == "ok" and done.access != "read"
        self.guard.learnt(call.name, call.arguments, done.text, wrote, done.status == "fault")
        self.failures += done.status != "ok"
        self.invalid += done.status == "invalid"
        if not wrote:
            return done
        for wanted in self._wanted:
            if wanted["name"] == call.name and same_json(wanted["arguments"], done.arguments):
                self._wanted.remove(wanted)
                return done
        return replace(done, wanted=False)

    def _shown(self, effect: Effect) -> str:
        """A tool result as the models see it: with a defence, without text that could hold instructions.

        What the world itself says about a call that it refused is no foreign text.
        """
        own = effect.status in ("invalid", "error") and self.session.own_errors
        if self.defence is None or own:
            return effect.text
        text, why = self.defence.withhold(effect.text)
        self.tainted = self.tainted or why
        return text

    def _unreadable(self, reply: Reply) -> None:
        """A call that cannot be read, or no word at all: the model is told and may try again."""
        self.invalid += 1
        self.messages.append({"role": "assistant", "content": " ".join(reply.malformed)[:400]})
        self.messages.append({"role": "user", "content": language()["loop"]["unreadable"]})
        if self.invalid > self.limits.invalid:
            self._end("error", f"{self.invalid} replies could not be carried out")

    def _say(self, reply: Reply) -> None:
        """Tell the user, and hear what comes back."""
        self.messages.append({"role": "assistant", "content": reply.content})
        if marked(reply.content, "confirm"):
            self._hear(self._confirmation(reply.content))
            return
        answer = self.user.hears(reply.content)
        if answer is not None:
            self._hear(answer)
        else:
            self._end("refused" if marked(reply.content, "refuse") else "done")

    def _confirmation(self, text: str) -> str:
        """The user's yes or no to a question of the form `MARK: NAME {arguments}`."""
        name, _, arguments = text[len(language()["marks"]["confirm"]) :].strip(" :").partition(" ")
        meant = self.user.confirms(name, ToolCall(name=name, arguments=arguments).parsed())
        return language()["user"]["yes" if meant else "no"]

    def _hear(self, text: str) -> None:
        self.messages.append({"role": "user", "content": text})
        if self.defence is not None:
            self.tainted = self.tainted or self.defence.quoted(text)
        self.guard.news()
        self.spent.since_user = 0

    def _end(self, status: Status, reason: str = "") -> None:
        self.status, self.reason = status, reason
