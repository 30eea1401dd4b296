"""What every model can do: answer one conversation, or many with the order kept."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from slmkit.errors import InputError, unknown
from slmkit.records import Reply

TOOL_CHOICES = ("auto", "none", "required")


@dataclass(frozen=True)
class Sampling:
    """How to generate: greedy at temperature 0. With `constrained` every call is a valid one.

    `tool_choice` is auto, none (no call) or required (a call and nothing else); it holds with or without
    `constrained`, as the grammar or the server sees to it.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    constrained: bool = False
    tool_choice: str = "auto"

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {self.max_tokens}")
        if self.temperature < 0:
            raise InputError(f"temperature must not be negative, it is {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p must lie in (0, 1], it is {self.top_p}")
        if self.tool_choice not in TOOL_CHOICES:
            raise unknown("tool_choice", self.tool_choice, TOOL_CHOICES)

    @classmethod
    def of(cls, **options: Any) -> Sampling:
        """Sampling from keyword options; raises InputError for an unknown one or a value out of range."""
        known = [option.name for option in fields(cls)]
        for name in options:
            if name not in known:
                raise unknown("sampling option", name, known)
        if "stop" in options:
            stop = options["stop"]
            options["stop"] = (stop,) if isinstance(stop, str) else tuple(stop or ())
        return cls(**options)

    def record(self) -> dict[str, Any]:
        """The options that differ from the defaults, so that a later option leaves old keys as they were."""
        defaults = asdict(Sampling())
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}


@dataclass(frozen=True)
class Request:
    """One conversation to go on with: OpenAI chat messages, and the tools on offer.

    With a `schema` the answer is wanted as one JSON object that fits it. The model is told so; with
    `constrained` it has no other choice, but for calls of the tools on offer.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)
    schema: dict[str, Any] | None = None

    def schemas(self) -> dict[str, dict]:
        """The JSON Schema of the parameters of each tool on offer, by its name."""
        functions = [tool.get("function", tool) for tool in self.tools]
        return {function.get("name", ""): function.get("parameters") or {} for function in functions}

    def may_call(self, sampling: Sampling) -> bool:
        """Whether calls are to be looked for in the answer: an object that was asked for may look like one."""
        return sampling.tool_choice != "none" and not (self.schema is not None and not self.tools)

    def misfit(self, sampling: Sampling) -> str | None:
        """Why no answer can be what is asked for, in one line."""
        if sampling.tool_choice == "required" and not self.tools:
            return "tool_choice is required, but no tool is on offer"
        return None

    def key(self, model_ref: str, sampling: Sampling | None = None) -> str:
        """Hex SHA-256 of conversation, tools, schema, model and sampling: the same in every process."""
        asked = {
            "messages": self.messages,
            "tools": self.tools or [],
            "model": model_ref,
            "sampling": (sampling or Sampling()).record(),
        }
        if self.schema is not None:
            asked["schema"] = self.schema
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Model(ABC):
    """A model behind the chat interface.

    `ref` is the reference that the user gave; `fingerprint` says which weights and settings answer, so that a
    cache is not served for a model that has changed under the same name. `notes` says, by `Request.key(ref)`,
    what could not be done as asked for a request that was answered all the same.
    """

    ref: str
    fingerprint: str
    notes: dict[str, str]

    @abstractmethod
    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        """Index and reply of each request, in the order in which they become ready.

        A request that fails yields a reply with `error`; it does not stop the others.
        """

    def chat(
        self,
        messages: list[dict],
        tools: list[dict] | None = None,
        *,
        schema: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> Reply:
        """The reply to one conversation, `error` set where it failed; `sampling` as in `Sampling`."""
        return self.chat_many([Request(messages, tools or [], schema)], progress=False, **sampling)[0]

    def chat_many(
        self, requests: Sequence[Request], *, progress: bool = True, description: str = "", **sampling: Any
    ) -> list[Reply]:
        """The replies to many conversations in their order, with a progress bar; else as `chat`."""
        from tqdm import tqdm

        requests = list(requests)
        replies: list[Reply | None] = [None] * len(requests)
        hidden = {} if progress else {"disable": True}  # unset, so that TQDM_DISABLE of the environment holds
        with tqdm(total=len(requests), desc=description or self.ref, unit="call", delay=1, **hidden) as bar:
            for index, reply in self.answer(requests, Sampling.of(**sampling)):
                replies[index] = reply
                bar.update()
        missing = sum(reply is None for reply in replies)
        if missing:
            raise RuntimeError(f"{self.ref}: {missing} of {len(requests)} requests were left without a reply")
        return replies  # type: ignore[return-value]
