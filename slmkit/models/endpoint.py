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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from slmkit.models.base import Model, Request, Sampling
from slmkit.models.messages import for_api, response_format, with_schema
from slmkit.models.reference import Reference
from slmkit.models.streaming import Answer
from slmkit.records import Reply

LONGEST_PAUSE_S = 60.0


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
        if misfit := request.misfit(sampling):
            return Reply(model=self.ref, error=misfit)
        tries, unreached = 1 if self._unreachable else self.max_tries, 0
        for number in range(1, tries + 1):
            try:
                reply = self._try(request, sampling)
                self._unreachable = False
                return reply
            except Exception as error:  # the client, its transport and the JSON inside each raise their own kinds
                if self._asks_logprobs and _refuses_logprobs(error):
                    self._asks_logprobs = False
                    return self._ask(request, sampling)
                unreached += type(error).__name__ == "APIConnectionError"
                if not _may_pass(error) or number == tries:
                    self._unreachable = unreached == number
                    return Reply(model=self.ref, error=_reason(error, number))
                time.sleep(self._pause_s(error, number))
        raise AssertionError("a try either returns or sleeps")

    def _try(self, request: Request, sampling: Sampling) -> Reply:
        started = time.perf_counter()
        with self.client.chat.completions.create(**self._body(request, sampling)) as stream:
            answer = Answer(started, self.timeout_s)
            answer.read(stream)
        return answer.reply(self.ref, request, sampling)

    def _body(self, request: Request, sampling: Sampling) -> dict[str, Any]:
        """The request as the API wants it; `constrained` asks for strict tools, if the server knows them."""
        provider = "api.openai.com" in str(self.client.base_url)
        body: dict[str, Any] = {
            "model": self.name,
            "messages": for_api(with_schema(request.messages, request.schema)),
            "max_completion_tokens" if provider else "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.schema is not None:
            body["response_format"] = response_format(request.schema, sampling.constrained)
        if request.tools:
            if sampling.tool_choice != "auto":
                body["tool_choice"] = sampling.tool_choice
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


def _may_pass(error: Exception) -> bool:
    status = getattr(error, "status_code", None)
    return status is None or status in (408, 409, 429) or status >= 500


def _refuses_logprobs(error: Exception) -> bool:
    return getattr(error, "status_code", None) in (400, 422) and "logprob" in str(error).lower()


def _reason(error: Exception, tries: int) -> str:
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text} ({tries} {'try' if tries == 1 else 'tries'})"
