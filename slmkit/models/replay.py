"""Recorded calls: answer from a file of them, and keep what a model answers in one.

A recording is JSON lines of `records.Call`. `Recorded` is the cache of an evaluation: what was answered is
written at once, so a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from slmkit.errors import InputError
from slmkit.models.base import TOOL_CHOICES, Model, Request, Sampling
from slmkit.models.messages import response_format
from slmkit.records import Call, Reply


def read_calls(path: str | Path) -> list[Call]:
    """The calls of a recording, in order.

    A last line without an end was cut by an interruption: it is dropped with a warning. Raises InputError
    naming file and line of any other line that is no call.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    calls = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            warnings.warn(f"{path}:{number}: the last line is incomplete and was left out", stacklevel=2)
        elif line.strip():
            try:
                calls.append(Call.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"])) or "line"
                raise InputError(f"{path}:{number}: not a recorded call ({where}: {first['msg']})") from None
    return calls


class ReplayModel(Model):
    """Answers each request with the reply on file for the same messages and tools, asked for in the same way.

    Of several, the one with the same sampling is taken, else the last. A request that is not on file comes
    back as a failed reply; where none of the requests is, InputError is raised, since it is then the wrong
    file.
    """

    def __init__(self, ref: str, path: str | Path) -> None:
        """Raises InputError for a file that is no recording, or holds the calls of more than one model."""
        self.ref = self.fingerprint = ref
        self.path = Path(path)
        self.notes = {}
        self.calls: dict[str, list[Call]] = {}
        calls = read_calls(path)
        models = sorted({call.model_requested for call in calls})
        if len(models) > 1:
            raise InputError(f"{path}: holds calls of {len(models)} models ({', '.join(models)}); split the file")
        for call in calls:
            self.calls.setdefault(_question(call.messages, call.tools, call.sampling), []).append(call)

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        asked = [_asked(request, sampling) for request in requests]
        found = [
            self.calls.get(_question(request.messages, request.tools, how), [])
            for request, how in zip(requests, asked, strict=True)
        ]
        if requests and not any(found):
            raise InputError(f"{self.ref}: none of the {len(requests)} requests is on file; record them first")
        for index, calls in enumerate(found):
            same = [call for call in calls if call.sampling == asked[index]]
            if calls:
                yield index, (same or calls)[-1].reply
            else:
                yield (
                    index,
                    Reply(model=self.ref, error=f"no reply on file for this request in {self.path.name}"),
                )


class Recorded(Model):
    """A model whose replies are kept in a file: what is on file is answered from there, the rest is asked and
    added.

    One reply is kept for one request and sampling, so repeats need different seeds. A failed reply is not
    kept: it is asked again the next time. One process may write to a file at a time.
    """

    def __init__(self, model: Model, path: str | Path) -> None:
        """Raises InputError for a line that is no call; a torn last line is cut off with a warning."""
        self.model = model
        self.ref, self.fingerprint, self.notes = model.ref, model.fingerprint, model.notes
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.replies = {call.call_id: call.reply for call in read_calls(path)} if self.path.is_file() else {}
        _cut_torn_line(self.path)

    def has(self, request: Request, **sampling: Any) -> bool:
        """Whether the reply to this request is on file."""
        return request.key(self.fingerprint, Sampling.of(**sampling)) in self.replies

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        places: dict[str, list[int]] = {}  # the same request twice is asked once
        for index, request in enumerate(requests):
            key = request.key(self.fingerprint, sampling)
            if key in self.replies:
                yield index, self.replies[key]
            else:
                places.setdefault(key, []).append(index)
        keys = list(places)
        open_requests = [requests[places[key][0]] for key in keys]
        for position, reply in self.model.answer(open_requests, sampling) if keys else ():
            key = keys[position]
            if reply.error is None:
                self._append(key, open_requests[position], reply, sampling)
            for index in places[key]:
                yield index, reply

    def _append(self, key: str, request: Request, reply: Reply, sampling: Sampling) -> None:
        """One write of one whole line, so that an interruption can tear no more than the last."""
        ended = datetime.now(UTC)
        started = ended - timedelta(seconds=reply.latency_s or 0)
        call = Call(
            call_id=key,
            source="slmkit",
            started_at=started,
            ended_at=ended,
            first_token_at=None if reply.ttft_s is None else started + timedelta(seconds=reply.ttft_s),
            model_requested=self.ref,
            model_served=reply.model,
            sampling=_asked(request, sampling),
            messages=request.messages,
            tools=request.tools,
            reply=reply,
            finish_reason=reply.finish_reason,
            usage=reply.usage,
        )
        with self.path.open("ab", buffering=0) as file:
            file.write(call.model_dump_json().encode() + b"\n")
        self.replies[key] = reply


def _question(messages: list[dict], tools: list[dict], sampling: dict[str, Any]) -> str:
    """Key of what was asked: the conversation, the form that the answer had to take, and no other sampling."""
    choice = sampling.get("tool_choice")
    form = Sampling(
        constrained=bool(sampling.get("constrained")), tool_choice=choice if choice in TOOL_CHOICES else "auto"
    )
    wanted = (sampling.get("response_format") or {}).get("json_schema") or {}
    return Request(messages, tools, wanted.get("schema")).key("", form)


def _asked(request: Request, sampling: Sampling) -> dict[str, Any]:
    """Sampling as it reads back from JSON, with the form of the answer where one was asked for."""
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in sampling.record().items()}
    if request.schema is not None:
        asked["response_format"] = response_format(request.schema, sampling.constrained)
    return asked


def _cut_torn_line(path: Path) -> None:
    """Drop what follows the last line end, so that the next line starts on its own."""
    if not path.is_file():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)
