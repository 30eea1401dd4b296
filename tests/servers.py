"""Fake HTTP servers on loopback: an OpenAI-compatible one that answers, or fails in a named way."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def unused_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FakeOpenAI:
    """A chat server that plays a script: the n-th request is treated by the n-th entry, the rest by the last.

    Entries: "ok", a status such as "429" or "400 logprobs", "slow" (never ends), "silent", "cut" (stops in
    mid-stream), "garbage" (no JSON in the stream), "html" (a page instead of a stream), "empty" (no choices),
    "error" (an error in the stream), "reset" (hangs up before it answers).
    `reply` makes the chunks of an answer out of the request; the default echoes the last message. `bodies`
    keeps what was asked.
    """

    def __init__(self, *script: str, reply: Callable[[dict], list[dict]] | None = None) -> None:
        self.script = script or ("ok",)
        self.reply = reply or echo
        self.bodies: list[dict[str, Any]] = []
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.closing = threading.Event()

    def __enter__(self) -> FakeOpenAI:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with fake.lock:
                    place = min(len(fake.bodies), len(fake.script) - 1)
                    fake.bodies.append(body)
                    fake.in_flight += 1
                    fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
                try:
                    fake.play(self, fake.script[place], body)
                finally:
                    with fake.lock:
                        fake.in_flight -= 1

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *args: None  # a client that hangs up is part of the play
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def play(self, handler: BaseHTTPRequestHandler, entry: str, body: dict[str, Any]) -> None:
        status, _, reason = entry.partition(" ")
        if status.isdigit():
            content = json.dumps({"error": {"message": reason or f"status {status}"}}).encode()
            handler.send_response(int(status))
            if status == "429":
                handler.send_header("retry-after", "0.01")
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
            return
        if entry == "reset":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if entry == "silent":
            self.closing.wait(30)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/html" if entry == "html" else "text/event-stream")
        handler.end_headers()
        chunks = [f"data: {json.dumps(chunk)}\n\n" for chunk in self.reply(body)]
        if entry == "slow":
            while not self.closing.wait(0.05):
                handler.wfile.write(chunks[0].encode())
        elif entry == "garbage":
            handler.wfile.write(b'data: {"choices": [{"delta": \n\n')
        elif entry == "error":
            handler.wfile.write(b'data: {"error": {"message": "out of memory", "code": 500}}\n\n')
        elif entry == "html":
            handler.wfile.write(b"<html><body>It works!</body></html>")
        elif entry == "cut":
            handler.wfile.write(chunks[0].encode())
        elif entry == "empty":
            handler.wfile.write(
                f"data: {json.dumps({**self.reply(body)[0], 'choices': []})}\n\ndata: [DONE]\n\n".encode()
            )
        else:
            for chunk in chunks:
                handler.wfile.write(chunk.encode())
                time.sleep(0.002)
            handler.wfile.write(b"data: [DONE]\n\n")


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a streamed answer; without a delta it holds no choices, as the one with the usage."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": more.pop("logprobs", None)}
    choices = [] if delta is None else [choice]
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "m",
        "choices": choices,
        **more,
    }


def echo(body: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer that says the last message again, in two pieces."""
    said = body["messages"][-1]["content"]
    half = len(said) // 2
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 16},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    logprobs = {
        "content": [{"token": "x", "logprob": -0.25, "bytes": None, "top_logprobs": []}],
        "refusal": None,
    }
    return [
        chunk({"role": "assistant", "content": said[:half]}, logprobs=logprobs),
        chunk({"content": said[half:]}, logprobs=logprobs),
        chunk({}, finish="stop"),
        chunk(usage=usage),
    ]
