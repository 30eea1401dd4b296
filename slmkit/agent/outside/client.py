"""Tools of any MCP server in the agent's loop.

    world = McpWorld(lambda task, trial: StdioServerParameters(command="my-server"))
    run_tasks(tasks, decider, world)

What a server says of its tools is its claim: hints raise caution and never lower it, so a tool counts as irreversible
unless `access` says otherwise. Results are foreign text, which the loop's defence treats as such.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from slmkit.agent.decision import Access
from slmkit.agent.language import system
from slmkit.agent.observe import observation
from slmkit.agent.outcome import Effect
from slmkit.agent.outside.server import KEY
from slmkit.agent.tasks import Task
from slmkit.agent.tools import misfit
from slmkit.agent.world import Session, World, error_text
from slmkit.capability.scoring import same_json
from slmkit.errors import InputError
from slmkit.records import ToolCall

Connect = Callable[[Task, int], Any]  # what `mcp.Client` takes: a URL, StdioServerParameters, a transport, a server


class McpWorld(World):
    """A world behind MCP servers, one connection a trial.

    `access` marks tools as read, write or irreversible. `judge(task)` says whether the goal is reached; without one, it
    is where exactly the goal's writes have been made. Raises InputError where the extra `mcp` is not installed.
    """

    def __init__(
        self,
        connect: Connect,
        *,
        access: Mapping[str, Access] | None = None,
        instructions: Callable[[Task], str] | None = None,
        judge: Callable[[Task], bool] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        if importlib.util.find_spec("mcp") is None:
            raise InputError("tools of an MCP server need the extra mcp; install it with `pip install slmkit[mcp]`")
        self.connect, self.access, self.judge, self.timeout_s = connect, dict(access or {}), judge, timeout_s
        self.instructions = instructions or (lambda task: system(task.domain))

    def open(self, task: Task, trial: int = 0, folder: str | Path | None = None) -> Session:
        """A connection; a server that keeps state keeps it itself, so `folder` is not used."""
        system_text = self.instructions(task)
        return McpSession(self.connect(task, trial), system_text, self.access, self.judge, self.timeout_s)


class McpSession:
    """One connection to an MCP server, kept by an event loop of its own in another thread."""

    own_errors = False

    def __init__(
        self,
        server: Any,
        system_text: str,
        access: Mapping[str, Access],
        judge: Callable[[Task], bool] | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        from anyio.from_thread import start_blocking_portal
        from mcp import Client

        self.system, self.judge, self.timeout_s = system_text, judge, timeout_s
        self.stack = ExitStack()
        try:
            self.portal = self.stack.enter_context(start_blocking_portal())
            client = Client(server, read_timeout_seconds=timeout_s)
            self.client = self.stack.enter_context(self.portal.wrap_async_context_manager(client))
            offered = self._listed()
        except Exception as error:
            self.stack.close()
            raise InputError(
                f"the MCP server cannot be reached ({_line(error)}); check its command or address"
            ) from None
        self.tools = [_function(tool) for tool in offered]
        self.access: dict[str, Access] = {tool.name: access.get(tool.name, "irreversible") for tool in offered}
        self.made: list[dict[str, Any]] = []

    def call(self, call: ToolCall, key: str) -> Effect:
        """Check the arguments against the server's schema, then call it; a server's fault is an observation."""
        arguments, access = call.parsed(), self.access.get(call.name, "")
        schema = next((t["function"]["parameters"] for t in self.tools if t["function"]["name"] == call.name), None)
        problem = "no such tool" if schema is None else "arguments are no JSON object" if arguments is None else ""
        problem = problem or misfit(schema, arguments)  # type: ignore[arg-type]
        if problem:
            return Effect(call.name, arguments, access, "invalid", error_text(problem))
        try:
            result = self.portal.call(self._call, call.name, arguments, key)
        except Exception as error:
            return Effect(call.name, arguments, access, "fault", error_text(_line(error)))
        return self._effect(call.name, arguments or {}, access, result)

    def reached(self, task: Task) -> bool:
        """Whether the goal is reached, as the judge says; else whether its writes, and no others, were made."""
        if self.judge is not None:
            return self.judge(task)
        wanted = [call for call in task.goal if self.access.get(call["name"]) != "read"]
        made = [call for call in self.made if self.access.get(call["name"]) != "read"]
        if len(made) != len(wanted):
            return False
        return all(any(_same(one, call) for one in made) for call in wanted)

    def close(self) -> None:
        self.stack.close()

    async def _call(self, name: str, arguments: dict[str, Any], key: str) -> Any:
        return await self.client.call_tool(name, arguments, read_timeout_seconds=self.timeout_s, meta={KEY: key})

    def _listed(self) -> list[Any]:
        """The tools of all pages."""
        page = self.portal.call(self.client.list_tools)
        found = list(page.tools)
        while page.next_cursor:
            page = self.portal.call(partial(self.client.list_tools, cursor=page.next_cursor))
            found += page.tools
        return found

    def _effect(self, name: str, arguments: dict[str, Any], access: str, result: Any) -> Effect:
        raw = result.structured_content
        if raw is None:
            raw = "\n".join(part.text for part in result.content if getattr(part, "type", "") == "text")
        if result.is_error:
            text = raw if isinstance(raw, str) and raw.startswith("{") else error_text(str(raw))
            return Effect(name, arguments, access, "error", text[:2_000])
        self.made.append({"name": name, "arguments": arguments})
        text, fault = observation(raw if _is_json(raw) else {"text": raw}, access != "read")
        return Effect(name, arguments, access, "fault" if fault else "ok", text)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["name"] == other["name"] and same_json(one["arguments"], other["arguments"])


def _is_json(raw: Any) -> bool:
    return not isinstance(raw, str) or raw[:1] in "{["


def _function(tool: Any) -> dict[str, Any]:
    """An MCP tool in the form of OpenAI's API."""
    function = {"name": tool.name, "description": tool.description or "", "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _line(error: BaseException) -> str:
    """One line for an error, of the first that a group of errors holds."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return " ".join(str(error).split())[:160] or type(error).__name__
