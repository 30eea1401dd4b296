"""An answer of an OpenAI-compatible server, put together from the pieces in which it streams in."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from slmkit.models.base import Request, Sampling
from slmkit.models.parsing import parse
from slmkit.records import Reply, ToolCall, Usage


class Fault(Exception):
    """An answer that is no answer; asking again may help."""


class Answer:
    """An answer as it streams in."""

    def __init__(self, started: float, timeout_s: float) -> None:
        self.started = started
        self.timeout_s = timeout_s
        self.ttft_s: float | None = None
        self.latency_s = 0.0
        self.content: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[dict[str, str]] = []
        self.places: dict[int, dict[str, str]] = {}
        self.logprobs: list[float] = []
        self.usage = Usage()
        self.finish_reason = ""

    def read(self, stream: Iterable[Any]) -> None:
        """Take in the whole stream; raises Fault when it is cut, empty or too slow."""
        for chunk in stream:
            if time.perf_counter() - self.started > self.timeout_s:
                raise Fault(f"no end after {self.timeout_s:g} s")
            if getattr(chunk, "usage", None):
                self.usage = _usage(chunk.usage)
            if chunk.choices:
                self._add(chunk.choices[0])
        self.latency_s = time.perf_counter() - self.started
        if not self.finish_reason:
            raise Fault("the stream was cut" if self.ttft_s is not None else "the answer holds no choices")

    def _add(self, choice: Any) -> None:
        delta = choice.delta
        thought = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
        if self.ttft_s is None and (delta.content or delta.tool_calls or thought):
            self.ttft_s = time.perf_counter() - self.started
        self.content.append(delta.content or "")
        self.reasoning.append(thought if isinstance(thought, str) else "")
        for piece in delta.tool_calls or []:
            self._add_call(piece)
        if choice.logprobs and choice.logprobs.content:
            self.logprobs += [token.logprob for token in choice.logprobs.content]
        self.finish_reason = choice.finish_reason or self.finish_reason

    def _add_call(self, piece: Any) -> None:
        """Add a piece to the call of its index; where whole calls share an index, the id tells."""
        call = self.places.get(piece.index)
        if call is None or (piece.id and call["id"] and piece.id != call["id"]):
            call = self.places[piece.index] = {"id": "", "name": "", "arguments": ""}
            self.calls.append(call)
        call["id"] = piece.id or call["id"]
        if piece.function:
            call["name"] += piece.function.name or ""
            call["arguments"] += piece.function.arguments or ""

    def reply(self, ref: str, request: Request, sampling: Sampling) -> Reply:
        """The answer as a reply; calls that a server left in the text are read from there."""
        parsed = parse("".join(self.content), request.schemas(), calls=request.may_call(sampling))
        calls = [
            ToolCall(name=_text(call["name"]), arguments=_text(call["arguments"]) or "{}", id=_text(call["id"]))
            for call in self.calls
        ]
        left = bool(parsed.tool_calls) and self.finish_reason == "stop"
        return Reply(
            content=parsed.content,
            tool_calls=calls or parsed.tool_calls,
            malformed=parsed.malformed,
            reasoning=_text("".join(self.reasoning)) or parsed.reasoning,
            usage=self.usage,
            ttft_s=self.ttft_s,
            latency_s=self.latency_s,
            logprob=sum(self.logprobs) if self.logprobs else None,
            finish_reason="tool_calls" if left else self.finish_reason,
            model=ref,
        )


def _text(text: str) -> str:
    """The text without halves of surrogate pairs, which JSON can spell and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _usage(usage: Any) -> Usage:
    prompt = getattr(usage, "prompt_tokens_details", None)
    completion = getattr(usage, "completion_tokens_details", None)
    return Usage(
        prompt=usage.prompt_tokens or 0,
        cached=getattr(prompt, "cached_tokens", 0) or 0,
        completion=usage.completion_tokens or 0,
        reasoning=getattr(completion, "reasoning_tokens", 0) or 0,
    )
