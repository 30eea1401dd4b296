"""Any OpenAI-compatible server: vLLM, SGLang, llama.cpp, Ollama, `transformers serve`, a provider.

Answers are streamed, so that `ttft_s` is the time to the first piece of text, reasoning or call. Times are
those of the try that succeeded, with up to `concurrency` requests in flight. A fault that may pass (refused,
408, 409, 429, 5xx, slow, a cut stream, an answer that is no answer) is tried again with growing pauses; what
still fails, and what cannot pass (another 4xx), ends as a reply with `error`.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from slmkit.models.base import Model, Request, Sampling
from slmkit.models.messages import for_api
from slmkit.models.parsing import parse
from slmkit.models.reference import Reference
from slmkit.records import Reply, ToolCall, Usage

LONGEST_PAUSE_S = 60.0


class Fault(Exception):
    """An answer that is no answer; asking again may help."""


class EndpointModel(Model):
    """A model on a server, asked through the `openai` client; the key comes from `OPENAI_API_KEY`."""

    def __init__(
        self,
        reference: Reference,
        *,
        concurrency: int = 8,
        timeout_s: float = 120.0,
        max_tries: int = 5,
        backoff_s: float = 0.5,
    ) -> None:
        """`timeout_s` bounds one whole try; the pause before the next doubles from `backoff_s`."""
        from openai import OpenAI

        self.ref = self.fingerprint = reference.text
        self.name = reference.name
        self.notes = {}
        self.concurrency = concurrency
        self.timeout_s = timeout_s
        self.max_tries = max_tries
        self.backoff_s = backoff_s
        self.client = OpenAI(
            base_url=reference.base_url,
            api_key=os.environ.get("OPENAI_API_KEY") or "none",
            timeout=timeout_s,
            max_retries=0,
        )
        self._asks_logprobs = True  # until the server refuses
        self._unreachable = False  # after a request that no try got through; the next ones then try once

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        pool = ThreadPoolExecutor(self.concurrency, thread_name_prefix="endpoint")
        try:
            asked = {pool.submit(self._ask, request, sampling): index for index, request in enumerate(requests)}
            for future in as_completed(asked):
                yield asked[future], future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, request: Request, sampling: Sampling) -> Reply:
        """The reply, after as many tries as it takes or as are allowed."""
        tries = 1 if self._unreachable else self.max_tries
        for number in range(1, tries + 1):
            try:
                reply = self._try(request, sampling)
                self._unreachable = False
                return reply
            except Exception as error:  # the client, its transport and the JSON inside each raise their own kinds
                if self._asks_logprobs and _refuses_logprobs(error):
                    self._asks_logprobs = False
                    return self._ask(request, sampling)
                if not _may_pass(error) or number == tries:
                    self._unreachable = type(error).__name__ == "APIConnectionError"
                    return Reply(model=self.ref, error=_reason(error, number))
                time.sleep(self._pause_s(error, number))
        raise AssertionError("a try either returns or sleeps")

    def _try(self, request: Request, sampling: Sampling) -> Reply:
        started = time.perf_counter()
        with self.client.chat.completions.create(**self._body(request, sampling)) as stream:
            answer = Answer(started, self.timeout_s)
            answer.read(stream)
        names = {tool.get("function", tool).get("name", "") for tool in request.tools}
        return answer.reply(self.ref, names)

    def _body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        """The request as the API wants it; `constrained` asks for strict tools, if the server knows them."""
        provider = "api.openai.com" in str(self.client.base_url)
        body: dict[str, Any] = {
            "model": self.name,
            "messages": for_api(request.messages),
            "max_completion_tokens" if provider else "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            strict = {"strict": True} if sampling.constrained else {}
            body["tools"] = [{**tool, "function": {**tool["function"], **strict}} for tool in request.tools]
        if sampling.temperature:
            body |= {"top_p": sampling.top_p, "seed": sampling.seed}
        if sampling.top_k:
            body["extra_body"] = {"top_k": sampling.top_k}
        if sampling.stop:
            body["stop"] = list(sampling.stop)
        if self._asks_logprobs:
            body["logprobs"] = True
        return body

    def _pause_s(self, error: Exception, number: int) -> float:
        """The server's wish if it has one, else doubling, with some chance to spread requests out."""
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        try:
            return min(float(headers["retry-after"]), LONGEST_PAUSE_S)
        except (KeyError, ValueError):
            return min(self.backoff_s * 2 ** (number - 1) * random.uniform(0.5, 1.5), LONGEST_PAUSE_S)


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

    def reply(self, ref: str, names: set[str]) -> Reply:
        """The answer as a reply; calls that a server left in the text are read from there."""
        parsed = parse("".join(self.content), names)
        calls = [
            ToolCall(name=_text(call["name"]), arguments=_text(call["arguments"]) or "{}", id=_text(call["id"]))
            for call in self.calls
        ]
        return Reply(
            content=parsed.content,
            tool_calls=calls or parsed.tool_calls,
            malformed=parsed.malformed,
            reasoning=_text("".join(self.reasoning)) or parsed.reasoning,
            usage=self.usage,
            ttft_s=self.ttft_s,
            latency_s=self.latency_s,
            logprob=sum(self.logprobs) if self.logprobs else None,
            finish_reason=self.finish_reason,
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


def _may_pass(error: Exception) -> bool:
    status = getattr(error, "status_code", None)
    return status is None or status in (408, 409, 429) or status >= 500


def _refuses_logprobs(error: Exception) -> bool:
    return getattr(error, "status_code", None) in (400, 422) and "logprob" in str(error).lower()


def _reason(error: Exception, tries: int) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text} ({tries} {'try' if tries == 1 else 'tries'})"
