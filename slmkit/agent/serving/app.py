"""The endpoint itself: `/v1/chat/completions` with tools and streaming, `/v1/models`, `/health`, on FastAPI."""

from __future__ import annotations

import copy
import hmac
import ipaddress
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slmkit import models
from slmkit.agent.cascade import NEEDS_LARGE, Cascade
from slmkit.agent.decision import Ask, Decision, ModelDecider, State
from slmkit.agent.routing.routing import Routing, loadable
from slmkit.agent.serving import wire
from slmkit.agent.serving.log import ServedLog
from slmkit.errors import InputError
from slmkit.models.base import Model, Request, Sampling
from slmkit.records import Reply

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_BYTES = 4_000_000  # of a request's body


class OneAtATime(Model):
    """A model in process behind a lock: requests come in several threads, weights are there once."""

    def __init__(self, model: Model) -> None:
        self.model, self.lock = model, threading.Lock()
        self.ref, self.fingerprint, self.notes = model.ref, model.fingerprint, model.notes

    def answer(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[tuple[int, Reply]]:
        with self.lock:
            yield from self.model.answer(requests, sampling)


def load(ref: str, timeout_s: float = 60.0) -> Model:
    """A model to serve; one on a server gets a bounded time and two tries, so that its absence does not hold us up."""
    if ref.startswith("openai:"):
        return models.load(ref, timeout_s=timeout_s, max_tries=2, backoff_s=0.2)
    model = models.load(loadable(ref))
    model.ref = ref
    return OneAtATime(model)


def cascade(routing: Routing, timeout_s: float = 60.0) -> Cascade:
    """The cascade of a routing file, both models loaded; a large one that cannot be loaded is an InputError."""
    return Cascade(load(routing.small, timeout_s), load(routing.large, timeout_s), routing, name=wire.NAME)


def build(served: Cascade, *, key: str = "", log: str | Path | None = None, shadow: float = 0.0) -> FastAPI:
    """The app. `key` is asked of every request but `/health`; `log` takes a line a model call; `shadow` is a share of
    the answers of the small model on which the large one is asked afterwards, without effect."""
    try:
        from fastapi import BackgroundTasks, FastAPI
        from fastapi import Request as HttpRequest
        from fastapi.concurrency import run_in_threadpool
        from fastapi.responses import JSONResponse, StreamingResponse
    except ImportError:
        raise InputError("serving needs the extra `serve`; install it with `pip install 'slmkit[serve]'`") from None
    if not 0 <= shadow <= 1:
        raise InputError(f"shadow: expected a share from 0 to 1, such as 0.02, found {shadow}")
    book = ServedLog(log, [key] if key else ()) if log is not None else None
    chance = _Share(shadow)
    app = FastAPI(title="slmkit cascade", docs_url=None, redoc_url=None, openapi_url=None)

    def refused(message: str, status: int, kind: str = "invalid_request_error", code: str | None = None) -> Any:
        headers = {"x-should-retry": "false"} if status == 503 else {}
        return JSONResponse(wire.problem(message, kind, code), status, headers)

    def forbidden(request: HttpRequest) -> Any:
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if key and not hmac.compare_digest(given.encode(), key.encode()):
            return refused("wrong or missing key", 401, "authentication_error", "invalid_api_key")
        return None

    async def chat(request: HttpRequest, background: BackgroundTasks) -> Any:
        if (no := forbidden(request)) is not None:
            return no
        content = b""
        async for piece in request.stream():
            content += piece
            if len(content) > MOST_BYTES:
                return refused(f"the body is larger than {MOST_BYTES:,} bytes", 413)
        try:
            asked = wire.read(_json(content))
        except InputError as error:
            return refused(str(error), 400)
        ask = question(asked, served.routing)
        decision = await run_in_threadpool(decide, served, asked, ask)
        if book:
            await run_in_threadpool(book.decided, ask, decision)
        if decision.gave_up or decision.reply.error:
            absent = decision.gave_up == NEEDS_LARGE
            kind = "needs_large_model" if absent else "server_error"
            return refused(decision.gave_up or str(decision.reply.error), 503, kind, kind)
        if book and chance.drawn():
            background.add_task(compare, served, ask, decision, book)
        usage = wire.usage_of(decision.usage)
        headers = {"x-slmkit-answered-by": decision.answered_by, "x-slmkit-escalated": _ascii(decision)}
        if asked.stream:
            pieces = wire.stream(asked, decision.reply, usage)
            return StreamingResponse(pieces, media_type="text/event-stream", headers=headers, background=background)
        return JSONResponse(wire.whole(asked, decision.reply, usage), headers=headers, background=background)

    async def list_models(request: HttpRequest) -> Any:
        if (no := forbidden(request)) is not None:
            return no
        names = [wire.NAME, served.routing.small, served.routing.large]
        return {"object": "list", "data": [{"id": n, "object": "model", "owned_by": "slmkit"} for n in names]}

    async def health() -> Any:
        return {"status": "ok", "small": served.routing.small, "large": served.routing.large,
                "large_answers": not served.resting, "threshold": served.routing.threshold}  # fmt: skip

    # Annotations are text in this module, and FastAPI looks them up by name: give it the classes themselves.
    chat.__annotations__ = {"request": HttpRequest, "background": BackgroundTasks}
    list_models.__annotations__ = {"request": HttpRequest}
    for method, path, handler in (("POST", "/v1/chat/completions", chat), ("GET", "/v1/models", list_models),
                                  ("GET", "/health", health)):  # fmt: skip
        app.add_api_route(path, handler, methods=[method], response_model=None)
    return app


def question(asked: wire.Asked, routing: Routing) -> Ask:
    """A request as a question to the cascade: what went wrong so far is read off the conversation."""
    failures, since_user = 0, 0
    for message in asked.messages:
        since_user = 0 if message["role"] == "user" else since_user + (message["role"] == "assistant")
        failures += message["role"] == "tool" and '"error"' in message["content"][:80]
    kind = "result" if asked.messages[-1]["role"] == "tool" else "call"
    names = [tool["function"]["name"] for tool in asked.tools]
    access: dict[str, Any] = {name: routing.access.get(name, "write") for name in names}
    state = State(task_id=asked.request_id, kind=kind, access=access, history=tuple(asked.messages),
                  failures=failures, since_user=since_user)  # fmt: skip
    return Ask(asked.messages, asked.tools, state, asked.schema)


def decide(served: Cascade, asked: wire.Asked, ask: Ask) -> Decision:
    """The decision: of one model where the request names it, of the cascade under any other name."""
    options = {**served.options, **asked.options}
    for model in (served.small, served.large):
        if model is not None and asked.model == model.ref:
            return ModelDecider(model, **options).decide_many([ask])[0]
    if asked.options:
        served = _with(served, options)
    return served.decide_many([ask])[0]


def compare(served: Cascade, ask: Ask, decision: Decision, book: ServedLog) -> None:
    """The large model's opinion, afterwards."""
    if (found := served.second_opinion(ask, decision)) is not None:
        book.shadowed(ask, decision, *found)


def check_address(host: str, key: str) -> None:
    """InputError for an address that others can reach while no key is asked."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback and not key:
        raise InputError(f"--host {host}: others could call this server; name a key with --key-env, or use 127.0.0.1")


class _Share:
    """Draws a share evenly: of 100 answers in shadow at 0.02 it takes two."""

    def __init__(self, share: float) -> None:
        self.share, self.seen, self.lock = share, 0, threading.Lock()

    def drawn(self) -> bool:
        with self.lock:
            self.seen += 1
            return int(self.seen * self.share) > int((self.seen - 1) * self.share)


def _with(served: Cascade, options: dict[str, Any]) -> Cascade:
    """The same cascade with other sampling; it shares the models, and the memory of an absent one."""
    other = copy.copy(served)
    other.options = options
    return other


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("the body is not JSON") from None


def _ascii(decision: Decision) -> str:
    return ",".join(decision.escalated_because).encode("ascii", "replace").decode()
